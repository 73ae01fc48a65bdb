"""The file of issuers: what is wrong with it is said all at once, each with its place."""

import json
import re
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.identity.authorities import CLAIMS, MAIL
from gateway.identity.issuers import TEMPLATE, believed, load_vouchers, secrets
from tests.identity.certifying import authority_entry
from tests.identity.vouching import provider
from tests.story.providers import MAKE, public
from tests.story.running import certify

ENTRY = """\
[[issuer]]
issuer = "https://idp.example"
audience = "https://cafpro.example"
jwks_url = "https://idp.example/jwks"
algorithms = ["ES256"]
partner = "Udaf"
"""


SECRET = "un-secret-de-quarante-caracteres-au-moins"
PROVIDER = provider()
_TOGETHER = "profile_claim and [authority.profiles] go together: give both or neither."


def problems(folder: Path, text: str) -> list[str]:
    file = folder / "issuers.toml"
    file.write_text(text, "utf-8")
    try:
        load_vouchers(file)
    except Misconfigured as error:
        return [problem.removeprefix(f"{file}").removeprefix(", issuer 1: ") for problem in error.problems]
    return []


def test_an_entry_is_read_whole(tmp_path):
    (tmp_path / "issuers.toml").write_text(ENTRY)
    [issuer] = load_vouchers(tmp_path / "issuers.toml").issuers
    assert (issuer.issuer, issuer.account_claim, issuer.profile_claim) == ("https://idp.example", "sub", None)
    assert issuer.keys_at() == "https://idp.example/jwks"


def test_the_example_that_init_writes_names_nobody_and_is_right_without_its_marks(tmp_path):
    assert problems(tmp_path, TEMPLATE) == [": names no issuer. Write [[issuer]], [[provider]] or [[authority]]."]
    text = re.sub(r"^# (?=[a-z_]+ = |\[\[?(issuer|provider|authority)|\")", "", TEMPLATE, flags=re.MULTILINE)
    # Of the two ways to say whose agents they are, one; and no file that is not there.
    certify(tmp_path, "idp-ca")
    certify(tmp_path, "proconnect-ca")
    certify(tmp_path, "igc-vendee")
    (tmp_path / "proconnect.secret").write_text(f"{SECRET}\n")
    text = re.sub(r"^partner = .*\n", "", text, count=1, flags=re.MULTILINE)
    assert problems(tmp_path, text) == []
    [provider] = load_vouchers(tmp_path / "issuers.toml").providers
    assert (provider.name, provider.userinfo, provider.siret_claim) == ("proconnect", "jwt", "siret")
    assert provider.accounts == {"3f9c2a": "m.martin"}
    for field in set(provider.__struct_fields__) - {"partner_claim", "partners"}:
        assert re.search(rf"^# (\[provider\.)?{field}\b", TEMPLATE.partition("[[provider]]")[2], re.MULTILINE) or (
            field in ("partner", "jwks_file")
        )
    [issuer] = load_vouchers(tmp_path / "issuers.toml").issuers
    assert issuer.profiles == {"AGENT-INSTRUCTEUR": "T4"}
    assert issuer.partners == {"22850001600015": "Département de la Vendée"}
    for field in issuer.__struct_fields__:
        assert field in TEMPLATE
    [authority] = load_vouchers(tmp_path / "issuers.toml").authorities
    assert (authority.accounts, authority.proxies) == ({"2-1-c3a9": "m.martin"}, ["10.0.0.5"])
    for field in authority.__struct_fields__:
        assert field in TEMPLATE.partition("[[authority]]")[2]


