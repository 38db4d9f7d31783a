"""What evaluations check besides their figures, as a table: the verdict, and by how much."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from likeness.compare.markup import name_tag
from likeness.compare.tables import shown

Checks = Mapping[str, Mapping[str, Any]]
WORDS = {True: "passed", False: "<strong>failed</strong>", None: "cannot tell"}
NUMBERS = {
    "r_leak": ("r =", "", 2),
    "mouth_db": ("mouth", "dB", 1),
    "lmd_px": ("LMD", "px", 2),
}
"""Of a check (`likeness.evaluate.checks`): how its number is called, its unit and its digits; NAME_interval beside it."""

MEANING = {
    "mismatched sound": "Mismatched sound: how much worse the mouth is with a wrong sound than with lips that hold still.",
    "leak": "Leak: whether lips by one sound follow the original of another, r above 0.",
}
"""By how the names of checks begin."""


def checks_table(made: Mapping[int, tuple[str, Checks]]) -> str:
    """By the place of an entry its name and its checks."""
    names = list(dict.fromkeys(name for _, checks in made.values() for name in checks))
    if not names:
        return ""
    top = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{name_tag(entry, place)}</th>'
        + "".join(f"<td>{_verdict(checks[name]) if name in checks else '–'}</td>" for name in names)
        + "</tr>"
        for place, (entry, checks) in made.items()
        if checks
    )
    told = [text for kind, text in MEANING.items() if any(name.startswith(kind) for name in names)]
    return (
        f'<h3>Checks</h3><p class="soft">{" ".join([*told, "With 95 % intervals."])}</p>'
        f'<div class="wide"><table><thead><tr><th></th>{top}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _verdict(check: Mapping[str, Any]) -> str:
    numbers = "".join(f"<small>{_number(check, key)}</small>" for key in NUMBERS if check.get(key) is not None)
    return WORDS[check.get("passed")] + numbers


def _number(check: Mapping[str, Any], key: str) -> str:
    name, unit, digits = NUMBERS[key]
    bounds = check.get(f"{key}_interval")
    between = f"({shown(bounds[0], digits)} – {shown(bounds[1], digits)})" if bounds else ""
    return " ".join(part for part in (name, shown(check[key], digits), unit, between) if part)
