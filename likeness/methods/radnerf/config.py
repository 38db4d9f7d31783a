"""Settings of RAD-NeRF: those of the radiance field, and what moves the face."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from likeness.nn.radiance import Settings
from likeness.nn.radiance.settings import PUBLISHED


@dataclass(frozen=True)
class Config(Settings):
    """Settings of RAD-NeRF; the defaults are those of `fast` at 256²."""

    preset: Literal["fast", "standard", "paper"] = "fast"
    """fast: a portrait in half an hour at 256². standard: three times the steps. paper: as published, for hours on a GPU."""
    original: Literal["", "RAD-NeRF", "ER-NeRF"] = ""
    """The code that trained the portrait, where it was imported: it keeps that code's axes, range of colours and windows of
    sound."""

    conditioning: Literal["motion", "sound"] = "motion"
    """What moves the face: the rig's lips, which a voice finds in sound, or codes of sound themselves."""
    features: tuple[str, ...] = ("mel", "phones")
    """Speech features under `sound`."""
    torso_steps: int = 0
    """Of a torso that is a field; 0 takes the foundation's torso."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.original:
            self.must_train_at(self.size)
        if self.conditioning not in ("motion", "sound"):
            raise ValueError(f"conditioning is {self.conditioning!r}; there are motion and sound")
        if self.original not in ("", "RAD-NeRF", "ER-NeRF"):
            raise ValueError(f"original is {self.original!r}; there are '' and RAD-NeRF and ER-NeRF")


def preset(name: Literal["fast", "standard", "paper"], size: int = 256, seed: int = 0) -> Config:
    """The settings of a preset at a size. Raises ValueError for an unknown one."""
    config = Config(preset=name, size=size, seed=seed)
    if name == "fast":
        return config
    if name == "standard":
        return replace(config, steps=30000, lip_steps=4500)
    if name != "paper":
        raise ValueError(f"there is no preset {name!r}: fast, standard or paper")
    return replace(config, **PUBLISHED, conditioning="sound", torso_steps=200_000, rate_end=0.1)
