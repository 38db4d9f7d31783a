"""Faces of made-up people whose mouths and heads move by known numbers."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.dub.faces import MIDDLE, SIDE
from likeness.mesh import CHIN, INNER_LIPS, JAW, OUTER_LIPS
from likeness.prepare.generic_face import generic_face

LOWER_LIPS = tuple(p for ring in (OUTER_LIPS, INNER_LIPS) for p in ring[1:10])
"""The lower halves of both rings."""


def faces(open_mm: Float[np.ndarray, " n"], yaw: Float[np.ndarray, " n"], seed: int = 0) -> Float[Tensor, "n 478 2"]:
    """The face mesh, 0..1 across the square, of somebody (a seed) whose lower lip and jaw hang so low, turned so far."""
    person = np.random.default_rng(seed).normal(size=(478, 3)) * 5e-4
    points = np.repeat((generic_face() + person)[None], len(open_mm), 0)
    points[:, LOWER_LIPS, 1] += 1e-3 * open_mm[:, None]
    points[:, JAW + CHIN, 1] += 8e-4 * open_mm[:, None]
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    turned = np.stack([cos * points[..., 0] + sin * points[..., 2], points[..., 1]], -1)
    return torch.from_numpy((turned - MIDDLE) / SIDE + 0.5).float()


def people(count: int, frames: int = 60) -> list[Float[Tensor, "frames 478 2"]]:
    """Some people who open their mouths and turn their heads independently."""
    draws = [np.random.default_rng(100 + i) for i in range(count)]
    return [faces(d.uniform(0, 15, frames), d.normal(0, 0.1, frames), i) for i, d in enumerate(draws)]
