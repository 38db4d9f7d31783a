"""What HyperLips learns from: stretches of an album, each with a reference of the same person, and what they say."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.album import Album, Page
from likeness.album.pages import MARGIN, WHOLE, Jitter, mirrored
from likeness.mesh import LIPS, SKULL
from likeness.nn.hyper.hearing import hearing, normalised
from likeness.nn.hyper.lipnet import Heads
from likeness.nn.hyper.mouth import Mouth
from likeness.nn.hyper.settings import Settings

BANK = 12
"""Frames of which the one that is turned most like the stretch becomes its reference; in use there is a bank, too."""
SHIFT, SCALE, TURN = 0.02, 0.03, 0.03
"""Standard deviations of how squares are moved: by sides, in log, in radians. Landmarks tremble by less."""
LIGHT = 0.08  # standard deviation of the log of brightness, and half of it for each colour's: the same for a whole stretch
MOST_S = 60.0  # seconds of one person that count; who is seen for longer is not seen more often


@dataclass(frozen=True)
class Part:
    """A page, as it is or mirrored, and what is known of its frames."""

    page: Page
    flip: bool
    skull: Float[Tensor, "time skull 2"]
    shape: Float[Tensor, "time shape"]
    mouths: Float[Tensor, "time mouth 2"]
    """As the shape says, not as the tracker saw them: what a sketch will show in use."""
    rows: Float[Tensor, "rows columns"]
    """Speech features, not normalised."""


class Batch(NamedTuple):
    """Stretches to learn from."""

    heads: Heads
    """With the whole crops, whose lower half the network does not look at."""
    boxes: Float[Tensor, "batch 4"]
    """Left, top, right, bottom of the mouths, over the stretch, 0..1 of the picture."""


class Material:
    """An album's pages, read into memory but for their pictures: 2 kB a frame."""

    def __init__(
        self, album: Album | list[Page], settings: Settings, mouth: Mouth | None = None, mirrored: bool = True
    ) -> None:
        """`mouth`: the basis, where one is known already; else it is learned from the pages in `train`. `mirrored`: everybody
        counts as two people, one as in a mirror."""
        self.settings = settings
        groups: dict[str, list[Page]] = defaultdict(list)
        for page in album if isinstance(album, list) else album.pages:
            groups[page.key.rpartition("-")[0]].append(page)
        flips = (False, True) if mirrored else (False,)
        self.mouth = mouth or Mouth()
        if mouth is None:
            learned = [pages for pages in groups.values() if pages[0].split == "train"]
            self.mouth.fit([_points(pages, flip) for pages in learned for flip in flips])
        self.groups = [self._group(pages, flip) for pages in groups.values() for flip in flips]

    def _group(self, pages: list[Page], flip: bool) -> list[Part]:
        points = _points(pages, flip)
        person = self.mouth.person(points)
        shape = self.mouth.shape(points, person)
        mouths = self.mouth.points(shape, points, person)
        lengths = [len(page) for page in pages]
        skulls, shapes, drawn = (values.split(lengths) for values in (points[:, list(SKULL)], shape, mouths))
        names = self.settings.features
        heard = (torch.from_numpy(np.concatenate([page.features(name) for name in names], 1)) for page in pages)
        return [Part(page, flip, *of) for page, *of in zip(pages, skulls, shapes, drawn, heard, strict=True)]

    def of(self, split: str, smallest: int = 0) -> list[list[Part]]:
        """The groups (videos) of a split, without pages whose pictures are smaller than `smallest` pixels."""
        kept = ([part for part in group if part.page.side >= smallest * WHOLE] for group in self.groups)
        return [group for group in kept if group and group[0].page.split == split]


