"""The CNIL's rule for passwords, those that are guessed first, and what a hash costs."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.identity import passwords

pytestmark = pytest.mark.usefixtures("hashing_in_earnest")


@pytest.mark.parametrize(
    ("password", "fine"),
    [
        ("", False),
        ("abcdefghij", False),  # 10 × log2(26) = 47.0
        ("abcdefghijk", True),  # 11 × log2(26) = 51.7
        ("0123456789" * 1 + "01234", False),  # 15 × log2(10) = 49.8
        ("0123456789" * 1 + "012345", True),  # 16 × log2(10) = 53.2
        ("abcdEFGH", False),  # 8 × log2(52) = 45.6
        ("abcdEFGHi", True),  # 9 × log2(52) = 51.3
        ("abEF12!", False),  # 7 × log2(99) = 46.4
        ("abEF12!?", True),  # 8 × log2(99) = 53.0
        ("éééééééééé", True),  # 10 × log2(37) = 52.1
        ("Ab1-" * 32, True),
        ("Ab1-" * 32 + "x", False),
        ("Ab1-efgh\tijkl", False),
        ("Ab1-efgh\x00ijkl", False),
        ("Ab1-efgh\ud800ijkl", False),
        ("E\u0301" * 64, True),
        ("E\u0301" * 128, True),
        ("E\u0301" * 129, False),
    ],
)
def test_a_password_has_fifty_bits_and_128_characters_at_most(password, fine):
    assert (passwords.weakness(password) is None) is fine


def test_the_sentence_says_what_to_do():
    assert passwords.password_problem("short") == (
        "The password is too easy to guess: 24 bits, 50 are asked. "
        "Make it longer, or mix small letters, capitals, digits and signs."
    )


# Long and mixed enough for the CNIL's rule, and tried first by whoever guesses.
COMMON = [
    *("Azerty1!", "Password1!", "P@ssw0rd123!", "Azertyuiop123456!", "azertyuiop12", "QsDfGhJkLm123", "azertyqsdfgh"),
    *(
        "Motdepasse1!",
        "M0td3P@sse!",
        "motdepassemotdepasse",
        "Bonjour2024!",
        "Soleil123!",
        "!Soleil!Soleil!",
        "Jetaime123!",
    ),
    *("Marseille13!", "Loulou69!", "Doudou2010!", "Chouchou1!", "Princesse33!", "Nicolas1985!", "Marie-Christine1"),
    *(
        "Bienvenue2026!",
        "Administrateur1!",
        "Vacances2025!",
        "Juillet2026!",
        "Décembre2026!",
        "Cafpro2026!",
        "CafProCafPro1!",
    ),
    *("1234567890123456", "15062026-15062026", "aaaaaaaaaaaa", "Aa1!Aa1!", "abcdefghijkl"),
]
OWN = [
    *("Correct-horse-26", "chevalpilecorrectagrafe", "vélo-agrafe-lundi-nuage", "Une-phrase-de-passe-2012"),
    *("Kx7$vQ2m", "abEF12!?", "8HdV2-kkq9p"),
]


@pytest.mark.parametrize("password", COMMON)
def test_a_password_that_is_tried_first_is_refused_with_what_to_do(password):
    assert passwords.weakness(password) is None, "the list is what refuses it"
    assert passwords.password_problem(password) == (
        "The password is among the first that are tried: common words, a row of keys, a date, a sequence. "
        "Choose one of your own, such as four words that have nothing to do with each other."
    )


@pytest.mark.parametrize("password", OWN)
def test_a_password_of_ones_own_is_fine(password):
    assert passwords.password_problem(password, names=("m.martin", "CCAS de Lyon")) is None


@pytest.mark.parametrize(
    ("password", "names"),
    [
        ("Xq-m.martin-94-Zb", ("m.martin", "CCAS de Lyon")),
        ("Xq-MARTIN-94-Zb", ("m.martin", "CCAS de Lyon")),
        ("Xq-mar.tin-94-Zb", ("m.martin", "CCAS de Lyon")),
        ("8$kkq9p-lyon", ("m.martin", "CCAS de Lyon")),
        ("8$kkq9p-vendée", ("t4", "Département de la Vendee")),
        ("8$kkq9p-vendee", ("t4", "Département de la Vendée")),
    ],
)
def test_a_password_that_holds_a_name_around_the_account_is_refused(password, names):
    assert passwords.password_problem(password) is None
    assert passwords.password_problem(password, names=names) == (
        "The password holds the identifier or the partner's name: choose one without."
    )


def test_a_name_too_short_to_tell_anything_forbids_nothing():
    assert passwords.password_problem("8HdV2-t4q9p-la", names=("t4", "La Ddt")) is None


@given(st.text(max_size=140), st.lists(st.text(max_size=40), max_size=3))
@settings(max_examples=200)
def test_whatever_is_typed_is_judged_and_nothing_breaks(password, names):
    problem = passwords.password_problem(password, names=names)
    assert problem is None or problem.endswith(".")


def test_a_generated_password_is_fine_and_never_twice_the_same():
    made = {passwords.new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(passwords.password_problem(password) is None for password in made)


def test_a_hash_matches_its_password_only():
    kept = passwords.hash_password("Correct-horse-26")
    assert passwords.password_matches("Correct-horse-26", stored=kept)
    assert not passwords.password_matches("Correct-horse-27", stored=kept)
    assert passwords.hash_password("Correct-horse-26") != kept


@pytest.mark.parametrize("stored", [None, "", "x", "$argon2id$v=19$m=8,t=1,p=1$AAAA", "$2b$12$abcdefghijklmnopqrstuv"])
def test_what_is_no_hash_matches_nothing(stored):
    assert not passwords.password_matches("", stored=stored)
    assert not passwords.password_matches("Correct-horse-26", stored=stored)


def test_nobodys_hash_costs_what_a_real_one_costs():
    assert not passwords.is_outdated(passwords._NOTHING)
    assert len(passwords._NOTHING) == len(passwords.hash_password("Correct-horse-26"))


CHECKING = """
import threading
from gateway.identity.passwords import password_matches

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def check(done, end):
    password_matches("Correct-horse-26", stored=None)
    done.set()
    end.wait()

password_matches("Correct-horse-26", stored=None)
before, end = resident(), threading.Event()
for _ in range(16):
    done = threading.Event()
    threading.Thread(target=check, args=(done, end)).start()
    done.wait()
print(resident() - before)
end.set()
"""


def test_no_thread_keeps_the_memory_of_the_passwords_it_checked():
    """A process that answers log-ins in 16 threads would come to hold 16 times 19 MiB."""
    said = subprocess.run([sys.executable, "-c", CHECKING], capture_output=True, check=True, text=True).stdout
    assert int(said) < 19 * 1024 * 1024
