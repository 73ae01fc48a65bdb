"""What went up or did not while time went by: one SVG, a panel for each quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 860
_LEFT: Final = 70
_PANEL: Final = 170
_COLOURS: Final = ("#1f7a5c", "#2b5c9e", "#b3541e", "#6b4c9a")

Curve = Sequence[tuple[float, float]]
"""Points: minutes, and what was found then."""


def curves(title: str, note: str, panels: Mapping[str, Mapping[str, Curve]]) -> str:
    """An SVG in which each panel, named with its unit, has a curve for each name; every scale begins at 0."""
    drawn = []
    most = max(at for lines in panels.values() for curve in lines.values() for at, _ in curve) or 1.0
    for row, (name, lines) in enumerate(panels.items()):
        top = 80 + row * _PANEL
        highest = max(value for curve in lines.values() for _, value in curve) * 1.15 or 1.0
        bottom = top + _PANEL - 60
        drawn.append(f'<text class="head" x="16" y="{top - 8}">{escape(name)}</text>')
        drawn.append(f'<path class="axis" d="M{_LEFT} {top}V{bottom}H{_WIDTH - 20}"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{top + 8}" text-anchor="end">{highest:.3g}</text>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{bottom}" text-anchor="end">0</text>')
        drawn.append(f'<text x="{_WIDTH - 20}" y="{bottom + 16}" text-anchor="end">{most:.3g} min</text>')
        for place, (label, curve) in enumerate(lines.items()):
            points = " ".join(
                f"{_LEFT + at / most * (_WIDTH - 20 - _LEFT):.1f},{bottom - value / highest * (bottom - top):.1f}"
                for at, value in curve
            )
            colour = _COLOURS[place % len(_COLOURS)]
            drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
            drawn.append(f'<text x="{_LEFT + 150 * place}" y="{bottom + 16}" fill="{colour}">{escape(label)}</text>')
    height = 80 + len(panels) * _PANEL
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
        f"<title>{escape(title)}</title><style>text{{font:12px system-ui,sans-serif}}.title{{font-size:17px;"
        f"font-weight:600}}.head{{font-weight:600}}.axis{{fill:none;stroke:#57606a}}</style>"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        f'<text class="title" x="16" y="28">{escape(title)}</text><text x="16" y="48">{escape(note)}</text>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )
