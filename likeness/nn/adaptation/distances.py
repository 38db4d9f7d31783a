"""How far motion is from a person's own: distance to the nearest mouth that was seen, and of the distributions of the lips."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.nn.adaptation.person import MOUTH_POINTS, Person
from likeness.nn.voice_train import opening
from likeness.rig import Rig

MM_IN_CM = 10.0


def nearest_mouth_mm(moves: Float[Tensor, "time width"], own: Float[Tensor, "frames width"]) -> float:
    """Mean over time of the distance to the nearest mouth of the person: root of the mean square over its 20 points, mm."""
    mouth = slice(0, 3 * MOUTH_POINTS)
    distance = torch.cdist(moves[:, mouth].contiguous(), own[:, mouth].contiguous())
    return MM_IN_CM * float(distance.amin(1).mean()) / MOUTH_POINTS**0.5


def frechet(a: Float[Tensor, "n dim"], b: Float[Tensor, "m dim"]) -> float:
    """Squared Fréchet distance of two sets taken as Gaussians: |μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½)."""
    a, b = a.double(), b.double()
    first, second = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    both = torch.linalg.eigvalsh(root @ second @ root).clamp_min(0).sqrt().sum()
    between = (a.mean(0) - b.mean(0)).square().sum()
    return float((between + first.trace() + second.trace() - 2 * both).clamp_min(0))


def distances(
    rig: Rig, person: Person, moves: Float[Tensor, "time width"], lips: Float[Tensor, "time lips"]
) -> dict[str, float]:
    """All figures of some motion: `nearest_mm`, `frechet` (of z-scored lips, weighted by what they move), and the opening's
    mean and spread in mm."""
    weight, said = rig.lip_weight.sqrt(), 1000 * opening(rig, lips)
    return {
        "nearest_mm": nearest_mouth_mm(moves, person.moves),
        "frechet": frechet(lips * weight, person.lips * weight),
        "opening_mm": float(said.mean()),
        "opening_spread_mm": float(said.std()),
    }
