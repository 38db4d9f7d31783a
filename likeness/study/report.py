"""What a study found: means, agreement and strengths of the methods, and whose answers were counted."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from likeness.errors import BadInput
from likeness.study.answers import Answer, Answers, Participant
from likeness.study.scales import KEYS, LEFT, RATING, TASKS, VOTE, questions
from likeness.study.statistics import bradley_terry, interval, means, ordinal_alpha, resamples, unanimous

RULES = {
    False: "Ratings count of those who rated every video, votes of those who gave every vote.",
    True: "Every answer counts, also of those who have not finished.",
}


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where there is nothing to work it out from, or nothing to tell how sure it is."""

    value: float | None
    low: float | None
    high: float | None
    answers: int
    """How many it comes from."""


@dataclass(frozen=True)
class Differences:
    """How much each method differs from one of them, by answers of the same people."""

    against: str | None
    """Which one; None where nobody has answered."""
    by: dict[str, Estimate]
    """Of each other method; its figure less that one's."""


@dataclass(frozen=True)
class Progress:
    """How far a participant is."""

    code: str
    given: dict[str, int]
    """Answers by task."""
    asked: dict[str, int]
    counted: dict[str, bool]
    """Whether the answers of a task are in the figures."""

    def has_finished(self, task: str) -> bool:
        """Whether every question of a task was answered."""
        return self.given[task] == self.asked[task]


@dataclass(frozen=True)
class Report:
    """The figures of one study."""

    methods: list[str]
    names: list[str]
    rule: str
    participants: list[Progress]
    without: list[str]
    """Code words of those who were left out."""
    ratings: dict[str, dict[str, Estimate]]
    """By scale, then by method."""
    rating_differences: dict[str, Differences]
    """By scale."""
    agreement: dict[str, Estimate]
    """Krippendorff's ordinal alpha by scale."""
    wins: list[list[int]]
    """wins[i][j]: how often method i was preferred to method j."""
    strengths: dict[str, Estimate]
    """Bradley-Terry log-strengths by method, mean 0; `answers` counts the votes that it took part in."""
    strength_differences: Differences

    def counted(self, task: str) -> int:
        """How many participants are in the figures of a task."""
        return sum(person.counted[task] for person in self.participants)

    def as_json(self) -> dict[str, Any]:
        """One object for programs."""
        return asdict(self)


def report(
    folder: str | os.PathLike, *, incomplete: bool = False, without: Iterable[str] = (), against: str | None = None
) -> Report:
    """Work out the figures of the study in `folder`; the study's seed draws the participants again for the intervals.

    incomplete: count also who has not finished. without: code words of people to leave out. against: the method that the
    others are compared to, else the best of each scale. Raises BadInput where no study has begun, and for a code word or a
    method that it does not have.
    """
    answers = Answers.read(Path(folder))
    try:
        methods, names, given = answers.methods(), answers.names(), answers.given()
        if against is not None and against not in methods:
            raise BadInput(f"--against {against}: the study in {folder} has no such method, but {', '.join(methods)}.")
        there = answers.without(without)
        left_out = [person.code for person in answers.participants() if person not in there]
        people = [_progress(answers, person, given, incomplete) for person in there]
    finally:
        answers.close()
    told = {task: _told(given, people, task) for task in TASKS}
    rated = _ratings(told[RATING], methods, names, answers.seed, against)
    voted = _strengths(told[VOTE], methods, answers.seed, against)
    return Report(methods, names, RULES[incomplete], people, left_out, *rated, *voted)


def _progress(answers: Answers, person: Participant, given: list[Answer], incomplete: bool) -> Progress:
    said = Counter(answer.trial.task for answer in given if answer.participant == person)
    places = Counter(trial.task for trial in answers.trials(person.number))
    asked = {task: places[task] * len(questions(task)) for task in TASKS}
    counted = {task: said[task] > 0 and (incomplete or said[task] == asked[task]) for task in TASKS}
    return Progress(person.code, {task: said[task] for task in TASKS}, asked, counted)


