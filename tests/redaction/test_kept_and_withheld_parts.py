# ruff: noqa: E501 -- one case, one line: tables are read across
"""What leaves of a document, one sentence for each rule; the table is small so that each answer is read at a glance."""

from __future__ import annotations

import pytest

from gateway.errors import NotOpen, UpstreamNotUnderstood
from gateway.redaction import compile_routes, redact
from tests.redaction.oracle import SLUGS

TABLE = compile_routes(
    """
[[route]]
name = "dossier"
match = "GET /dossiers/{numero}"
action = "consult"
answer = "json"
[route.parts]
"/numero" = "always"
"/rubriques/{rubric}" = "{rubric}"
"/rubriques/creances" = "never"
"/rubriques/paiement/versements/*/iban" = "never"
"/rubriques/adresse/destinataire" = "famille"
"/rubriques/enfants/enfants/*/qui" = "famille"
"/lignes/*/montant" = "droits"
"/lignes/*/qui" = "famille"
[route.fields]
"/rubriques/paiement" = ["versements"]
"/rubriques/paiement/versements/*" = ["date", "montant"]
"/rubriques/adresse" = ["destinataire", "voie"]
"/rubriques/enfants" = ["enfants"]
"/rubriques/enfants/enfants/*" = ["prenom"]

[[route]]
name = "rubric"
match = "GET /dossiers/{numero}/rubriques/{rubric}"
action = "consult"
answer = "json"
part_of = "dossier"
at = "/rubriques/{rubric}"
""",
    SLUGS,
)
WHOLE, ONE = TABLE.routes


def opened(body: str, *granted: str):
    return redact(body.encode(), TABLE.plan(WHOLE, {"numero": "1234567"}, frozenset(granted)), "1234567")


