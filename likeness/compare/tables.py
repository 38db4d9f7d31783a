"""The tables of a comparison: their lines, and as CSV and TeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from likeness.compare.entries import Entry, row_values
from likeness.compare.ranking import Better, Mark, marks
from likeness.evaluate.catalogue import COLUMNS

ARROWS = {"higher": "↑", "lower": "↓", "near 0": "→ 0", "near 1": "→ 1", "near real": "→ real"}
TEX_ARROWS = {
    "higher": r"$\uparrow$", "lower": r"$\downarrow$", "near 0": r"$\to 0$", "near 1": r"$\to 1$", "near real": r"$\to$ real",
}  # fmt: skip
BY_DEFINITION = {"lmd": 0.0, "lmd_share": 0.0, "opening_r": 1.0, "opening_ratio": 1.0}
"""Of real frames against themselves."""


@dataclass(frozen=True)
class Head:
    """Of a column."""

    title: str
    unit: str
    better: Better
    digits: int
    recipe: str = ""
    group: str = ""
    """Columns of one group stand in one table."""


@dataclass(frozen=True)
class Line:
    """Of a table."""

    name: str
    row: str
    """What drives the lips."""
    values: dict[str, float | None]
    intervals: dict[str, list[float]] = field(default_factory=dict)
    ranked: bool = True
    entry: int | None = None
    """Whose, as its place among the entries."""


HEADS: dict[str, Head] = {
    name: Head(column.title, column.unit, column.better, column.digits, column.recipe_id, column.group)
    for name, column in COLUMNS.items()
}
COSTS: dict[str, Head] = {
    "training_steps_s": Head("training, steps", "s", "lower", 0),
    "portrait_mb": Head("portrait file", "MB", "lower", 1),
    "render_fps": Head("head", "frames/s", "higher", 1),
    "picture_fps": Head("whole picture", "frames/s", "higher", 1),
    "p99_ms": Head("slowest of 100", "ms", "lower", 1),
    "peak_mb": Head("memory", "MB", "lower", 0),
}


def lines_of(entries: Sequence[Entry], row: str | None = None) -> list[Line]:
    """A row of each entry that has it; None: the one that is ranked."""
    return [
        Line(entry.name, wanted, row_values(entry.found[wanted]), entry.intervals.get(wanted, {}), True, place)
        for place, entry in enumerate(entries)
        for wanted in [row or entry.row]
        if any(figures.row == wanted for figures in entry.found.table)
    ]


def spoken_lines(entries: Sequence[Entry], row: str) -> list[Line]:
    """What has no reference: each entry by another sound, then the real person, whose own sound it is measured by."""
    said = [(place, entry.name, entry.spoken) for place, entry in enumerate(entries) if entry.spoken is not None]
    lines = [Line(name, row, row_values(its[row]), its.intervals.get(row, {}), True, place) for place, name, its in said]
    if said:
        real = said[0][2]
        lines.append(Line("real, own sound", "real", row_values(real["real"]), real.intervals.get("real", {}), ranked=False))
    return lines


def references(entries: Sequence[Entry]) -> list[Line]:
    """What figures are read against, and never ranked: portraits held still, training frames, the real person."""
    still = [_reference(line, f"{line.name}, held still") for line in lines_of(entries, "static")]
    nearest = [_reference(line, "nearest training frame") for line in lines_of(entries, "nearest frame")[:1]]
    frozen = [_reference(line, "one still frame") for line in lines_of(entries, "still frame")[:1]]
    return [*still, *nearest, *frozen, *([real_line(entries)] if entries else [])]


def real_line(entries: Sequence[Entry]) -> Line:
    """The real person: as the evaluation has measured it, or by definition."""
    measured = lines_of(entries, "real")
    values: dict[str, float | None] = {**BY_DEFINITION, "jitter": entries[0].found.real_jitter}
    if measured:
        values |= {name: value for name, value in measured[0].values.items() if value is not None}
    return Line("real", "real", values, ranked=False)


def all_lines(entries: Sequence[Entry]) -> list[Line]:
    """Every row of every entry, none of them ranked."""
    return [
        Line(entry.name, figures.row, row_values(figures), entry.intervals.get(figures.row, {}), False, place)
        for place, entry in enumerate(entries)
        for figures in entry.found.table
    ]


def cost_lines(entries: Sequence[Entry]) -> list[Line]:
    """What each portrait costs."""
    return [
        Line(
            entry.name,
            "cost",
            {
                "training_steps_s": entry.training_s,
                "portrait_mb": None if entry.portrait_bytes is None else entry.portrait_bytes / 1e6,
                **{name: entry.found.speed.get(name) for name in ("render_fps", "picture_fps", "p99_ms", "peak_mb")},
            },
            entry=place,
        )
        for place, entry in enumerate(entries)
        if entry.kind == "portrait"
    ]


def _reference(line: Line, name: str) -> Line:
    return Line(name, line.row, line.values, line.intervals, ranked=False, entry=None)


def shown_heads(lines: Sequence[Line], heads: dict[str, Head]) -> dict[str, Head]:
    """The columns in which there is something to show."""
    return {name: head for name, head in heads.items() if any(line.values.get(name) is not None for line in lines)}


def groups(heads: dict[str, Head]) -> dict[str, dict[str, Head]]:
    """Columns by their group, in the order in which the groups come."""
    found: dict[str, dict[str, Head]] = {}
    for name, head in heads.items():
        found.setdefault(head.group, {})[name] = head
    return found


def marked(lines: Sequence[Line], heads: dict[str, Head]) -> dict[str, list[Mark | None]]:
    """By column, the mark of each line; lines that are not ranked have none."""
    real = next((line for line in lines if line.row == "real"), None)
    return {
        name: marks(
            [line.values.get(name) if line.ranked else None for line in lines],
            head.better,
            head.digits,
            real.values.get(name) if real else None,
        )
        for name, head in heads.items()
    }


def shown(value: float | None, digits: int) -> str:
    """A figure as a reader sees it."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def as_csv(lines: Sequence[Line], costs: Sequence[Line]) -> str:
    """Full precision; bounds of intervals beside their figures where there are any. What is not known is empty."""
    heads = shown_heads(lines, HEADS)
    bounded = [name for name in heads if any(name in line.intervals for line in lines)]
    by_name = {line.name: line.values for line in costs}
    header = ["name", "driven by", "ranked", *heads, *(f"{n}_{end}" for n in bounded for end in ("low", "high")), *COSTS]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    for line in lines:
        bounds = [bound for name in bounded for bound in line.intervals.get(name, (None, None))]
        spent = by_name.get(line.name, {}) if line.ranked else {}
        cells = [*(line.values.get(name) for name in heads), *bounds, *(spent.get(name) for name in COSTS)]
        texts = ["" if value is None else repr(float(value)) for value in cells]
        writer.writerow([line.name, line.row, "yes" if line.ranked else "no", *texts])
    return file.getvalue()


