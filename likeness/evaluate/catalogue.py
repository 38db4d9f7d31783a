"""What each column of an evaluation is: title, unit, which way is better, and the recipe that a report carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from likeness.evaluate.metrics import RECIPES


@dataclass(frozen=True)
class Column:
    """Of `Figures`."""

    title: str
    unit: str
    better: Literal["higher", "lower", "near 1", "near real"]
    recipe: str
    """A key of `metrics.RECIPES`."""
    digits: int = 2

    @property
    def recipe_id(self) -> str:
        return RECIPES[self.recipe]


COLUMNS: dict[str, Column] = {
    "full": Column("PSNR, frame", "dB", "higher", "psnr", 1),
    "face": Column("PSNR, face", "dB", "higher", "psnr", 1),
    "mouth": Column("PSNR, mouth", "dB", "higher", "psnr", 1),
    "full_own": Column("PSNR, own torso", "dB", "higher", "psnr", 1),
    "ssim": Column("SSIM, frame", "", "higher", "ssim", 3),
    "ssim_face": Column("SSIM, face", "", "higher", "ssim", 3),
    "ssim_mouth": Column("SSIM, mouth", "", "higher", "ssim", 3),
    "ssim_own": Column("SSIM, own torso", "", "higher", "ssim", 3),
    "lmd": Column("LMD", "px", "lower", "lmd"),
    "lmd_share": Column("LMD / eyes", "", "lower", "lmd", 4),
    "opening_r": Column("opening, r", "", "higher", "opening"),
    "opening_ratio": Column("opening, size", "", "near 1", "opening"),
    "jitter": Column("jitter", "px", "near real", "jitter"),
}
"""By field name of `Figures`, in the order of a table."""
