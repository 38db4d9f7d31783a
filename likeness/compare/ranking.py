"""Who is best and who is second in a column of figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from likeness.compare.costs import Cost
from likeness.evaluate.catalogue import Column

Head = Column | Cost
Mark = Literal["best", "second"]


def marks(values: Sequence[float | None], head: Head, real: float | None = None) -> list[Mark | None]:
    """The mark of each value in a column; `real` is what "near real" means.

    Values are compared as they are shown, rounded to the column's digits: whoever reads the same figure twice sees the same
    mark. Ties share a place, and two who share the first leave no second. None is never marked, and nothing is where fewer
    than two values can be compared, where all are the same, where "near real" has no `real`, or in a column without order.
    """
    keys = [_distance(value, head, real) for value in values]
    held = [key for key in keys if key is not None]
    if len(set(held)) < 2:
        return [None] * len(values)
    places = [None if key is None else sum(other < key for other in held) for key in keys]
    return ["best" if place == 0 else "second" if place == 1 else None for place in places]


def _distance(value: float | None, head: Head, real: float | None) -> float | None:
    """How far a value is from the best that there could be, up to a constant; None where it has no place."""
    if value is None or value != value or head.better is None:
        return None
    shown = round(value, head.digits)
    if head.better in ("higher", "lower"):
        return -shown if head.better == "higher" else shown
    target = 1.0 if head.better == "near 1" else real
    return None if target is None else round(abs(shown - round(target, head.digits)), head.digits)
