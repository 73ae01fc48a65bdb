"""Answers in good order whose JSON is not the dossier it should be.

A doubtful value is put at the head of every rubric, under the key `ajout`, so that each profile meets it,
both in rubrics kept whole and in those taken field by field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from upstream_stub.faults.wire import Fault, answering, dossier_of
from upstream_stub.marks import CAISSE
from upstream_stub.rubrics import Rubric, family
from upstream_stub.writing import json_text, write_dossier

Body = Callable[[str], bytes]

DEPTH = 100_000


def without_braces(value: Any) -> str:
    return json_text(value)[1:-1]


def adding(value: bytes, *, slugs: tuple[str, ...] = ()) -> Body:
    """The dossier with that value added to every rubric, or to those named."""

    def body(numero: str) -> bytes:
        rubrics = family(numero)
        for slug in slugs or rubrics:
            rubrics[slug] = {"ajout": "@"} | rubrics[slug]
        return write_dossier(numero, CAISSE, rubrics).whole.replace(b'"ajout":"@"', b'"ajout":' + value)

    return body


def changing(change: Callable[[dict[str, Any]], None]) -> Body:
    """The dossier with its rubrics changed."""

    def body(numero: str) -> bytes:
        rubrics: dict[str, Any] = dict(family(numero))
        change(rubrics)
        return write_dossier(numero, CAISSE, rubrics).whole

    return body


def repeating(old: str, new: str) -> Body:
    """The dossier where `old`, found once, is replaced; `@slug@` in `new` is that rubric's content."""

    def body(numero: str) -> bytes:
        text = dossier_of(numero).decode()
        if text.count(old) != 1:
            raise LookupError(old)
        content = new
        for slug, rubric in family(numero).items():
            content = content.replace(f"@{slug}@", without_braces(rubric))
        return text.replace(old, content).encode()

    return body


def payments_as_list(rubrics: dict[str, Any]) -> None:
    rubrics["paiement"] = rubrics["paiement"]["versements"]


def payments_as_object(rubrics: dict[str, Any]) -> None:
    payments: list[Rubric] = rubrics["paiement"]["versements"]
    rubrics["paiement"]["versements"] = {str(n): payment for n, payment in enumerate(payments)}


def payment_as_text(rubrics: dict[str, Any]) -> None:
    rubrics["paiement"]["versements"] = [json_text(rubrics["paiement"]["versements"])]


def rubrics_as_list(numero: str) -> bytes:
    named = [{"rubrique": slug, **rubric} for slug, rubric in family(numero).items()]
    return json_text({"numero": numero, "caisse": CAISSE, "rubriques": named}).encode()


def another_number(numero: str) -> bytes:
    return dossier_of(numero).replace(f'"numero":"{numero}"'.encode(), b'"numero":"9990002"', 1)


def with_mark(numero: str) -> bytes:
    return b"\xef\xbb\xbf" + dossier_of(numero)


def utf16(numero: str) -> bytes:
    return dossier_of(numero).decode().encode("utf-16")


def nested() -> bytes:
    return b"[" * DEPTH + b"]" * DEPTH


CLOSED = "@creances@,@rsa@"
"""Closed to most profiles: what a second `adresse`, open to all, must not carry out."""

FAULTS = {
    "duplicate_top": Fault(
        "9980301",
        "rubriques twice: the first holds other rubrics' fields.",
        answering(repeating('"rubriques":{', '"rubriques":{"adresse":{' + CLOSED + '}},"rubriques":{')),
    ),
    "duplicate_escaped": Fault(
        "9980302",
        r"rubriques twice: once as letters, once as rubriqu\u0065s.",
        answering(repeating('"rubriques":{', r'"rubriqu\u0065s":{"adresse":{' + CLOSED + '}},"rubriques":{')),
    ),
    "duplicate_rubric": Fault(
        "9980303",
        "adresse twice: the first holds other rubrics' fields.",
        answering(repeating('"adresse":{', '"adresse":{' + CLOSED + '},"adresse":{')),
    ),
    "duplicate_in_closed_part": Fault(
        "9980304",
        "pays twice within adresse, a rubric that is taken field by field.",
        answering(repeating('"adresse":{', '"adresse":{"pays":{' + CLOSED + "},")),
    ),
    "duplicate_in_kept_part": Fault(
        "9980305",
        "loyer twice within logement, a rubric that is kept whole.",
        answering(repeating('"logement":{', '"logement":{"loyer":"CANARI-logement-loyer-deux",')),
    ),
    "key_case": Fault(
        "9980306",
        "Adresse and ADRESSE beside adresse, with other rubrics' fields.",
        answering(repeating('"adresse":{', '"Adresse":{' + CLOSED + '},"ADRESSE":{' + CLOSED + '},"adresse":{')),
    ),
    "key_normalisation": Fault(
        "9980307",
        "A full-width adresse beside adresse, with other rubrics' fields.",
        answering(repeating('"adresse":{', '"ａｄｒｅｓｓｅ":{' + CLOSED + '},"adresse":{')),
    ),
    "byte_order_mark": Fault("9980308", "A byte-order mark before the dossier.", answering(with_mark)),
    "utf16": Fault("9980309", "A dossier in UTF-16.", answering(utf16)),
    "invalid_utf8": Fault("9980310", "The byte FF in a string.", answering(adding(b'"CANARI-\xff"'))),
    "lone_surrogate": Fault("9980311", r"A lone \ud800.", answering(adding(rb'"CANARI-\ud800"'))),
    "nan": Fault("9980312", "NaN for a number.", answering(adding(b"NaN"))),
    "huge_number": Fault("9980313", "1e400 for a number.", answering(adding(b"1e400"))),
    "too_deep": Fault(
        "9980314",
        "A hundred thousand nested lists in adresse and in dossier.",
        answering(adding(nested(), slugs=("adresse", "dossier"))),
    ),
    "rubrics_as_list": Fault("9980315", "rubriques is a list.", answering(rubrics_as_list)),
    "paiement_as_list": Fault("9980316", "paiement is a list.", answering(changing(payments_as_list))),
    "versements_as_object": Fault("9980317", "versements is an object.", answering(changing(payments_as_object))),
    "versement_as_text": Fault("9980318", "versements holds JSON in a string.", answering(changing(payment_as_text))),
    "another_number": Fault("9980319", "A dossier that says another number.", answering(another_number)),
    "empty": Fault("9980320", "Status 200 and no byte of body.", answering(lambda _: b"")),
    "two_documents": Fault(
        "9980321", "Two dossiers, one after the other.", answering(lambda numero: 2 * dossier_of(numero))
    ),
    "control_character": Fault("9980322", "A raw line feed in a string.", answering(adding(b'"CANARI\n"'))),
}
