"""Judgements that checks of every family share: what is refused, what is the same, what is withheld."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.selftest.site import Site, describe
from gateway.selftest.verdicts import Finding, Inapplicable
from gateway.selftest.wire import BROKEN, CLOSED, Answer

NO_DOSSIER: Final = Inapplicable("needs a dossier that the account may read: --dossier NUMBER")
PLAIN_HTTP: Final = Inapplicable("the URL is http")

_REFUSING: Final = frozenset({*range(400, 500), 501, 505})
"""What clean refusals answer: the client's fault (4xx), or a coding (501) or version (505) that is not spoken."""


def refused(answer: Answer) -> bool:
    """Whether this is a clean refusal. A connection that is closed without a word is one."""
    return answer.status in _REFUSING or answer.fate in (CLOSED, BROKEN)


def unrefused(answers: Iterable[tuple[str, Answer]]) -> Iterator[Finding]:
    """A finding for each answer, under the words for what was sent, that is not a refusal."""
    for sent, answer in answers:
        if not refused(answer):
            yield Finding(sent, describe(answer))


def not_a_stranger(answers: Iterable[tuple[str, Answer]]) -> Iterator[Finding]:
    """A finding for each answer to a stranger that is not "who are you"."""
    for sent, answer in answers:
        if answer.status != 401:
            yield Finding(sent, f"{describe(answer)}, where 401 is the answer to any stranger")


def changed(site: Site, target: str, answers: Iterable[tuple[str, Answer]]) -> Iterator[Finding]:
    """A finding for each answer that is not the one a proper request for `target` gets."""
    for sent, answer in answers:
        if not site.alike(answer, target):
            yield Finding(sent, f"{describe(answer)}, where a proper request gets {describe(site.plain(target))}")


def let_in(site: Site, target: str, answers: Iterable[tuple[str, Answer]]) -> Iterator[Finding]:
    """A finding for each answer that is neither a refusal nor the one a proper request for `target` gets."""
    for sent, answer in answers:
        if not refused(answer):
            yield from changed(site, target, [(sent, answer)])
