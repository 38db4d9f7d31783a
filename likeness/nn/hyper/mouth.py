"""The shape of a mouth in a few numbers, the same for everybody, and back to where its points lie.

Points are in the unit of a face's square (0..1 across it, `likeness.dub.faces`): a head's place, size and roll are out of them.
What is left is one person's mean, how a turning head shifts the mouth (told by points of the skull alone, so that nothing of
the mouth that is seen gets into the mouth that is made), and the shape:

    points = mean of the person + turns @ lean + shape * spread @ basis
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.mesh import CHIN, INNER_LIPS, JAW, LIPS, LOWER_INNER_LIP, OUTER_LIPS, SKULL, UPPER_INNER_LIP
from likeness.nn.hyper.settings import SHAPE

MOUTH = LIPS + JAW + CHIN
"""The points that a shape moves."""
TURNS = 3  # numbers that say how a head is turned: two for yaw and pitch, one for what a wide lens does
FLAT, SKULL_FLAT = 2 * len(MOUTH), 2 * len(SKULL)
RIDGE = 1e-4
REST = 0.1  # share of a person's frames, those that are open least, whose mean is the mouth at rest
FEWEST = 2
LIVELY = (0.6, 1.6)
"""A person's movement over everybody's, within which it is believed: a bank of silent frames says nothing of how they speak."""
MOUTH_COUNTS, SHUT_COUNTS = 3.0, 0.5
"""Of how far references' mouths are from what is wanted, and of how far they are shut too much, against their pose: root mean
squares of points, in sides of the square. A warp turns a head better than it shows teeth: with .5 the warped references of
40 videos are .6 dB worse at the mouth. More is hardly better, and changes references more often."""
STAYS, NEAR = 1.5, 0.004  # times as bad, and half a pixel of 128 worse
_OPENING = (MOUTH.index(UPPER_INNER_LIP), MOUTH.index(LOWER_INNER_LIP))
_OUTER = tuple(MOUTH.index(point) for point in OUTER_LIPS)
_INNER = tuple(MOUTH.index(point) for point in INNER_LIPS)
_LOWER, _UPPER = (
    [MOUTH.index(point) for point in side] for side in (INNER_LIPS[1:10], INNER_LIPS[:10:-1])
)  # from corner to corner, opposite each other
_JAW = tuple(MOUTH.index(point) for point in JAW)


@dataclass(frozen=True)
class Person:
    """What is known of a person's face: means over frames of them."""

    skull: Float[Tensor, "skull 2"]
    mouth: Float[Tensor, "mouth 2"]
    spread: Float[Tensor, " shape"]
    """Standard deviation of their shapes; ones where too little was seen."""
    centre: Float[Tensor, " shape"]
    rest: Float[Tensor, " shape"]
    """The shape at rest."""

    @property
    def lively(self) -> Float[Tensor, " shape"]:
        """How much they move, over everybody's movement."""
        return self.spread.clamp(*LIVELY)


