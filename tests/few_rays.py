"""Small settings of RAD-NeRF, for tests."""

from __future__ import annotations

from dataclasses import replace

from likeness.kernels import geometric
from likeness.methods.radnerf import preset
from likeness.methods.radnerf.config import Config

FEW = {
    "steps": 6, "lip_steps": 4, "samples": 4096, "rays": 256, "occupancy_every": 3, "coarse_steps": 2,
    "plane_sizes": geometric(16.0, 4, finest=64.0), "grid_sizes": geometric(8.0, 3, finest=32.0), "grid_log2_rows": 10,
}  # fmt: skip
"""Every stage and several looks at space, in 10 steps."""


def few(**more: object) -> Config:
    return replace(preset("fast"), **{**FEW, **more})


def paper(**more: object) -> Config:
    """The published settings, with fewer steps, rays and nodes, and only in space near the head."""
    return replace(preset("paper"), **{**FEW, "torso_steps": 0, "seeded": True, **more})
