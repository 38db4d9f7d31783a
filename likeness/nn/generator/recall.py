"""What people in general did when it sounded like this: kernel ridge regression from a short window of sound to motion.

It is the likeliest motion, and the variational network varies around it. Of people left out (21 in three folds, 13 minutes of
corpus) the network alone opened lips with r .476, this alone .551. It is solved from FRAMES frames at most.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.corpus import Corpus, Sample
from likeness.nn.generator.hearing import column_slices, columns, sample_rows
from likeness.nn.generator.layers import Reach
from likeness.nn.generator.settings import Settings
from likeness.nn.regression import Regression, tapered
from likeness.speech import BANDS, Statistics

REACH = Reach(4, 2)
"""Frames that a window sees before and after its own. Six and three gain nothing (.552)."""
TAPER = 2.2
"""Standard deviation in frames of the weight that a window's frames have."""
MEL = 0.7
"""What mel counts beside phones. Without it .524, at 1 the same as at .5 to .7 (mean of three folds, 18 people)."""
SPREAD_FLOOR = 0.05  # of a phone's column: rare phones must not shout
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


class Recall(Regression):
    """The fitted regression; `settings.keys` windows that it remembers."""

    centre: Tensor
    spread: Tensor

    def __init__(self, settings: Settings) -> None:
        slices = column_slices(settings)
        phones = slices["phones"].stop - slices["phones"].start
        super().__init__(settings.keys, (REACH.before + 1 + REACH.after) * (BANDS + phones), OUT)
        self.mel, self.phones = slices["mel"], slices["phones"]
        self.register_buffer("centre", torch.zeros(phones))
        self.register_buffer("spread", torch.ones(phones))

    def windows(self, heard: Float[Tensor, "frames columns"]) -> Float[Tensor, "time window"]:
        """Tapered windows of all frames that have REACH on both sides."""
        phones = (heard[:, self.phones] - self.centre) / self.spread
        rows = torch.cat([MEL * heard[:, self.mel] * BANDS**-0.5, phones * phones.shape[1] ** -0.5], 1)
        return tapered(rows.unfold(0, REACH.before + 1 + REACH.after, 1), REACH.before, TAPER)

    @torch.no_grad()
    def forward(self, heard: Float[Tensor, "frames columns"]) -> Float[Tensor, "time 68 3"]:
        """Motion in centimetres; REACH fewer frames."""
        return self.answered(self.windows(heard)).unflatten(1, (-1, 3))

    @torch.no_grad()
    def solve(self, parts: Iterable[Heard]) -> Recall:
        """Fit it; every part's frames count alike."""
        parts = list(parts)
        phones = torch.cat([part.columns[:, self.phones] for part in parts])
        self.centre.copy_(phones.mean(0))
        self.spread.copy_(phones.std(0).clamp_min(SPREAD_FLOOR))
        self.fit(torch.cat([self.windows(part.columns) for part in parts]), torch.cat([part.moves for part in parts]))
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
