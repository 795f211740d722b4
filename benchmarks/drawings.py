"""Plots with logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLOURS = ("#1f77b4", "#d62728", "#2ca02c")
Line = tuple[str, Sequence[tuple[float, float]]]


def short(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def panel(
    x: float, y: float, width: float, height: float, title: str, unit: str, lines: Sequence[Line]
) -> str:
    """A plot with two logarithmic axes."""
    xs = [point[0] for _, points in lines for point in points]
    ys = [max(point[1], 1e-9) for _, points in lines for point in points]
    left, right = (
        math.floor(math.log10(min(xs))),
        max(math.ceil(math.log10(max(xs))), math.floor(math.log10(min(xs))) + 1),
    )
    low, high = (
        math.floor(math.log10(min(ys))),
        max(math.ceil(math.log10(max(ys))), math.floor(math.log10(min(ys))) + 1),
    )

    def across(value: float) -> float:
        return x + (math.log10(value) - left) / (right - left) * width

    def down(value: float) -> float:
        return y + height - (math.log10(max(value, 1e-9)) - low) / (high - low) * height

    parts = [f'<text x="{x}" y="{y - 10}" font-weight="bold">{title}</text>']
    for power in range(left, right + 1):
        at = across(10**power)
        parts.append(f'<path d="M{at:.1f} {y}V{y + height}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{at:.1f}" y="{y + height + 15}" text-anchor="middle">{short(10**power)}</text>'
        )
    for power in range(low, high + 1):
        at = down(10**power)
        parts.append(f'<path d="M{x} {at:.1f}H{x + width}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6}" y="{at + 4:.1f}" text-anchor="end">{short(10**power)}{unit}</text>')
    for number, (name, points) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        way = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{across(a):.1f}" cy="{down(b):.1f}" r="3" fill="{colour}"/>' for a, b in points
        ]
        if name:
            parts.append(f'<text x="{x + 8}" y="{y + 16 + 16 * number}" fill="{colour}">{name}</text>')
    return "\n".join(parts)


def drawing(name: str, width: int, height: int, parts: Sequence[str]) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
    body = "\n".join((head, f'<rect width="{width}" height="{height}" fill="white"/>', *parts, "</svg>"))
    (IMAGES / f"scaling-{name}.svg").write_text(body + "\n")
