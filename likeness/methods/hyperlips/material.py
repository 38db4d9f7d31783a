"""What HyperLips learns from: stretches of an album, each with a reference of the same person, and what they say."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.album import Album, Page
from likeness.album.pages import MARGIN, WHOLE, Jitter, mirrored
from likeness.audio import ROWS_PER_FRAME
from likeness.mesh import LIPS, NODES
from likeness.nn.hyper.hearing import hearing, normalised
from likeness.nn.hyper.lipnet import Heads
from likeness.nn.hyper.mouth import Mouth, choose, jaw_of
from likeness.nn.hyper.settings import SIDE, Settings
from likeness.nn.hyper.sketch import UPPER
from likeness.nn.hyper.warp import brought, control

BANK = 12
"""Frames of which the one that is turned most like the stretch becomes its reference; in use there is a bank, too."""
SHIFT, SCALE, TURN = 0.02, 0.03, 0.03
"""Standard deviations of how squares are moved: by sides, in log, in radians. Landmarks tremble by less."""
LIGHT = 0.08  # standard deviation of the log of brightness, and half of it for each colour's: the same for a whole stretch
EDGE = 9  # pixels of 128: as far as a mask is feathered
MOST_S = 60.0  # seconds of one person that count; who is seen for longer is not seen more often


@dataclass(frozen=True)
class Part:
    """A page, as it is or mirrored, and what is known of its frames."""

    page: Page
    flip: bool
    turned: Float[Tensor, "time turns"]
    shape: Float[Tensor, "time shape"]
    mouths: Float[Tensor, "time mouth 2"]
    """As the shape says, not as the tracker saw them: what a sketch will show in use."""
    rows: Float[Tensor, "rows columns"]
    """Speech features, not normalised."""


class Batch(NamedTuple):
    """Stretches to learn from."""

    heads: Heads
    """With the whole crops, whose lower half the network does not look at."""
    boxes: Float[Tensor, "batch time 4"]
    """Left, top, right, bottom of the mouths, 0..1 of the picture."""
    skin: Float[Tensor, "batch time 128 128"]
    """1 in the lower face, the part that is put into a picture; 0 outside, falling over its edge."""
    faces: Float[Tensor, "batch time 4"]
    """Likewise, of the whole faces, chin to forehead."""
    rows: Float[Tensor, "batch rows judged"]
    """Raw features for a judge of lips against sound (`Judged`); of no columns where nobody judges."""


class Judged(NamedTuple):
    """What a judge of lips against sound wants to hear."""

    features: tuple[str, ...] = ()
    around: int = 0
    """Frames beyond both ends of a stretch; zeros beyond the page."""


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
        turned, shapes, drawn = (values.split(lengths) for values in (self.mouth.turned(points, person), shape, mouths))
        names = self.settings.features
        heard = (torch.from_numpy(np.concatenate([page.features(name) for name in names], 1)) for page in pages)
        return [Part(page, flip, *of) for page, *of in zip(pages, turned, shapes, drawn, heard, strict=True)]

    def of(self, split: str, smallest: int = 0) -> list[list[Part]]:
        """The groups (videos) of a split, without pages whose pictures are smaller than `smallest` pixels."""
        kept = ([part for part in group if part.page.side >= smallest * WHOLE] for group in self.groups)
        return [group for group in kept if group and group[0].page.split == split]


class Sampler:
    """Draws stretches: people by the square root of how long they are seen, frames evenly."""

    def __init__(
        self,
        groups: list[list[Part]],
        settings: Settings,
        size: int,
        time: int,
        unheard: float = 0.0,
        moved: bool = False,
        judged: Judged = Judged(),
    ) -> None:
        """`settings` that `groups` were read with; `size` of the crops; `time` frames to a stretch; `unheard`: share of the
        stretches without sound; `moved`: with squares and light moved, for learning; `judged`: what `Batch.rows` are."""
        self.judged = judged
        self.settings, self.ears = settings, hearing(settings.features)
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
        found, skin, faces, rows = zip(*stretches)
        heads = Heads(*(torch.stack(values) for values in zip(*found)))
        lips = heads.mouths[:, :, : len(LIPS)]
        boxes = torch.cat([lips.amin(2), lips.amax(2)], -1)
        return Batch(heads, boxes, torch.stack(skin), torch.stack(faces), torch.stack(rows))

    def _stretch(
        self, draw: np.random.Generator
    ) -> tuple[Heads, Float[Tensor, "time 128 128"], Float[Tensor, "time 4"], Float[Tensor, "rows judged"]]:
        group = self.groups[draw.choice(len(self.groups), p=self.weights)]
        lengths = np.array([len(part.page) - self.time + 1 for part in group])
        part = group[draw.choice(len(group), p=lengths / lengths.sum())]
        start = int(draw.integers(len(part.page) - self.time + 1))
        frames = slice(start, start + self.time)
        jitter, own = self._jitter(draw, part.flip), self._jitter(draw, part.flip)
        light = self._light(draw)
        mouths = moved(part.mouths[frames], jitter)
        other, at = self._reference(draw, group, part, start)
        reference, face = other.page.crop(at, self.size, own)
        held = control(torch.from_numpy(face / self.size))
        images, references, faces, uppers = [], [], [], []
        for t, mouth in enumerate(mouths, start):
            image, face = part.page.crop(t, self.size, jitter)
            points = torch.from_numpy(face / self.size)
            wanted = control(points, mouth)
            images.append(image * light)
            uppers.append(points[list(UPPER)])
            faces.append(torch.cat([points[:NODES].amin(0), points[:NODES].amax(0)]))
            references.append((brought(reference, held, wanted) if self.settings.warped else reference) * light)
        windows = self.ears.windows(self.ears.window(part.rows, start, start + self.time))
        heard = normalised(windows, self.ears.features) * float(draw.random() >= self.unheard)
        heads = Heads(_tensor(images), _tensor(references), heard, part.shape[frames], mouths, torch.stack(uppers))
        skin = torch.from_numpy(np.stack([shown(mouth) for mouth in mouths]))
        return heads, skin, torch.stack(faces), torch.from_numpy(self._told(part.page, start))

    def _told(self, page: Page, start: int) -> Float[np.ndarray, "rows judged"]:
        """What the judge hears of the stretch that begins there."""
        first, last = ((start + way) * ROWS_PER_FRAME for way in (-self.judged.around, self.time + self.judged.around))
        rows = [page.features(name)[max(first, 0) : last] for name in self.judged.features]
        whole = len(page) * ROWS_PER_FRAME
        beyond = (max(-first, 0), max(last - whole, 0)), (0, 0)
        return np.pad(np.concatenate(rows, 1), beyond) if rows else np.zeros((last - first, 0), np.float32)

    def _reference(self, draw: np.random.Generator, group: list[Part], part: Part, start: int) -> tuple[Part, int]:
        """The best of a few frames of the same video, as `mouth.choose` says; the bank of use is as small."""
        middle = start + self.time // 2
        lengths = np.array([len(other.page) for other in group])
        found: list[tuple[Part, int]] = []
        for _ in range(4 * BANK):
            other = group[draw.choice(len(group), p=lengths / lengths.sum())]
            at = int(draw.integers(len(other.page)))
            if other is not part or not start - self.time <= at < start + 2 * self.time:
                found.append((other, at))
            if len(found) == BANK:
                break
        found = found or [(part, 0)]
        bank = torch.stack([o.turned[a] for o, a in found]), torch.stack([o.mouths[a] for o, a in found])
        return found[choose((part.turned[middle], part.mouths[middle]), bank)]

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


def shown(mouth: Float[Tensor, "mouth 2"]) -> Float[np.ndarray, "128 128"]:
    """The lower face: between the ends of the jaw's line, with a soft edge."""
    picture = np.zeros((SIDE, SIDE), np.float32)
    jaw = np.round((jaw_of(mouth).numpy() * SIDE - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(picture, [jaw], (1.0,), cv2.LINE_AA, 4)
    top = jaw[:, 1].min() // 16  # the jaw's ends lie beside the ears, above the nose's base
    picture[:top] = 0
    return cv2.GaussianBlur(cv2.dilate(picture, np.ones((EDGE, EDGE), np.uint8)), (EDGE, EDGE), 0)


def _tensor(images: list[Float[np.ndarray, "size size 3"]]) -> Float[Tensor, "n 3 size size"]:
    return torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), np.float32).clip(0, 1))