class Mouth(nn.Module):
    """The basis, learned from many people. Blank until `fit` or a file fills it."""

    turns: Tensor
    lean: Tensor
    basis: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turns", torch.zeros(TURNS, SKULL_FLAT))
        self.register_buffer("lean", torch.zeros(TURNS, FLAT))
        self.register_buffer("basis", torch.zeros(SHAPE, FLAT))
        self.register_buffer("spread", torch.ones(SHAPE))

    def fit(self, people: list[Float[Tensor, "frames 478 2"]]) -> None:
        """Learn the basis from the frames of many people, each person's (or video's) by themselves. Everybody counts as
        their frames do."""
        skulls = torch.cat([(p[:, list(SKULL)] - p[:, list(SKULL)].mean(0)).flatten(1) for p in people]).double()
        mouths = torch.cat([(p[:, list(MOUTH)] - p[:, list(MOUTH)].mean(0)).flatten(1) for p in people]).double()
        turns = _principal(skulls, TURNS)
        turned = skulls @ turns.T
        gram = turned.T @ turned + RIDGE * len(turned) * torch.eye(TURNS, dtype=turned.dtype) * turned.var()
        lean = torch.linalg.solve(gram, turned.T @ mouths)
        left = mouths - turned @ lean
        basis = _principal(left, SHAPE)
        self.turns.copy_(turns)
        self.lean.copy_(lean)
        self.basis.copy_(basis)
        self.spread.copy_((left @ basis.T).std(0).clamp_min(1e-6))

    def person(self, points: Float[Tensor, "frames 478 2"]) -> Person:
        """What these frames say of a person."""
        skull, mouth = points[:, list(SKULL)].mean(0), points[:, list(MOUTH)].mean(0)
        unknown = torch.zeros(SHAPE)
        person = Person(skull, mouth, torch.ones(SHAPE), unknown, unknown)
        shapes = self.shape(points, person)
        shut = opening(points[:, list(MOUTH)]).argsort()[: max(1, round(REST * len(points)))]
        spread = shapes.std(0) if len(points) >= FEWEST else torch.ones(SHAPE)
        return Person(skull, mouth, spread, shapes.mean(0), shapes[shut].mean(0))

    def shape(self, points: Float[Tensor, "frames 478 2"], person: Person) -> Float[Tensor, "frames shape"]:
        """The shape of mouths that are seen; spread 1 over everybody."""
        left = points[:, list(MOUTH)] - self._turned(points, person)
        return left.flatten(1) @ self.basis.T / self.spread

    def points(
        self, shape: Float[Tensor, "frames shape"], seen: Float[Tensor, "frames 478 2"], person: Person
    ) -> Float[Tensor, "frames mouth 2"]:
        """Where the points `MOUTH` lie in this shape. Of the faces that are seen only the skull counts."""
        return parted(self._turned(seen, person) + (shape * self.spread @ self.basis).unflatten(1, (-1, 2)))

    @property
    def opens(self) -> Float[Tensor, " shape"]:
        """By how much each number of the shape opens the mouth, sides of the square."""
        upper, lower = _OPENING
        return (self.spread[:, None] * self.basis).unflatten(1, (-1, 2))[:, [upper, lower], 1].diff(dim=1)[:, 0]

    def turned(self, points: Float[Tensor, "frames 478 2"], person: Person) -> Float[Tensor, "frames turns"]:
        """How heads are turned, against the person's mean."""
        return (points[:, list(SKULL)] - person.skull).flatten(1) @ self.turns.T

    def _turned(self, points: Float[Tensor, "frames 478 2"], person: Person) -> Float[Tensor, "frames mouth 2"]:
        """The person's mean mouth in every frame's turn of the head."""
        return person.mouth + (self.turned(points, person) @ self.lean).unflatten(1, (-1, 2))


def choose(
    wanted: tuple[Float[Tensor, " turns"], Float[Tensor, "mouth 2"]],
    bank: tuple[Float[Tensor, "references turns"], Float[Tensor, "references mouth 2"]],
    before: int | None = None,
) -> int:
    """Which picture of a bank to begin from: turned alike, its mouth alike and rather too far open, since a warp can close a
    mouth but not show what is in it. The one before stays unless another is clearly better: a change of it shows.

    Both are given as turns of the head (`Mouth.turned`) and points of the mouth, 0..1 across the square.
    """
    turned = (bank[0] - wanted[0]).norm(dim=1) / len(SKULL) ** 0.5
    mouths = bank[1] - bank[1].mean(1, keepdim=True), wanted[1] - wanted[1].mean(0)
    other = (mouths[0] - mouths[1]).square().sum(-1).mean(1).sqrt()
    shut = (opening(wanted[1][None]) - opening(bank[1])).clamp_min(0)
    cost = turned + MOUTH_COUNTS * other + SHUT_COUNTS * shut
    best = int(cost.argmin())
    return before if before is not None and float(cost[before]) < STAYS * float(cost[best]) + NEAR else best


def parted(mouth: Float[Tensor, "frames mouth 2"]) -> Float[Tensor, "frames mouth 2"]:
    """Mouths whose inner lips at most touch. A shape is linear and would let them through each other, which looks as open as
    the other way round."""
    upper, lower = mouth[:, _UPPER, 1], mouth[:, _LOWER, 1]
    through = (upper - lower).clamp_min(0) / 2
    mouth = mouth.clone()
    mouth[:, _UPPER, 1] = upper - through
    mouth[:, _LOWER, 1] = lower + through
    return mouth


def opening(mouth: Float[Tensor, "frames mouth 2"]) -> Float[Tensor, " frames"]:
    """Distance between the middles of the inner lips, in the unit of the points `MOUTH`."""
    upper, lower = _OPENING
    return (mouth[:, upper] - mouth[:, lower]).norm(dim=-1)


def lips_of(mouth: Float[Tensor, "mouth 2"]) -> tuple[Float[Tensor, "outer 2"], Float[Tensor, "inner 2"]]:
    """Both rings of the lips."""
    return mouth[list(_OUTER)], mouth[list(_INNER)]


def jaw_of(mouth: Float[Tensor, "mouth 2"]) -> Float[Tensor, "jaw 2"]:
    """The jaw's line from ear to ear."""
    return mouth[list(_JAW)]


def _principal(rows: Float[Tensor, "rows flat"], count: int) -> Float[Tensor, "count flat"]:
    """Principal components, by the covariance; each points to where its largest value is positive."""
    _, vectors = torch.linalg.eigh(rows.T @ rows)
    found = vectors.T.flip(0)[:count]
    return found * found.gather(1, found.abs().argmax(1, keepdim=True)).sign()
