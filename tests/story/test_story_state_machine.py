"""Anything anyone may do, in any order: log in, consult, rights changed meanwhile, consult again, log out, come back.

Hypothesis drives the real gateway over HTTP, with two processes and two connections, and its directory from beside it.
After every step the answer is, to the byte, what `oracle.World` says; at the end every request has exactly one row in
the record, with what it must hold. `STORY_EXAMPLES` and `STORY_STEPS` set how long it goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import delete, insert, select, update

from gateway.identity import directory, tables
from gateway.identity.passwords import hash_password
from tests.story.brochure import PROFILES, SLUGS
from tests.story.machines import run_machine
from tests.story.oracle import (
    DELAYS,
    LOCKED_AFTER,
    MANDATES,
    ODD,
    Account,
    Attempts,
    Convention,
    Expected,
    Mandate,
    Partner,
    Question,
    Session,
    World,
    document_question,
    dossier_question,
    refused,
    rubric_question,
)
from tests.story.running import ENGAGEMENT, Answer, Client, Gateway, clients_of, is_problem, until

EXAMPLES = int(os.environ.get("STORY_EXAMPLES", "40"))
STEPS = int(os.environ.get("STORY_STEPS", "30"))

PASSWORDS = ("Une-phrase-de-passe-2012", "Une-autre-phrase-2013")
HASHES = {password: hash_password(password) for password in PASSWORDS}
DOSSIERS = ("9990001", "1000007", "0000007")
"""The base case, a generated family, and a number that nobody has."""
DAYS = {"running": (-30, 365), "over": (-60, -2), "to come": (2, 60)}
HELD = (("T1",), ("T9", "T2"), ("T10",), ("T13",), ())
"""The profiles that each account holds at first."""
SERIAL = count(1)
PLACE = st.integers(0, 11)
RECENT = 6
"""Of so many sessions, the last ones, one is used; some of them are over."""
HOW = (*["right"] * 12, "another profile", "no profile", "wrong", "wrong and again", "as a stranger")
"""How somebody logs in. Seldom wrongly: the gateway takes a quarter of a second to refuse it, whatever the reason."""

EMPTY = {
    **{"act": "request", "agent": "", "partner": "", "profile": "", "route": "", "dossier": "", "facts": ""},
    **{"rubrics": [], "rules": [], "policy": "", "code": "", "address": "127.0.0.1"},
}


def day(offset: int) -> Any:
    """So many days from today, which is the caisse's day."""
    return datetime.now(ZoneInfo("Europe/Paris")).date() + timedelta(days=offset)


