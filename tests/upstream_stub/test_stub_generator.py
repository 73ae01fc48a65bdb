"""Generated dossiers: any size, always the same bytes."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream_stub.dossiers import SLUGS, dossier_text, generated

KB, MB = 1024, 1024 * 1024


@pytest.mark.parametrize(
    ("numero", "size"),
    [
        ("1000000", 4 * KB),
        ("1099999", 4 * KB),
        ("1100000", 16 * KB),
        ("1200000", 64 * KB),
        ("1300000", 1 * MB),
        ("1400000", 16 * MB),
        ("1500000", 4 * KB),
        ("1999999", 4 * KB),
    ],
)
def test_the_second_digit_of_a_generated_number_tells_the_size(numero: str, size: int) -> None:
    text = dossier_text(numero)
    assert text is not None
    assert abs(len(text) - size) <= size * 0.02
    assert list(json.loads(text)["rubriques"]) == list(SLUGS)


@given(number=st.integers(1_000_000, 1_999_999), size=st.integers(4 * KB, 128 * KB))
def test_any_number_and_any_size_give_a_whole_valid_dossier_of_that_size(number: int, size: int) -> None:
    text = generated(str(number), size)
    document = json.loads(text)
    assert abs(len(text) - size) <= size * 0.02
    assert document["numero"] == str(number)
    assert list(document["rubriques"]) == list(SLUGS)


def test_the_same_number_gives_the_same_bytes_on_every_machine() -> None:
    assert generated("1000001", 64 * KB) == generated("1000001", 64 * KB)
    assert generated("1000001", 64 * KB) != generated("1000002", 64 * KB)
    digest = hashlib.sha256(generated("1000001", 64 * KB)).hexdigest()
    assert digest == "621069dcab89e7cf48b576f4f1cf16fe0d7f466dbc300eab6026a5abb8ac1ab4"


def test_a_long_dossier_is_long_in_open_and_in_closed_rubrics() -> None:
    rubrics = json.loads(generated("1300000", 1 * MB))["rubriques"]
    for slug in ("paiement", "enfants", "droits", "creances", "courrier", "declaration_ressources"):
        assert len(json.dumps(rubrics[slug])) > 50 * KB, slug
        assert json.dumps(rubrics[slug]).count("CANARI") > 200, slug


def test_references_are_never_twice_the_same() -> None:
    documents = json.loads(generated("1300000", 1 * MB))["rubriques"]["courrier"]["documents"]
    references = [entry["reference"] for entry in documents]
    assert len(references) == len(set(references)) > 100
    assert max(map(len, references)) <= 32


def test_a_size_too_small_for_twenty_rubrics_is_refused() -> None:
    with pytest.raises(ValueError, match="twenty rubrics"):
        generated("1000000", 1000)