@pytest.mark.parametrize(
    ("sentence", "granted", "body", "wanted", "left"),
    [
        ("a rubric that is not granted is an absent key", "rsa", '{"rubriques":{"rsa":{},"droits":{}}}', '{"rubriques":{"rsa":{}}}', "rsa"),
        ("nothing granted is there: the frame stays", "rsa", '{"rubriques":{"droits":{}}}', '{"rubriques":{}}', ""),
        ("the frame is not invented", "rsa", '{"numero":"1"}', '{"numero":"1"}', ""),
        ("an empty document stays empty", "rsa", "{}", "{}", ""),
        ("what is always open comes along", "rsa", '{"numero":"0000001","rubriques":{"rsa":1}}', '{"numero":"0000001","rubriques":{"rsa":1}}', "rsa"),
        ("numbers keep their digits", "rsa", '{"rubriques":{"rsa":[1.10,1e400,12345678901234567890123,-0]}}', '{"rubriques":{"rsa":[1.10,1e400,12345678901234567890123,-0]}}', "rsa"),
        ("escapes stay escapes", "rsa", '{"rubriques":{"rsa":"\\u00e9\\/\\ud83d\\ude00é"}}', '{"rubriques":{"rsa":"\\u00e9\\/\\ud83d\\ude00é"}}', "rsa"),
        ("white space inside a kept part stays", "rsa", '{"rubriques": {"rsa" : { "a" :  [ 1 ] } } }', '{"rubriques":{"rsa":{ "a" :  [ 1 ] }}}', "rsa"),
        ("a key repeated inside a kept part stays: all of it is granted", "rsa", '{"rubriques":{"rsa":{"a":1,"a":2}}}', '{"rubriques":{"rsa":{"a":1,"a":2}}}', "rsa"),
        ("null in a part kept whole stays null", "rsa", '{"rubriques":{"rsa":null}}', '{"rubriques":{"rsa":null}}', "rsa"),
        ("null in a granted closed part stays null", "paiement", '{"rubriques":{"paiement":null}}', '{"rubriques":{"paiement":null}}', "paiement"),
        ("null in a part opened by a carve-out only is absent", "famille", '{"rubriques":{"adresse":null}}', '{"rubriques":{}}', ""),
        ("null in the frame is absent", "rsa", '{"rubriques":null}', "{}", ""),
        ("a granted list that is null stays null", "paiement", '{"rubriques":{"paiement":{"versements":null}}}', '{"rubriques":{"paiement":{"versements":null}}}', "paiement"),
        ("null in a granted part with a carve-out stays null", "adresse,famille", '{"rubriques":{"adresse":null}}', '{"rubriques":{"adresse":null}}', "adresse"),
        ("a granted list keeps its null items", "paiement", '{"rubriques":{"paiement":{"versements":[null,{"date":1,"iban":2}]}}}', '{"rubriques":{"paiement":{"versements":[null,{"date":1}]}}}', "paiement"),
        ("a granted list stays when it is empty", "paiement", '{"rubriques":{"paiement":{"versements":[]}}}', '{"rubriques":{"paiement":{"versements":[]}}}', "paiement"),
        ("a granted part with only withheld fields stays, empty", "paiement", '{"rubriques":{"paiement":{"versements":[{"iban":"FR"}]}}}', '{"rubriques":{"paiement":{"versements":[{}]}}}', "paiement"),
        ("never is never", "creances", '{"rubriques":{"rsa":1,"creances":2}}', None, ""),
        ("an explicit pointer beats the one spelled out", "creances,rsa", '{"rubriques":{"rsa":1,"creances":2}}', '{"rubriques":{"rsa":1}}', "rsa"),
        ("members leave in the order of the table", "rsa,droits", '{"rubriques":{"rsa":1,"droits":2},"numero":"1"}', '{"numero":"1","rubriques":{"droits":2,"rsa":1}}', "rsa,droits"),
        ("a carved-out field leaves alone", "famille", '{"rubriques":{"adresse":{"destinataire":"M","voie":"rue"}}}', '{"rubriques":{"adresse":{"destinataire":"M"}}}', "famille"),
        ("its part leaves without it", "adresse", '{"rubriques":{"adresse":{"destinataire":"M","voie":"rue"}}}', '{"rubriques":{"adresse":{"voie":"rue"}}}', "adresse"),
        ("both together leave together", "adresse,famille", '{"rubriques":{"adresse":{"voie":"rue","destinataire":"M"}}}', '{"rubriques":{"adresse":{"destinataire":"M","voie":"rue"}}}', "adresse,famille"),
        ("a part that is not granted does not show by its shell", "famille", '{"rubriques":{"adresse":{"voie":"rue"}}}', '{"rubriques":{}}', ""),
        ("a list that is not granted does not show by its length", "famille", '{"rubriques":{"enfants":{"enfants":[{"prenom":"Z"},{"qui":1},{}]}}}', '{"rubriques":{"enfants":{"enfants":[{"qui":1}]}}}', "famille"),
        ("nor by an empty list", "famille", '{"rubriques":{"enfants":{"enfants":[{"prenom":"Z"}]}}}', '{"rubriques":{}}', ""),
        ("a list without a label drops the items with nothing left", "droits", '{"lignes":[{"montant":1},{"qui":2},{},null]}', '{"lignes":[{"montant":1}]}', "droits"),
        ("keys that differ by case are other keys", "rsa", '{"rubriques":{"RSA":1,"Rsa":2,"rsa":3}}', '{"rubriques":{"rsa":3}}', "rsa"),
        ("a key with an escape is the key it says", "rsa", '{"\\u0072ubriques":{"\\u0072sa":3}}', '{"rubriques":{"rsa":3}}', "rsa"),
    ],
)  # fmt: skip
def test_what_leaves(sentence, granted, body, wanted, left):
    if wanted is None:
        with pytest.raises(NotOpen):
            opened(body, *granted.split(","))
        return
    for text in (body, body + "\n", f" \r\n{body}\t", body.replace(":", ": ", 1)):
        redacted = opened(text, *granted.split(","))
        assert redacted.body.decode() == wanted, sentence
        assert redacted.left == set(filter(None, left.split(","))), sentence


