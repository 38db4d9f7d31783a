"""Which recipes the figures of a table are made by, and whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from likeness.compare.tables import Line, shown_heads
from likeness.evaluate.catalogue import COLUMNS


def used(lines: Sequence[Line], columns: Sequence[str] | None = None) -> dict[str, dict[str, str]]:
    """By ranked line: its recipes of what the lines show (of `columns`, where given) and of what stands behind all of it, such
    as the boxes."""
    wanted = {COLUMNS[name].recipe for name in (shown_heads(lines, COLUMNS) if columns is None else columns)}
    return {
        line.name: {key: its for key, its in line.recipes.items() if key in wanted or (columns is None and is_general(key))}
        for line in lines
        if line.ranked
    }


def is_general(key: str) -> bool:
    """Whether a recipe is no column's, nor a variant of one ("flicker, own flow")."""
    return key.partition(",")[0] not in {column.recipe for column in COLUMNS.values()}


def whose(held: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Facts of several by their names: what all share once, the rest with the names of those who have it."""
    found = {}
    for key in dict.fromkeys(key for facts in held.values() for key in facts):
        texts: dict[str, list[str]] = {}
        for name, facts in held.items():
            if key in facts:
                texts.setdefault(facts[key], []).append(name)
        for text, names in texts.items():
            found[key if len(names) == len(held) else f"{key} ({', '.join(names)})"] = text
    return found
