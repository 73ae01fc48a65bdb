"""Each of the 280 cells of the brochure's table, over real HTTP."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from gateway.identity.tables import account
from tests.story.brochure import OPEN, PROFILES, SLUGS, kept_dossier, kept_rubric, members
from tests.story.running import Answer, Client, Gateway, golden, is_problem

BASE_CASE = "9990001"


@pytest.fixture(scope="module")
def whole(stub_url: str) -> bytes:
    """The base case as the backend sends it, with all its rubrics."""
    backend = Client(stub_url)
    try:
        return backend.ask(f"/dossiers/{BASE_CASE}").body
    finally:
        backend.close()


@pytest.fixture(scope="module")
def dossiers(gateway: Gateway, sessions: dict[str, dict[str, str]]) -> dict[str, Answer]:
    """The base case as each profile receives it."""
    return {profile: gateway.ask(f"/dossiers/{BASE_CASE}", sessions[profile]) for profile in PROFILES}


def test_the_table_has_89_open_cells_of_280():
    assert (len(PROFILES), len(SLUGS)) == (14, 20)
    assert {profile: len(OPEN[profile]) for profile in PROFILES} == {
        **{"T1": 12, "T2": 3, "T3": 3, "T4": 6, "T5": 7, "T6": 4, "T8": 3},
        **{"T9": 13, "T10": 6, "T11": 7, "T12": 6, "T13": 9, "T14": 4, "T16": 6},
    }
    assert sum(map(len, OPEN.values())) == 89


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_reads_exactly_the_rubrics_of_its_column_byte_for_byte(
    gateway, sessions, dossiers, whole, profile, slug
):
    sent = members(members(whole.decode())["rubriques"])[slug]
    received = members(members(dossiers[profile].body.decode())["rubriques"])
    alone = gateway.ask(f"/dossiers/{BASE_CASE}/rubriques/{slug}", sessions[profile])
    if slug in OPEN[profile]:
        assert received[slug] == kept_rubric(slug, sent)
        assert alone.status == 200
        assert alone.body.decode() == kept_rubric(slug, sent)
    else:
        assert slug not in received
        is_problem(alone, 403, "GW301")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_whole_dossier_is_the_golden_one(dossiers, profile):
    answer = dossiers[profile]
    assert answer.status == 200
    golden(f"dossier-{BASE_CASE}-{profile}.json", answer.body)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_golden_dossier_is_what_the_brochure_opens_of_the_backends(whole, profile):
    golden(f"dossier-{BASE_CASE}-{profile}.json", kept_dossier(whole, OPEN[profile]))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_good_answer_carries_these_headers_and_no_other(gateway, dossiers, profile):
    answer = dossiers[profile]
    assert dict(answer.headers) == {
        "Date": answer.one("Date"),
        "Content-Type": "application/json",
        "X-Policy": gateway.policy(),
        "X-Request-Id": answer.one("X-Request-Id"),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Length": str(len(answer.body)),
    }
    assert len(answer.headers) == len(dict(answer.headers))


@pytest.mark.parametrize("profile", PROFILES)
def test_who_am_i_lists_the_rubrics_of_the_profiles_column(gateway, sessions, profile):
    shown = gateway.ask("/-/session", sessions[profile]).json()
    assert (shown["profile"], shown["profiles"]) == (profile, [profile])
    assert [rubric["slug"] for rubric in shown["rubrics"]] == [slug for slug in SLUGS if slug in OPEN[profile]]


STRANGE = {
    "a profile the brochure skips, T7": "T7",
    "a profile the brochure skips, T15": "T15",
    "a small letter": "t1",
    "no profile": "",
    "two profiles in one word": "T1,T9",
    "a number beyond the table": "T99",
    "a letter of another alphabet": "Т1",
    "any profile": "*",
}


@pytest.mark.parametrize("profile", STRANGE.values(), ids=STRANGE)
def test_a_profile_that_is_not_in_the_table_reads_nothing(gateway, profile):
    """The directory refuses most of these: they are written into its database behind its back."""
    identifier = f"strange-{profile.encode().hex() or 'none'}"
    gateway.enter(identifier, "T1")
    with gateway.store.change() as connection:
        connection.execute(update(account).where(account.c.identifier == identifier).values(profiles=profile))
    session = gateway.log_in(identifier)
    shown = gateway.ask("/-/session", session).json()
    assert (shown["profile"] or "", shown["rubrics"]) == (profile, [])
    answers = [
        gateway.ask(f"/dossiers/{BASE_CASE}", session),
        gateway.ask(f"/dossiers/{BASE_CASE}/courriers/co-{BASE_CASE}-0.pdf", session),
        *(gateway.ask(f"/dossiers/{BASE_CASE}/rubriques/{slug}", session) for slug in SLUGS),
    ]
    for answer in answers:
        is_problem(answer, 403, "GW301")
        row = gateway.recorded(answer)
        assert (row["profile"], row["code"], row["rubrics"]) == (profile, "GW301", "[]")
