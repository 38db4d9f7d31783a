"""Who is best and who is second in a column of figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Mark = Literal["best", "second"]
Better = Literal["higher", "lower", "near 0", "near 1", "near real"]


def marks(values: Sequence[float | None], better: Better, digits: int, real: float | None = None) -> list[Mark | None]:
    """The mark of each value; `real` is what "near real" means.

    Values are compared as they are shown, rounded to `digits`: whoever reads the same figure twice sees the same mark. Ties
    share a place, and two who share the first leave no second. None is never marked, and nothing is where fewer than two
    values can be compared, where all are the same, or where "near real" has no `real`.
    """
    keys = [_distance(value, better, digits, real) for value in values]
    held = [key for key in keys if key is not None]
    if len(set(held)) < 2:
        return [None] * len(values)
    places = [None if key is None else sum(other < key for other in held) for key in keys]
    return ["best" if place == 0 else "second" if place == 1 else None for place in places]


def _distance(value: float | None, better: Better, digits: int, real: float | None) -> float | None:
    """How far a value is from the best that there could be, up to a constant; None where it has no place."""
    target = {"near 0": 0.0, "near 1": 1.0}.get(better, real)
    if value is None or value != value or (better == "near real" and target is None):
        return None
    shown = round(value, digits)
    if better == "higher":
        return -shown
    if better == "lower" or target is None:
        return shown
    return round(abs(shown - round(target, digits)), digits)
