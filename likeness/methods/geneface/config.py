"""Settings of GeneFace: those of the radiance field, and how far landmarks may go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from likeness.methods.geneface.paper import PaperConfig
from likeness.nn.radiance import Settings
from likeness.nn.radiance.settings import PUBLISHED


@dataclass(frozen=True)
class Config(Settings):
    """Settings of GeneFace; the defaults are those of `fast` at 256²."""

    preset: Literal["fast", "standard", "rad"] = "fast"
    """fast: a portrait in half an hour at 256². standard: three times the steps. rad: the renderer on RAD-NeRF's kernels as
    published, for hours on a GPU."""
    clamp: float = 2.5
    """Standard deviations from the mean that a landmark may be away; across the picture half of it for brows and eyes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.must_train_at(self.size)
        if self.clamp <= 0:
            raise ValueError(f"clamp is {self.clamp}; landmarks need room to move")


def preset(name: Literal["fast", "standard", "rad", "paper"], size: int = 256, seed: int = 0) -> Config | PaperConfig:
    """The settings of a preset at a size. Raises ValueError for an unknown one."""
    if name == "paper":
        return PaperConfig(size=size, seed=seed)
    config = Config(preset=name, size=size, seed=seed)
    if name == "fast":
        return config
    if name == "standard":
        return replace(config, steps=30000, lip_steps=4500)
    if name != "rad":
        raise ValueError(f"there is no preset {name!r}: fast, standard, rad or paper")
    return replace(config, **PUBLISHED, hidden=128, rate_end=0.1**0.8, lip_rate_end=0.1)
