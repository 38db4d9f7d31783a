"""What a sync expert on pixels learns from: stretches of an album's pages, moved a little, mirrored half of the time.

A stretch is moved, lit and mirrored as one: what changes within it is what the lips do. Pages do not say how sure the step of
lips and sound is; the corpus that they were cut from does, and `doubtful` hands it on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from likeness.corpus import Corpus, Split
from likeness.mesh import INNER_LIPS, LIPS, OUTER_LIPS
from likeness.nn.sync.material import TELLING, pairs, shares
from likeness.nn.sync.pixels.expert import FRAMES, SIDE, Expert
from likeness.video import FPS

SHIFT, SCALE, TURN = 0.03, 0.05, 0.05
"""Standard deviations of how a stretch is moved: of its width, in log, in radians."""
LIGHT, CURVE = 0.1, 0.15
"""Of the logs of a colour's strength, and of gamma."""
KEPT_AT_A_TIME = 100  # frames, decoded at 128 pixels
RING = len(OUTER_LIPS)  # and as many within: from the right corner below to the left one and back above
OPPOSITE = [half * RING + (RING // 2 - n) % RING for half in range(2) for n in range(RING)]
"""Where a mirror puts the points of `LIPS`."""
assert len(INNER_LIPS) == RING


@runtime_checkable
class Page(Protocol):
    """What is asked of a `likeness.album.Page`."""

    @property
    def speaker(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def split(self) -> str: ...

    def __len__(self) -> int: ...

    def features(self, name: str) -> Float[np.ndarray, "rows dim"]: ...

    def crop(self, t: int, size: int, jitter: Any = None) -> tuple[Float[np.ndarray, "_ _ 3"], Float[np.ndarray, "478 2"]]: ...

    @property
    def points(self) -> Float[np.ndarray, "time 478 2"]: ...


@dataclass(frozen=True)
class Track:
    """A page, or a part of one, as far as a sync expert needs it."""

    speaker: str
    page: Page
    first: int
    pictures: UInt8[Tensor, "time 3 height width"] | None
    """What is looked at, where it is held in memory."""
    sound: Float[Tensor, "time rows sound"]
    """What `Expert.hear` gives."""
    outline: Float[Tensor, "time lips 2"]
    """Of the lips, from their middle, in sides of the square."""

    def __len__(self) -> int:
        return len(self.sound)

    @staticmethod
    def of(page: Page, expert: Expert) -> Track:
        its = expert.settings
        rows = torch.from_numpy(np.concatenate([page.features(name) for name in its.features], axis=1))
        lips = torch.from_numpy(page.points[:, list(LIPS)])
        track = Track(page.speaker, page, 0, None, expert.hear(rows), lips - lips.mean(1, keepdim=True))
        if not its.held:
            return track
        parts = [
            track.looks(expert, start, KEPT_AT_A_TIME).mul(255).round().byte() for start in range(0, len(track), KEPT_AT_A_TIME)
        ]
        return replace(track, pictures=torch.cat(parts).contiguous())

    def part(self, first: int, frames: int) -> Track:
        """A part of it, or what there is of that."""
        cut = slice(first, first + frames)
        pictures = None if self.pictures is None else self.pictures[cut]
        return Track(self.speaker, self.page, self.first + first, pictures, self.sound[cut], self.outline[cut])

    def looks(self, expert: Expert, first: int, frames: int) -> Float[Tensor, "time 3 height width"]:
        """What the expert looks at in these frames, or in what there is of them, 0 .. 1."""
        cut = range(first, min(first + frames, len(self)))
        if self.pictures is not None:
            return self.pictures[cut.start : cut.stop].float() / 255
        crops = np.stack([self.page.crop(self.first + t, SIDE)[0] for t in cut])
        return expert.look(torch.from_numpy(crops).permute(0, 3, 1, 2))


def tracks(pages: Sequence[Page], split: Split, expert: Expert, seed: int = 0, without: Doubtful | None = None) -> list[Track]:
    """Pages of a split, of each person at most an equal share of `settings.hours`, drawn by `seed` where there is more.

    `without`: parts of videos whose pages are left out, see `doubtful`.
    """
    own = [page for page in pages if page.split == split and not _within(page, without or {})]
    share = expert.settings.hours * 3600 * FPS / max(1, len({page.speaker for page in own}))
    if sum(map(len, own)) > expert.settings.hours * 3600 * FPS:
        own = [own[n] for n in np.random.default_rng(seed).permutation(len(own))]
    held: list[Track] = []
    frames: dict[str, int] = defaultdict(int)
    for page in own:
        if frames[page.speaker] < share:
            held.append(Track.of(page, expert))
            frames[page.speaker] += len(page)
    return held


Doubtful = dict[str, list[tuple[int, int]]]
"""By a video's id, its parts [start, stop)."""


def doubtful(corpus: Corpus, split: Split) -> Doubtful:
    """Where a corpus could not tell whether lips and sound are in step, in stretches long enough to tell."""
    found: Doubtful = defaultdict(list)
    for sample in corpus.stream(split, seed=None):
        frames = len(sample["moves"])
        if not sample["clear"] and frames >= TELLING:
            found[sample["key"].rpartition("-")[0]].append((sample["start"], sample["start"] + frames))
    return dict(found)


def _within(page: Page, parts: Doubtful) -> bool:
    """Whether a page begins in one of these; its key ends with the frame that it begins with."""
    video, _, start = page.key.rpartition("-")
    return any(first <= int(start) < stop for first, stop in parts.get(video, []))


@dataclass(frozen=True)
class Batch:
    """Stretches, and what their windows are to each other."""

    looks: Float[Tensor, "batch time 3 height width"]
    sounds: Float[Tensor, "batch time rows sound"]
    outlines: Float[Tensor, "batch time lips 2"]
    kinds: Int[Tensor, "windows windows"]
    """See `likeness.nn.sync.material.pairs`; windows of the first stretch, of the second, ..."""


class Draw:
    """Batches of tracks: people by the root of how long they are seen, then their tracks by length."""

    def __init__(self, held: Sequence[Track], expert: Expert) -> None:
        length = expert.settings.stretch
        self.held, self.expert = [track for track in held if len(track) >= length], expert
        self.speaker, self.weight = shares(self.held)

    def batch(self, random: np.random.Generator) -> Batch:
        """Of `settings.stretches` stretches."""
        its = self.expert.settings
        looks, sounds, outlines, starts = [], [], [], []
        numbers = random.choice(len(self.held), its.stretches, p=self.weight)
        for number in numbers:
            track, frames = self.held[number], its.stretch
            first = int(random.integers(len(track) - frames + 1))
            looks.append(track.looks(self.expert, first, frames))
            sounds.append(track.sound[first : first + frames])
            outlines.append(track.outline[first : first + frames])
            starts.append(first)
        mirrored = torch.from_numpy(random.random(its.stretches) < 0.5)
        windows = its.stretch - FRAMES + 1
        each = torch.arange(windows).repeat(its.stretches)
        track, time, speaker = (
            torch.as_tensor(values).repeat_interleave(windows) for values in (numbers, np.array(starts), self.speaker[numbers])
        )
        moved = lit(shaken(torch.stack(looks), mirrored, its.moved, random), its.moved, random)
        outline = torch.stack(outlines)
        outline = torch.where(mirrored[:, None, None, None], outline[:, :, OPPOSITE] * torch.tensor([-1.0, 1.0]), outline)
        return Batch(moved, torch.stack(sounds), outline, pairs(track, time + each, speaker))


def shaken(
    looks: Float[Tensor, "batch time 3 height width"],
    mirrored: Bool[Tensor, " batch"],
    amount: float,
    random: np.random.Generator,
) -> Float[Tensor, "batch time 3 height width"]:
    """Every stretch moved, enlarged, turned and, where it says so, mirrored, all its frames alike; edges are repeated."""
    batch, time, _, height, width = looks.shape
    shift, scale, turn = (amount * random.normal(0, sd, n) for sd, n in ((SHIFT, (batch, 2)), (SCALE, batch), (TURN, batch)))
    cos, sin = np.exp(scale) * np.cos(turn), np.exp(scale) * np.sin(turn)
    flip = np.where(mirrored.numpy(), -1.0, 1.0)
    long = width / height  # a turn keeps squares square, where both sides count from -1 to 1
    rows = np.stack([flip * cos, sin / -long, 2 * shift[:, 0], flip * sin * long, cos, 2 * long * shift[:, 1]], 1)
    theta = torch.from_numpy(rows.reshape(batch, 2, 3)).to(looks)
    grid = F.affine_grid(theta, [batch, 3 * time, height, width], align_corners=False)
    flat = F.grid_sample(looks.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    return flat.view_as(looks)


def lit(
    looks: Float[Tensor, "batch time 3 height width"], amount: float, random: np.random.Generator
) -> Float[Tensor, "batch time 3 height width"]:
    """Every stretch in another light: gamma, and the strength of each colour."""
    curve = torch.from_numpy(np.exp(amount * random.normal(0, CURVE, (len(looks), 1, 1, 1, 1)))).to(looks)
    light = torch.from_numpy(np.exp(amount * random.normal(0, LIGHT, (len(looks), 1, 3, 1, 1)))).to(looks)
    return looks.clamp_min(1e-4) ** curve * light