class Service(RuleBasedStateMachine):
    """Everyone who uses the service, and everyone who administers it."""

    gateway: ClassVar[Gateway]
    clients: ClassVar[tuple[Client, Client]]
    policy: ClassVar[str]
    key: ClassVar[bytes]

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.attempts = Attempts()
        self.expected: list[dict[str, Any]] = []
        self.first = self.last_row()
        self.in_order = True

    # The directory, as it stands when the story begins.

    @initialize()
    def furnish(self) -> None:
        serial = next(SERIAL)
        guardian, landlord, own = (
            Partner(f"Partenaire {serial}-{letter}", kind)
            for letter, kind in (("a", "external"), ("b", "external"), ("c", "caf"))
        )
        store = self.gateway.store
        with store.change() as connection:
            for table in (tables.mandate, tables.objection, tables.session):
                connection.execute(delete(table))
            for partner in (guardian, landlord, own):
                connection.execute(insert(tables.partner).values(name=partner.name, kind=partner.kind))
        for partner, profiles in (
            (guardian, ("T1", "T2", "T9")),
            (guardian, ("T9",)),
            (landlord, ("T10",)),
            (own, PROFILES),
        ):
            self.sign(partner, profiles)
        for partner, profiles in zip((guardian, guardian, landlord, own, own), HELD, strict=True):
            self.enter(f"agent-{serial}-{len(self.world.accounts)}", partner, profiles)
        self.entrust(0, 1, None, 0)
        self.entrust(0, 2, None, 2)
        for place in (0, 1, 2):
            self.log_in(place, how="right", choice=0, client=0)

    def sign(self, partner: Partner, profiles: tuple[str, ...]) -> None:
        convention = Convention(f"C-{next(SERIAL)}", partner, profiles)
        self.world.conventions.append(convention)
        first, last = DAYS["running"]
        directory.add_convention(
            self.gateway.store,
            partner_name=partner.name,
            number=convention.number,
            caisse="851",
            starts_on=day(first),
            ends_on=day(last),
            profiles=profiles,
        )

    def enter(self, identifier: str, partner: Partner, profiles: tuple[str, ...]) -> None:
        # Not by `directory.add_account`: making the hash of each password would take most of the time.
        self.world.accounts.append(Account(identifier, partner, profiles, PASSWORDS[0]))
        with self.gateway.store.change() as connection:
            wanted = select(tables.partner.c.id).where(tables.partner.c.name == partner.name)
            connection.execute(
                insert(tables.account).values(
                    identifier=identifier,
                    password_hash=HASHES[PASSWORDS[0]],
                    partner_id=connection.execute(wanted).scalar_one(),
                    profiles=" ".join(profiles),
                    suspended=False,
                    engagement_version=ENGAGEMENT,
                )
            )

    # What agents do.

    @rule(place=PLACE, how=st.sampled_from(HOW), choice=PLACE, client=st.integers(0, 1))
    def log_in(self, place: int, how: str, choice: int, client: int) -> None:
        account = self.account(place)
        if how == "as a stranger":
            self.try_log_in(f"inconnu-{account.identifier}", PASSWORDS[0], None, None, client)
        elif how in ("wrong", "wrong and again"):
            wrong = PASSWORDS[account.password == PASSWORDS[0]]
            for _ in range(4 if how == "wrong and again" else 1):
                self.try_log_in(account.identifier, wrong, None, account, client)
        else:
            profile = account.profiles[choice % len(account.profiles)] if len(account.profiles) > 1 else None
            chosen = {"another profile": PROFILES[choice], "no profile": None}.get(how, profile)
            self.try_log_in(account.identifier, account.password, chosen, account, client)

    def try_log_in(self, typed: str, password: str, profile: str | None, account: Account | None, client: int) -> None:
        chosen = {} if profile is None else {"profile": profile}
        body = json.dumps({"identifier": typed, "password": password, **chosen}).encode()
        began = time.monotonic()
        answer = self.send(client, "/-/session", {"Content-Type": "application/json"}, method="POST", body=body)
        ended = time.monotonic()
        soon = self.attempts.must_wait(typed, began, ended)
        if soon or (soon is None and answer.status == 429):
            self.settle(answer, refused(429, "GW105", act="log_in"))
            assert 1 <= int(answer.one("Retry-After")) <= max(DELAYS)
            return
        row = {"act": "log_in", "agent": account.identifier if account else ""}
        if account is None or password != account.password or account.locked or account.suspended:
            if account and password != account.password and not account.locked:
                account.failures += 1
            self.attempts.fail(typed, began, ended)
            self.settle(answer, refused(401, "GW103", **row))
            return
        held = account.profiles
        if (profile is None and len(held) > 1) or (profile is not None and profile not in held):
            self.settle(answer, refused(422, "GW112", **row))
            return
        account.failures = 0
        self.attempts.succeed(typed)
        assert answer.status == 201, answer
        told = answer.json()
        active = profile or (held[0] if held else "")
        session = Session(told["token"], told["csrf_token"], account, active)
        assert (told["profile"], sorted(told["profiles"])) == (active or None, sorted(held))
        assert all(session.token != other.token for other in self.world.sessions)
        self.world.sessions.append(session)
        self.settle(answer, Expected(201, body=answer.body, row={"act": "log_in", **session.known}))

    @rule(place=PLACE, client=st.integers(0, 1), by=st.sampled_from(("bearer", "cookie")))
    def ask_who_i_am(self, place: int, client: int, by: str) -> None:
        session, proof = self.claimed(place, by)
        answer = self.send(client, "/-/session", proof)
        expected = self.world.who(session, bool(proof))
        if expected.status == 200:
            assert session
            told = answer.json()
            assert told.pop("csrf_token") == session.change
            assert told.pop("expires_at")
            told["rubrics"] = [rubric["slug"] for rubric in told["rubrics"]]
            told["profiles"].sort()
            assert told == self.world.told(session)
            expected = expected._replace(body=answer.body)
        self.settle(answer, expected)

    @rule(
        place=PLACE,
        client=st.integers(0, 1),
        how=st.sampled_from(("bearer", "cookie", "without the change token", "from elsewhere")),
    )
    def log_out(self, place: int, client: int, how: str) -> None:
        session, proof = self.claimed(place, "bearer" if how == "bearer" else "cookie")
        change = session.change if session else "0" * 64
        if how != "bearer":
            proof["Origin"] = "https://ailleurs.example" if how == "from elsewhere" else self.gateway.url
            proof["X-CSRF-Token"] = "0" * 64 if how == "without the change token" else change
        stranger = self.world.identified(session, "Cookie" in proof or "Authorization" in proof)
        answer = self.send(client, "/-/session", proof, method="DELETE")
        if stranger or session is None:
            assert stranger
            self.settle(answer, stranger._replace(row={**stranger.row, "act": "log_out"}))
        elif how in ("bearer", "cookie"):
            session.ended = True
            self.settle(answer, Expected(204, body=b"", row={"act": "log_out", **session.known}))
        else:
            self.settle(answer, refused(403, "GW111", act="log_out", **session.known))

    @rule(
        place=PLACE,
        dossier=st.sampled_from(DOSSIERS),
        client=st.integers(0, 1),
        by=st.sampled_from(("bearer", "cookie")),
    )
    def consult_a_dossier(self, place: int, dossier: str, client: int, by: str) -> None:
        self.consult(place, dossier_question(dossier), client, by)

    @rule(place=PLACE, dossier=st.sampled_from(DOSSIERS), slug=st.sampled_from(SLUGS), client=st.integers(0, 1))
    def consult_a_rubric(self, place: int, dossier: str, slug: str, client: int) -> None:
        self.consult(place, rubric_question(dossier, slug), client)

    @rule(
        place=PLACE,
        dossier=st.sampled_from(DOSSIERS),
        folder=st.sampled_from(("attestations", "courriers", "declarations")),
        number=st.integers(0, 3),
        client=st.integers(0, 1),
    )
    def consult_a_document(self, place: int, dossier: str, folder: str, number: int, client: int) -> None:
        self.consult(place, document_question(dossier, folder, number), client)

    @rule(place=PLACE, question=st.sampled_from(ODD), client=st.integers(0, 1))
    def ask_oddly(self, place: int, question: Question, client: int) -> None:
        self.consult(place, question, client)

    @rule(place=PLACE, dossier=st.sampled_from(DOSSIERS))
    def ask_for_the_headers_alone(self, place: int, dossier: str) -> None:
        session, proof = self.claimed(place, "bearer")
        question = dossier_question(dossier)
        answer = self.send(0, question.path, proof, method="HEAD")
        expected = self.world.asked(session, bool(proof), question)
        assert answer.body == b""
        if expected.status == 200:
            assert expected.body is not None
            assert answer.one("Content-Length") == str(len(expected.body))
        self.settle(answer, expected, head=True)

    def consult(self, place: int, question: Question, client: int, by: str = "bearer") -> None:
        session, proof = self.claimed(place, by)
        answer = self.send(client, question.path, proof)
        self.settle(answer, self.world.asked(session, bool(proof), question))

    # What administrators do. Whoever is concerned asks again at once.

    @rule(place=PLACE, act=st.sampled_from(("suspend", "resume", "resume")))
    def suspend_an_account(self, place: int, act: str) -> None:
        account = self.account(place)
        account.suspended = act == "suspend"
        change = directory.suspend_account if account.suspended else directory.resume_account
        change(self.gateway.store, identifier=account.identifier)
        self.ask_again(account)

    @rule(place=PLACE, state=st.sampled_from(("signed", "outdated", "missing")))
    def sign_or_withdraw_the_engagement(self, place: int, state: str) -> None:
        account = self.account(place)
        account.engagement = state
        if state == "missing":
            directory.withdraw_engagement(self.gateway.store, identifier=account.identifier)
        else:
            directory.sign_engagement(
                self.gateway.store,
                identifier=account.identifier,
                version=ENGAGEMENT if state == "signed" else "2011-01",
                now=datetime.now(UTC),
            )
        self.ask_again(account)

    @rule(
        place=PLACE,
        profiles=st.sampled_from((*[None] * 3, ("T1",), ("T9", "T2"), ("T10",), ("T13", "T6"), ("T15",), ())),
    )
    def give_other_profiles(self, place: int, profiles: tuple[str, ...] | None) -> None:
        """None gives back those that the account had at first. Whoever is of the staff from now on begins anew: without
        sessions, and with a password that nobody has given before (here the same one, given once more)."""
        account = self.account(place)
        before = account.profiles
        account.profiles = HELD[self.world.accounts.index(account)] if profiles is None else profiles
        promoted = directory.set_profiles(self.gateway.store, identifier=account.identifier, profiles=account.profiles)
        assert promoted == (bool(before) and not account.profiles and account.partner.kind == "caf")
        if promoted:
            for session in self.world.sessions:
                session.ended |= session.account is account
            assert not directory.set_password(
                self.gateway.store, identifier=account.identifier, password=account.password
            )
            account.failures = 0
        self.ask_again(account)

    @rule(place=PLACE, password=st.sampled_from((None, None, *PASSWORDS)))
    def end_the_sessions(self, place: int, password: str | None) -> None:
        """By hand, or because the password is another one now. The agent comes back at once."""
        account = self.account(place)
        still = sum(not session.ended for session in self.world.sessions if session.account is account)
        if password is None:
            ended = directory.end_sessions(self.gateway.store, identifier=account.identifier)
        else:
            ended = directory.set_password(self.gateway.store, identifier=account.identifier, password=password)
            account.password, account.failures = password, 0
        assert ended == still
        for session in self.world.sessions:
            session.ended |= session.account is account
        self.ask_again(account)
        self.log_in(place, how="right", choice=0, client=0)

    @rule(place=PLACE, act=st.sampled_from(("lock", "unlock")))
    def lock_an_account(self, place: int, act: str) -> None:
        """The nine failures before the last one are written, not waited for: they would take minutes."""
        account = self.account(place)
        if act == "unlock":
            directory.unlock_account(self.gateway.store, identifier=account.identifier)
            account.failures = 0
        elif not account.locked:
            with self.gateway.store.change() as connection:
                mine = select(tables.account.c.id).where(tables.account.c.identifier == account.identifier)
                number = connection.execute(mine).scalar_one()
                connection.execute(delete(tables.failure).where(tables.failure.c.account_id == number))
                almost = {"account_id": number, "in_a_row": LOCKED_AFTER - 1, "locked_at": None}
                connection.execute(insert(tables.failure).values(**almost))
            account.failures = LOCKED_AFTER - 1

    @rule(place=PLACE, act=st.sampled_from(("suspend", "resume")))
    def suspend_a_convention(self, place: int, act: str) -> None:
        convention = self.world.conventions[place % len(self.world.conventions)]
        convention.suspended = act == "suspend"
        change = directory.suspend_convention if convention.suspended else directory.resume_convention
        change(self.gateway.store, number=convention.number)
        self.all_ask_again(convention.partner)

    @rule(place=PLACE, days=st.sampled_from(tuple(DAYS)), caisse=st.sampled_from(("851", "851", "850")))
    def let_time_pass_for_a_convention(self, place: int, days: str, caisse: str) -> None:
        convention = self.world.conventions[place % len(self.world.conventions)]
        convention.days, convention.caisse = days, caisse
        first, last = DAYS[days]
        with self.gateway.store.change() as connection:
            changed = update(tables.convention).where(tables.convention.c.number == convention.number)
            connection.execute(changed.values(starts_on=day(first), ends_on=day(last), caisse=caisse))
        self.all_ask_again(convention.partner)

    @rule(
        dossier=st.integers(0, len(DOSSIERS) - 1),
        place=PLACE,
        alone=st.booleans(),
        kind=st.integers(0, len(MANDATES) - 1),
    )
    def entrust_a_dossier(self, dossier: int, place: int, alone: bool, kind: int) -> None:
        account = self.account(place)
        self.entrust(dossier, place, account if alone else None, kind)
        self.ask_again(account, DOSSIERS[dossier])

    def entrust(self, dossier: int, place: int, account: Account | None, kind: int) -> None:
        partner = self.account(place).partner
        number = directory.add_mandate(
            self.gateway.store,
            dossier=DOSSIERS[dossier],
            kind=MANDATES[kind],
            partner_name=partner.name,
            identifier=account.identifier if account else None,
            starts_on=day(-7),
            reference="Mandat",
        )
        self.world.mandates.append(Mandate(number, partner, account, DOSSIERS[dossier], MANDATES[kind]))

    @precondition(lambda self: any(not mandate.released for mandate in self.world.mandates))
    @rule(place=PLACE)
    def release_a_mandate(self, place: int) -> None:
        standing = [mandate for mandate in self.world.mandates if not mandate.released]
        mandate = standing[place % len(standing)]
        mandate.released = True
        directory.release_mandate(self.gateway.store, mandate_id=mandate.number, now=datetime.now(UTC))
        self.all_ask_again(mandate.partner, mandate.dossier)

    @rule(dossier=st.sampled_from(DOSSIERS))
    def raise_or_lift_an_objection(self, dossier: str) -> None:
        now = datetime.now(UTC)
        if dossier in self.world.objections:
            directory.lift_objection(self.gateway.store, dossier=dossier, now=now)
        else:
            directory.raise_objection(self.gateway.store, dossier=dossier, reference="Opposition", now=now)
        self.world.objections ^= {dossier}
        for partner in {account.partner.name: account.partner for account in self.world.accounts}.values():
            self.all_ask_again(partner, dossier)

    # The parts of these steps.

    def account(self, place: int) -> Account:
        return self.world.accounts[place % len(self.world.accounts)]

    def all_ask_again(self, partner: Partner, dossier: str = DOSSIERS[0]) -> None:
        for account in self.world.accounts:
            if account.partner is partner:
                self.ask_again(account, dossier)

    def ask_again(self, account: Account, dossier: str = DOSSIERS[0]) -> None:
        """The account's last two sessions ask for a dossier, on one connection each."""
        mine = [place for place, session in enumerate(self.world.sessions) if session.account is account]
        for client, place in enumerate(mine[-2:]):
            self.consult(place - len(self.world.sessions), dossier_question(dossier), client)

    def claimed(self, place: int, by: str) -> tuple[Session | None, dict[str, str]]:
        """A session, and the headers that claim it: 0 is nobody, 1 a token that nobody was given, others count from the
        last session backwards, as negative places do."""
        if place == 0:
            return None, {}
        sessions = self.world.sessions
        session = sessions[-1 - (place - 2) % min(len(sessions), RECENT)] if place > 0 else sessions[place]
        token = "A" * 43 if place == 1 else session.token
        proof = {"Cookie": f"cafpro={token}"} if by == "cookie" else {"Authorization": f"Bearer {token}"}
        return (None if place == 1 else session), proof

    def send(self, client: int, path: str, headers: dict[str, str], **more: Any) -> Answer:
        self.in_order = False  # until the answer is settled: what fails in between is told, not what comes of it
        return self.clients[client].ask(path, headers, **more)

    def settle(self, answer: Answer, expected: Expected, *, head: bool = False) -> None:
        """The answer is what was expected, and its row will be looked for."""
        assert answer.status == expected.status, (answer, expected)
        if expected.code and not head:
            is_problem(answer, expected.status, expected.shown)
        elif expected.code:
            assert answer.one("Proxy-Status").endswith(f"; details={expected.shown}")
        elif not head:
            assert answer.body == expected.body, (answer, expected)
        row = {**EMPTY, **expected.row, "status": expected.status, "code": expected.code}
        if row["dossier"]:
            row["dossier"] = hmac.new(self.key, f"851:{row['dossier']}".encode(), hashlib.sha256).hexdigest()
        if row["facts"]:
            row["policy"] = self.policy
        assert answer.all("X-Policy") == ([self.policy] if row["rubrics"] else [])
        self.expected.append({**row, "request_id": answer.one("X-Request-Id")})
        self.in_order = True

    def last_row(self) -> int:
        with contextlib.closing(self.record()) as record:
            found: tuple[int] = record.execute("SELECT coalesce(max(id), 0) FROM record").fetchone()
        return found[0]

    def record(self) -> sqlite3.Connection:
        connection = sqlite3.connect(f"file:{self.gateway.record_file}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        return connection

    def teardown(self) -> None:
        """Each request has one row, in order, with what it must hold, and nothing else has one."""
        if not self.in_order:
            return
        with contextlib.closing(self.record()) as record:
            rows = [dict(row) for row in record.execute("SELECT * FROM record WHERE id > ? ORDER BY id", [self.first])]
        for row in rows:
            because = row.pop("because")
            assert bool(because) == bool(row["code"]) or (row["act"] == "request" and not because), row
            del row["id"], row["at"]
            row.update({name: json.loads(row[name]) for name in ("rubrics", "rules")})
            row["rules"].sort()
        assert rows == self.expected


def in_two_workers(gateway: Gateway) -> tuple[Client, Client]:
    """Two clients, each with a connection that is in another of the gateway's two workers."""
    one, other = Client(gateway.url), Client(gateway.url)

    def apart() -> bool:
        other.close()
        for client in (one, other):
            client.ask("/-/health/live")
        [first, second] = map(clients_of, gateway.workers())
        return {one.port(), other.port()} in ({a, b} for a in first for b in second)

    until(apart, "each is in another worker")
    return one, other


def test_whatever_is_done_in_whatever_order_the_answers_and_the_record_are_what_the_rules_say(
    start_gateway: Callable[..., Gateway], stub_url: str
):
    gateway = start_gateway(stub_url, server__workers=2)
    clients = in_two_workers(gateway)
    policy = gateway.policy()
    key = bytes.fromhex((gateway.folder / "record.key").read_text().strip())
    run_machine(Service, examples=EXAMPLES, steps=STEPS, clients=clients, gateway=gateway, policy=policy, key=key)
    assert "CANARI" not in gateway.log()
