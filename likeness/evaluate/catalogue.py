"""What each column of an evaluation is: title, unit, which way is better, and the recipe that a report carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from likeness.evaluate.metrics import RECIPES

Group = Literal["over the real torso", "own torso", "face", "time"]


@dataclass(frozen=True)
class Column:
    """Of `Figures`."""

    title: str
    unit: str
    better: Literal["higher", "lower", "near 1", "near real"]
    recipe: str
    """A key of `metrics.RECIPES`."""
    digits: int = 2
    group: Group = "face"
    """Columns that stand beside each other where there is no room for all."""

    @property
    def recipe_id(self) -> str:
        return RECIPES[self.recipe]


COLUMNS: dict[str, Column] = {
    "full": Column("PSNR, frame", "dB", "higher", "psnr", 1, "over the real torso"),
    "face": Column("PSNR, face", "dB", "higher", "psnr", 1, "over the real torso"),
    "mouth": Column("PSNR, mouth", "dB", "higher", "psnr", 1, "over the real torso"),
    "full_own": Column("PSNR, own torso", "dB", "higher", "psnr", 1, "own torso"),
    "face_own": Column("PSNR, face, own torso", "dB", "higher", "psnr", 1, "own torso"),
    "mouth_own": Column("PSNR, mouth, own torso", "dB", "higher", "psnr", 1, "own torso"),
    "ssim": Column("SSIM, frame", "", "higher", "ssim", 3, "over the real torso"),
    "ssim_face": Column("SSIM, face", "", "higher", "ssim", 3, "over the real torso"),
    "ssim_mouth": Column("SSIM, mouth", "", "higher", "ssim", 3, "over the real torso"),
    "ssim_own": Column("SSIM, own torso", "", "higher", "ssim", 3, "own torso"),
    "ssim_face_own": Column("SSIM, face, own torso", "", "higher", "ssim", 3, "own torso"),
    "ssim_mouth_own": Column("SSIM, mouth, own torso", "", "higher", "ssim", 3, "own torso"),
    "ms_ssim": Column("MS-SSIM, frame", "", "higher", "ms-ssim", 3, "over the real torso"),
    "ms_ssim_own": Column("MS-SSIM, own torso", "", "higher", "ms-ssim", 3, "own torso"),
    "lpips": Column("LPIPS, frame", "", "lower", "lpips", 3, "over the real torso"),
    "lpips_own": Column("LPIPS, own torso", "", "lower", "lpips", 3, "own torso"),
    "fid": Column("FID, frame", "", "lower", "fid", 1, "over the real torso"),
    "fid_own": Column("FID, own torso", "", "lower", "fid", 1, "own torso"),
    "seam": Column("seam", "grey/px", "lower", "seam", 2, "own torso"),
    "seam_edge": Column("edge at the seam", "grey/px", "near real", "seam edge", 2, "own torso"),
    "lmd": Column("LMD", "px", "lower", "lmd"),
    "lmd_share": Column("LMD / eyes", "", "lower", "lmd", 4),
    "opening_r": Column("opening, r", "", "higher", "opening"),
    "opening_ratio": Column("opening, size", "", "near 1", "opening"),
    "upper": Column("upper face", "variances", "lower", "signals"),
    "lower": Column("lower face", "variances", "lower", "signals"),
    "aue_upper": Column("AUE-U", "", "lower", "aue"),
    "aue_lower": Column("AUE-L", "", "lower", "aue"),
    "aue": Column("AUE", "", "lower", "aue"),
    "jitter": Column("jitter", "px", "near real", "jitter", 2, "time"),
    "flicker": Column("flicker", "grey", "near real", "flicker", 2, "time"),
    "loudness_r": Column("loudness, r", "", "near real", "loudness", 2, "time"),
    "loudness_lag": Column("loudness, lag", "frames", "near real", "loudness", 0, "time"),
    "lip_sync": Column("lip sync", "", "near real", "lip sync", 2, "time"),
    "lip_sync_offset": Column("lips after sound", "frames", "near real", "lip sync", 1, "time"),
    "sync_c": Column("LSE-C", "", "near real", "sync", 2, "time"),
    "sync_d": Column("LSE-D", "", "near real", "sync", 2, "time"),
    "sync_offset": Column("sync offset", "frames", "near real", "sync", 0, "time"),
}
"""By field name of `Figures`, in the order of a table."""
