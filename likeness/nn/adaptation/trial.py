"""What each source makes of the frames of a clip that it did not learn from, in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness.nn.adaptation.distances import distances, nearest_mouth_mm
from likeness.nn.adaptation.person import Person, Reading, shown
from likeness.nn.adaptation.ranged import Ranged
from likeness.nn.adaptation.ridge import Fitted
from likeness.nn.adaptation.speaker import SOURCES, Source
from likeness.nn.voice import FAMILIES, Family
from likeness.nn.voice_train import BLOCKS, GAP, Lesson, begin, calibrate, correlation, opening, remember
from likeness.rig import Rig

GENERIC = "generic"
"""Beside the sources: generic motion itself, read as if it were the person's."""


@dataclass(frozen=True)
class Trial:
    """A clip, and what the sources made of its judged frames without having seen them."""

    lesson: Lesson
    rig: Rig
    person: Person
    generic: Float[Tensor, "time width"]
    """Generic motion to the clip's sound."""
    lips: Mapping[tuple[Family, str], Float[Tensor, "judged lips"]]
    """By family and source, and GENERIC. NaN where a source was not judged."""

    @property
    def frames(self) -> Int[np.ndarray, " judged"]:
        """Numbers of the judged frames in the clip."""
        return np.flatnonzero(self.lesson.judged)

    @property
    def real(self) -> Float[Tensor, "judged lips"]:
        return self.lesson.lips[torch.from_numpy(self.frames)]

    def figures(self, family: Family, source: str, rows: Tensor | None = None) -> dict[str, float]:
        """Of a source: the opening's r and ratio to the real one, the lips' error (root mean square of z-scores, weighted by
        what they move), and the distances to the person's own. `rows`: judged frames that count; None all that it has."""
        lips = self.lips[family, source]
        rows = lips.isfinite().all(1) if rows is None else rows
        lips, real = lips[rows], self.real[rows]
        moves = shown(self.rig, lips)
        if source == GENERIC:
            moves = self.generic[torch.from_numpy(self.frames)][rows]
        said, truth = opening(self.rig, lips), opening(self.rig, real)
        return {
            "r": float(correlation(said, truth)),
            "ratio": float(said.std() / truth.std()),
            "error": float((self.rig.lip_weight * (lips - real).square()).sum(1).mean().sqrt()),
            **distances(self.rig, self.person, moves, lips),
        }

    def floor_mm(self) -> float:
        """The nearest-mouth distance of the person's own lips, each block against the frames of the others."""
        found = []
        for block in np.array_split(self.frames, BLOCKS):
            far = (self.person.frames < block[0] - GAP) | (self.person.frames > block[-1] + GAP)
            own = shown(self.rig, self.lesson.lips[torch.from_numpy(block)])
            found.append(nearest_mouth_mm(own, self.person.moves[torch.from_numpy(far)]))
        return float(np.mean(found))

    def told(self, family: Family) -> dict[str, float]:
        """All figures of a family by name, for a log."""
        own = 1000 * opening(self.rig, self.person.lips)
        found = {"real_nearest_mm": self.floor_mm(), "real_opening_mm": float(own.mean())}
        found["real_opening_spread_mm"] = float(own.std())
        for held, source in self.lips:
            if held == family:
                found |= {f"{family}_{source}_{name}": value for name, value in self.figures(family, source).items()}
        return found

    def best(self, family: Family) -> Source:
        """The source with the opening's highest r on the frames that all were judged on."""
        held: dict[Source, Tensor] = {source: self.lips[family, source] for source in SOURCES if (family, source) in self.lips}
        rows = torch.stack([lips.isfinite().all(1) for lips in held.values()]).all(0)
        return max(held, key=lambda source: self.figures(family, source, rows)["r"])


def tried(
    lesson: Lesson,
    rig: Rig,
    person: Person,
    generic: Float[Tensor, "time width"],
    fitted: Fitted,
    postnet: Float[Tensor, "judged lips"] | None = None,
) -> Trial:
    """`generic`: motion to the clip's sound. `fitted`: the ridge adapter. `postnet`: what a post-net made of the judged frames
    that it was not trained on, NaN for the others."""
    frames = torch.from_numpy(np.flatnonzero(lesson.judged))
    ridge = fitted.ridge.bias + fitted.guess @ fitted.ridge.calibration
    ranged = projected(lesson, rig, person, generic)
    lips: dict[tuple[Family, str], Tensor] = {}
    voice = begin(lesson, rig)
    for index, family in enumerate(FAMILIES):
        guess = remember(voice, lesson, rig, family)
        bias = voice.memory(family).bias
        calibrate(voice, rig, family, guess, lesson.lips[frames] - bias)
        alone = bias + guess @ voice.calibration[index]
        lips |= {(family, "voice"): alone, (family, "ridge"): ridge, (family, "both"): (alone + ridge) / 2}
        lips |= {(family, "projection"): ranged, (family, GENERIC): person.reading(generic)[frames]}
        if postnet is not None:
            lips[family, "postnet"] = postnet
    return Trial(lesson, rig, person, generic, lips)


def projected(lesson: Lesson, rig: Rig, person: Person, generic: Float[Tensor, "time width"]) -> Float[Tensor, "judged lips"]:
    """By the landmark projection, whose ranges, reading and manifold are of frames outside of each block and GAP round it."""
    parts = []
    for block in np.array_split(np.flatnonzero(lesson.judged), BLOCKS):
        far = (person.frames < block[0] - GAP) | (person.frames > block[-1] + GAP)
        kept = torch.from_numpy(far)
        moves, lips = person.moves[kept], person.lips[kept]
        rest = Person(person.frames[far], moves, lips, Reading.of(moves, lips))
        parts.append(Ranged.of(generic[torch.from_numpy(rest.frames)], rest, rig)(generic[torch.from_numpy(block)]))
    return torch.cat(parts)
