"""The CNIL's rule for passwords, and what a hash costs."""

import subprocess
import sys

import pytest

from gateway.identity import passwords


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
    assert (passwords.password_problem(password) is None) is fine


def test_the_sentence_says_what_to_do():
    assert passwords.password_problem("short") == (
        "The password is too easy to guess: 24 bits, 50 are asked. "
        "Make it longer, or mix small letters, capitals, digits and signs."
    )


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
