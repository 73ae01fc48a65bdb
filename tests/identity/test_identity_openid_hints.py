"""The ID token of a log-in is kept with its session: opened by whoever bears its token, by nobody else, and not for
longer."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select, update

from gateway.identity import sessions
from gateway.identity.opaque import digest
from gateway.identity.openid_hints import LONGEST, Hint, keep_hint, kept_hint
from gateway.identity.store import Store
from gateway.identity.tables import id_token
from tests.identity.conftest import Town

WRITTEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtLm1hcnRpbiJ9.c2lnbmF0dXJl"


def hint_of(store: Store, token: str) -> Hint | None:
    found = kept_hint(store, token)
    return found and Hint(found.provider, found.opened(token))


def kept(town: Town, written: str | None = WRITTEN) -> str:
    """The token of a session with which this ID token is kept."""
    token = town.sign_in().token
    with town.store.change() as connection:
        keep_hint(connection, token, Hint("idp", written))
    return token


def rows(town: Town) -> int:
    with town.store.read() as connection:
        return connection.execute(select(func.count()).select_from(id_token)).scalar_one()


def test_it_is_read_with_the_sessions_token_and_ends_with_the_session(twin):
    first, second = kept(twin), kept(twin, None)
    assert hint_of(twin.store, first) == Hint("idp", WRITTEN)
    assert hint_of(twin.store, second) == Hint("idp", None)
    assert hint_of(twin.store, twin.sign_in().token) is None
    assert sessions.sign_out(twin.store, first) is True
    assert hint_of(twin.store, first) is None
    with twin.store.change() as connection:
        sessions.end_every_session(connection, 1)
    assert rows(twin) == 0


@pytest.mark.attack(31)
def test_whoever_reads_or_alters_the_store_gets_nothing_of_it(twin):
    mine, other = kept(twin), kept(twin, "x.y.z")
    with twin.store.read() as connection:
        [sealed] = connection.execute(select(id_token.c.sealed).where(id_token.c.token_hash == digest(mine))).scalars()
    assert not [part for part in WRITTEN.split(".") if part in sealed]
    for row, altered in (
        (mine, {"sealed": sealed[:-2]}),
        (mine, {"sealed": ""}),
        (mine, {"sealed": "é"}),
        (other, {"sealed": sealed}),
        (mine, {"sealed": sealed, "provider": "autre"}),
    ):
        with twin.store.change() as connection:
            connection.execute(update(id_token).where(id_token.c.token_hash == digest(row)).values(**altered))
        assert hint_of(twin.store, row) == Hint(altered.get("provider", "idp"), None)


def test_one_that_no_address_bears_is_not_kept(twin):
    assert hint_of(twin.store, kept(twin, "x" * LONGEST)) == Hint("idp", "x" * LONGEST)
    assert hint_of(twin.store, kept(twin, "x" * (LONGEST + 1))) == Hint("idp", None)
