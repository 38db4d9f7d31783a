"""What a sync expert learns from: stretches of a corpus, and which of their mouths and sounds belong together.

Every window of a step's stretches meets every other. Of these pairs a window's own sound is matched; sound of the same clip
is a negative from 2 frames on (1 is ambiguous); sound of another clip only where somebody else speaks. In the original the
sound of such a pair is read from the same clip after all, so that it never meets another speaker's; here mouth and sound of a
pair are rows of the same batch, looked up by their own numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness.corpus import Corpus, Sample, Split
from likeness.displacement import MOUTH, pick_68
from likeness.errors import BadInput
from likeness.nn.sync.expert import Expert, Settings, heard
from likeness.nn.sync.judge import Spoken
from likeness.video import FPS

IGNORED, MATCHED, SHIFTED, OTHER_TIME, OTHER_SPEAKER = range(5)
AMBIGUOUS = 1
"""Frames by which a sound may be off and still be nearly right."""
NEARBY = 5
"""Frames up to which a negative counts as shifted, 2 to 5 in the paper."""
ENOUGH = 75
"""Frames: somebody who says less is no stranger to judge by."""
TELLING = 400
"""Frames of a clip from which on an offset that is not clear means that something is wrong: shorter ones seldom tell."""


@dataclass(frozen=True)
class Track:
    """A sample of a corpus, as far as a sync expert needs it."""

    speaker: str
    mouth: Float[Tensor, "time 20 3"]
    """Displacement, centimetres."""
    sound: Float[Tensor, "time rows sound"]
    """What `heard` gives."""

    def __len__(self) -> int:
        return len(self.mouth)

    def part(self, first: int, frames: int) -> Track:
        """A part of it, or what there is of that."""
        return Track(self.speaker, self.mouth[first : first + frames], self.sound[first : first + frames])

    @staticmethod
    def of(sample: Sample, settings: Settings) -> Track:
        mouth = torch.from_numpy(np.ascontiguousarray(pick_68(sample["moves"])[:, MOUTH]))
        return Track(sample["speaker"], mouth, heard({name: sample[name] for name in settings.features}, settings))


def tracks(corpus: Corpus, split: Split, settings: Settings, seed: int = 0) -> list[Track]:
    """Samples of a split, of each person at most an equal share of `settings.hours`: in stored order, or, where the split has
    more than that, drawn by `seed`.

    Others than those that `wanted` says are left out.
    """
    people = max(1, sum(speaker.split == split for speaker in corpus.speakers.values()))
    share = settings.hours * 3600 * FPS / people
    held: list[Track] = []
    frames: dict[str, int] = {}
    for sample in corpus.stream(split, seed=seed if corpus.hours(split) > settings.hours else None):
        person = sample["speaker"]
        if wanted(sample, settings) and frames.get(person, 0) < share:
            held.append(Track.of(sample, settings))
            frames[person] = frames.get(person, 0) + len(held[-1])
    return held


def wanted(sample: Sample, settings: Settings) -> bool:
    """Whether a sample is long enough, and not left out by `clear_only`."""
    frames = len(sample["moves"])
    doubtful = settings.clear_only and not sample["clear"] and frames >= TELLING
    return frames > settings.frames and not doubtful


@dataclass(frozen=True)
class Batch:
    """Windows of several stretches."""

    mouths: Float[Tensor, "n frames 20 3"]
    sounds: Float[Tensor, "n sound_rows sound"]
    track: Int[Tensor, " n"]
    """Which track, by number."""
    time: Int[Tensor, " n"]
    """First frame in it."""
    speaker: Int[Tensor, " n"]

    def kinds(self) -> Int[Tensor, "n n"]:
        """See `pairs`."""
        return pairs(self.track, self.time, self.speaker)


def pairs(track: Int[Tensor, " n"], time: Int[Tensor, " n"], speaker: Int[Tensor, " n"]) -> Int[Tensor, "n n"]:
    """What mouth i and sound j of these windows are to each other: MATCHED, a kind of negative, or IGNORED."""
    same = track[:, None] == track
    apart = (time[:, None] - time).abs()
    found = torch.where(apart <= NEARBY, SHIFTED, OTHER_TIME)
    found = torch.where(apart <= AMBIGUOUS, IGNORED, found)
    strangers = torch.where(speaker[:, None] == speaker, IGNORED, OTHER_SPEAKER)
    found = torch.where(same, found, strangers)
    return found.fill_diagonal_(MATCHED)


class Draw:
    """Batches of tracks: people by the root of how long they are heard, then their tracks by length."""

    def __init__(self, held: Sequence[Track], settings: Settings) -> None:
        self.held, self.settings = held, settings
        self.speaker, self.weight = shares(held)

    def batch(self, expert: Expert, random: np.random.Generator) -> Batch:
        """Of `settings.stretches` stretches."""
        mouths, sounds, track, time = [], [], [], []
        for number in random.choice(len(self.held), self.settings.stretches, p=self.weight):
            held = self.held[number]
            length = min(self.settings.stretch, len(held))
            first = int(random.integers(len(held) - length + 1))
            mouths.append(expert.windows(held.mouth[first : first + length]))
            sounds.append(expert.windows(held.sound[first : first + length]).flatten(1, 2))
            count = len(mouths[-1])
            track.append(np.full(count, number))
            time.append(first + np.arange(count))
        numbers = np.concatenate(track)
        return Batch(
            torch.cat(mouths),
            torch.cat(sounds),
            torch.from_numpy(numbers),
            torch.from_numpy(np.concatenate(time)),
            torch.from_numpy(self.speaker[numbers]),
        )


def shares(held: Sequence[Spoken]) -> tuple[Int[np.ndarray, " tracks"], Float[np.ndarray, " tracks"]]:
    """Number of each track's speaker, and how often it is drawn: people by the root of how long they are heard."""
    names = sorted({track.speaker for track in held})
    speaker = np.array([names.index(track.speaker) for track in held])
    length = np.array([len(track) for track in held], float)
    weight = length / np.sqrt(np.bincount(speaker, length))[speaker]
    return speaker, weight / weight.sum()


def must_suffice(held: Sequence[Spoken], where: str) -> None:
    """Raise BadInput where there is too little to learn sync from: fewer than two people of 3 s, or less than 20 s."""
    people, seconds = len({track.speaker for track in held if len(track) >= ENOUGH}), sum(map(len, held)) / FPS
    if people < 2 or seconds < 20:
        raise BadInput(
            f"{where}: {seconds:.0f} s to learn from, of {people} people who speak for 3 s; a sync expert needs two people and "
            "20 s, and is of use from about 20 people and 5 minutes on. Add videos with `likeness corpus VIDEOS... CORPUS/`."
        )
