"""Figures as HTML: tables with marks, facts by name, names with their colour."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from likeness.compare.ranking import Head
from likeness.compare.tables import Line, marked, shown, shown_heads

HUES = 8  # in page.css
ARROWS = {"higher": "↑", "lower": "↓", "near 1": "→ 1", "near real": "→ real", None: ""}


def table(lines: Sequence[Line], heads: Mapping[str, Head], rows: bool = False) -> str:
    """A table with marks; `rows` tells in a second column what drives the lips."""
    heads, found = shown_heads(lines, heads), marked(lines, heads)
    top = "".join(_head(head, _recipes(lines, name)) for name, head in heads.items())
    second = '<th scope="col" style="text-align:left">driven by</th>' if rows else ""
    body = []
    for i, line in enumerate(lines):
        new = i > 0 and (line.ranked != lines[i - 1].ranked or (rows and line.name != lines[i - 1].name))
        kind = " ".join(word for word, on in (("reference", not line.ranked and not rows), ("first", new)) if on)
        cells = "".join(_cell(line, name, head, found[name][i]) for name, head in heads.items())
        driver = f'<td style="text-align:left">{html.escape(line.row)}</td>' if rows else ""
        body.append(f'<tr class="{kind}"><th scope="row">{name_tag(line.name, line.entry)}</th>{driver}{cells}</tr>')
    return (
        f'<div class="wide"><table><thead><tr><th></th>{second}{top}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    )


def _recipes(lines: Sequence[Line], column: str) -> str:
    """By which the figures of a column were made."""
    return "; ".join(dict.fromkeys(line.recipe(column) or "" for line in lines if line.values.get(column) is not None))


def _head(head: Head, recipes: str) -> str:
    told = " ".join(part for part in (head.unit, ARROWS[head.better]) if part)
    tip = f' title="{html.escape(recipes)}"' if recipes else ""
    return f'<th scope="col"{tip}>{html.escape(head.title)}<span class="unit">{html.escape(told)}</span></th>'


def _cell(line: Line, name: str, head: Head, mark: str | None) -> str:
    bounds = line.intervals.get(name)
    below = "" if bounds is None else f"<small>{shown(bounds[0], head.digits)} – {shown(bounds[1], head.digits)}</small>"
    kind = f' class="{mark}" title="{mark}"' if mark else ""
    return f"<td{kind}><b>{shown(line.values.get(name), head.digits)}</b>{below}</td>"


def fact_table(facts: dict[str, str], code: bool = False) -> str:
    """Facts by name; `code` sets them in a face of one width."""

    def cell(text: str) -> str:
        return f"<code>{html.escape(text)}</code>" if code else html.escape(text)

    rows = "".join(f'<tr><th scope="row">{html.escape(name)}</th><td>{cell(text)}</td></tr>' for name, text in facts.items())
    return f'<div class="wide"><table class="text"><tbody>{rows}</tbody></table></div>'


def hue(place: int) -> str:
    """The class that carries the colour of an entry."""
    return f"k{place % HUES}"


def name_tag(name: str, place: int | None) -> str:
    """A name behind its colour; without one where it is no entry's."""
    if place is None:
        return html.escape(name)
    return f'<span class="{hue(place)}"><i class="swatch"></i>{html.escape(name)}</span>'


def count(number: int, one: str, many: str) -> str:
    """A number of things in words."""
    return f"{number} {one if number == 1 else many}"
