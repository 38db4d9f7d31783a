"""Settings of rigged Gaussians. Lengths in pixels are meant at 256² and scale with the size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Config:
    """Settings of rigged Gaussians."""

    preset: Literal["fast", "standard"] = "fast"
    """fast: a good portrait in two minutes at 256². standard: more Gaussians, three times the steps."""
    size: int = 256
    """Side of the picture in pixels: 256 or 512."""
    steps: int = 4200
    """Optimiser steps of the head."""
    small_steps: int = 0
    """How many of them, the first, are done at half the size."""
    density: float = 0.5
    """Number of Gaussians: 1 is about 16000 before they are multiplied."""
    seed: int = 0
    """Of every random choice."""

    rest_rate: float = 5e-3
    log_scale_rate: float = 5e-3
    quats_rate: float = 2e-3
    opacity_rate: float = 3e-2
    color_rate: float = 3e-3
    basis_rate: float = 2e-4
    response_rate: float = 5e-5
    network_rate: float = 1e-3
    geometry_decay: float = 0.02
    """Rates of geometry, bases and networks end at this share, the others at `color_decay`."""
    color_decay: float = 0.1
    ssim_weight: float = 0.2
    alpha_weight: float = 0.05
    lip_weight: float = 3.0
    """Weight of the lip box in the colour loss; 2 round the eyes."""
    noise: float = 0.05
    """Standard deviation of noise on the conditioning in training."""

    def __post_init__(self) -> None:
        if self.size not in (256, 512):
            raise ValueError(f"size is {self.size}; this method renders at 256 or 512")


def preset(name: Literal["fast", "standard"], size: int = 256, seed: int = 0) -> Config:
    """The settings of a preset at a size. Raises ValueError for an unknown one."""
    if name not in ("fast", "standard"):
        raise ValueError(f"rigged-gaussians has no preset {name!r}, only fast and standard: it is of no paper")
    config = Config(preset=name, size=size, seed=seed)
    if size == 512:
        config = replace(config, steps=5500, small_steps=3000, density=1.0)
    if name == "standard":
        config = replace(config, steps=12000 if size == 256 else 14000, density=1.0 if size == 256 else 1.6)
    return config
