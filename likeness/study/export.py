"""Every answer of a study as a table for other programs."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from likeness.errors import BadInput
from likeness.files import must_be_writable, write_atomically
from likeness.study.answers import Answer, Answers
from likeness.study.scales import LEFT, VOTE

COLUMNS = ("participant", "task", "place", "name", "method", "left", "right", "question", "answer", "at")


def export(folder: str | os.PathLike, out: str | os.PathLike, *, without: Iterable[str] = ()) -> int:
    """Write a CSV file, one row an answer as it stands, of everybody but those with the code words in `without`.

    Returns the number of rows.

    A rating has the rated `method`, and 1 to 5 as its `answer`. A vote has the methods on the `left` and on the `right`, the
    preferred one as its `method`, and the side as its `answer`. `place` counts from 1, within the task; `at` is UTC. Raises
    BadInput where no study has begun, for a code word that nobody has, for another ending, and for a place that cannot be
    written.
    """
    out = Path(out)
    if out.suffix.lower() != ".csv":
        raise BadInput(f"{out}: answers are written as .csv. Name a file that ends in .csv.")
    must_be_writable(out)
    answers = Answers.read(Path(folder))
    try:
        people = answers.without(without)
        given = [answer for answer in answers.given() if answer.participant in people]
    finally:
        answers.close()
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    table.writerows(_row(answer) for answer in given)
    write_atomically(out, text.getvalue().encode())
    return len(given)


def _row(answer: Answer) -> tuple[object, ...]:
    trial = answer.trial
    sides, method = ("", ""), trial.method
    if trial.task == VOTE:
        sides = (trial.method, trial.against)
        method = trial.method if answer.value == LEFT else trial.against
    where = (answer.participant.code, trial.task, trial.place + 1, trial.name)
    return (*where, method, *sides, answer.question, answer.value, answer.at)
