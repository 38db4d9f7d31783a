"""What a study found: means, agreement and strengths of the methods, and whose answers were counted."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.study.answers import Answer, Answers, Participant
from likeness.study.scales import KEYS, LEFT, RATING, TASKS, VOTE, questions
from likeness.study.statistics import bradley_terry, interval, means, ordinal_alpha, resamples

RULES = {
    False: "Ratings count of those who rated every video, votes of those who gave every vote.",
    True: "Every answer counts, also of those who have not finished.",
}


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where there is nothing to work it out from, or nobody to draw again."""

    value: float | None
    low: float | None
    high: float | None
    answers: int
    """How many it comes from."""


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
    ratings: dict[str, dict[str, Estimate]]
    """By scale, then by method."""
    agreement: dict[str, float | None]
    """Krippendorff's ordinal alpha by scale."""
    wins: list[list[int]]
    """wins[i][j]: how often method i was preferred to method j."""
    strengths: dict[str, Estimate]
    """Bradley-Terry log-strengths by method, mean 0; `answers` counts the votes that it took part in."""

    def counted(self, task: str) -> int:
        """How many participants are in the figures of a task."""
        return sum(person.counted[task] for person in self.participants)

    def as_json(self) -> dict[str, Any]:
        """One object for programs."""
        return asdict(self)


def report(folder: str | os.PathLike, *, incomplete: bool = False) -> Report:
    """Work out the figures of the study in `folder`; the study's seed draws the participants again for the intervals.

    incomplete: count also who has not finished. Raises BadInput where no study has begun.
    """
    answers = Answers.read(Path(folder))
    try:
        methods, names, given = answers.methods(), answers.names(), answers.given()
        people = [_progress(answers, person, given, incomplete) for person in answers.participants()]
    finally:
        answers.close()
    told = {task: _told(given, people, task) for task in TASKS}
    ratings, agreement = _ratings(told[RATING], methods, names, answers.seed)
    wins, strengths = _strengths(told[VOTE], methods, answers.seed)
    return Report(methods, names, RULES[incomplete], people, ratings, agreement, wins, strengths)


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
    told: list[list[Answer]], methods: list[str], names: list[str], seed: int
) -> tuple[dict[str, dict[str, Estimate]], dict[str, float | None]]:
    said = np.full((len(told), len(KEYS), len(methods), len(names)), np.nan)
    for person, answers in enumerate(told):
        for answer in answers:
            trial = answer.trial
            said[person, KEYS.index(answer.question), methods.index(trial.method), names.index(trial.name)] = int(answer.value)
    count = (~np.isnan(said)).sum(3).astype(float)
    total = np.nan_to_num(said).sum(3)
    value = means(total, count, np.ones((1, len(told))))[0]
    low = high = np.full(value.shape, np.nan)
    if len(told) > 1:
        low, high = interval(means(total, count, resamples(len(told), seed)))
    estimates = {
        key: {m: _estimate(value[k, i], low[k, i], high[k, i], count[:, k, i].sum()) for i, m in enumerate(methods)}
        for k, key in enumerate(KEYS)
    }
    return estimates, {
        key: ordinal_alpha(said[:, k].reshape(len(told), len(methods) * len(names)).T) for k, key in enumerate(KEYS)
    }


def _strengths(told: list[list[Answer]], methods: list[str], seed: int) -> tuple[list[list[int]], dict[str, Estimate]]:
    wins = np.zeros((len(told), len(methods), len(methods)))
    for person, answers in enumerate(told):
        for answer in answers:
            left, right = answer.trial.method, answer.trial.against
            winner, loser = (left, right) if answer.value == LEFT else (right, left)
            wins[person, methods.index(str(winner)), methods.index(str(loser))] += 1
    whole = wins.sum(0)
    votes = (whole + whole.T).sum(1)
    value = bradley_terry(whole)
    low = high = np.full(len(methods), np.nan)
    if len(told) > 1:
        low, high = interval(bradley_terry(np.tensordot(resamples(len(told), seed), wins, 1)))
    strengths = {m: _estimate(value[i] if votes[i] else np.nan, low[i], high[i], votes[i]) for i, m in enumerate(methods)}
    return whole.astype(int).tolist(), strengths


def _estimate(mean: float, least: float, most: float, answers: float) -> Estimate:
    value, low, high = (None if math.isnan(number) else round(float(number), 4) for number in (mean, least, most))
    return Estimate(value, low, high, int(answers))
