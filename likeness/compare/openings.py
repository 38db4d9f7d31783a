"""How far the lips are open over time, drawn against real, as curves."""

from __future__ import annotations

import html
from collections.abc import Sequence

from likeness.video import FPS

WIDTH, HEIGHT = 1000, 120  # of the drawing, in units of its own
LEFT, RIGHT, TOP, BOTTOM = 34, 16, 8, 20  # margins: figures of the axes stand there
Openings = Sequence[float | None]


def chart(name: str, drawn: Openings, real: Openings, frames: Sequence[int], span: tuple[int, int], top: float) -> str:
    """One curve over the real one, as an SVG that takes the colour of what is round it.

    `frames` are the clip's, `span` those between which the drawing runs, `top` the opening that is its upper edge (all
    charts of a report share both).
    """
    first, stop = span

    def x(frame: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (frame - first) / max(stop - first, 1)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    grid = []
    for value in _ticks(top, 4):
        grid.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        grid.append(f'<text x="{LEFT - 6}" y="{y(value) + 3.5:.1f}" text-anchor="end">{value:g}</text>')
    for second in _ticks((stop - first) / FPS, 12):
        at = x(first + second * FPS)
        grid.append(f'<text x="{at:.1f}" y="{HEIGHT - 4}" text-anchor="middle">{second:g} s</text>')
    lines = [
        f'<polyline class="{kind}" points="{" ".join(f"{x(t + 0.5):.1f},{y(min(v, top)):.1f}" for t, v in piece)}"/>'
        for kind, values in (("real", real), ("drawn", drawn))
        for piece in _pieces(values, frames)
    ]
    label = html.escape(f"lip opening of {name} and of the real person over time")
    where = f'data-left="{LEFT / WIDTH:.4f}" data-right="{1 - RIGHT / WIDTH:.4f}"'
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" {where}>'
        f"{''.join(grid)}{''.join(lines)}"
        f'<line class="playhead" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/></svg>'
    )


def _pieces(values: Openings, frames: Sequence[int]) -> list[list[tuple[int, float]]]:
    """Runs of neighbouring frames that have a value."""
    runs: list[list[tuple[int, float]]] = []
    for frame, value in zip(frames, values, strict=True):
        if value is None:
            continue
        if not runs or runs[-1][-1][0] != frame - 1:
            runs.append([])
        runs[-1].append((frame, value))
    return runs


def _ticks(top: float, most: int) -> list[float]:
    """At most `most` + 1 round numbers from 0 to `top`."""
    if top <= 0:
        return [0.0]
    steps = (m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5))
    step = next(step for step in steps if top / step <= most)
    return [round(i * step, 6) for i in range(int(top / step + 1e-9) + 1)]
