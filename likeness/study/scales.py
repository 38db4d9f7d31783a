"""What participants are asked: three scales from 1 to 5 for every video, and which of two looks more real."""

from __future__ import annotations

from dataclasses import dataclass

from likeness.errors import BadInput

LOWEST, HIGHEST = 1, 5
RATING, VOTE = "rating", "vote"
TASKS = (RATING, VOTE)
BETTER = "better"  # the one question of a vote
CRITERION = "Which looks more like a real recording?"
LEFT, RIGHT = "left", "right"


class NoAnswer(BadInput):
    """What a participant sent cannot be taken, however often it is sent; the message is for them."""


@dataclass(frozen=True)
class Scale:
    """One thing that is rated from 1 to 5."""

    key: str
    title: str
    question: str
    low: str
    """What 1 means."""
    high: str
    """What 5 means."""


# The three of TalkingGaussian's user study (Li et al. 2024): sync accuracy, realism, image quality.
SCALES = (
    Scale("sync", "Lips and sound", "Do the lip movements match the speech?", "not at all", "exactly"),
    Scale("realism", "Realism", "Does the person look and move like a real one?", "not at all", "like a real one"),
    Scale("quality", "Picture", "Is the picture clear and free of faults?", "very poor", "excellent"),
)
KEYS = tuple(scale.key for scale in SCALES)


def questions(task: str) -> tuple[str, ...]:
    """What has to be answered at each place of a task before it is complete."""
    return KEYS if task == RATING else (BETTER,)
