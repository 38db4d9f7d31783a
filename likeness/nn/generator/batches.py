"""What the generator learns from: crops of a corpus' samples, as lanes that do not know how many processes there are.

A lane reads its part of the corpus as a stream and holds the last few samples; crops are drawn from those. What it gives in a
step is a function of seed, lane and step alone: a run goes on anywhere, on any number of processes. Crops of different
people's voices are made comparable before they are cut, by the statistics of the whole sample, as at use.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import ROWS_PER_FRAME, Hearing
from likeness.corpus import Corpus, Sample
from likeness.displacement import lip_opening, mirrored
from likeness.nn.generator.hearing import columns, sample_rows
from likeness.nn.generator.recall import Recall, group, padded
from likeness.nn.generator.settings import Settings
from likeness.phones import PHONES
from likeness.speech import BANDS, FLOOR, PROBABILITY_FLOOR, RECIPES, Statistics

SHORTEST_SILENCE, LONGEST_SILENCE = 12, 40
"""Frames. Real mouths stay open in shorter pauses."""
QUIET_DB = (-100.0, -35.0)
"""Against the crop's loudest rows."""
GLIDE = (0.5, 0.7)
"""What is left of the way a frame later, into silence and out of it, as `likeness.audio` closes and opens a mouth."""
BUFFER = 16
"""Samples that a lane's stream shuffles, as they are stored: with all 478 landmarks up to 1.7 MB each."""
RESTING = 0.1
"""Share of a sample's frames, those least open, whose mean is its mouth at rest."""


@dataclass(frozen=True)
class Batch:
    """Crops with the context of the hearing on both sides."""

    heard: Float[Tensor, "batch frames columns"]
    moves: Float[Tensor, "batch frames 68 3"]
    """What is to be learned: beside a recall, what it leaves."""
    recalled: Float[Tensor, "batch frames 68 3"]
    """What the recall of strangers says; zeros without."""
    weight: Float[Tensor, "batch time"]
    """Of the middle frames: 0 beyond the sample, elsewhere what a frame of this person counts."""
    white: Float[Tensor, "batch latent latents"]
    rows: Float[Tensor, "batch rows speech"]
    """Of the middle frames, what a sync expert hears; not normalised."""
    mean: Float[Tensor, "batch speech"]
    """Of the whole samples, of those features."""
    std: Float[Tensor, "batch speech"]

    @staticmethod
    def joined(parts: list[Batch]) -> Batch:
        """The crops of several lanes."""
        return Batch(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Batch)))


@dataclass(frozen=True)
class Course:
    """What all lanes share."""

    settings: Settings
    hearing: Hearing
    seed: int
    without: frozenset[str] = frozenset()
    """People who are left out."""
    expert: tuple[str, ...] = ()
    """Speech features that a sync expert hears."""
    recalls: list[Recall] | None = None
    """Beside which the network learns, each without one group of people, see `recall.solved`."""


