"""What people in general did when it sounded like this: kernel ridge regression from a short window of sound to motion.

It is the likeliest motion, and the variational network varies around it. Of people left out (21 in three folds, 13 minutes of
corpus) the network alone opened lips with r .476, this alone .551: with few people a network learns them by heart, and a
kernel answers from what is near.
It is solved in closed form, from FRAMES frames at most, whatever the corpus, and is the same every time.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.corpus import Corpus, Sample
from likeness.nn.generator.hearing import column_slices, columns, sample_rows
from likeness.nn.generator.layers import Reach
from likeness.nn.generator.settings import Settings
from likeness.speech import BANDS, Statistics

REACH = Reach(4, 2)
"""Frames that a window sees before and after its own. Six and three gain nothing (.552)."""
TAPER = 2.2
"""Standard deviation in frames of the weight that a window's frames have."""
MEL = 0.7
"""What mel counts beside phones. Without it .524, at 1 the same as at .5 to .7 (mean of three folds, 18 people)."""
SPREAD_FLOOR = 0.05  # of a phone's column: rare phones must not shout
SHARPNESS = 0.2  # over the median squared distance; .1 is the same
RIDGE = 3.0  # 1 to 10 are the same
JITTER = 1e-6
FRAMES, OF_ONE = 20_000, (250, 2500)
"""That it is solved from at most, in all, and of one person: so much that everybody has a say, within these."""
GROUPS = 6
"""Of people. With two, the recalls of one half are so much worse that a network learns to mend what is not broken in use."""
FEWER = 4
"""Times fewer keys of the recalls that a network learns beside: all of them would take three quarters of a step."""
OUT = 204


class Heard(NamedTuple):
    """What a recall is solved from."""

    person: str
    name: str
    """Of the sample."""
    columns: Float[Tensor, "frames columns"]
    """With REACH on both sides of the moves."""
    moves: Float[Tensor, "time 204"]