def as_tex(lines: Sequence[Line]) -> str:
    """A `tabular` for booktabs: best bold, second underlined, references below a rule. Intervals are in the CSV only."""
    heads, found = shown_heads(lines, HEADS), marked(lines, HEADS)
    titles = [f"{tex(head.title)} {TEX_ARROWS[head.better]}" for head in heads.values()]
    units = [f"[{tex(head.unit)}]" if head.unit else "" for head in heads.values()]
    rows = [
        "% \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{l{'r' * len(heads)}}}",
        "\\toprule",
        " & ".join(["", *titles]) + r" \\",
        " & ".join(["", *units]) + r" \\",
        "\\midrule",
    ]
    for i, line in enumerate(lines):
        if i and line.ranked != lines[i - 1].ranked:
            rows.append("\\midrule")
        cells = [_tex_cell(line.values.get(name), head.digits, found[name][i]) for name, head in heads.items()]
        rows.append(" & ".join([tex(line.name), *cells]) + r" \\")
    return "\n".join([*rows, "\\bottomrule", "\\end{tabular}", ""])


def _tex_cell(value: float | None, digits: int, mark: Mark | None) -> str:
    text = shown(value, digits).replace("–", "--")
    text = f"$-${text[1:]}" if text[0] == "-" and text != "--" else text
    return {"best": f"\\textbf{{{text}}}", "second": f"\\underline{{{text}}}", None: text}[mark]


def tex(text: str) -> str:
    """Text with TeX's own characters escaped."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {c: "\\" + c for c in "&%$#_{}"}
    return "".join(special.get(c, c) for c in text)
