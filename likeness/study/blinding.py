"""Between the study and the browser: videos and participants go by opaque words, and nothing else tells them apart."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import asdict
from pathlib import Path
from typing import Any

from likeness.study.answers import Answers, Participant, Trial
from likeness.study.scales import CRITERION, LEFT, RATING, RIGHT, SCALES, TASKS, questions

WORD = 24  # hexadecimal digits: 96 bits cannot be guessed


class Blinding:
    """What a browser may know. Its words depend on a secret in study.sqlite: they outlive a restart of the server.

    A video has another word at every place where it is shown, so that nobody can follow it from one to the next.
    """

    def __init__(self, answers: Answers, videos: dict[tuple[str, str], Path]) -> None:
        self._answers, self._videos = answers, videos  # by (method, name)
        self._people: dict[str, Participant] = {}
        self._paths: dict[str, Path] = {}
        for participant in answers.participants():
            self.admit(participant)

    def admit(self, participant: Participant) -> bool:
        """Let a participant in; returns whether they are new."""
        for trial in self._answers.trials(participant.number):
            for side, method in _sides(trial):
                self._paths[self._video(participant, trial, side)] = self._videos[method, trial.name]
        who = self._word("participant", participant.number)
        is_new = who not in self._people
        self._people[who] = participant
        return is_new

    def participant(self, who: str) -> Participant | None:
        """Whom a word stands for."""
        return self._people.get(who)

    def path(self, video: str) -> Path | None:
        """The file that a word stands for."""
        return self._paths.get(video)

    def sheet(self, participant: Participant) -> dict[str, Any]:
        """All that a participant's browser is told: the questions, the places in order, and what was answered."""
        given: dict[tuple[str, int], dict[str, str]] = {}
        for answer in self._answers.given(participant.number):
            given.setdefault((answer.trial.task, answer.trial.place), {})[answer.question] = answer.value
        places: dict[str, list[dict]] = {task: [] for task in TASKS}
        for trial in self._answers.trials(participant.number):
            videos = [f"/video/{self._video(participant, trial, side)}" for side, _ in _sides(trial)]
            places[trial.task].append({"videos": videos, "answers": given.get((trial.task, trial.place), {})})
        return {
            "code": participant.code,
            "who": self._word("participant", participant.number),
            "criterion": CRITERION,
            "scales": [asdict(scale) for scale in SCALES],
            "questions": {task: questions(task) for task in TASKS},
            "places": places,
        }

    def _video(self, participant: Participant, trial: Trial, side: str) -> str:
        return self._word("video", participant.number, trial.task, trial.place, side)

    def _word(self, *what: object) -> str:
        text = " ".join(str(part) for part in what)
        return hmac.new(self._answers.secret, text.encode(), hashlib.sha256).hexdigest()[:WORD]


def _sides(trial: Trial) -> list[tuple[str, str]]:
    if trial.task == RATING or trial.against is None:
        return [("", trial.method)]
    return [(LEFT, trial.method), (RIGHT, trial.against)]
