"""Lines 1 to 6: however the target of a request is written, it is one of our addresses or none, and the backend is
asked for a path that was written anew.

An agent of profile T2 sends each of them: three rubrics of a dossier are open to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.policy_files.folder import shipped
from tests.attacks.sending import DOSSIER, PROFILE, Sender, lines
from tests.story.brochure import OPEN, kept_rubric, members
from upstream_stub.dossiers import rubric_text

NO_ADDRESS = (404, "GW203")
NO_NUMBER = (422, "GW207")
NO_PARAMETER = (400, "GW202")
NO_REQUEST = (400, "GW201")
UNHEARD = (400, "")
"""Refused by the server: the application hears nothing of it."""

Targets = Mapping[str, tuple[str, tuple[int, str]]]

DOTS: Targets = {
    "GHSA-p224-6x5r-fjpm: up from an open address": ("/-/health/live/../../../dossiers/9990001", NO_ADDRESS),
    "GHSA-p224-6x5r-fjpm: up from our own folder": ("/-/../dossiers/9990001", NO_ADDRESS),
    "GHSA-p224-6x5r-fjpm: down into an open address": ("/dossiers/9990001/../../-/health/live", NO_ADDRESS),
    "CVE-2026-42274: up, encoded": ("/-/health/live/%2e%2e/%2e%2e/%2e%2e/dossiers/9990001", NO_ADDRESS),
    "CVE-2026-42274: up, encoded with its slashes": ("/-/%2e%2e%2fdossiers%2f9990001", NO_ADDRESS),
    "CVE-2026-42274: up, encoded in both cases": ("/dossiers/9990002/%2E%2e/9990001", NO_ADDRESS),
    "CVE-2026-48020: up from a prefix that would be taken off": ("/-/%2e%2e/dossiers/9990001", NO_ADDRESS),
    "CVE-2026-48020: an encoded dot at the prefix's end": ("/-%2e/./dossiers/9990001", NO_ADDRESS),
    "CVE-2026-48020: up from a prefix, encoded twice": ("/-/%252e%252e/dossiers/9990001", NO_ADDRESS),
    "CVE-2021-43557: a dot segment before": ("/./dossiers/9990001", NO_ADDRESS),
    "CVE-2021-43557: a dot segment inside": ("/dossiers/./9990001", NO_ADDRESS),
    "CVE-2021-43557: an encoded dot segment": ("/dossiers/%2e/9990001", NO_ADDRESS),
    "from one dossier to another": ("/dossiers/9990002/../9990001", NO_ADDRESS),
    "from an open rubric to a closed one": ("/dossiers/9990001/rubriques/adresse/../paiement", NO_ADDRESS),
    "from a rubric to a document": ("/dossiers/9990001/rubriques/../courriers/co-1.pdf", NO_ADDRESS),
    "from a document to another dossier": ("/dossiers/9990001/courriers/..%2f..%2f9990002.pdf", NO_ADDRESS),
    "a document that is called dots": ("/dossiers/9990001/courriers/...pdf", NO_ADDRESS),
    "a rubric that is two dots": ("/dossiers/9990001/rubriques/..", NO_ADDRESS),
    "a rubric that is an encoded dot": ("/dossiers/9990001/rubriques/%2e", NO_ADDRESS),
    "a number that is two dots": ("/dossiers/..", NO_NUMBER),
    "a number that is two encoded dots": ("/dossiers/%2e%2e", NO_NUMBER),
    "a number with a dot behind": ("/dossiers/9990001.", NO_NUMBER),
    "a number with an encoded dot behind": ("/dossiers/9990001%2e", NO_NUMBER),
    "a number with a file's ending": ("/dossiers/9990001.json", NO_NUMBER),
    "a dot segment behind": ("/dossiers/9990001/.", NO_ADDRESS),
    "three dots": ("/dossiers/.../9990001", NO_ADDRESS),
    "dots with a parameter": ("/..;/dossiers/9990001", NO_ADDRESS),
    "dots with a parameter inside": ("/dossiers/9990002/..;x=y/9990001", NO_ADDRESS),
    "dots and a backslash": ("/dossiers/9990002/..\\9990001", NO_ADDRESS),
    "dots and an encoded backslash": ("/dossiers/9990002/..%5c9990001", NO_ADDRESS),
    "dots with a null between": ("/dossiers/9990002/.%00./9990001", NO_ADDRESS),
    "dots encoded three times": ("/dossiers/9990002/%25252e%25252e/9990001", NO_ADDRESS),
    "dots in overlong UTF-8": ("/dossiers/9990002/%c0%ae%c0%ae/9990001", NO_ADDRESS),
    "dots in three bytes each": ("/dossiers/9990002/%e0%80%ae%e0%80%ae/9990001", NO_ADDRESS),
    "dots in full width": ("/dossiers/9990002/%ef%bc%8e%ef%bc%8e/9990001", NO_ADDRESS),
    "dots as scripts write them": ("/dossiers/9990002/%u002e%u002e/9990001", NO_ADDRESS),
    "above the root": ("/../../../../dossiers/9990001", NO_ADDRESS),
    "a file of the machine": ("/dossiers/9990001/courriers/..%2f..%2f..%2f..%2fetc%2fpasswd", NO_ADDRESS),
}

SLASHES: Targets = {
    "CVE-2026-26205: two before": ("//dossiers/9990001", NO_ADDRESS),
    "CVE-2026-26205: two before an open address": ("//-/health/live", NO_ADDRESS),
    "CVE-2026-26205: another site's name before": ("//ailleurs.example/dossiers/9990001", NO_ADDRESS),
    "CVE-2026-26205: our own name before": ("//127.0.0.1/dossiers/9990001", NO_ADDRESS),
    "CVE-2021-31920: two inside": ("/dossiers//9990001", NO_ADDRESS),
    "CVE-2021-31920: two before a rubric": ("/dossiers/9990001//rubriques/paiement", NO_ADDRESS),
    "CVE-2021-31920: two, one of them encoded": ("/dossiers/%2f9990001", NO_ADDRESS),
    "two inside an open address": ("/-//health/live", NO_ADDRESS),
    "two behind our folder, and a dossier": ("/-//dossiers/9990001", NO_ADDRESS),
    "three before": ("///dossiers/9990001", NO_ADDRESS),
    "an encoded one first": ("/%2fdossiers/9990001", NO_ADDRESS),
    "encoded alone": ("%2fdossiers/9990001", UNHEARD),
    "a backslash first": ("\\dossiers/9990001", UNHEARD),
    "a slash and a backslash": ("/\\dossiers/9990001", NO_ADDRESS),
    "one behind": ("/dossiers/9990001/", NO_ADDRESS),
    "many behind": ("/dossiers/9990001////", NO_ADDRESS),
    "an encoded one behind": ("/dossiers/9990001%2F", NO_ADDRESS),
    "a thousand": ("/" * 1000 + "dossiers/9990001", NO_ADDRESS),
}

ODD: Targets = {
    "CVE-2021-29492: an encoded slash, and another dossier": ("/dossiers/9990001%2F..%2F9990002", NO_ADDRESS),
    "CVE-2021-29492: an encoded backslash, and another dossier": ("/dossiers/9990001%5C..%5C9990002", NO_NUMBER),
    "CVE-2021-29492: an encoded slash behind an open address": ("/-/health/live%2f..%2f..%2fsession", NO_ADDRESS),
    "CVE-2021-29492: an encoded backslash behind our folder": ("/-%5C..%5Cdossiers/9990001", NO_ADDRESS),
    "a backslash for a slash": ("/dossiers\\9990001", NO_ADDRESS),
    "an encoded backslash in small letters": ("/dossiers%5c9990001", NO_ADDRESS),
    "a backslash behind the number": ("/dossiers/9990001\\", NO_NUMBER),
    "an encoded slash, encoded again": ("/dossiers%252f9990001", NO_ADDRESS),
    "a slash in overlong UTF-8": ("/dossiers%c0%af9990001", NO_ADDRESS),
    "a slash in three bytes": ("/dossiers%e0%80%af9990001", NO_ADDRESS),
    "a backslash in overlong UTF-8": ("/dossiers%c1%9c9990001", NO_ADDRESS),
    "a digit in overlong UTF-8": ("/dossiers/%c0%b9990001", NO_NUMBER),
    "a slash in full width": ("/dossiers%ef%bc%8f9990001", NO_ADDRESS),
    "a division slash": ("/dossiers%e2%88%959990001", NO_ADDRESS),
    "a slash as scripts write it": ("/dossiers%u002f9990001", NO_ADDRESS),
    "a parameter behind the number": ("/dossiers/9990001;numero=9990002", NO_NUMBER),
    "an encoded parameter": ("/dossiers/9990001%3Bnumero=9990002", NO_NUMBER),
    "a parameter that is empty": ("/dossiers/9990001;", NO_NUMBER),
    "a session in a parameter": ("/dossiers;jsessionid=1/9990001", NO_ADDRESS),
    "a parameter behind a rubric": ("/dossiers/9990001/rubriques/adresse;/paiement", NO_ADDRESS),
    "a parameter before an open address": ("/dossiers/9990001;/-/health/live", NO_ADDRESS),
    "a comma and another number": ("/dossiers/9990001,9990002", NO_NUMBER),
    "bytes that are not UTF-8": ("/dossiers/%ff%fe", NO_NUMBER),
    "half a character": ("/dossiers/999000%c3", NO_NUMBER),
    "half a pair of UTF-16": ("/dossiers/%ed%a0%80990001", NO_NUMBER),
    "a byte-order mark": ("/%ef%bb%bfdossiers/9990001", NO_ADDRESS),
    "a character without width": ("/dossiers/999%e2%80%8b0001", NO_NUMBER),
    "a mark that turns the writing": ("/dossiers/%e2%80%ae1000999", NO_NUMBER),
    "an accent on an address": ("/dossi%c3%a9rs/9990001", NO_ADDRESS),
    "a letter that only looks like ours": ("/d%d0%besiers/9990001", NO_ADDRESS),
    "a long s, which is an S in capitals": ("/do%c5%bf%c5%bfiers/9990001", NO_ADDRESS),
    "a rubric in full width": ("/dossiers/9990001/rubriques/%ef%bd%81dresse", NO_ADDRESS),
    "a percent sign alone": ("/dossiers/%9990001", NO_NUMBER),
    "a percent sign behind": ("/dossiers/9990001%", NO_NUMBER),
    "half a percent code": ("/dossiers/9990001%2", NO_NUMBER),
    "a percent code that is none": ("/dossiers/%zz9990001", NO_NUMBER),
    "a percent code made of percent codes": ("/dossiers/%%33%39990001", NO_NUMBER),
    "raw UTF-8": ("/dossiers/\xef\xbc\x99\xef\xbc\x99", UNHEARD),
    "a raw accent": ("/dossi\xe9rs/9990001", UNHEARD),
    "a raw null": ("/dossiers/9990001\0", UNHEARD),
    "a raw null and an ending": ("/dossiers/9990001\0.json", UNHEARD),
    "a raw tab": ("/dossiers/\t9990001", UNHEARD),
    "a raw escape": ("/dossiers/\x1b[31m9990001", UNHEARD),
    "a raw space": ("/dossiers/9990001 x", UNHEARD),
    "a raw carriage return": ("/dossiers/9990001\rX", UNHEARD),
    "a null behind an open address": ("/-/health/live%00/dossiers", NO_ADDRESS),
    "a null behind an open address's end": ("/-/health/live%00", NO_ADDRESS),
    **{f"the control character {code:02x}": (f"/dossiers/9990001%{code:02X}", NO_NUMBER) for code in (*range(32), 127)},
    **{f"the control character {code:02x}": (f"/dossiers/9990001%C2%{code:02X}", NO_NUMBER) for code in (0x80, 0x85)},
}

DIGITS = {
    **{"Arabic-Indic": 0x0660, "Persian": 0x06F0, "Devanagari": 0x0966, "Bengali": 0x09E6, "Thai": 0x0E50},
    **{"full-width": 0xFF10, "bold": 0x1D7CE, "of a seven-segment display": 0x1FBF0},
}
"""Where the ten digits of a script begin. Python takes all of them for digits, and `int` reads them."""

HASHES: Targets = {
    "CVE-2026-41059: a fragment behind an open address": ("/-/health/live#/../../../dossiers/9990001", NO_ADDRESS),
    "CVE-2026-41059: an open address as a fragment": ("/dossiers/9990001#/-/health/live", NO_ADDRESS),
    "CVE-2026-41059: encoded": ("/dossiers/9990001%23/-/health/live", NO_ADDRESS),
    "CVE-2026-41059: encoded twice": ("/dossiers/9990001%2523/-/health/live", NO_ADDRESS),
    "CVE-2026-41059: an encoded one behind an open address": ("/-/health/live%23/dossiers/9990001", NO_ADDRESS),
    "a fragment": ("/dossiers/9990001#", NO_NUMBER),
    "a fragment before another dossier": ("/dossiers/9990002#/../9990001", NO_ADDRESS),
    "a fragment behind a rubric": ("/dossiers/9990001/rubriques/adresse#paiement", NO_ADDRESS),
    "an encoded question mark": ("/dossiers/9990001%3F", NO_NUMBER),
    "an encoded question mark and a parameter": ("/dossiers/9990001%3fpage=2", NO_NUMBER),
    "an encoded question mark and an open address": ("/dossiers/9990001%3F/-/health/live", NO_ADDRESS),
    "an encoded question mark behind an open address": ("/-/health/live%3f/dossiers/9990001", NO_ADDRESS),
    "a question mark encoded twice": ("/dossiers/9990001%253F", NO_NUMBER),
    "two question marks": ("/dossiers/9990001??", NO_REQUEST),
    "a question mark and a fragment": ("/dossiers/9990001?#", NO_REQUEST),
    "an ampersand for a question mark": ("/dossiers/9990001&page=2", NO_NUMBER),
}

FORMS: Targets = {
    "absolute": ("http://{host}/dossiers/9990001", NO_ADDRESS),
    "absolute, another host": ("http://ailleurs.example/dossiers/9990001", NO_ADDRESS),
    "absolute, encrypted": ("https://{host}/dossiers/9990001", NO_ADDRESS),
    "absolute, in capitals": ("HTTP://{host}/dossiers/9990001", NO_ADDRESS),
    "absolute, with a user": ("http://t1@{host}/dossiers/9990001", NO_ADDRESS),
    "absolute, an open address": ("http://{host}/-/health/live", NO_ADDRESS),
    "absolute, without a path": ("http://{host}", NO_ADDRESS),
    "absolute, without a host": ("http:///dossiers/9990001", NO_ADDRESS),
    "absolute, a file": ("file:///dossiers/9990001", NO_ADDRESS),
    "absolute, of another protocol": ("gopher://{host}/dossiers/9990001", NO_ADDRESS),
    "a scheme twice": ("http:http://ailleurs.example/dossiers/9990001", UNHEARD),
    "a scheme and one slash": ("http:/dossiers/9990001", UNHEARD),
    "an authority": ("{host}", UNHEARD),
    "a port": (":80", UNHEARD),
    "an asterisk": ("*", NO_ADDRESS),
    "an asterisk and a path": ("*/dossiers/9990001", NO_ADDRESS),
    "no slash": ("dossiers/9990001", UNHEARD),
    "a query alone": ("?/dossiers/9990001", UNHEARD),
    "a fragment alone": ("#/dossiers/9990001", UNHEARD),
    "a dot": (".", UNHEARD),
    "nothing": ("", UNHEARD),
    "an at sign": ("@ailleurs.example/dossiers/9990001", UNHEARD),
    "a path with an at sign": ("/@ailleurs.example/dossiers/9990001", NO_ADDRESS),
}

QUERIES: Targets = {
    "a path": ("/dossiers/9990001?/../9990002", NO_REQUEST),
    "a path in a parameter": ("/dossiers/9990001?path=/dossiers/9990002", NO_PARAMETER),
    "a path behind the root": ("/?/dossiers/9990001", NO_ADDRESS),
    "a target behind the root": ("/?url=http://ailleurs.example/dossiers/9990001", NO_ADDRESS),
    "an open address": ("/dossiers/9990001?/-/health/live", NO_REQUEST),
    "an open address in a parameter": ("/dossiers/9990001?x=/-/health/live", NO_PARAMETER),
    "another number": ("/dossiers/9990001?numero=9990002", NO_PARAMETER),
    "a profile": ("/dossiers/9990001?profil=T1", NO_PARAMETER),
    "rubrics": ("/dossiers/9990001?rubriques=paiement,famille", NO_PARAMETER),
    "the same name twice": ("/dossiers/9990001?page=1&page=2", NO_PARAMETER),
    "a name without a value": ("/dossiers/9990001?page", NO_REQUEST),
    "a list": ("/dossiers/9990001?page[]=1", NO_PARAMETER),
    "an encoded list": ("/dossiers/9990001?page%5B0%5D=1", NO_PARAMETER),
    "a null": ("/dossiers/9990001?%00=1", NO_PARAMETER),
    "a name that is not UTF-8": ("/dossiers/9990001?%ff=1", NO_REQUEST),
    "many": ("/dossiers/9990001?" + "&".join(f"a{n}=1" for n in range(33)), NO_REQUEST),
    "a callback": ("/dossiers/9990001?callback=x", NO_PARAMETER),
    "a method": ("/dossiers/9990001?_method=GET", NO_PARAMETER),
}

FAMILIES = {1: DOTS, 2: SLASHES, 3: ODD, 4: HASHES, 5: FORMS, 6: QUERIES}
CASES = [
    pytest.param(target, *refusal, id=f"{number}: {name}", marks=pytest.mark.attack(number))
    for number, targets in FAMILIES.items()
    for name, (target, refusal) in targets.items()
]


@pytest.mark.parametrize(("target", "status", "code"), CASES)
def test_a_target_that_is_not_exactly_an_address_is_refused_unasked(
    sender: Sender, target: str, status: int, code: str
) -> None:
    tried = sender.get(target.format(host=sender.gateway.host) if "{host}" in target else target)
    if code:
        tried.refused(status, code)
    else:
        tried.refused_by_the_server(status)


@pytest.mark.parametrize(("target", "status", "code"), CASES)
def test_no_way_of_writing_a_target_passes_by_the_door(sender: Sender, target: str, status: int, code: str) -> None:
    """The same targets, from nobody: the same 401 at every address but our own, where nothing but health is open."""
    target = target.format(host=sender.gateway.host) if "{host}" in target else target
    tried = sender.send(lines(f"GET {target} HTTP/1.1", sender.host), profile=None)
    if not code:
        tried.refused_by_the_server(status)
    elif target.startswith("/-/") and code == "GW203":
        tried.refused(404, "GW203")
    else:
        tried.refused(401, "GW101")


@pytest.mark.attack(3)
@pytest.mark.parametrize("zero", DIGITS.values(), ids=DIGITS)
def test_digits_of_other_scripts_are_no_number(sender: Sender, zero: int) -> None:
    written = "".join("".join(f"%{byte:02x}" for byte in chr(zero + int(digit)).encode()) for digit in "9990001")
    sender.get(f"/dossiers/{written}").refused(*NO_NUMBER)
    # One of them among ours is as many as seven.
    one = "".join(f"%{byte:02X}" for byte in chr(zero + 1).encode())
    sender.get(f"/dossiers/999000{one}").refused(*NO_NUMBER)


REWRITTEN = {
    "an encoded slash": "/dossiers%2F9990001",
    "an encoded slash in small letters": "/dossiers%2f9990001",
    "encoded letters": "/%64%6Fssiers/9990001",
    "encoded digits": "/dossiers/%39%39%39%30%30%30%31",
    "every character encoded": "/" + "".join(f"%{byte:02x}" for byte in b"dossiers/9990001"),
    "a question mark with nothing behind": "/dossiers/9990001?",
}


@pytest.mark.attack(1)
@pytest.mark.attack(3)
@pytest.mark.parametrize("target", REWRITTEN.values(), ids=REWRITTEN)
def test_the_backend_is_asked_for_what_was_authorised_however_it_was_written(sender: Sender, target: str) -> None:
    sender.get(target).served()


@pytest.mark.attack(3)
def test_an_encoded_slash_opens_and_closes_what_a_slash_does(sender: Sender) -> None:
    """CVE-2021-29492: the path that is matched is the path that is asked for."""
    sender.get("/dossiers/9990001%2Frubriques%2Fpaiement").refused(403, "GW301")
    tried = sender.get("/dossiers/9990001%2Frubriques%2Fadresse")
    assert (tried.answer.status, tried.answer.body.decode()) == (200, kept_rubric("adresse", _adresse()))
    tried.asked_for("/dossiers/9990001/rubriques/adresse")


def _adresse() -> str:
    return (rubric_text("9990001", "adresse") or b"").decode()


HOSTS = {
    "missing": (),
    "empty": ("Host:",),
    "foreign": ("Host: ailleurs.example",),
    "foreign, with ours forwarded": ("Host: ailleurs.example", "X-Forwarded-Host: {host}", "Forwarded: host={host}"),
    "foreign, with ours as an original": ("Host: ailleurs.example", "X-Original-Host: {host}", "X-Host: {host}"),
    "ours with an underscore": ("Host_: {host}", "HTTP_HOST: {host}"),
    "ours, then a foreign one": ("Host: {host}", "Host: ailleurs.example"),
    "a foreign one, then ours": ("Host: ailleurs.example", "Host: {host}"),
    "ours twice": ("Host: {host}", "Host: {host}"),
    "ours twice, in other letters": ("Host: {host}", "HOST: {host}"),
    "joined with a comma": ("Host: {host}, ailleurs.example",),
    "joined with a comma, foreign first": ("Host: ailleurs.example,{host}",),
    "without the port": ("Host: 127.0.0.1",),
    "another port": ("Host: 127.0.0.1:1",),
    "a port that is no number": ("Host: {host}x",),
    "a port with a zero before": ("Host: 127.0.0.1:0{port}",),
    "a dot behind": ("Host: 127.0.0.1.:{port}",),
    "by another name": ("Host: localhost:{port}",),
    "as one number": ("Host: 2130706433:{port}",),
    "in short": ("Host: 127.1:{port}",),
    "in octal": ("Host: 0177.0.0.1:{port}",),
    "in IPv6": ("Host: [::ffff:127.0.0.1]:{port}",),
    "with a user": ("Host: t1@{host}",),
    "with a path": ("Host: {host}/dossiers/9990001",),
    "with a scheme": ("Host: http://{host}",),
    "with a query": ("Host: {host}?x",),
    "with a fragment": ("Host: {host}#x",),
    "with a blank inside": ("Host: {host} ailleurs.example",),
    "with a tab inside": ("Host: {host}\tx",),
    "encoded": ("Host: %31%32%37.0.0.1:{port}",),
    "in full width": ("Host: \xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1:{port}",),
    "20 000 letters": ("Host: " + "a" * 20_000,),
}


@pytest.mark.attack(5)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("written", HOSTS.values(), ids=HOSTS)
def test_a_host_that_is_not_exactly_ours_once_is_refused(
    sender: Sender, written: tuple[str, ...], version: str
) -> None:
    host = sender.gateway.host
    headers = [line.format(host=host, port=host.rpartition(":")[2]) for line in written]
    tried = sender.send(lines(f"GET {DOSSIER} HTTP/{version}", *headers, sender.bearer()))
    tried.refused(*NO_REQUEST)
    assert tried.row["agent"] == "t2"


@pytest.mark.attack(5)
@pytest.mark.parametrize("written", ["Host: {host}", "HOST:{host}", "host:   {host}   ", "Host:\t{host}"], ids=repr)
def test_our_own_host_is_answered_however_its_name_is_written(sender: Sender, written: str) -> None:
    sender.send(lines(f"GET {DOSSIER} HTTP/1.1", written.format(host=sender.gateway.host), sender.bearer())).served()


@pytest.mark.attack(6)
@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("profile=T1", NO_PARAMETER),
        ("profil=T1&profil=T2", NO_PARAMETER),
        ("rubrics=paiement", NO_PARAMETER),
        ("/../../dossiers/9990001", NO_REQUEST),
    ],
)
def test_a_parameter_of_our_own_addresses_opens_nothing(sender: Sender, query: str, refusal: tuple[int, str]) -> None:
    sender.get(f"/-/session?{query}").refused(*refusal)
    assert sender.get("/-/session").answer.json()["profile"] == PROFILE
    tried = sender.send(lines(f"GET /-/health/live?{query} HTTP/1.1", sender.host), profile=None)
    assert (tried.answer.json(), tried.rows, tried.asked) == ({"status": "live"}, [], [])


@pytest.fixture(scope="module")
def paged(archive, start_gateway, tmp_path_factory) -> Sender:
    """A gateway whose dossiers declare two parameters."""
    policies = tmp_path_factory.mktemp("policies") / "in-force"
    shutil.copytree(shipped(), policies)
    _declare(policies / "routes.toml", '["page", "tri"]')
    gateway = start_gateway(archive.url, policies)
    gateway.enter("t2", PROFILE)
    return Sender(gateway, archive, {PROFILE: gateway.log_in("t2")})


def _declare(file: Path, parameters: str) -> None:
    before, _, after = file.read_text().partition("query  = []")
    assert after
    file.write_text(f"{before}query  = {parameters}{after}")


PASSED = {
    "one": ("page=2", "page=2"),
    "both": ("page=2&tri=date", "page=2&tri=date"),
    "an encoded name": ("%70age=2", "page=2"),
    "an ampersand inside": ("page=2%26page%3D3", "page=2%26page%3D3"),
    "a semicolon inside": ("page=1;tri=2", "page=1%3Btri%3D2"),
    "a path inside": ("page=/../9990002", "page=%2F..%2F9990002"),
    "a hash inside": ("page=2#x", "page=2%23x"),
    "a question mark inside": ("page=2?x", "page=2%3Fx"),
    "a percent code, encoded": ("page=%252e", "page=%252e"),
    "a plus": ("page=a+b", "page=a+b"),
    "an accent": ("page=%c3%a9", "page=%C3%A9"),
    "nothing": ("page=", "page="),
}


@pytest.mark.attack(6)
@pytest.mark.parametrize(("query", "asked"), PASSED.values(), ids=PASSED)
def test_a_declared_parameter_is_written_anew(paged: Sender, query: str, asked: str) -> None:
    tried = paged.get(f"{DOSSIER}?{query}")
    assert tried.answer.status == 200
    assert set(members(members(tried.answer.body.decode())["rubriques"])) == OPEN[PROFILE]
    tried.asked_for(f"{DOSSIER}?{asked}")


CONFUSED = {
    "twice with different values": ("page=1&page=2", NO_REQUEST),
    "twice with the same value": ("page=1&page=1", NO_REQUEST),
    "twice, once encoded": ("page=1&%70age=2", NO_REQUEST),
    "in capitals beside": ("page=1&Page=2", NO_PARAMETER),
    "with a blank behind its name": ("page=1&page%20=2", NO_PARAMETER),
    "as a list": ("page[]=1", NO_PARAMETER),
    "with an undeclared one": ("page=1&numero=9990002", NO_PARAMETER),
    "with the end of a line": ("page=2%0d%0aX-Profil:%20T1", NO_REQUEST),
    "with a null": ("page=2%00", NO_REQUEST),
    "not UTF-8": ("page=%ff", NO_REQUEST),
    "half a pair of UTF-16": ("page=%ed%a0%80", NO_REQUEST),
    "too long": (f"page={'1' * 257}", NO_REQUEST),
    "without a value": ("page", NO_REQUEST),
    "with nothing between": ("page=1&&tri=2", NO_REQUEST),
    "with an ampersand behind": ("page=1&", NO_REQUEST),
}


@pytest.mark.attack(6)
@pytest.mark.parametrize(("query", "refusal"), CONFUSED.values(), ids=CONFUSED)
def test_a_declared_parameter_has_one_value_or_is_refused(paged: Sender, query: str, refusal: tuple[int, str]) -> None:
    paged.get(f"{DOSSIER}?{query}").refused(*refusal)
