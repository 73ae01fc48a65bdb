"""Nothing of a closed rubric leaves, for 14 profiles, every family of the stub, every address; nor is it logged.

Every free text of the stub carries a canary that names its rubric; so do its cents and its days.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.story.brochure import (
    DOCUMENTS,
    OPEN,
    PROFILES,
    SLUGS,
    bank_and_national_numbers,
    kept_dossier,
    kept_rubric,
    members,
    told,
    words_of,
)
from tests.story.running import Answer, Client, Gateway, is_problem
from upstream_stub.dossiers import VARIANTS

OBJECTED = "9990008"
UNENTRUSTED = "9990002"


class Address(NamedTuple):
    """An address of a dossier, and the rubric it is about; empty for the whole dossier."""

    path: str
    slug: str


def addresses(numero: str) -> Iterator[Address]:
    yield Address(f"/dossiers/{numero}", "")
    for slug in SLUGS:
        yield Address(f"/dossiers/{numero}/rubriques/{slug}", slug)
    for folder, (slug, prefix) in DOCUMENTS.items():
        for n in range(2):
            yield Address(f"/dossiers/{numero}/{folder}/{prefix}-{numero}-{n}.pdf", slug)


Journey = dict[tuple[str, str], list[tuple[Address, Answer]]]
"""By profile and dossier: each address, and what was answered there."""


@pytest.fixture(scope="module")
def journey(gateway: Gateway, sessions: dict[str, dict[str, str]]) -> Journey:
    def travel(profile: str) -> Journey:
        return {
            (profile, numero): [
                (address, gateway.ask(address.path, sessions[profile])) for address in addresses(numero)
            ]
            for numero in VARIANTS
        }

    with ThreadPoolExecutor(4) as hands:
        return {leg: answers for part in hands.map(travel, PROFILES) for leg, answers in part.items()}


@pytest.fixture(scope="module")
def families(stub_url: str) -> dict[str, bytes]:
    """Every dossier as the backend sends it."""
    backend = Client(stub_url)
    try:
        return {numero: backend.ask(f"/dossiers/{numero}").body for numero in VARIANTS}
    finally:
        backend.close()


def admitted(profile: str, numero: str) -> bool:
    """Whether the profile may read anything of that dossier."""
    return numero != OBJECTED and (profile not in ("T9", "T10") or numero != UNENTRUSTED)


def test_the_checks_below_would_see_a_leak(families):
    """Six rubrics hold figures and dates only: for them the whole answers are compared."""
    whole = families["9990001"].decode()
    figures = {"rmi_api", "ressources", "qf_cnaf", "cmu_rsa_rmi", "cmuc_ressources", "residence"}
    assert told(whole) == set(SLUGS) - figures
    assert len(bank_and_national_numbers(whole)) == 6
    with pytest.raises(AssertionError):
        tells_nothing(whole)


@pytest.mark.parametrize("numero", VARIANTS)
@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_of_a_closed_rubric_is_in_any_body_or_header(journey, families, profile, numero):
    opened = OPEN[profile] if admitted(profile, numero) else frozenset()
    rubrics = json.loads(families[numero])["rubriques"]
    words = {slug: words_of(rubric) for slug, rubric in rubrics.items()}
    closed = set().union(*(words[slug] for slug in words if slug not in opened))
    closed -= set().union({numero}, *(words[slug] for slug in opened & set(words)))
    written = {json.dumps(word)[1:-1] for word in closed} | {json.dumps(word, ensure_ascii=False) for word in closed}
    for address, answer in journey[profile, numero]:
        text = answer.text()
        assert told(text) <= opened, address.path
        assert not bank_and_national_numbers(text), address.path
        shown = answer.body.decode("utf-8", "replace")
        assert not [word for word in written if word in shown], address.path


@pytest.mark.parametrize("numero", VARIANTS)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_address_answers_what_the_brochure_opens_and_refuses_the_rest(journey, families, profile, numero):
    rubrics = members(members(families[numero].decode())["rubriques"])
    listed = json.loads(families[numero])["rubriques"]
    for address, answer in journey[profile, numero]:
        if address.slug and address.slug not in OPEN[profile]:
            is_problem(answer, 403, "GW301")  # on every dossier alike: it tells nothing of this one
        elif numero == OBJECTED or not admitted(profile, numero):
            is_problem(answer, 403, "GW320")
        elif not address.slug:
            assert (answer.status, answer.body) == (200, kept_dossier(families[numero], OPEN[profile]))
        elif not address.path.endswith(".pdf"):
            assert (answer.status, answer.body.decode()) == (200, kept_rubric(address.slug, rubrics[address.slug]))
        elif listed[address.slug]["documents"]:
            assert (answer.status, answer.all("Content-Type")) == (200, ["application/pdf"])
            assert answer.body.startswith(b"%PDF-") and told(answer.text()) == {address.slug}
        else:
            is_problem(answer, 404, "GW401")


@pytest.mark.attack(12)
@pytest.mark.parametrize("profile", PROFILES)
def test_head_answers_the_headers_of_get_and_no_body(gateway, sessions, journey, profile):
    for address, answer in journey[profile, "9990001"]:
        head = gateway.ask(address.path, sessions[profile], method="HEAD")
        assert head.body == b""
        assert head.lasting()[:2] == answer.lasting()[:2], address.path


@pytest.mark.attack(31)
def test_the_record_holds_no_canary_and_no_clear_number(gateway, journey):
    rows = gateway.record_rows()
    assert len(rows) >= sum(map(len, journey.values()))
    for row in rows:
        tells_nothing(json.dumps(row, ensure_ascii=False))


@pytest.mark.attack(31)
def test_the_log_holds_no_canary_and_no_clear_number(gateway, journey):
    log = gateway.log()
    assert "/rubriques/sante_mentale" in log, "the unknown rubric's place is told, not what it holds"
    tells_nothing(log)


def tells_nothing(text: str) -> None:
    assert "CANARI" not in text
    assert not bank_and_national_numbers(text)
    # A hash may hold those digits among its own.
    assert not [numero for numero in VARIANTS if re.search(rf"(?<![0-9a-f]){numero}(?![0-9a-f])", text)]


def test_the_record_says_which_rubrics_left_and_no_other(gateway, journey):
    left = {row["request_id"]: set(json.loads(row["rubrics"])) for row in gateway.record_rows()}
    for (profile, _), answers in journey.items():
        for address, answer in answers:
            expected = set()
            if answer.status == 200:
                expected = {address.slug} if address.slug else OPEN[profile]
            assert left[answer.one("X-Request-Id")] == expected, (profile, address.path)
