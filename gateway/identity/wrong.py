"""What can be wrong with a change of the directory, said twice: in English to whoever types commands, in French to
whoever asks over HTTP. The English sentence may quote what an administrator chose; the French one quotes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import DirectoryRefused, EntryConflicts, EntryRefused, NoSuchEntry


class Wrong(str):
    """The English sentence, which knows the refusal that it is over HTTP."""

    refusal: type[DirectoryRefused]
    said: str

    def __new__(cls, sentence: str, refusal: type[DirectoryRefused], said: str) -> Wrong:
        made = super().__new__(cls, sentence)
        made.refusal, made.said = refusal, said
        return made


def unacceptable(sentence: str, said: str) -> Wrong:
    """What was sent can never be entered."""
    return Wrong(sentence, EntryRefused, said)


def absent(sentence: str, said: str) -> Wrong:
    """Nothing in the directory is what was named."""
    return Wrong(sentence, NoSuchEntry, said)


def conflicting(sentence: str, said: str) -> Wrong:
    """It could be entered, if the directory were otherwise."""
    return Wrong(sentence, EntryConflicts, said)


def as_refusal(problems: Sequence[str]) -> DirectoryRefused:
    """The refusal that these problems are over HTTP, with their French sentences, each once. What can never be entered
    comes before what is not there, and this before what is in the way. A sentence that is no `Wrong` says nothing
    outside but that something cannot be entered.
    """
    for kind in (EntryRefused, NoSuchEntry, EntryConflicts):
        found = [problem for problem in problems if isinstance(problem, Wrong) and problem.refusal is kind]
        if found:
            return kind(list(dict.fromkeys(problem.said for problem in found)))
    return EntryRefused()
