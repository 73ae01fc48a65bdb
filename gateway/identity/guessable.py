"""Passwords that are long and mixed enough for the CNIL's rule, and are guessed first all the same.

zxcvbn (D. Wheeler, USENIX Security 2016) knows 30 000 passwords from leaks, common words and names, rows of keyboards,
sequences, repetitions, dates, capitals and signs instead of letters, and says how many guesses someone needs who tries
what is common first. Its words are English: here it is told the French ones that passwords are made of, and the names
around the account. It is asked only when a password is chosen; the first time, a process takes 9 MB for its lists.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

GUESSES_ASKED: Final = 10.0
"""As a power of ten, of what is easier to guess than its length says: zxcvbn's highest mark. What has no pattern is
left to the CNIL's rule."""
SHORTEST_NAME: Final = 4
"""Characters of a word of a name that a password may not hold: `t1` is in too many."""

FRENCH: Final = """\
azerty azertyuiop qsdfghjklm wxcvbn motdepasse bonjour soleil bienvenue cafpro jetaime administrateur administration
allocataire allocations familiales caisse partenaire dossier convention service social sociale travail bureau mairie
departement prefecture ccas janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre lundi
mardi mercredi jeudi vendredi samedi dimanche printemps automne hiver vacances chocolat doudou loulou chouchou
coucou princesse amour maman papa famille enfants maison ordinateur secret france francais paris marseille lyon
toulouse nice nantes strasbourg montpellier bordeaux lille rennes reims toulon grenoble bretagne nicolas camille
julien thomas sebastien aurelie celine sandrine stephanie philippe isabelle nathalie catherine francoise monique
jacques bernard olivier laurent pascal
"""
"""The most common first: French leaks begin with these, and so would whoever knows for whom this service is."""


def is_guessable(password: str, *, names: Sequence[str] = ()) -> bool:
    """Whether someone who tries what is common first, and knows these `names`, would find `password` (in NFC) early."""
    # Only here: no worker that lets agents in needs its lists, nor any command that sets no password.
    from zxcvbn_rs_py import zxcvbn

    known = [word for name in names for word in _words(name)]
    guesses = zxcvbn(_plain(password), [*known, *FRENCH.split()]).guesses_log10
    return guesses < GUESSES_ASKED and guesses < len(password) - 0.5


def holds_name(password: str, *, names: Sequence[str]) -> bool:
    """Whether a word of these `names` is in `password`, in capitals or small letters, with or without accents, blanks
    and signs between its letters.
    """
    text = "".join(_words(password))
    return any(len(word) >= SHORTEST_NAME and word in text for name in names for word in _words(name))


def _plain(text: str) -> str:
    """Without accents: the words are known without, and nobody is harder to guess by one."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in _plain(text).casefold()).split()