@pytest.mark.parametrize(
    ("rubric", "granted", "body", "wanted"),
    [
        ("rsa", "rsa", '{"a": 1.10}', '{"a": 1.10}'),
        ("rsa", "rsa", ' [1 ,2]\n', "[1 ,2]"),
        ("paiement", "paiement", '{"versements":[{"date":1,"iban":2,"montant":3}],"neuf":1}', '{"versements":[{"date":1,"montant":3}]}'),
        ("paiement", "paiement", "null", "null"),
        ("adresse", "famille", '{"voie":"rue","destinataire":"M"}', '{"destinataire":"M"}'),
        ("adresse", "famille", '{"voie":"rue"}', "{}"),
        ("adresse", "famille", "null", "{}"),
    ],
)  # fmt: skip
def test_one_rubric_at_its_own_address_follows_the_rules_of_the_dossier(rubric, granted, body, wanted):
    nouns = {"numero": "1234567", "rubric": rubric}
    assert redact(body.encode(), TABLE.plan(ONE, nouns, {granted}), "1234567").body.decode() == wanted


def test_a_route_knows_before_the_fetch_whose_its_answer_can_be():
    assert WHOLE.rubrics({}) == set(SLUGS) - {"creances"}
    assert ONE.rubrics({"rubric": "adresse"}) == {"adresse", "famille"}
    assert ONE.rubrics({"rubric": "rsa"}) == {"rsa"}
    assert ONE.rubrics({"rubric": "creances"}) == set()
    with pytest.raises(NotOpen) as refusal:
        TABLE.plan(ONE, {"rubric": "rsa"}, {"adresse"})
    assert refusal.value.because == "no rubric of this answer is granted"


def test_equal_grants_share_one_plan_whatever_else_they_open():
    first = TABLE.plan(ONE, {"rubric": "rsa"}, {"rsa", "droits"})
    assert first is TABLE.plan(ONE, {"rubric": "rsa"}, frozenset({"rsa", "adresse"}))
    assert first is not TABLE.plan(WHOLE, {}, {"rsa"})


def test_what_no_pointer_names_is_counted_by_place_never_by_value():
    body = """{"neuf": "secret-1", "rubriques": {"rsa": {"inconnu": "secret-2"}, "psy": 1, "clé privée": "secret-3",
        "paiement": {"versements": [{"bic": "secret-4"}, {"bic": 5}], "a/b": 1}}}"""
    redacted = opened(body, "rsa", "paiement")
    assert redacted.unclassified == (
        "/neuf",
        "/rubriques/psy",
        "/rubriques/?",
        "/rubriques/paiement/versements/*/bic",
        "/rubriques/paiement/?",
    )
    assert b"secret-2" in redacted.body
    assert not any(f"secret-{n}".encode() in redacted.body for n in (1, 3, 4, 5))


def test_unknown_parts_of_one_rubric_are_named_as_in_the_dossier():
    plan = TABLE.plan(ONE, {"rubric": "paiement"}, {"paiement"})
    assert redact(b'{"versements":[{"x":1}]}', plan, "1234567").unclassified == ("/rubriques/paiement/versements/*/x",)


def test_a_flood_of_unknown_parts_is_counted_up_to_a_bound():
    body = "{" + ",".join(f'"k{n}":{n}' for n in range(5_000)) + "}"
    assert len(opened(body, "rsa").unclassified) == 64


def test_known_but_withheld_parts_are_not_unclassified():
    assert opened('{"rubriques":{"creances":1,"droits":2,"paiement":{"zz":1}}}', "rsa").unclassified == ()