def _told(given: list[Answer], people: list[Progress], task: str) -> list[list[Answer]]:
    """The answers to a task that are counted, one list a participant."""
    codes = [person.code for person in people if person.counted[task]]
    return [[a for a in given if a.participant.code == code and a.trial.task == task] for code in codes]


def _ratings(
    told: list[list[Answer]], methods: list[str], names: list[str], seed: int, against: str | None
) -> tuple[dict[str, dict[str, Estimate]], dict[str, Differences], dict[str, Estimate]]:
    said = np.full((len(told), len(KEYS), len(methods), len(names)), np.nan)
    for person, answers in enumerate(told):
        for answer in answers:
            trial = answer.trial
            said[person, KEYS.index(answer.question), methods.index(trial.method), names.index(trial.name)] = int(answer.value)
    count = (~np.isnan(said)).sum(3).astype(float)
    total = np.nan_to_num(said).sum(3)
    draws = _draws(len(told), seed)
    value, again = means(total, count, np.ones((1, len(told))))[0], means(total, count, draws)
    figures, differences, agreement = {}, {}, {}
    for k, key in enumerate(KEYS):
        figures[key] = _estimates(methods, value[k], again[:, k], count[:, k].sum(0))
        differences[key] = _differences(methods, value[k], again[:, k], count[:, k].sum(0), against)
        units = said[:, k].reshape(len(told), len(methods) * len(names)).T
        alpha, alphas = ordinal_alpha(units, np.ones((1, len(told)))), ordinal_alpha(units, draws)
        agreement[key] = _estimates([key], alpha, alphas[:, None], count[:, k].sum((0, 1))[None])[key]
    return figures, differences, agreement


def _strengths(
    told: list[list[Answer]], methods: list[str], seed: int, against: str | None
) -> tuple[list[list[int]], dict[str, Estimate], Differences]:
    wins = np.zeros((len(told), len(methods), len(methods)))
    for person, answers in enumerate(told):
        for answer in answers:
            left, right = answer.trial.method, answer.trial.against
            winner, loser = (left, right) if answer.value == LEFT else (right, left)
            wins[person, methods.index(str(winner)), methods.index(str(loser))] += 1
    whole = wins.sum(0)
    votes = (whole + whole.T).sum(1)
    value = np.where(votes > 0, bradley_terry(whole), np.nan)
    again = bradley_terry(np.tensordot(_draws(len(told), seed), wins, 1))
    again[:, unanimous(whole)] = np.nan
    return (
        whole.astype(int).tolist(),
        _estimates(methods, value, again, votes),
        _differences(methods, value, again, votes, against),
    )


def _draws(people: int, seed: int) -> Float[np.ndarray, "times people"]:
    """No draws of one person, who says nothing of how others differ."""
    return resamples(people, seed) if people > 1 else np.zeros((0, people))


def _differences(
    methods: list[str],
    value: Float[np.ndarray, " methods"],
    again: Float[np.ndarray, "times methods"],
    answers: Float[np.ndarray, " methods"],
    against: str | None,
) -> Differences:
    if np.isnan(value).all():
        return Differences(against, {})
    base = methods.index(against) if against else int(np.nanargmax(value))
    found = _estimates(methods, value - value[base], again - again[:, base, None], answers + answers[base])
    return Differences(methods[base], {method: figure for method, figure in found.items() if method != methods[base]})


def _estimates(
    keys: list[str],
    value: Float[np.ndarray, " keys"],
    again: Float[np.ndarray, "times keys"],
    answers: Float[np.ndarray, " keys"],
) -> dict[str, Estimate]:
    low, high = interval(again)
    values, lows, highs = ([None if math.isnan(x) else round(float(x), 4) for x in row] for row in (value, low, high))
    return {key: Estimate(values[i], lows[i], highs[i], int(answers[i])) for i, key in enumerate(keys)}