WRONG = {
    "nothing": ("", [": names no issuer. Write [[issuer]], [[provider]] or [[authority]]."]),
    "a table that is none": ("issuer = 1\n", [": `issuer` must be a table, written [[issuer]]."]),
    "one table": (ENTRY.replace("[[issuer]]", "[issuer]"), [": `issuer` must be a table, written [[issuer]]."]),
    "another key beside": ("x = 1\n" + ENTRY, [": unknown key `x`. Write [[issuer]], [[provider]] or [[authority]]."]),
    "all of it": (
        '[[issuer]]\nisuer = "x"\naudience = 1\nalgorithms = []\n',
        [
            "unknown key `isuer`. Did you mean `issuer`?",
            "audience: Expected `str`, got `int`.",
            "algorithms: Expected `array` of length >= 1.",
            "issuer is missing.",
        ],
    ),
    "a secret between two": (
        ENTRY.replace("ES256", "HS256"),
        [
            "algorithms: must be among ES256, ES384, RS256, PS256, Ed25519, EdDSA: only those have a key that need not "
            "be secret."
        ],
    ),
    "no algorithm": (ENTRY.replace("ES256", "none"), ["algorithms: must be among"]),
    "in small letters": (ENTRY.replace("ES256", "es256"), ["algorithms: must be among"]),
    "keys in clear": (
        ENTRY.replace("https://idp.example/jwks", "http://idp.example/jwks"),
        ["jwks_url: must begin with https: whoever stands between could put a key of their own there."],
    ),
    "keys from a file's address": (
        ENTRY.replace("https://idp.example/jwks", "file:///etc/jwks"),
        ["jwks_url: must look like https://host/path."],
    ),
    "keys behind a password": (
        ENTRY.replace("https://idp.example/jwks", "https://a:b@idp.example/jwks"),
        ["jwks_url: must not contain a user, a password or a fragment."],
    ),
    "keys nowhere": (ENTRY.replace("jwks_url", "#"), ["give jwks_url or jwks_file, one of them."]),
    "keys in no file": (
        ENTRY.replace('jwks_url = "https://idp.example/jwks"', 'jwks_file = "none.json"'),
        ["jwks_file: "],
    ),
    "whom to trust, in clear": (
        ENTRY.replace("https://idp.example/jwks", "http://127.0.0.1/jwks") + 'ca = "none.pem"\n',
        ["ca: ", "ca: goes with a jwks_url that begins with https."],
    ),
    "nobody's": (ENTRY.replace("partner =", "# partner ="), ["give partner or partner_claim, one of them."]),
    "two ways to say whose": (
        ENTRY + 'partner_claim = "siret"\n[issuer.partners]\n"1" = "Udaf"\n',
        ["give partner or partner_claim, one of them."],
    ),
    "a claim without a table": (
        ENTRY + 'profile_claim = "pagm"\n',
        ["profile_claim and [issuer.profiles] go together: give both or neither."],
    ),
    "a table without a claim": (
        ENTRY + '[issuer.profiles]\n"A" = "T1"\n',
        ["profile_claim and [issuer.profiles] go together: give both or neither."],
    ),
    "a profile that is none": (
        ENTRY + 'profile_claim = "pagm"\n[issuer.profiles]\n"A" = "T17"\n',
        ["profiles: 'A' must mean a profile, written T1 to T16."],
    ),
    "an account named by a date": (ENTRY + 'account_claim = "exp"\n', ["account_claim: exp names nobody."]),
    "one provider twice": (
        PROVIDER + PROVIDER,
        [
            ", provider 2: issuer: another [[provider]] has the same.",
            ", provider 2: name: another [[provider]] has the same.",
        ],
    ),
    "log-ins whose tokens would be bearer tokens": (
        ENTRY.replace("https://cafpro.example", "cafpro") + PROVIDER,
        [", provider 1: client_id: must not be the audience of the [[issuer]] of the same name."],
    ),
    **{
        f"a provider: {said}": (
            PROVIDER.replace(*changed) if isinstance(changed, tuple) else PROVIDER + changed,
            [f", provider 1: {problem}" for problem in expected],
        )
        for said, changed, expected in (
            (
                "sends agents in clear",
                ("https://idp.example/a", "http://idp.example/a"),
                ["authorization_url: must be"],
            ),
            ("is asked in clear", ("https://idp.example/t", "http://idp.example/t"), ["token_url: must begin with"]),
            ("tells in clear", 'userinfo_url = "http://idp.example/me"\n', ["userinfo_url: must begin with https"]),
            ("is told in clear", ("https://idp.example/e", "http://idp.example/e"), ["end_session_url: must begin"]),
            (
                "a query where sessions end",
                ("/end", "/end?x=1"),
                ["end_session_url: must not contain a query."],
            ),
            (
                "a query in its address",
                ("/authorize", "/authorize?x=1"),
                ["authorization_url: must not contain a query"],
            ),
            ("a name that is no part of an address", ('"idp"', '"../idp"'), ["name: "]),
            ("a secret between two", ("ES256", "HS256"), ["algorithms: must be among"]),
            (
                "nobody's",
                ("siret_claim", "# siret_claim"),
                ["give partner, partner_claim or siret_claim, one of them."],
            ),
            ("two ways to say whose", 'partner = "Udaf"\n', ["give partner, partner_claim or siret_claim, one of"]),
            ("a SIRET that is a date", ('"siret"', '"exp"'), ["siret_claim: exp names nobody."]),
            ("no OpenID", 'scopes = ["siret"]\n', ["scopes: openid must be among them."]),
            ("scopes with blanks", 'scopes = ["openid siret"]\n', ["scopes: "]),
            ("a secret that is not there", ("idp.secret", "none.secret"), ["client_secret_file: "]),
            ("a short secret", ("idp.secret", "short.secret"), ["client_secret_file: "]),
            ("another way to send it", 'client_auth = "none"\n', ["client_auth: "]),
            ("an unknown key", 'discovery = "x"\n', ["unknown key `discovery`."]),
        )
    },
    "one issuer twice": (ENTRY + ENTRY, [", issuer 2: issuer: another [[issuer]] has the same."]),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_all_at_once(tmp_path, text, expected):
    (tmp_path / "idp.secret").write_text(f"{SECRET}\n")
    (tmp_path / "short.secret").write_text("court\n")
    found = problems(tmp_path, text)
    assert SECRET not in str(found)
    assert len(found) == len(expected), found
    for problem, begins in zip(found, expected, strict=True):
        assert problem.startswith(begins)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/k", "http://[::1]/k", "http://localhost/k", "https://idp.example/k?p=x"]
)
def test_keys_may_come_in_clear_from_this_machine_only(tmp_path, url):
    assert problems(tmp_path, ENTRY.replace("https://idp.example/jwks", url)) == []


