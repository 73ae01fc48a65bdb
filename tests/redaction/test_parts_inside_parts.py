"""Parts of one rubric inside parts of another: each leaves under its own name, at whatever depth, or not at all."""

from __future__ import annotations

import pytest
from msgspec import Raw

from gateway.errors import NotOpen
from gateway.redaction import compile_routes, redact
from gateway.redaction.plans import Leaf
from tests.redaction.oracle import SLUGS


def table(parts: str, fields: str = "", more: str = ""):
    head = 'name = "whole"\nmatch = "GET /d/{numero}"\naction = "consult"\nanswer = "json"'
    return compile_routes(f"[[route]]\n{head}\n[route.parts]\n{parts}\n[route.fields]\n{fields}\n{more}", SLUGS)


def part_at(path: str, at: str) -> str:
    head = f'name = "part"\nmatch = "GET /d/{{numero}}/{path}"\naction = "consult"\nanswer = "json"'
    return f'[[route]]\n{head}\npart_of = "whole"\nat = "{at}"'


def left_of(routes, body: str, *granted: str, route: int = 0):
    plan = routes.plan(routes.routes[route], {"numero": "1234567"}, set(granted))
    redacted = redact(body.encode(), plan, "1234567")
    return redacted.body.decode(), set(redacted.left)


def test_what_is_never_open_stays_closed_in_an_object_in_an_item_of_a_granted_list():
    routes = table(
        '"/lignes" = "rsa"\n"/lignes/*/banque/iban" = "never"',
        '"/lignes/*" = ["date", "banque"]\n"/lignes/*/banque" = ["nom"]',
    )
    body = '{"lignes":[{"date":1,"banque":{"nom":2,"iban":"FR76"}},{"banque":{"iban":"FR77"}}]}'
    assert left_of(routes, body, "rsa") == ('{"lignes":[{"date":1,"banque":{"nom":2}},{"banque":{}}]}', {"rsa"})


def test_an_item_does_not_show_by_the_shell_of_an_object_in_it():
    routes = table('"/lignes/*/detail/montant" = "rsa"\n"/lignes/*/detail/qui" = "famille"')
    body = '{"lignes":[{"detail":{"qui":1}},{"detail":{"montant":2}},{"detail":{}}]}'
    assert left_of(routes, body, "rsa") == ('{"lignes":[{"detail":{"montant":2}}]}', {"rsa"})
    assert left_of(routes, '{"lignes":[{"detail":{"qui":1}}]}', "rsa") == ('{"lignes":[]}', set())


def test_a_granted_part_that_holds_only_parts_of_another_rubric_says_that_both_left():
    routes = table('"/adresse" = "adresse"\n"/adresse/nom" = "famille"', '"/adresse" = []')
    body = '{"adresse":{"nom":"M"}}'
    assert left_of(routes, body, "adresse", "famille") == (body, {"adresse", "famille"})
    assert left_of(routes, body, "adresse") == ('{"adresse":{}}', {"adresse"})
    assert left_of(routes, body, "famille") == (body, {"famille"})


@pytest.mark.parametrize("explicit_first", [True, False])
def test_an_explicit_pointer_wins_wherever_it_stands_in_the_file(explicit_first):
    lines = ['"/rubriques/creances" = "never"', '"/rubriques/{rubric}" = "{rubric}"']
    routes = table("\n".join(lines if explicit_first else reversed(lines)))
    body = '{"rubriques":{"creances":1,"rsa":2}}'
    assert left_of(routes, body, "creances", "rsa") == ('{"rubriques":{"rsa":2}}', {"rsa"})
    with pytest.raises(NotOpen):
        left_of(routes, body, "creances")


def test_fields_are_spelled_out_for_each_rubric_and_listed_explicitly_for_one():
    routes = table('"/rubriques/{rubric}" = "{rubric}"', '"/rubriques/{rubric}" = ["a"]\n"/rubriques/rsa" = ["b"]')
    body = '{"rubriques":{"droits":{"a":1,"b":2},"rsa":{"a":1,"b":2}}}'
    assert left_of(routes, body, "droits", "rsa")[0] == '{"rubriques":{"droits":{"a":1},"rsa":{"b":2}}}'


def test_what_lies_inside_a_part_kept_whole_may_have_an_address_of_its_own():
    routes = table('"/rubriques/{rubric}" = "{rubric}"', more=part_at("revenus", "/rubriques/ressources/revenus"))
    assert routes.routes[1].rubrics({}) == {"ressources"}
    assert left_of(routes, '{"salaire":1}', "ressources", route=1) == ('{"salaire":1}', {"ressources"})
    with pytest.raises(NotOpen):
        left_of(routes, '{"salaire":1}', "rsa", route=1)


@pytest.mark.parametrize("body", ["null", "[null]", "[]", '[{"montant":1}]'])
def test_a_closed_list_at_its_own_address_is_empty_where_nothing_granted_is_in_it(body):
    routes = table(
        '"/lignes" = "droits"\n"/lignes/*/qui" = "famille"', '"/lignes/*" = ["montant"]', part_at("lignes", "/lignes")
    )
    assert left_of(routes, body, "famille", route=1) == ("[]", set())


def test_a_leaf_that_is_closed_lets_nothing_out_whoever_asks():
    out: list[bytes] = []
    left: set[str] = set()
    assert not Leaf("rsa", opened=False).copy(Raw(b"1"), out, left)
    assert (out, left) == ([], set())


def test_what_is_remembered_of_paths_and_of_grants_has_a_bound():
    routes = table('"/rubriques/{rubric}" = "{rubric}"')
    for number in range(5_000):
        routes.match("GET", f"/d/{number:07}")
    assert routes.match.cache_info().currsize < 5_000
    first = routes.plan(routes.routes[0], {}, {"courrier"})
    for chosen in range(1, 1_100):
        routes.plan(routes.routes[0], {}, {slug for place, slug in enumerate(SLUGS) if chosen >> place & 1})
    assert routes.plan(routes.routes[0], {}, {"courrier"}) is not first
