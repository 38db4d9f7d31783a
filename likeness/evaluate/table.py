"""An evaluation on the terminal."""

from __future__ import annotations

import sys
from typing import get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from likeness.evaluate import Evaluation, Figures
from likeness.evaluate.catalogue import COLUMNS, Group


def show(found: Evaluation, console: Console | None = None) -> None:
    """Print a table for each group of columns, and below them what is not a row."""
    console = console or Console(width=None if sys.stdout.isatty() else 140)
    head = f"{found.method}, {found.size}², {len(found.frames)} frames, {found.setting}; ± the longer side of the 95 % interval"
    console.print(head, markup=False)
    for group in get_args(Group):
        shown = _group(found, group)
        if shown is not None:
            console.print(shown)
    for line in (*_lines(found), *_checks(found)):
        console.print(line, markup=False, highlight=False)


def _group(found: Evaluation, group: Group) -> Table | None:
    """The columns of a group in which there is anything; None where there is none."""
    names = [n for n, c in COLUMNS.items() if c.group == group and any(getattr(f, n) is not None for f in found.table)]
    if not names:
        return None
    table = Table(title=group, title_justify="left")
    table.add_column("driven by")
    for name in names:
        column = COLUMNS[name]
        table.add_column(f"{column.title} {column.unit}".strip(), justify="right")
    for figures in found.table:
        cells = [_cell(found, figures, name) for name in names]
        if any(cell != "–" for cell in cells):
            table.add_row(Text(figures.row), *map(Text, cells))
    return table


def _cell(found: Evaluation, figures: Figures, name: str) -> str:
    value, digits = getattr(figures, name), COLUMNS[name].digits
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    interval = found.intervals.get(figures.row, {}).get(name)
    if interval is None or interval[0] is None:
        return text
    return f"{text} ±{max(value - interval[0], interval[1] - value):.{digits}f}"


def _lines(found: Evaluation) -> list[str]:
    silence, speed, lines = found.silence, found.speed, []
    if found.real_jitter is not None:
        lines.append(f"real jitter {found.real_jitter:.3f} px")
    lines += [
        f"detector's floor, {change}: LMD {values['lmd']:.2f} px, opening r {values['opening_r']:.2f}"
        for change, values in found.floor.items()
        if "lmd" in values
    ]
    if silence:
        lines.append(
            f"lips in silence {silence['mean']:.2f} ± {silence['std']:.2f} px open (voice alone "
            f"{silence['ungated_mean']:.2f}), in real speech {silence['real_mean']:.2f}"
        )
    if speed:
        more = [f"{speed['p99_ms']:.0f} ms for the slowest of 100"] if "p99_ms" in speed else []
        more += [f"{speed['peak_mb']:.0f} MB at most"] if "peak_mb" in speed else []
        drawn = f"{speed['render_fps']:.0f} frames/s rendered, {speed['picture_fps']:.0f} with torso and background"
        lines.append(", ".join([drawn, *more]))
    if found.given:
        lines.append(f"given of the held-out frames: {found.given}")
    for name, said in found.sources.items():
        chosen = " (chosen)" if said["chosen"] else ""
        lines.append(
            f"lips by {name}{chosen}: opening r {said['r']:.2f}, size {said['ratio']:.2f}, error {said['error']:.2f}; "
            f"{said['nearest_mm']:.2f} mm from the nearest real mouth, Fréchet {said['frechet']:.2f}"
        )
    missed = {name: count for name, count in found.detector_missed.items() if count}
    if missed:
        lines.append(f"frames in which no face was found: {missed}")
    return lines + [f"not measured: {name}. {why}" for name, why in found.missing.items()]


def _checks(found: Evaluation) -> list[str]:
    lines, words = [], {True: "passed", False: "NOT PASSED", None: "cannot be told from so few frames"}
    for name, said in found.checks.items():
        numbers = ", ".join(f"{key} {value:.2f}" for key, value in said.items() if isinstance(value, float))
        lines.append(f"{name}: {words[said['passed']]} ({numbers})")
    return lines