class Sampler:
    """Draws stretches: people by the square root of how long they are seen, frames evenly."""

    def __init__(
        self,
        groups: list[list[Part]],
        features: tuple[str, ...],
        size: int,
        time: int,
        unheard: float = 0.0,
        moved: bool = False,
    ) -> None:
        """`features` of `groups`; `size` of the crops; `time` frames to a stretch; `unheard`: share of the stretches without
        sound; `moved`: with squares and light moved, for learning."""
        self.ears = hearing(features)
        self.groups = [g for g in ([p for p in group if len(p.page) >= time] for group in groups) if g]
        self.size, self.time, self.unheard, self.moved = size, time, unheard, moved
        seconds: dict[str, float] = defaultdict(float)
        for group in self.groups:
            seconds[group[0].page.speaker] += sum(len(part.page) for part in group) / 25
        weights = []
        for group in self.groups:
            own, whole = sum(len(part.page) for part in group) / 25, seconds[group[0].page.speaker]
            weights.append(own / whole * math.sqrt(min(whole, MOST_S)))
        self.weights = np.array(weights) / sum(weights) if weights else np.zeros(0)

    def batch(self, draws: list[np.random.Generator]) -> Batch:
        """One stretch a generator of random numbers."""
        stretches = [self._stretch(draw) for draw in draws]
        heads = Heads(*(torch.stack(values) for values in zip(*(heads for heads, _ in stretches))))
        return Batch(heads, torch.stack([box for _, box in stretches]))

    def _stretch(self, draw: np.random.Generator) -> tuple[Heads, Tensor]:
        group = self.groups[draw.choice(len(self.groups), p=self.weights)]
        lengths = np.array([len(part.page) - self.time + 1 for part in group])
        part = group[draw.choice(len(group), p=lengths / lengths.sum())]
        start = int(draw.integers(len(part.page) - self.time + 1))
        frames = slice(start, start + self.time)
        jitter = self._jitter(draw, part.flip)
        light = self._light(draw)
        images = np.stack([part.page.crop(t, self.size, jitter)[0] for t in range(start, start + self.time)]) * light
        other, at = self._reference(draw, group, part, start)
        reference = other.page.crop(at, self.size, self._jitter(draw, part.flip))[0] * light
        mouths = moved(part.mouths[frames], jitter)
        windows = self.ears.windows(self.ears.window(part.rows, start, start + self.time))
        heard = normalised(windows, self.ears.features) * float(draw.random() >= self.unheard)
        crops = _tensor(images)
        references = _tensor(reference[None]).expand_as(crops)
        lips = mouths[:, : len(LIPS)]
        box = torch.cat([lips.amin((0, 1)), lips.amax((0, 1))])
        return Heads(crops, references, heard, part.shape[frames], mouths), box

    def _reference(self, draw: np.random.Generator, group: list[Part], part: Part, start: int) -> tuple[Part, int]:
        """Of a few frames of the same video the one whose skull lies most alike."""
        wanted = part.skull[start + self.time // 2]
        lengths = np.array([len(other.page) for other in group])
        found: list[tuple[float, Part, int]] = []
        for _ in range(BANK):
            other = group[draw.choice(len(group), p=lengths / lengths.sum())]
            at = int(draw.integers(len(other.page)))
            near = other is part and start - self.time <= at < start + 2 * self.time
            found.append((float((other.skull[at] - wanted).square().sum()) + near, other, at))
        _, other, at = min(found, key=lambda candidate: candidate[0])
        return other, at

    def _jitter(self, draw: np.random.Generator, flip: bool) -> Jitter:
        if not self.moved:
            return Jitter(flip=flip)
        dx, dy, scale, turn = (float(np.clip(x, -2, 2)) for x in draw.normal(size=4))
        return Jitter(SHIFT * dx, SHIFT * dy, SCALE * scale, TURN * turn, flip)

    def _light(self, draw: np.random.Generator) -> Float[np.ndarray, " 3"]:
        drawn = draw.normal(size=4)
        return np.exp(LIGHT * (drawn[0] + drawn[1:] / 2)).astype(np.float32) if self.moved else np.ones(3, np.float32)


def moved(points: Float[Tensor, "*n 2"], jitter: Jitter) -> Float[Tensor, "*n 2"]:
    """Points of a square, 0..1, in a square that was moved. Where it is mirrored, the points are the mirrored face's: the move
    comes before the mirror."""
    flat = points.reshape(-1, 2).numpy().astype(np.float64)
    flat[:, 0] = 1 - flat[:, 0] if jitter.flip else flat[:, 0]
    flat = jitter.place(1).to_crop((flat + MARGIN) / WHOLE, 1)
    flat[:, 0] = 1 - flat[:, 0] if jitter.flip else flat[:, 0]
    return torch.from_numpy(flat.astype(np.float32)).reshape(points.shape)


def _points(pages: list[Page], flip: bool) -> Float[Tensor, "time 478 2"]:
    points = np.concatenate([page.points for page in pages])
    return torch.from_numpy(mirrored(points, 1) if flip else points)


def _tensor(images: Float[np.ndarray, "n size size 3"]) -> Float[Tensor, "n 3 size size"]:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32).clip(0, 1))
