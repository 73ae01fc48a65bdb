"""Texts enumerated whole: two at a time, and whatever fails is one sentence."""

import pytest

from gateway.errors import Misconfigured
from gateway.policy.enumeration import Enumerated
from gateway.policy.enumeration import enumerated as policy_enumerated
from gateway.policy.loading import fingerprint
from gateway.policy.sandbox import PolicyDefect
from gateway.policy_files import enumerated as module
from gateway.policy_files.enumerated import both_enumerated, enumerated
from tests.policy.worlds import ORDINARY, PROFILES, ROUTES, SLUGS


@pytest.fixture(scope="module")
def small(texts) -> dict[str, str]:
    return {**ORDINARY.texts(texts), "routes.toml": ROUTES}


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """What other tests enumerated in this process."""
    module._enumerated.cache_clear()


def test_what_is_enumerated_has_the_words_of_the_files_and_opens_what_they_say(small):
    found = enumerated(small)
    assert found.fingerprint == fingerprint(small)
    assert list(found.profiles) == list(PROFILES)
    assert [row.slug for row in found.rows] == list(SLUGS)
    assert set(found.openings.cells) == {(profile, slug) for slug, row in ORDINARY.table.items() for profile in row}


def test_two_that_differ_are_enumerated_each_by_itself(small):
    other = {**small, "matrix.polar": small["matrix.polar"].replace('["T1", "T9"]', '["T1"]')}
    old, new = both_enumerated(small, other)
    assert (old, new) == (enumerated(small), enumerated(other))
    assert set(old.openings.cells) - set(new.openings.cells) == {("T9", "paiement")}


def test_another_route_table_needs_no_second_enumeration_and_is_looked_at(small, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "policy_enumerated", lambda policy: asked.append(policy) or policy_enumerated(policy))
    other = {**small, "routes.toml": ROUTES + "# more\n"}
    old, new = both_enumerated(other, small)
    assert (old.fingerprint, new.fingerprint) == (fingerprint(other), fingerprint(small))
    assert old.openings == new.openings
    assert len(asked) == 1
    for pair in ((small, {**small, "routes.toml": "route ="}), ({**small, "routes.toml": "route ="}, small)):
        with pytest.raises(Misconfigured, match=r"routes\.toml"):
            both_enumerated(*pair)


def test_what_the_policy_may_not_do_is_one_sentence(small, monkeypatch):
    def failing(policy):
        raise PolicyDefect("it did what it may not do")

    monkeypatch.setattr(module, "policy_enumerated", failing)
    with pytest.raises(Misconfigured, match=r"can be decided [(]it did what it may not do[)]"):
        enumerated(small)


def test_what_is_wrong_with_either_is_said_at_once(small):
    mistakes = ('ruberic("a");', 'rubrik("b");')
    old, new = ({**small, "matrix.polar": f"{small['matrix.polar']}{mistake}\n"} for mistake in mistakes)
    with pytest.raises(Misconfigured) as found:
        both_enumerated(old, new)
    for word in ("ruberic", "rubrik"):
        assert any(word in problem for problem in found.value.problems), found.value.problems


def test_an_enumerated_policy_is_data(small):
    """Two that are equal are equal."""
    first = enumerated(small)
    module._enumerated.cache_clear()
    assert enumerated(small) == first
    assert isinstance(enumerated(small), Enumerated)


def test_what_was_enumerated_a_moment_ago_is_remembered_and_what_is_wrong_is_said_again(small, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "policy_enumerated", lambda policy: asked.append(policy) or policy_enumerated(policy))
    assert enumerated(small) is enumerated(dict(reversed(small.items())))
    assert len(asked) == 1
    for _ in range(2):
        with pytest.raises(Misconfigured, match="ruberic"):
            enumerated({**small, "matrix.polar": 'ruberic("a");'})
