"""Bars in an SVG: no more of a chart than the figures of a run need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 860
_LABELS: Final = 250
_BAR, _STEP, _HEAD = 16, 22, 34
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:17px;font-weight:600}.head{font-weight:600}"
    ".note{font-size:12px;fill:#57606a}.peer{fill:#a9b4c0}.ours{fill:#1f7a5c}.plain{fill:#dde2e8}"
)


def bars(
    title: str,
    note: str,
    panels: Mapping[str, Sequence[tuple[str, float, str]]],
    *,
    ours: str = "",
    plain: Iterable[str] = (),
    alike: bool = False,
) -> str:
    """An SVG with one panel of horizontal bars for each name, each to its own scale unless they are `alike`.

    A bar is its label, its length and the text behind it. The bar labelled `ours` stands out, those in `plain` recede.
    """
    drawn, y = [], 56
    longest_of_all = max(length for rows in panels.values() for _, length, _ in rows)
    for name, rows in panels.items():
        longest = longest_of_all if alike else max(length for _, length, _ in rows)
        y += _HEAD
        drawn.append(f'<text class="head" x="16" y="{y - 10}">{escape(name)}</text>')
        for label, length, text in rows:
            kind = "ours" if label == ours else "plain" if label in plain else "peer"
            width = max(2, round((_WIDTH - _LABELS - 230) * length / longest))
            drawn.append(
                f'<text x="{_LABELS - 10}" y="{y + 13}" text-anchor="end">{escape(label)}</text>'
                f'<rect class="{kind}" x="{_LABELS}" y="{y}" width="{width}" height="{_BAR}" rx="2"/>'
                f'<text x="{_LABELS + width + 8}" y="{y + 13}">{escape(text)}</text>'
            )
            y += _STEP
    height = y + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        f'<text class="title" x="16" y="30">{escape(title)}</text>'
        f'<text class="note" x="16" y="52">{escape(note)}</text>\n' + "\n".join(drawn) + "\n</svg>\n"
    )
