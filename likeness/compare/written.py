"""Tables as CSV and as TeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from likeness.compare.costs import COSTS
from likeness.compare.ranking import Mark
from likeness.compare.recipes import is_general, used, whose
from likeness.compare.tables import Line, groups, marked, shown, shown_heads
from likeness.evaluate.catalogue import COLUMNS, Column

TEX_ARROWS = {
    "higher": r"$\uparrow$", "lower": r"$\downarrow$", "near 1": r"$\to 1$", "near real": r"$\to$ real",
}  # fmt: skip


def as_csv(lines: Sequence[Line], costs: Sequence[Line], commit: str = "") -> str:
    """Full precision; bounds of intervals beside their figures where there are any. What is not known is empty."""
    heads = shown_heads(lines, COLUMNS)
    bounded = [name for name in heads if any(name in line.intervals for line in lines)]
    spent = {line.name: line.values for line in costs}
    bounds = [f"{name}_{end}" for name in bounded for end in ("low", "high")]
    rows = []
    for line in lines:
        ends = [bound for name in bounded for bound in line.intervals.get(name, (None, None))]
        cost = spent.get(line.name, {}) if line.ranked else {}
        cells = [*(line.values.get(name) for name in heads), *ends, *(cost.get(name) for name in COSTS)]
        about = [line.name, line.row, "yes" if line.ranked else "no", *_about(line), commit]
        rows.append([*about, *("" if value is None else repr(float(value)) for value in cells)])
    return _csv(["name", "driven by", "ranked", "size", "frames", "pictures", "commit", *heads, *bounds, *COSTS], rows)


def recipes_csv(tables: Mapping[str, Sequence[Line]]) -> str:
    """The recipe id of every figure of these tables, by the name of its line and its column; and of what all share (boxes,
    intervals), by the name of the recipe."""
    rows = []
    for table, lines in tables.items():
        for line in lines:
            rows += [[table, line.name, name, line.recipe(name) or ""] for name in shown_heads([line], COLUMNS)]
            rows += [[table, line.name, name, its] for name, its in line.recipes.items() if is_general(name)]
    return _csv(["table", "name", "column", "recipe"], rows)


def as_tex(lines: Sequence[Line], about: Iterable[str] = ()) -> str:
    """A `tabular` for booktabs for each group of columns: best bold, second underlined, references below a rule. Comments say
    of what the figures are and by which recipes; the first ones are `about`. Intervals are in the CSV only."""
    texts = [_comment(text) for text in about]
    sets = dict.fromkeys(line.terms for line in lines)
    for terms in sets:
        names = ", ".join(line.name for line in lines if line.ranked and line.terms == terms)
        frames = next(line.frames for line in lines if line.terms == terms)
        if terms is not None:
            texts.append(_comment(f"{names}: {terms.size} x {terms.size}, {frames} frames, {terms.pictures}"))
    if len(sets) > 1:
        texts.append(_comment("Lines are ranked only with those above the same real one."))
    texts.append("% \\usepackage{booktabs}")
    for group, heads in groups(shown_heads(lines, COLUMNS)).items():
        texts += ["", _comment(group)]
        texts += [_comment(f"{name}: {its}") for name, its in whose(used(lines, list(heads))).items()]
        texts.append(_tabular(lines, heads))
    return "\n".join([*texts, ""])


def tex(text: str) -> str:
    """Text with TeX's own characters escaped."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {c: "\\" + c for c in "&%$#_{}"}
    return "".join(special.get(c, c) for c in text)


def _tabular(lines: Sequence[Line], heads: Mapping[str, Column]) -> str:
    found = marked(lines, heads)
    titles = [f"{tex(head.title)} {TEX_ARROWS[head.better]}" for head in heads.values()]
    units = [f"[{tex(head.unit)}]" if head.unit else "" for head in heads.values()]
    rows = [
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
    return "\n".join([*rows, "\\bottomrule", "\\end{tabular}"])


def _tex_cell(value: float | None, digits: int, mark: Mark | None) -> str:
    text = shown(value, digits).replace("–", "--")
    text = f"$-${text[1:]}" if text[0] == "-" and text != "--" else text
    return {"best": f"\\textbf{{{text}}}", "second": f"\\underline{{{text}}}", None: text}[mark]


def _comment(text: str) -> str:
    return f"% {' '.join(text.split())}"  # a name may hold a line's end


def _about(line: Line) -> list[str]:
    size, pictures = ("", "") if line.terms is None else (str(line.terms.size), line.terms.pictures)
    return [size, "" if line.frames is None else str(line.frames), pictures]


def _csv(header: list[str], rows: list[list[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return file.getvalue()
