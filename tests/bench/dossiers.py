"""The dossiers everybody is measured with, what a T6 agent may see of them, and whether that is what was answered."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import requests

from gateway.policy_files.folder import shipped
from upstream_stub.dossiers import generated

KB: Final = 1024
SIZES: Final = {
    "4 KB": ("1000001", 4 * KB),
    "16 KB": ("1100001", 16 * KB),
    "64 KB": ("1200001", 64 * KB),
    "1 MB": ("1300001", 1024 * KB),
}
"""The number and the bytes of each dossier."""
PROFILE: Final = "T6"
KEPT: Final = {"cmu_rsa_rmi", "cmuc_ressources", "residence", "adresse"}
"""What T6 may see, typed again: 4 rubrics of 20."""
_ROW: Final = re.compile(r'^rubric\("(\w+)",\s*"[^"]*",\s*\[([^]]*)\]', re.MULTILINE)


def write_dossiers(folder: Path) -> None:
    """Each dossier as a file at the address it has: `folder`/dossiers/NUMBER, for everybody to read."""
    (folder / "dossiers").mkdir(parents=True)
    for above in (folder, folder / "dossiers"):
        above.chmod(0o755)
    for number, size in SIZES.values():
        (folder / "dossiers" / number).write_bytes(generated(number, size))


def write_copies(folder: Path, numbers: range) -> None:
    """The 4 KB dossier once more under each of these numbers (seven digits), beside those of `write_dossiers`."""
    number, size = SIZES["4 KB"]
    model = generated(number, size)
    for other in numbers:
        (folder / "dossiers" / str(other)).write_bytes(model.replace(number.encode(), str(other).encode()))


def matrix() -> dict[str, list[str]]:
    """Profile → the rubrics it may see, from the policies the gateway itself runs on: the peers' table."""
    found: dict[str, list[str]] = {}
    for rubric, profiles in _ROW.findall((shipped() / "matrix.polar").read_text("utf-8")):
        for profile in re.findall(r"T\d+", profiles):
            found.setdefault(profile, []).append(rubric)
    return found


def check_redacted(name: str, url: str, token: str, *, exact: bool) -> None:
    """Every size is answered with what T6 may see and no more, and nobody without a token. Ends the run otherwise.

    `exact` asks for each kept rubric byte for byte as the backend wrote it; otherwise the JSON must be equal.
    """
    for size, (number, length) in SIZES.items():
        whole = generated(number, length)
        address = f"{url}/dossiers/{number}"
        for wrong in ({}, {"Authorization": f"Bearer {'x' * 43}"}):
            if requests.get(address, headers=wrong, timeout=30).status_code != 401:
                sys.exit(f"{name} lets somebody in without a token")
        answer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        if answer.status_code != 200 or json.loads(answer.content) != _redacted(whole):
            sys.exit(
                f"{name} answers {answer.status_code} and not the four rubrics for {size}: {answer.content[:400]!r}"
            )
        if exact and _rubrics(answer.content) != {k: v for k, v in _rubrics(whole).items() if k in KEPT}:
            sys.exit(f"{name} does not keep the rubrics byte for byte for {size}: {answer.content[:400]!r}")


def check_whole(name: str, url: str) -> None:
    """Every size is answered as the backend has it. Ends the run otherwise."""
    for size, (number, length) in SIZES.items():
        if requests.get(f"{url}/dossiers/{number}", timeout=30).content != generated(number, length):
            sys.exit(f"{name} does not answer the whole dossier for {size}")


def _redacted(whole: bytes) -> dict[str, Any]:
    document = json.loads(whole)
    rubrics = {slug: part for slug, part in document["rubriques"].items() if slug in KEPT}
    return {"numero": document["numero"], "caisse": document["caisse"], "rubriques": rubrics}


def _rubrics(text: bytes) -> dict[str, bytes]:
    document = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    rubrics = msgspec.json.decode(document["rubriques"], type=dict[str, msgspec.Raw])
    return {slug: bytes(part) for slug, part in rubrics.items()}
