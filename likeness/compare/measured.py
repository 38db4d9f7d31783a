"""How figures were measured: recipes, frames and delivery, what is missing, and where it all ran."""

from __future__ import annotations

from collections.abc import Sequence

from likeness.compare.comparison import Comparison
from likeness.compare.markup import fact_table
from likeness.compare.recipes import used, whose
from likeness.evaluate import Evaluation


def measured_section(found: Comparison) -> str:
    """What entries do not share stands with the names of those who have it."""
    parts = []
    if found.entries:
        parts.append('<h3>Recipes</h3><p class="soft">Figures of the same recipe can be compared.</p>')
        parts.append(fact_table(whose(used(found.lines)), code=True))
        facts = whose({entry.name: _facts(entry.found) for entry in found.entries})
        parts.append(f"<h3>Frames and delivery</h3>{fact_table(facts)}")
    if found.spoken:
        lines = [line for lines in found.spoken.values() for line in lines]
        spoken = {entry.name: _facts(entry.spoken) for entry in found.entries if entry.spoken is not None}
        parts.append(f"<h3>Recipes, other sounds</h3>{fact_table(whose(used(lines)), code=True)}")
        parts.append(f"<h3>Frames and delivery, other sounds</h3>{fact_table(whose(spoken))}")
    where = {name: "not known" if value is None else str(value) for name, value in found.provenance.items()}
    return "".join([*parts, f"<h3>Where</h3>{fact_table(where)}"])


def _facts(found: Evaluation) -> dict[str, str]:
    """Of one evaluation."""
    missed = ", ".join(f"{row} {count}" for row, count in found.detector_missed.items() if count)
    return {
        "pictures": f"{found.size} x {found.size}",
        **{f"frames, {part}": _ranges(pieces) for part, pieces in found.split.items()},
        "frames measured": str(len(found.frames)),
        "delivery": ", ".join(f"{name} {_text(value)}" for name, value in found.delivery.items()),
        **({"no face found": missed} if missed else {}),
        **{f"{measure}, not measured": why for measure, why in found.missing.items()},
    }


def _ranges(pieces: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"{start}–{stop - 1}" for start, stop in pieces)


def _text(value: object) -> str:
    return ", ".join(f"{name} {held}" for name, held in value.items()) if isinstance(value, dict) else str(value)
