"""What a gateway in front of dossiers must survive: 33 lines, each with the published faults that it comes from.

Numbers are a contract: tests, reports and guides name an attack by its line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list. `references`: advisories of other proxies that got it wrong, or the norm that asks it."""

    number: int
    family: str
    attack: str
    references: tuple[str, ...] = ()


def _lines(family: str, *entries: tuple[int, str, tuple[str, ...]]) -> tuple[Line, ...]:
    return tuple(Line(number, family, attack, references) for number, attack, references in entries)


LINES: Final = (
    *_lines(
        "Paths",
        (
            1,
            "dot segments, plain, encoded and encoded twice",
            ("GHSA-p224-6x5r-fjpm", "CVE-2026-42274", "CVE-2026-48020", "CVE-2021-43557"),
        ),
        (2, "leading and doubled slashes", ("CVE-2026-26205", "CVE-2021-31920")),
        (
            3,
            "encoded slashes, backslashes, parameters, control characters, not UTF-8, other scripts' digits",
            ("CVE-2021-29492",),
        ),
        (4, "# and ?, encoded", ("CVE-2026-41059",)),
        (5, "absolute targets; Host that is foreign, missing or repeated", ("RFC 9112, 3.2",)),
        (6, "query strings taken for paths; parameters undeclared or given twice", ("RFC 3986, 3.4",)),
    ),
    *_lines(
        "Headers",
        (
            7,
            "identity, profile, forwarded and original-URL headers of the client's",
            ("GHSA-vhr5-ggp3-qq85", "CVE-2026-40575", "CVE-2026-39998"),
        ),
        (8, "underscores folded into hyphens; SCRIPT_NAME", ("CVE-2025-64484", "CVE-2026-39858")),
        (9, "headers given twice with different values; cookie and bearer that disagree", ("CVE-2026-26308",)),
        (10, "Connection names a header of ours; hop-by-hop headers, both ways", ("CVE-2025-48865",)),
        (11, "a User-Agent or a path of health checks that skips authentication", ("CVE-2026-34457",)),
        (12, "method overrides, TRACE, CONNECT, unknown methods, HEAD as an oracle", ("RFC 9110, 9",)),
        (
            13,
            "length and chunks together, bad chunks, oversized and slow heads and bodies",
            ("RFC 9112, 6.3", "RFC 9112, 7.1"),
        ),
    ),
    *_lines(
        "Identity",
        (14, "JSON web tokens: algorithms, keys, claims", ("CVE-2026-39999", "CVE-2024-47616")),
        (15, "rights changed after the log-in", ("CVE-2021-41230",)),
        (16, "session fixation, reuse after log-out, cross-site requests, open redirects", ("CWE-384", "CWE-352")),
        (17, "credential stuffing; telling known identifiers from unknown ones", ("CNIL 2022-100", "CWE-307")),
        (18, "answers cached for another agent, profile, policy or dossier", ("CVE-2021-32701", "CVE-2026-33729")),
    ),
    *_lines(
        "Policy",
        (19, "a policy that reaches into Python, prints, blocks, recurses or is megabytes long", ("CWE-94",)),
        (20, "negation over a missing attribute grants", ("CWE-636",)),
        (21, "misspelt variables, rubrics, profiles and classes", ("CWE-636",)),
        (22, "reload under load: half a policy, a swapped folder, a tightening that cannot be loaded", ("CWE-367",)),
    ),
    *_lines(
        "Bodies",
        (
            23,
            "keys twice, renamed or unknown; wrong shapes, depth, size, numbers, encodings",
            ("RFC 8259, 4", "RFC 7493"),
        ),
        (24, "compressed answers, bombs, content types that are wrong or missing", ("CWE-409",)),
        (
            25,
            "206, 304, 1xx, 3xx, errors with dossiers in them, trailers, bodies too short or too long",
            ("RFC 9110, 13", "RFC 9112, 8"),
        ),
        (26, "faults half-way through", ("CWE-209",)),
        (27, "lists: totals, paging and order that reveal hidden rows", ("CWE-203",)),
        (28, "refused and absent look the same", ("CWE-203", "CWE-208")),
    ),
    *_lines(
        "Surroundings",
        (
            29,
            "redirects, proxies and netrc of the environment, certificates, smuggling towards the backend",
            ("CVE-2024-47081", "CVE-2023-32681"),
        ),
        (30, "metrics, health and metadata that tell strangers something", ("CWE-200",)),
        (31, "log injection; personal data in logs and tracebacks", ("CWE-117", "CWE-532")),
        (32, "formulas in spreadsheets, markup in screens", ("CWE-1236", "CWE-79")),
        (33, "disk full, database gone, clock back, worker killed, backend hanging or lying", ("CWE-703",)),
    ),
)