class Recall(nn.Module):
    """The fitted regression; `settings.keys` windows that it remembers."""

    centre: Tensor
    spread: Tensor
    keys: Tensor
    weights: Tensor
    bias: Tensor
    sharpness: Tensor

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        slices = column_slices(settings)
        self.mel, self.phones = slices["mel"], slices["phones"]
        phones = self.phones.stop - self.phones.start
        window = (REACH.before + 1 + REACH.after) * (BANDS + phones)
        self.register_buffer("centre", torch.zeros(phones))
        self.register_buffer("spread", torch.ones(phones))
        self.register_buffer("keys", torch.zeros(settings.keys, window, dtype=torch.float16))
        self.register_buffer("weights", torch.zeros(settings.keys, OUT))
        self.register_buffer("bias", torch.zeros(OUT))
        self.register_buffer("sharpness", torch.ones(1))

    def windows(self, heard: Float[Tensor, "frames columns"]) -> Float[Tensor, "time window"]:
        """Tapered windows of all frames that have REACH on both sides."""
        phones = (heard[:, self.phones] - self.centre) / self.spread
        rows = torch.cat([MEL * heard[:, self.mel] * BANDS**-0.5, phones * phones.shape[1] ** -0.5], 1)
        place = torch.arange(-REACH.before, REACH.after + 1)
        weight = torch.exp(-0.5 * (place / TAPER) ** 2)
        return (rows.unfold(0, len(place), 1) * (weight / weight.sum()).sqrt()).flatten(1)

    def similarity(self, windows: Float[Tensor, "time window"]) -> Float[Tensor, "time keys"]:
        """exp(-sharpness · squared distance); in double: the parts of a sum of squares cancel, and chunks must not show."""
        windows, keys = windows.double(), self.keys.double()
        distance = windows.square().sum(1)[:, None] + keys.square().sum(1) - 2 * windows @ keys.T
        return (-self.sharpness.double() * distance.clamp_min(0)).exp()

    @torch.no_grad()
    def forward(self, heard: Float[Tensor, "frames columns"]) -> Float[Tensor, "time 68 3"]:
        """Motion in centimetres; REACH fewer frames."""
        made = self.similarity(self.windows(heard)) @ self.weights.double() + self.bias.double()
        return made.float().unflatten(1, (-1, 3))

    @torch.no_grad()
    def solve(self, parts: Iterable[Heard]) -> Recall:
        """Fit it. (KᵀK + λ Kₖₖ) w = Kᵀy, K between windows and keys, Kₖₖ between keys; every part's frames count alike."""
        parts = list(parts)
        phones = torch.cat([part.columns[:, self.phones] for part in parts])
        self.centre.copy_(phones.mean(0))
        self.spread.copy_(phones.std(0).clamp_min(SPREAD_FLOOR))
        inputs = torch.cat([self.windows(part.columns) for part in parts])
        motion = torch.cat([part.moves for part in parts]).double()
        count = min(len(self.keys), len(inputs))
        keyed = torch.linspace(0, len(inputs) - 1, count).round().long()
        self.keys.zero_()
        self.keys[:count] = inputs[keyed].half()
        some = inputs[:: max(1, len(inputs) // 500)].double()
        self.sharpness.fill_(SHARPNESS / float(torch.cdist(some, some).square().median().clamp_min(1e-6)))
        self.bias.copy_(motion.mean(0))
        gram, pull = torch.zeros(count, count, dtype=torch.float64), torch.zeros(count, OUT, dtype=torch.float64)
        for rows, real in zip(inputs.split(4096), motion.split(4096)):
            alike = self.similarity(rows)[:, :count]
            gram += alike.T @ alike
            pull += alike.T @ (real - self.bias.double())
        gram += RIDGE * self.similarity(self.keys[:count].float())[:, :count]
        gram += JITTER * len(inputs) * torch.eye(count, dtype=torch.float64)
        self.weights.zero_()
        self.weights[:count] = torch.cholesky_solve(pull, torch.linalg.cholesky(gram)).float()
        return self


def solved(corpus: Corpus, settings: Settings, seed: int, without: frozenset[str]) -> tuple[Recall, list[Recall]]:
    """Of everybody; and of everybody but each `group` of people: what a network learns beside a recall has to be what is left
    of people whom the recall has not met. (Where one group is everybody there are no strangers: it is met.)"""
    parts = sorted(_parts(corpus, settings, seed, without), key=lambda part: part.name)
    others = []
    few = replace(settings, keys=max(1, settings.keys // FEWER))
    for number in range(GROUPS):
        kept = [part for part in parts if group(part.person) != number]
        others.append(Recall(few).solve(kept or parts))
    return Recall(settings).solve(parts), others


def group(person: str) -> int:
    """Of GROUPS, by the name alone."""
    return zlib.crc32(person.encode()) % GROUPS


def share(frames: Iterable[int]) -> int:
    """How many frames of one person count: as many as leave room for all the others, whose frames these are."""
    said, (least, most) = sorted(frames), OF_ONE
    room, level = FRAMES, most
    for place, held in enumerate(said):
        level = room // (len(said) - place)
        if held > level:
            break
        room -= held
    else:
        level = most
    return min(max(level, least), most)


def _parts(corpus: Corpus, settings: Settings, seed: int, without: frozenset[str]) -> Iterator[Heard]:
    people = (s.frames for name, s in corpus.speakers.items() if s.split == "train" and name not in without)
    most, frames = share(people), dict[str, int]()
    for sample in corpus.stream("train", seed=seed, without=without):
        who, room = sample["speaker"], most - frames.get(sample["speaker"], 0)
        if room > 0:
            part = _part(sample, settings, room)
            frames[who] = frames.get(who, 0) + len(part.moves)
            yield part
        if sum(frames.values()) >= FRAMES:
            return


def _part(sample: Sample, settings: Settings, most: int) -> Heard:
    """Of a sample, its first frames."""
    rows = torch.from_numpy(sample_rows(sample, settings.features))
    statistics = Statistics.of(rows)
    heard = columns(rows, statistics.mean, statistics.std, settings)
    moves = torch.from_numpy(np.ascontiguousarray(sample["moves"][:most], np.float32)).flatten(1)
    return Heard(sample["speaker"], sample["key"], padded(heard)[: len(moves) + sum(REACH)], moves)


def padded(heard: Float[Tensor, "frames columns"]) -> Float[Tensor, "longer columns"]:
    """With the first and the last frame repeated as far as windows reach."""
    return torch.cat([heard[:1].expand(REACH.before, -1), heard, heard[-1:].expand(REACH.after, -1)])