@pytest.mark.parametrize("text", ["\xff", "[[issuer]", "a = 1\na = 2", "a = " + "[" * 5000, "a = " + "1" * 5000])
def test_what_is_not_toml_is_one_problem(tmp_path, text):
    file = tmp_path / "issuers.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(Misconfigured, match=r"issuers\.toml is not TOML"):
        load_vouchers(file)
    with pytest.raises(Misconfigured, match="cannot be read"):
        load_vouchers(tmp_path)


def test_a_key_file_must_hold_a_key_of_use_and_all_files_that_decide_are_named(tmp_path):
    text = ENTRY.replace('jwks_url = "https://idp.example/jwks"', 'jwks_file = "idp.json"')
    key = MAKE["ES256"]()
    for content, expected in (
        ("{}", ["is not a JSON Web Key Set of at most 64 KB."]),
        (json.dumps({"keys": [public(MAKE["RS256"](), "a")]}), ["holds no key with a name (kid) for ES256."]),
        (json.dumps({"keys": [public(key, "a")]}) + " " * 65_536, ["is not a JSON Web Key Set of at most 64 KB."]),
        (json.dumps({"keys": [public(key, "a")]}), []),
    ):
        (tmp_path / "idp.json").write_text(content)
        found = problems(tmp_path, text)
        assert [problem.partition("idp.json ")[2] for problem in found] == expected
    assert list(believed(tmp_path / "issuers.toml")) == [tmp_path / "issuers.toml", tmp_path / "idp.json"]
    (tmp_path / "issuers.toml").write_text("")
    assert list(believed(tmp_path / "issuers.toml")) == [tmp_path / "issuers.toml"]


def test_an_authority_is_read_whole_or_what_is_wrong_with_it_is_said(tmp_path):
    good = authority_entry("igc", "Udaf")
    certify(tmp_path, "igc")
    assert problems(tmp_path, good) == []
    assert list(believed(tmp_path / "issuers.toml")) == [tmp_path / "issuers.toml", tmp_path / "igc.pem"]
    clients = "holds clients too, who could hand over anyone's certificate. Name the proxies' own addresses."
    known = ", ".join((*CLAIMS.values(), MAIL))
    for old, new, expected in (
        ('["127.0.0.9"]', "[]", ["proxies: Expected `array` of length >= 1."]),
        ("127.0.0.9", "nginx", ["proxies: each must be an IP address, or a network such as 10.0.0.0/8."]),
        ("127.0.0.9", "0.0.0.0/0", [f"proxies: a network wider than /8 (IPv6: /32) {clients}"]),
        ("igc.pem", "none.pem", [f"ca: {tmp_path / 'none.pem'} cannot be read (No such file or directory)."]),
        ("igc.pem", "issuers.toml", [f"ca: {tmp_path / 'issuers.toml'} does not hold certificates in PEM."]),
        ('partner = "Udaf"', "", ["give partner or partner_claim, one of them."]),
        ('partner = "Udaf"', 'partner = "Udaf"\naccount_claim = "CN"', [f"account_claim: must be one of {known}."]),
        ('partner = "Udaf"', 'partner = "Udaf"\nprofile_claim = "title"', [_TOGETHER]),
    ):
        changed = good.replace(old, new)
        assert changed != good
        found = [problem.removeprefix(", authority 1: ") for problem in problems(tmp_path, changed)]
        assert found == expected
    assert problems(tmp_path, good * 2) == [", authority 2: name: another [[authority]] has the same."]


def test_the_secret_of_a_provider_is_one_line_that_nobody_guesses_and_is_named_as_a_secret(tmp_path):
    file = tmp_path / "idp.secret"
    for content, good in (
        (SECRET, True),
        (f"{SECRET}\r\n", True),
        (f"{SECRET}\n{SECRET}\n", False),
        (f" {SECRET}", False),
        ("a" * 31, False),
        ("a" * 512, True),
        ("a" * 513, False),
        (SECRET.replace("e", "é"), False),
        ("", False),
    ):
        file.write_text(content)
        found = problems(tmp_path, PROVIDER)
        assert bool(found) is not good, content
        assert all("must hold one line of 32 to 512 printable ASCII characters" in problem for problem in found)
    file.write_text(SECRET)
    assert problems(tmp_path, PROVIDER) == []
    assert list(secrets(tmp_path / "issuers.toml")) == [file]
    [provider] = load_vouchers(tmp_path / "issuers.toml").providers
    assert SECRET not in repr(provider)
