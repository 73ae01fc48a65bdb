"""A flame graph as an SVG that tells microseconds for each request, from stacks as py-spy's `raw` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_WIDTH, _ROW, _TOP = 1400, 19, 64
_LINE: Final = re.compile(r":\d+\)$")
_STYLE: Final = (
    "text{font:11px ui-monospace,monospace;fill:#1b1f24}.t{font:600 16px system-ui,sans-serif}rect{stroke:#fff}"
)
_OURS, _OTHER = "#8fd0b5", "#f3cf8e"


@dataclass(slots=True)
class Frame:
    """A function, and what it called. `samples` counts those it was on top of and those of its callees."""

    samples: int = 0
    own: int = 0
    called: dict[str, Frame] = field(default_factory=dict)


def tree(lines: Iterable[str], *, waiting: re.Pattern[str]) -> Frame:
    """All stacks as one tree, line numbers left out. Stacks in which `waiting` is found are dropped."""
    root = Frame()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if waiting.search(stack):
            continue
        frames = [_LINE.sub(")", frame) for frame in stack.split(";")]
        samples, at = int(count), root
        root.samples += samples
        for name in frames:
            at = at.called.setdefault(name, Frame())
            at.samples += samples
        at.own += samples
    return root


def by_function(root: Frame) -> dict[str, int]:
    """Samples of each function itself, without what it called, the costliest first."""
    found: dict[str, int] = {}

    def visit(frame: Frame) -> None:
        for name, inner in frame.called.items():
            found[name] = found.get(name, 0) + inner.own
            visit(inner)

    visit(root)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def drawn(root: Frame, title: str, *, us: float) -> str:
    """The SVG. `us` is what all samples together stand for; boxes under 0.2 % are left out."""
    boxes = list(_boxes(root, 0, 0.0, _WIDTH / root.samples))
    height = _TOP + _ROW * (1 + max(depth for depth, *_ in boxes)) + 10
    parts = []
    for depth, x, width, name, samples in boxes:
        y, text = _TOP + depth * _ROW, f"{name.partition(' (')[0]} {samples / root.samples * us:.1f}"
        shown = text if len(text) * 6.7 < width - 4 else text[: max(0, int((width - 4) / 6.7) - 1)]
        colour = _OURS if "(gateway/" in name else _OTHER
        parts.append(
            f"<g><title>{escape(name)}: {samples / root.samples * us:.1f} us, {samples / root.samples:.1%}</title>"
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW}" fill={quoteattr(colour)}/>'
            + (f'<text x="{x + 3:.1f}" y="{y + 13}">{escape(shown)}</text></g>' if len(shown) > 2 else "</g>")
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
        f"<style>{_STYLE}</style>"
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/><text class="t" x="8" y="26">{escape(title)}</text>'
        f'<text x="8" y="48">each box: us of a request in it and all it calls; green: the gateway; amber: '
        f"what others wrote</text>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _boxes(frame: Frame, depth: int, x: float, scale: float) -> Iterator[tuple[int, float, float, str, int]]:
    for name, inner in sorted(frame.called.items(), key=lambda item: -item[1].samples):
        width = inner.samples * scale
        if width > _WIDTH * 0.002:
            yield depth, x, width, name, inner.samples
            yield from _boxes(inner, depth + 1, x, scale)
        x += width
