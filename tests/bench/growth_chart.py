"""The growth axes as one SVG: a small panel for each, so that flat looks flat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from tests.bench.growth_verdict import Point, cost_text, count_text

ACROSS = 3
WIDTH, HEIGHT = 330, 200
LEFT, RIGHT, TOP, BOTTOM = 20, 20, 56, 34
STEEP = 8
"""From such a ratio between two points of a panel on, its costs are drawn on a logarithmic scale."""
COLOURS = {"flat": "#2a7f62", "linear": "#2b5c9e", "neither": "#b3541e"}


class Panel(NamedTuple):
    """One axis to draw. `note` says under the title how it was judged."""

    title: str
    axis: str
    kind: str
    note: str
    points: Sequence[Point]


def drawn(panels: Sequence[Panel], title: str) -> str:
    """The SVG of these panels, three in a row, light background, no script."""
    rows = -(-len(panels) // ACROSS)
    width, height = ACROSS * WIDTH + 20, rows * HEIGHT + 44
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        ' font-family="Helvetica, Arial, DejaVu Sans, sans-serif" font-size="11" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="20" y="26" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for n, panel in enumerate(panels):
        out.append(f'<g transform="translate({10 + n % ACROSS * WIDTH} {36 + n // ACROSS * HEIGHT})">')
        out += _panel(panel)
        out.append("</g>")
    return "\n".join([*out, "</svg>", ""])


def _panel(panel: Panel) -> list[str]:
    colour = COLOURS[panel.kind]
    costs = [point.cost_us for point in panel.points]
    steep = min(costs) > 0 and max(costs) / min(costs) > STEEP
    straight = panel.kind == "linear" and not steep
    first, last = (place(panel.points[end].at, straight=straight) for end in (0, -1))
    low, high = (math.log10(min(costs)), math.log10(max(costs))) if steep else (0.0, max(costs) * 1.15)

    def x(at: float) -> float:
        return LEFT + 12 + (place(at, straight=straight) - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT - 24)

    def y(cost: float) -> float:
        share = ((math.log10(cost) if steep else cost) - low) / ((high - low) or 1)
        return HEIGHT - BOTTOM - 6 - share * (HEIGHT - TOP - BOTTOM - 18)

    floor = HEIGHT - BOTTOM
    line = " ".join(f"{x(point.at):.1f},{y(point.cost_us):.1f}" for point in panel.points)
    out = [
        f'<text x="{LEFT}" y="18" font-weight="bold">{escape(panel.title)}</text>',
        f'<text x="{LEFT}" y="33" fill="{colour}">{escape(panel.note)}</text>',
        f'<path d="M{LEFT} {floor}H{WIDTH - RIGHT}" stroke="#999"/>',
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
    ]
    for point in panel.points:
        across, up = x(point.at), y(point.cost_us)
        out += [
            f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{colour}"/>',
            _label(across, up - 8, cost_text(point.cost_us), "#222"),
            _label(across, floor + 14, count_text(point.at), "#666"),
        ]
    scale = ", both logarithmic" if steep else "; costs from 0" if straight else ", logarithmic; costs from 0"
    out.append(f'<text x="{LEFT}" y="{HEIGHT - 5}" fill="#666">{escape(panel.axis)}{scale}</text>')
    return out


def _label(across: float, down: float, text: str, colour: str) -> str:
    return f'<text x="{across:.1f}" y="{down:.1f}" text-anchor="middle" font-size="10" fill="{colour}">{text}</text>'


def place(at: float, *, straight: bool) -> float:
    """Where a number stands along its axis, which is logarithmic unless the line to be seen is a straight one."""
    return at if straight else math.log10(at)
