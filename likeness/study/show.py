"""A study's report on the terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from likeness.study.report import Estimate, Report
from likeness.study.scales import RATING, SCALES, TASKS, VOTE


def show(found: Report, console: Console | None = None) -> None:
    """Print means, agreement, votes, and who has not finished."""
    console = console or Console(width=None if sys.stdout.isatty() else 140)
    console.print(
        f"{len(found.participants)} participants, {len(found.methods)} methods, {len(found.names)} videos of each. "
        f"{found.rule} Counted: ratings of {found.counted(RATING)}, votes of {found.counted(VOTE)}.",
        highlight=False,
    )
    if found.without:
        console.print(f"left out: {escape(', '.join(found.without))}", highlight=False)
    console.print(_means(found), _agreement(found), _votes(found), _differences(found), sep="\n", highlight=False)
    for person in found.participants:
        if not all(person.has_finished(task) for task in TASKS):
            done = ", ".join(f"{person.given[task]} of {person.asked[task]} {task}s" for task in TASKS)
            used = " and ".join(f"{task}s" for task in TASKS if person.counted[task])
            console.print(f"not finished: {escape(person.code)} ({done}); {used or 'nothing'} counted", highlight=False)


def _means(found: Report) -> Table:
    table = Table(title="Mean from 1 to 5, 95 % interval over participants (answers)", title_justify="left")
    table.add_column("method")
    for scale in SCALES:
        table.add_column(scale.title.lower(), justify="right")
    for method in found.methods:
        table.add_row(escape(method), *(_told(found.ratings[scale.key][method]) for scale in SCALES))
    return table


def _agreement(found: Report) -> str:
    said = (f"{scale.title.lower()} {_told(found.agreement[scale.key])}" for scale in SCALES)
    return f"agreement (Krippendorff's alpha, ordinal; 1 is perfect, 0 chance): {', '.join(said)}\n"


def _votes(found: Report) -> Table:
    table = Table(title="Votes: how often the row was preferred to the column; strength (Bradley-Terry)", title_justify="left")
    table.add_column("preferred")
    for method in found.methods:
        table.add_column(escape(method), justify="right")
    table.add_column("strength, 95 % interval (votes)", justify="right")
    for i, method in enumerate(found.methods):
        cells = ["" if i == j else str(found.wins[i][j]) for j in range(len(found.methods))]
        table.add_row(escape(method), *cells, _told(found.strengths[method]))
    return table


def _differences(found: Report) -> Table:
    table = Table(title="Differences, by answers of the same people, 95 % interval (answers of both)", title_justify="left")
    table.add_column("method")
    columns = [(scale.title.lower(), found.rating_differences[scale.key]) for scale in SCALES]
    columns.append(("strength", found.strength_differences))
    for title, differences in columns:
        table.add_column(f"{title}, less {escape(differences.against or '–')}", justify="right")
    for method in found.methods:
        table.add_row(escape(method), *(_told(d.by[method]) if method in d.by else "" for _, d in columns))
    return table


def _told(figure: Estimate) -> str:
    if figure.value is None:
        return "–"
    ends = "" if figure.low is None else f" [{figure.low:.2f}, {figure.high:.2f}]"
    return escape(f"{figure.value:.2f}{ends} ({figure.answers})")
