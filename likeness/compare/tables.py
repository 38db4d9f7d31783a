"""The tables of a comparison: their lines, and who is marked in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from likeness.compare.costs import COSTS
from likeness.compare.entries import Entry, row_values
from likeness.compare.ranking import Head, Mark, marks
from likeness.compare.terms import Terms, labels, terms_of
from likeness.evaluate import Evaluation
from likeness.evaluate.catalogue import COLUMNS, Column

SomeHead = TypeVar("SomeHead", bound=Head)
BY_DEFINITION = {"lmd": 0.0, "lmd_share": 0.0, "opening_r": 1.0, "opening_ratio": 1.0}
"""Of real frames against themselves."""
HEADLINES = ("full_own", "mouth_own", "lmd", "opening_r", "jitter", "picture_fps")
"""What a reader should see first, of those that all entries have: picture, mouth, lips, time, speed."""


@dataclass(frozen=True)
class Line:
    """Of a table."""

    name: str
    row: str
    """What drives the lips."""
    values: Mapping[str, float | None]
    intervals: Mapping[str, list[float]] = field(default_factory=dict)
    ranked: bool = True
    entry: int | None = None
    """Whose, as its place among the entries."""
    terms: Terms | None = None
    """Of those that it is read with; only lines of the same are ranked with one another."""
    recipes: Mapping[str, str] = field(default_factory=dict)
    """Of the evaluation that it comes from."""
    frames: int | None = None
    """Of which its figures are."""

    def recipe(self, column: str) -> str | None:
        """The recipe id of a figure."""
        return self.recipes.get(COLUMNS[column].recipe) if column in COLUMNS else None


def lines_of(entries: Sequence[Entry], row: str | None = None) -> list[Line]:
    """A row of each entry that has it; None: the one that is ranked."""
    return [
        _line(entry.name, entry.found, wanted, entry.terms, entry=place)
        for place, entry in enumerate(entries)
        for wanted in [row or entry.row]
        if any(figures.row == wanted for figures in entry.found.table)
    ]


def compared(entries: Sequence[Entry]) -> list[Line]:
    """The table: each entry, and below those of the same terms what they are read against."""
    return _in_terms(lines_of(entries), lambda terms, label: references(_of_terms(entries, terms), label))


def tracked(entries: Sequence[Entry]) -> list[Line]:
    """By the lips of the real frames, likewise; empty where no method can be moved by them."""
    return _in_terms(lines_of(entries, "tracked"), lambda terms, label: [real_line(_of_terms(entries, terms), label)])


def spoken_lines(entries: Sequence[Entry], row: str) -> list[Line]:
    """What has no reference: each entry by another sound, then the real person, whose own sound it is measured by."""
    said = {place: (entry.name, entry.spoken) for place, entry in enumerate(entries) if entry.spoken is not None}
    lines = [
        _line(name, its, row, terms_of(its, range(its.delivery["frames"][row])), entry=place)
        for place, (name, its) in said.items()
    ]

    def real(terms: Terms, label: str) -> list[Line]:
        its = next(said[line.entry][1] for line in lines if line.terms == terms and line.entry is not None)
        longest = max(stop - start for start, stop in its.split["test"])
        return [replace(_line(_with("real, own sound", label), its, "real", terms), ranked=False, frames=longest)]

    return _in_terms(lines, real)


def references(entries: Sequence[Entry], label: str = "") -> list[Line]:
    """What figures are read against, and never ranked: portraits held still, training frames, the real person. The entries
    are of the same terms, which `label` tells."""

    def reference(line: Line, name: str) -> Line:
        return replace(line, name=_with(name, label), ranked=False, entry=None)

    still = [reference(line, f"{line.name}, held still") for line in lines_of(entries, "static")]
    nearest = [reference(line, "nearest training frame") for line in lines_of(entries, "nearest frame")[:1]]
    frozen = [reference(line, "one still frame") for line in lines_of(entries, "still frame")[:1]]
    return [*still, *nearest, *frozen, *([real_line(entries, label)] if entries else [])]


def real_line(entries: Sequence[Entry], label: str = "") -> Line:
    """The real person: as the evaluation has measured it, or by definition."""
    first = entries[0]
    values: dict[str, float | None] = {**BY_DEFINITION, "jitter": first.found.real_jitter}
    for line in lines_of(entries, "real")[:1]:
        values |= {name: value for name, value in line.values.items() if value is not None}
    line = _line(_with("real", label), first.found, first.row, first.terms)
    return replace(line, row="real", values=values, intervals={}, ranked=False)


def all_lines(entries: Sequence[Entry]) -> list[Line]:
    """Every row of every entry, none of them ranked."""
    return [
        replace(_line(entry.name, entry.found, figures.row, entry.terms, entry=place), ranked=False)
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


def headlines(lines: Sequence[Line], costs: Sequence[Line]) -> tuple[list[Line], dict[str, Head]]:
    """The few figures to begin with: the entries' lines and the real ones, and those of HEADLINES that all entries have."""
    spent = {line.name: line.values for line in costs}
    first = [
        replace(line, values={**line.values, **(spent.get(line.name, {}) if line.ranked else {})}, intervals={})
        for line in lines
        if line.ranked or line.row == "real"
    ]
    heads: dict[str, Head] = {**COLUMNS, **COSTS}
    held = [line.values for line in first if line.ranked]
    return first, {n: heads[n] for n in HEADLINES if n in heads and all(values.get(n) is not None for values in held)}