class Lane:
    """One reader of the corpus."""

    def __init__(self, corpus: Corpus, course: Course, number: int) -> None:
        self.corpus, self.course, self.number = corpus, course, number
        self.settings, self.hearing = course.settings, course.hearing
        settings, without = course.settings, course.without
        self._next = -1
        people = {n: s.frames for n, s in corpus.speakers.items() if s.split == "train" and n not in without}
        balance = settings.training.balance
        usual = sum(people.values()) / max(sum(frames ** (1 - balance) for frames in people.values()), 1e-9)
        self._counts = {name: usual * frames**-balance for name, frames in people.items() if frames}
        """By frame of a person; 1 on average over all frames."""

    def crops(self, step: int) -> Batch:
        """The crops of a step; cheapest in order."""
        lesson = self.settings.training
        if step != self._next:
            stream = self.corpus.stream(
                "train",
                seed=self.course.seed,
                part=(self.number, lesson.lanes),
                buffer=BUFFER,
                epochs=None,
                skip=step,
                without=self.course.without,
            )
            self._stream = iter(stream)
            self._held = deque(islice(self._stream, lesson.held), lesson.held)
        else:
            self._held.append(next(self._stream))
        self._next = step + 1
        random = np.random.default_rng([self.course.seed, step, self.number])
        lengths = np.array([len(sample["moves"]) for sample in self._held])
        chosen = random.choice(len(lengths), lesson.slots, p=lengths / lengths.sum())
        crops = [self._crop(self._held[place], random) for place in chosen]
        return Batch.joined(crops)

    def _crop(self, sample: Sample, random: np.random.Generator) -> Batch:
        lesson, hearing, own = self.settings.training, self.hearing, len(self.settings.features)
        names = (*self.settings.features, *self.course.expert)
        dims = [RECIPES[name].dim for name in names]
        split = sum(dims[:own])
        rows = sample_rows(sample, names)
        statistics = Statistics.of(rows)
        moves = sample["moves"]
        swapped = random.random() < lesson.mirrored
        if swapped:
            moves = mirrored(moves)
        first = int(random.integers(-(lesson.crop // 4), max(len(moves) - 3 * lesson.crop // 4, 1)))
        frames = np.arange(first - hearing.past, first + lesson.crop + hearing.future)
        inside = frames.clip(0, len(moves) - 1)
        rows = rows.reshape(len(moves), ROWS_PER_FRAME, -1)[inside]
        rest, moves = resting(moves, sample["shape"]), moves[inside]
        if random.random() < lesson.silent:
            rows, moves = silenced(rows, moves, rest, names, random)
        said, mean, std = torch.from_numpy(rows).flatten(0, 1), statistics.mean, statistics.std
        heard = columns(said[:, :split], mean[:split], std[:split], self.settings)
        recalled = self._recalled(heard, sample["speaker"], swapped)
        heard = heard * torch.from_numpy((random.random(heard.shape[1]) >= self._dulled()).astype(np.float32))
        real = (frames == inside)[hearing.past : hearing.past + lesson.crop]
        weight = torch.from_numpy(real.astype(np.float32) * np.float32(self._counts[sample["speaker"]]))
        latents = len(moves) // self.settings.stride + 2
        white = torch.from_numpy(random.standard_normal((self.settings.latent, latents), np.float32))
        middle = said[ROWS_PER_FRAME * hearing.past : ROWS_PER_FRAME * (hearing.past + lesson.crop), split:]
        left = torch.from_numpy(np.ascontiguousarray(moves, np.float32)) - recalled
        crop = (heard, left, recalled, weight, white, middle, mean[split:], std[split:])
        return Batch(*(part[None] for part in crop))

    def _recalled(self, heard: Float[Tensor, "frames columns"], who: str, swapped: bool) -> Float[Tensor, "frames 68 3"]:
        """What people of other groups did when it sounded so; mirrored with the crop."""
        if self.course.recalls is None:
            return torch.zeros(len(heard), 68, 3)
        made = self.course.recalls[group(who)](padded(heard))
        return torch.from_numpy(mirrored(made.numpy())) if swapped else made

    def _dulled(self) -> Float[np.ndarray, " columns"]:
        """The chance of each column not to be heard; steps of pitch are numbers of a table, and always are."""
        parts = []
        for name in self.settings.features:
            bins = name == "pitch" and self.settings.pitch == "bins"
            count = {"mel": BANDS, "phones": len(PHONES), "pitch": ROWS_PER_FRAME if bins else 2}[name]
            parts.append(np.full(count, 0.0 if bins else self.settings.training.dulled))
        return np.concatenate(parts)


def resting(moves: Float[np.ndarray, "time 68 3"], shape: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, "68 3"]:
    """The mouth at rest: the mean of the least open frames."""
    opening = lip_opening(moves + shape)
    return moves[opening <= np.quantile(opening, RESTING)].mean(0)


def silenced(
    rows: Float[np.ndarray, "time 4 dim"],
    moves: Float[np.ndarray, "time 68 3"],
    rest: Float[np.ndarray, "68 3"],
    features: tuple[str, ...],
    random: np.random.Generator,
) -> tuple[Float[np.ndarray, "time 4 dim"], Float[np.ndarray, "time 68 3"]]:
    """A stretch in which nothing is heard and the mouth rests: without it, it hangs open where nobody speaks."""
    length = int(random.integers(SHORTEST_SILENCE, LONGEST_SILENCE + 1))
    first = int(random.integers(0, max(len(rows) - length, 1)))
    still = slice(first, first + length)
    rows = rows.copy()
    at = 0
    for name in features:
        width = RECIPES[name].dim
        part = rows[still, :, at : at + width]
        if name == "mel":
            level = random.uniform(*QUIET_DB) * np.log(10) / 10
            part[:] = np.maximum(np.quantile(rows[..., at : at + width].mean(-1), 0.95) + level, np.log(FLOOR))
        elif name == "phones":
            part[:] = np.log(PROBABILITY_FLOOR)
            part[..., PHONES.index("SIL")] = np.log(1 + PROBABILITY_FLOOR)
        else:
            part[:] = 0.0
        at += width
    return rows, _glided(moves, rest, still)


def _glided(
    moves: Float[np.ndarray, "time 68 3"], rest: Float[np.ndarray, "68 3"], still: slice
) -> Float[np.ndarray, "time 68 3"]:
    """The mouth goes to rest where it is silent and back where it is not."""
    free = np.ones(len(moves), np.float32)
    opening = 1.0
    for t in range(still.start, len(moves)):
        silent = t < still.stop
        opening = GLIDE[0] * opening if silent else 1 - GLIDE[1] * (1 - opening)
        free[t] = opening
    return rest + free[:, None, None] * (moves - rest)
