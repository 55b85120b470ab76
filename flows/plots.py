"""Two kinds of plot as SVG text: dots with intervals, and lines. No plotting library is needed for either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, LEFT, RIGHT, TOP = 720, 170, 30, 46
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Paul Tol's bright scheme: told apart by colour-blind readers."""


def intervals(title: str, rows: Sequence[tuple[str, float, float, float, Sequence[float]]]) -> str:
    """A row per label: its mean as a dot, low to high as a bar, the seeds' own means as small circles."""
    height = TOP + 34 * len(rows) + 44
    low, high = _range([value for _, *three, seeds in rows for value in (*three, *seeds)])
    parts, bottom = [], TOP + 34 * len(rows)

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    for tick in _ticks(low, high):
        parts.append(f'<line x1="{x(tick):.1f}" y1="{TOP - 8}" x2="{x(tick):.1f}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(_text(x(tick), bottom + 18, f"{tick:g}", "middle"))
    for number, (label, mean, start, end, seeds) in enumerate(rows):
        y, colour = TOP + 34 * number + 14, COLOURS[number % len(COLOURS)]
        parts.append(_text(LEFT - 12, y + 4, label, "end"))
        parts.append(
            f'<line x1="{x(start):.1f}" y1="{y}" x2="{x(end):.1f}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        )
        parts += [f'<circle cx="{x(s):.1f}" cy="{y}" r="3" fill="white" stroke="{colour}"/>' for s in seeds]
        parts.append(f'<circle cx="{x(mean):.1f}" cy="{y}" r="5.5" fill="{colour}"/>')
    return _svg(title, height, parts)


def lines(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """A line per label over its index, counted from 1."""
    height, base = 380, 380 - 44
    low, high = _range([value for values in series.values() for value in values])
    longest = max((len(values) for values in series.values()), default=1)
    parts = []

    def y(value: float) -> float:
        return base - (value - low) / (high - low) * (base - TOP)

    def x(index: int) -> float:
        return 70 + index / max(1, longest - 1) * (WIDTH - LEFT - 70)

    for tick in _ticks(low, high):
        parts.append(f'<line x1="70" y1="{y(tick):.1f}" x2="{x(longest - 1):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/>')
        parts.append(_text(62, y(tick) + 4, f"{tick:g}", "end"))
    parts.append(_text((70 + x(longest - 1)) / 2, base + 30, f"optimizer step, 1 to {longest}", "middle"))
    for number, (label, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(WIDTH - LEFT + 14, TOP + 20 * number + 10, label, "start", colour))
    return _svg(title, height, parts)


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {WIDTH} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="13">'
    body = [f'<rect width="{WIDTH}" height="{height}" fill="white"/>', _text(16, 24, title, "start"), *parts]
    return "\n".join([head, *body, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    """The least and greatest value with a little room; never empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = (high - low) * 0.06 or 0.5
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers between low and high."""
    step = 10.0 ** int(f"{high - low:e}".partition("e")[2])
    while (high - low) / step < 4:
        step /= 5 if (high - low) / (step / 5) <= 10 else 2
    first = -(-low // step)
    return [round(step * (first + i), 10) for i in range(int((high - step * first) // step) + 1)]