def shown_heads(lines: Sequence[Line], heads: Mapping[str, SomeHead]) -> dict[str, SomeHead]:
    """The columns in which there is something to show."""
    return {name: head for name, head in heads.items() if any(line.values.get(name) is not None for line in lines)}


def groups(heads: Mapping[str, Column]) -> dict[str, dict[str, Column]]:
    """Columns by their group, in the order in which the groups come."""
    found: dict[str, dict[str, Column]] = {}
    for name, head in heads.items():
        found.setdefault(head.group, {})[name] = head
    return found


def marked(lines: Sequence[Line], heads: Mapping[str, Head]) -> dict[str, list[Mark | None]]:
    """By column, the mark of each line, among those of its terms and of its recipe of that column; lines that are not ranked
    have none."""
    found: dict[str, list[Mark | None]] = {name: [None] * len(lines) for name in heads}
    for name, head in heads.items():
        alike: dict[tuple[Terms | None, str | None], list[int]] = {}
        for i, line in enumerate(lines):
            alike.setdefault((line.terms, line.recipe(name)), []).append(i)
        for places in alike.values():
            real = next((lines[i].values.get(name) for i in places if lines[i].row == "real"), None)
            values = [lines[i].values.get(name) if lines[i].ranked else None for i in places]
            for i, mark in zip(places, marks(values, head, real)):
                found[name][i] = mark
    return found


def shown(value: float | None, digits: int) -> str:
    """A figure as a reader sees it."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _line(name: str, found: Evaluation, row: str, terms: Terms, entry: int | None = None) -> Line:
    values, bounds = row_values(found[row]), found.intervals.get(row, {})
    return Line(name, row, values, bounds, True, entry, terms, found.recipes, len(terms.frames))


def _in_terms(lines: list[Line], below: Callable[[Terms, str], list[Line]]) -> list[Line]:
    """Lines of the same terms together, each set with what stands `below` it."""
    found: list[Line] = []
    for terms, label in labels(line.terms for line in lines if line.terms is not None).items():
        found += [*(line for line in lines if line.terms == terms), *below(terms, label)]
    return found


def _of_terms(entries: Iterable[Entry], terms: Terms) -> list[Entry]:
    return [entry for entry in entries if entry.terms == terms]


def _with(name: str, label: str) -> str:
    return f"{name} ({label})" if label else name