REFUSED = {
    "nothing at all": b"",
    "white space only": b" \n",
    "a byte-order mark": b'\xef\xbb\xbf{"numero":"1"}',
    "UTF-16": '{"numero":"1"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"numero":"1"}'.encode("utf-16-le"),
    "a byte that is not UTF-8, in a kept part": b'{"rubriques":{"rsa":"\xff"}}',
    "a byte that is not UTF-8, in a withheld part": b'{"rubriques":{"droits":"\xe9"}}',
    "an overlong encoding": b'{"rubriques":{"rsa":"\xc0\xaf"}}',
    "an encoded surrogate": b'{"rubriques":{"rsa":"\xed\xa0\x80"}}',
    "an encoded surrogate in a key": b'{"\xed\xa0\x80":1}',
    "a lone surrogate escape in a kept part": b'{"rubriques":{"rsa":"\\ud800"}}',
    "a lone surrogate escape in a walked key": b'{"rubriques":{"\\ud800":1}}',
    "a lone low surrogate in an unknown key": b'{"\\udc00x":1}',
    "NaN": b'{"rubriques":{"rsa":NaN}}',
    "Infinity": b'{"rubriques":{"rsa":Infinity}}',
    "minus Infinity in a withheld part": b'{"rubriques":{"droits":-Infinity}}',
    "a trailing comma": b'{"numero":"1",}',
    "a leading zero": b'{"numero":01}',
    "single quotes": b"{'numero':1}",
    "a comment": b'{"numero":1}//',
    "a control character in a string": b'{"numero":"\x01"}',
    "a second document": b'{"numero":"1"}{"numero":"1"}',
    "a byte after the end": b'{"numero":"1"}\x00',
    "a form feed after the end of what has another shape": b'{"rubriques":null}\x0c',
    "a cut document": b'{"numero":"1","rubriques":{"rsa":{"a":1',
    "HTML": b"<html>erreur</html>",
    "a list instead of the dossier": b"[]",
    "null instead of the dossier": b"null",
    "a number instead of the dossier": b"1",
    "a text instead of the dossier": b'"dossier"',
    "a list where an object is declared": b'{"rubriques":[]}',
    "a text where an object is declared": b'{"rubriques":"x"}',
    "a list where a granted object is declared": b'{"rubriques":{"paiement":[]}}',
    "an object where a list is declared": b'{"rubriques":{"paiement":{"versements":{}}}}',
    "a number where a list is declared": b'{"rubriques":{"paiement":{"versements":0}}}',
    "a text where an item is an object": b'{"rubriques":{"paiement":{"versements":["x"]}}}',
    "a key twice at the top": b'{"numero":"1","numero":"2"}',
    "a key twice with one value": b'{"numero":"1","numero":"1"}',
    "a key twice with white space": b'{ "numero" : 1 , "rubriques" : {} , "numero" : 1 }',
    "a key twice, once with an escape": b'{"numero":"1","\\u006eumero":"2"}',
    "a rubric twice": b'{"rubriques":{"rsa":1,"rsa":2}}',
    "a rubric twice, the shorter first": b'{"rubriques":{"rsa":1,"rsa":12}}',
    "a rubric twice, the longer first": b'{"rubriques":{"rsa":12,"rsa":1}}',
    "a rubric twice, the longer first, before another": b'{"rubriques":{"rsa":12,"rsa":1,"droits":1}}',
    "a rubric twice, before another": b'{"rubriques":{"rsa":1,"rsa":2,"droits":1}}',
    "a rubric twice with one value, before another": b'{"rubriques":{"rsa":1,"rsa":1,"droits":1}}',
    "a withheld rubric twice": b'{"rubriques":{"droits":1,"droits":2}}',
    "an unknown key twice": b'{"x":1,"x":1}',
    "the frame twice": b'{"rubriques":{"rsa":1},"rubriques":{"rsa":2}}',
    "the frame twice, empty": b'{"rubriques":{},"rubriques":{"rsa":2}}',
    "a field of an item twice": b'{"rubriques":{"paiement":{"versements":[{"date":1,"date":2}]}}}',
    "a withheld field of an item twice": b'{"rubriques":{"paiement":{"versements":[{"iban":1,"iban":2}]}}}',
    "a value that looks like the members after it": b'{"x":"1","y":2,"x":"1\\",\\"y\\":2"}',
    "a document nested too deep": b'{"rubriques":{"rsa":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "a withheld part nested too deep": b'{"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_refused(body):
    with pytest.raises(UpstreamNotUnderstood) as refusal:
        redact(body, TABLE.plan(WHOLE, {}, {"rsa", "paiement"}), "1234567")
    assert refusal.value.because in {
        "not UTF-8",
        "not JSON",
        "nested too deep",
        "a key is written twice",
        "another shape than the route table declares",
    }
    assert refusal.value.__context__ is None, "the parser's error would carry the document along"


def test_the_shape_of_what_is_not_granted_is_not_looked_at():
    assert opened('{"rubriques":{"paiement":{"a":1,"a":2},"adresse":[],"rsa":1}}', "rsa").left == {"rsa"}


def test_bytes_that_are_not_utf8_are_found_anywhere_in_a_long_document():
    plan = TABLE.plan(WHOLE, {}, {"rsa"})
    long = '{"rubriques":{"rsa":"' + "é€😀" * 40_000 + '"}}'
    assert redact(long.encode(), plan, "1234567").body == long.encode()
    for shift in range(4):
        body = bytearray(('{"rubriques":{"rsa":"' + "a" * shift + "😀" * 40_000 + '"}}').encode())
        assert redact(bytes(body), plan, "1234567").body == bytes(body)
        body[100_000 + shift] = 0xFF
        with pytest.raises(UpstreamNotUnderstood):
            redact(bytes(body), plan, "1234567")
    with pytest.raises(UpstreamNotUnderstood):
        redact(long.encode()[:-3] + "é".encode()[:1], plan, "1234567")
    with pytest.raises(UpstreamNotUnderstood) as refusal:
        redact(b"\xff" + long.encode(), plan, "1234567")
    assert refusal.value.because == "not UTF-8"


NUMBERED = compile_routes(
    """
[[route]]
name = "numbered"
match = "GET /d/{numero}"
action = "consult"
answer = "json"
[route.parts]
"/en_tete/numero" = "number"
"/rsa" = "rsa"
""",
    SLUGS,
)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param('"en_tete":{"numero":"7654321"},', id="another dossier"),
        pytest.param('"en_tete":{"numero":1234567},', id="a number instead of a text"),
        pytest.param('"en_tete":{"numero":"\\u0031234567"},', id="the number in escapes"),
        pytest.param('"en_tete":{"numero":null},', id="null"),
        pytest.param('"en_tete":{},', id="no number"),
        pytest.param('"en_tete":null,', id="no head"),
        pytest.param("", id="nothing of it"),
        pytest.param('"en_tete": {"numero" : "7654321"}, "x": 1, ', id="another dossier, written at ease"),
    ],
)
def test_an_answer_about_another_dossier_is_refused(head):
    plan = NUMBERED.plan(NUMBERED.routes[0], {"numero": "1234567"}, {"rsa"})
    with pytest.raises(UpstreamNotUnderstood) as refusal:
        redact(f'{{{head}"rsa":1}}'.encode(), plan, "1234567")
    assert refusal.value.because == "another dossier than the one asked for"


@pytest.mark.parametrize(
    "body", ['{"en_tete":{"numero":"1234567"},"rsa":1}', '{ "en_tete": {"numero": "1234567"}, "rsa":1}']
)
def test_an_answer_about_the_dossier_that_was_asked_for_leaves(body):
    plan = NUMBERED.plan(NUMBERED.routes[0], {"numero": "1234567"}, {"rsa"})
    assert redact(body.encode(), plan, "1234567").body == b'{"en_tete":{"numero":"1234567"},"rsa":1}'


def test_a_route_knows_whether_its_answers_say_whose_they_are():
    assert NUMBERED.routes[0].tells_whose
    assert not WHOLE.tells_whose
    assert not ONE.tells_whose
