"""`decide`: total, remembered by policy and whole facts, and silent about data."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from gateway.model import FACT_VOCABULARIES, GATES, Facts, Grant
from gateway.policy import engine
from gateway.policy.canaries import MOST
from gateway.policy.engine import DECISIONS_KEPT, Policy
from gateway.policy.loading import fingerprint, load
from gateway.policy_files.folder import ROUTES, load_texts

PROFILES = ("T1", "T2", "T9", "T10", "T11", "T16", "T7")


@pytest.fixture(scope="module")
def stricter(changed) -> Policy:
    """The shipped policies, in which T1 no longer sees `creances`."""
    return load(changed("matrix.polar", '["T1", "T9", "T11", "T13"]', '["T9", "T11", "T13"]'))


_copies = count()


def alone(policy: Policy, monkeypatch, asked=None) -> Policy:
    """The same policy under a name of its own, whose real evaluations are noted in `asked`."""
    copy = object.__new__(Policy)
    copy.__dict__.update(policy.__dict__, fingerprint=f"{policy.fingerprint}, copy {next(_copies)}")
    if asked is not None:
        monkeypatch.setattr(copy, "evaluate", lambda facts: asked.append(facts) or policy.evaluate(facts))
    return copy


def facts_of(profile="T1", **others) -> Facts:
    return replace(MOST, profile=profile, **others)


def test_two_policies_side_by_side_decide_the_same_facts_independently(policy, stricter):
    assert policy.fingerprint != stricter.fingerprint
    for _ in range(2):
        assert policy.decide(facts_of()).rubrics - stricter.decide(facts_of()).rubrics == {"creances"}
        assert stricter.decide(facts_of()).rubrics < policy.decide(facts_of()).rubrics
    assert policy.decide(facts_of("T9")) == stricter.decide(facts_of("T9"))


def test_two_policies_side_by_side_decide_independently_under_threads(policy, stricter, monkeypatch):
    wide, narrow = alone(policy, monkeypatch), alone(stricter, monkeypatch)
    every = [facts_of(profile, convention=state) for profile in PROFILES for state in ("in_force", "expired")]
    wanted = {(one, facts): one.evaluate(facts) for one in (policy, stricter) for facts in every}

    def ask(turn: int) -> list[bool]:
        pairs = [(wide, policy), (narrow, stricter)]
        rights = []
        for facts in every[turn % len(every) :] + every[: turn % len(every)]:
            for asked, known in pairs[:: 1 if turn % 2 else -1]:
                rights.append(asked.decide(facts) == wanted[known, facts])
        return rights

    with ThreadPoolExecutor(16) as pool:
        assert all(all(rights) for rights in pool.map(ask, range(32)))


def test_equal_facts_are_decided_once_and_different_facts_apart(policy, monkeypatch):
    asked: list[Facts] = []
    counted = alone(policy, monkeypatch, asked)
    for _ in range(3):
        for profile in PROFILES:
            counted.decide(facts_of(profile))
    assert asked == [facts_of(profile) for profile in PROFILES]


@pytest.mark.parametrize("name", [field.name for field in fields(Facts)])
def test_no_fact_is_left_out_of_what_a_decision_is_remembered_by(policy, monkeypatch, name):
    asked: list[Facts] = []
    counted = alone(policy, monkeypatch, asked)
    words = ("T1", "T2") if name == "profile" else FACT_VOCABULARIES[name]
    variants = [facts_of(**{name: frozenset({word}) if name == "mandates" else word}) for word in words]
    for facts in variants + variants:
        counted.decide(facts)
    assert asked == variants


def test_sixteen_threads_that_ask_the_same_at_once_have_it_decided_once(policy, monkeypatch):
    asked: list[Facts] = []
    counted = alone(policy, monkeypatch, asked)
    every = [facts_of(profile, objection=state) for profile in PROFILES for state in ("none", "raised")]
    together = threading.Barrier(16)

    def ask(_: int) -> list[Grant]:
        together.wait()
        return [counted.decide(facts) for facts in every]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))
    assert all(answer == answers[0] for answer in answers)
    assert sorted(map(repr, asked)) == sorted(map(repr, every))


def test_what_is_remembered_is_bounded(policy, monkeypatch):
    assert engine._decisions.maxsize == DECISIONS_KEPT
    counted = alone(policy, monkeypatch)
    monkeypatch.setattr(counted, "evaluate", lambda facts: Grant(frozenset(), denied="profile"))
    for number in range(DECISIONS_KEPT + 500):
        counted.decide(facts_of(f"unknown {number}"))
    assert len(engine._decisions) == DECISIONS_KEPT
    engine._decisions.clear()


def test_what_was_decided_last_comes_first_and_only_of_the_policy_that_is_asked(policy, stricter, monkeypatch):
    one, other = alone(policy, monkeypatch), alone(stricter, monkeypatch)
    for profile in ("T1", "T2", "T9"):
        one.decide(facts_of(profile))
        other.decide(facts_of(profile, convention="none"))
    assert [facts.profile for facts in one.decided_last(10)] == ["T9", "T2", "T1"]
    assert other.decided_last(2) == [facts_of("T9", convention="none"), facts_of("T2", convention="none")]
    assert one.decided_last(0) == []


def test_a_fault_is_not_remembered(policy, monkeypatch):
    asked: list[Facts] = []
    failing = alone(policy, monkeypatch)

    def fail_twice(facts):
        asked.append(facts)
        if len(asked) < 3:
            raise RuntimeError("Martin, 9990001")
        return policy.evaluate(facts)

    monkeypatch.setattr(failing, "evaluate", fail_twice)
    for _ in range(2):
        assert failing.decide(facts_of()) == Grant(frozenset(), denied="fault")
    assert failing.decide(facts_of()).rubrics
    assert failing.decide(facts_of()).rubrics
    assert len(asked) == 3


@pytest.mark.parametrize(
    "error", [RuntimeError, MemoryError, RecursionError, KeyError, AttributeError, TypeError, OSError, StopIteration]
)
def test_any_exception_inside_is_an_empty_grant(policy, monkeypatch, error):
    failing = alone(policy, monkeypatch)

    def fail(facts):
        raise error("Martin, 9990001")

    monkeypatch.setattr(failing, "evaluate", fail)
    assert failing.decide(facts_of()) == Grant(frozenset(), denied="fault")


def test_a_fault_in_one_thread_does_not_hold_the_others(policy, monkeypatch):
    failing = alone(policy, monkeypatch)
    turn = iter(range(1_000))

    def fail_every_other_time(facts):
        if next(turn) % 2:
            raise RuntimeError
        return policy.evaluate(facts)

    monkeypatch.setattr(failing, "evaluate", fail_every_other_time)
    with ThreadPoolExecutor(16) as pool:
        grants = list(pool.map(failing.decide, [facts_of(profile) for profile in PROFILES] * 20, timeout=20))
    assert len(grants) == 140


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.frozensets(st.text(max_size=3)),
    st.frozensets(st.sampled_from(FACT_VOCABULARIES["mandates"])),
    st.lists(st.text()),
    st.sets(st.integers()),
    st.dictionaries(st.text(), st.text()),
    st.sampled_from(sorted({word for words in FACT_VOCABULARIES.values() for word in words} | set(PROFILES))),
    st.builds(object),
)


@given(facts=st.builds(Facts, **{field.name: ANYTHING for field in fields(Facts)}))
@settings(deadline=None)
def test_decide_never_raises_whatever_the_facts_hold(policy, facts):
    grant = policy.decide(facts)
    assert grant.rubrics <= policy.slugs
    assert (grant.denied in GATES) is (not grant.rubrics)


@given(
    facts=st.builds(
        Facts,
        profile=st.one_of(st.sampled_from(PROFILES), st.text()),
        mandates=st.frozensets(st.sampled_from(FACT_VOCABULARIES["mandates"])),
        **{name: st.sampled_from(words) for name, words in FACT_VOCABULARIES.items() if name != "mandates"},
    )
)
@settings(deadline=None)
def test_equal_facts_are_decided_alike_and_a_grant_never_exceeds_the_profiles_column(policy, facts):
    grant = policy.decide(facts)
    assert grant == policy.decide(replace(facts)) == policy.evaluate(facts)
    assert grant.rubrics <= {row.slug for row in policy.rows if facts.profile in row.profiles}
    assert {rule[0] for rule in grant.rules} == grant.rubrics


def test_more_mandates_never_close_and_an_objection_never_opens(policy):
    for profile, kind in product(PROFILES, ("caf", "external")):
        none = policy.decide(facts_of(profile, partner_kind=kind, mandates=frozenset()))
        every = policy.decide(facts_of(profile, partner_kind=kind))
        raised = policy.decide(facts_of(profile, partner_kind=kind, objection="raised"))
        assert none.rubrics <= every.rubrics
        assert raised.rubrics <= every.rubrics


def test_no_text_of_a_grant_comes_from_anywhere_but_the_policies(policy, texts):
    written = {text for file in texts.values() for text in re.findall(r'"([^"]*)"', file)}
    for profile in policy.profiles:
        for grant in (policy.decide(facts_of(profile)), policy.decide(facts_of(profile, convention="none"))):
            assert {text for rule in grant.rules for text in rule} <= written
            assert grant.denied in ("", *GATES)
    secret = "Martin 9990001 Lyon"
    assert secret not in json.dumps(policy.decide(facts_of(secret)).denied)
    assert secret not in repr(policy.decide(facts_of(secret)))
    assert secret not in repr(policy.decide(facts_of(convention=secret)))


def test_a_grant_is_frozen(policy):
    with pytest.raises(AttributeError):
        policy.decide(facts_of()).rubrics = frozenset({"rsa"})


# ------------------------------------------------------------------ the fingerprint


def test_the_fingerprint_is_64_hexadecimal_digits_and_the_same_in_any_order(every_text):
    name = fingerprint(every_text)
    assert re.fullmatch(r"[0-9a-f]{64}", name)
    assert fingerprint(dict(reversed(every_text.items()))) == name
    assert fingerprint(dict(every_text)) == name


def test_the_fingerprint_changes_with_any_byte_of_any_file(every_text):
    seen = {fingerprint(every_text)}
    changes = 0
    for name, text in every_text.items():
        for at in (0, len(text) // 3, len(text) - 1):
            for changed in (text[:at] + "\t" + text[at + 1 :], text[:at] + " " + text[at:], text[:at]):
                seen.add(fingerprint({**every_text, name: changed}))
                changes += 1
    assert len(seen) == changes + 1


def test_the_fingerprint_tells_where_a_file_ends_and_what_it_is_called():
    shapes = [{"a": "bc"}, {"ab": "c"}, {"a": "b", "c": ""}, {"a": "", "bc": ""}, {"a": "c", "b": ""}, {}]
    assert len({fingerprint(shape) for shape in shapes}) == len(shapes)


def test_the_fingerprint_of_what_is_in_force_covers_the_route_table(every_text, texts, in_force):
    assert in_force.fingerprint == fingerprint(every_text) != fingerprint(texts)
    other = load_texts({**every_text, ROUTES: every_text[ROUTES] + "# one more line\n"})
    assert other.fingerprint != in_force.fingerprint
    assert other.fingerprint == fingerprint({**every_text, ROUTES: every_text[ROUTES] + "# one more line\n"})
    assert other.policy.decide(facts_of()) == in_force.policy.decide(facts_of())
