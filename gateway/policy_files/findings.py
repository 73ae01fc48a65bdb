"""What a check of a policies folder found: small frozen values, as the process that looked for them hands them over."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Stage = Literal["files", "rules", "routes", "load", "canaries", "totality", "limits", "tests"]
"""Where a finding comes from, in the order in which a folder is looked at."""

STAGES: Final = {
    "files": "A file of the folder cannot be read",
    "rules": "A Polar file says something that it may not",
    "routes": "The route table says something that it may not",
    "load": "The engine refuses the policies",
    "canaries": "The policies open what nobody may see",
    "totality": "The policies grant from a fact that is missing or that nobody knows",
    "limits": "The check itself could not end",
    "tests": "A test of the policies says something that it may not",
}
LONGEST_SENTENCE: Final = 600
"""Characters; what is quoted from a file may be longer than anybody reads."""


class Finding(msgspec.Struct, frozen=True):
    """Something wrong. `line` and `column` count from 1; what is wrong with the folder as a whole has no `file`."""

    stage: Stage
    said: str
    file: str = ""
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.said}" if self.file else f"policies: {self.said}"


class Summary(msgspec.Struct, frozen=True):
    """What a folder without a finding says."""

    fingerprint: str
    rubrics: int
    profiles: int
    open_cells: int
    """Where every condition holds."""
    entrusted_cells: int
    """Those of them that are shut without a mandate."""
    conditions: int
    refusals: int
    routes: int


class Findings(msgspec.Struct, frozen=True):
    """Everything that was found, in the order of the files; `policy` where it is nothing."""

    problems: tuple[Finding, ...] = ()
    policy: Summary | None = None


def clipped(text: str) -> str:
    """The text, without its middle where it is too long to be read."""
    half = LONGEST_SENTENCE // 2
    return text if len(text) <= LONGEST_SENTENCE else f"{text[:half]} … {text[-half:]}"
