"""What an evaluation says: `Figures`, a row of the table, and `Evaluation`, all of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from jaxtyping import UInt8

from likeness.evaluate import metrics
from likeness.evaluate.rows import DELIVERY

FEWEST = 10
"""Frames below which figures mean nothing."""
Pictures = list[UInt8[np.ndarray, "height width 3"]]


@dataclass(frozen=True)
class Figures:
    """One row of the table; None where a figure does not apply or could not be measured (`Evaluation.missing` says why).
    PSNR in dB, lengths in pixels of the stated size. `likeness.evaluate.catalogue` says what each is."""

    row: str
    full: float | None = None
    """PSNR of the whole frame, the real torso and background behind the head (the papers' protocol)."""
    face: float | None = None
    mouth: float | None = None
    ssim: float | None = None
    ssim_face: float | None = None
    ssim_mouth: float | None = None
    full_own: float | None = None
    """PSNR and SSIM of the whole frame with the portrait's own torso."""
    ssim_own: float | None = None
    face_own: float | None = None
    """The boxes of face and mouth likewise: what is round the face in them is the portrait's own."""
    mouth_own: float | None = None
    ssim_face_own: float | None = None
    ssim_mouth_own: float | None = None
    lmd: float | None = None
    lmd_share: float | None = None
    """LMD as a share of the inter-ocular distance."""
    opening_r: float | None = None
    opening_ratio: float | None = None
    jitter: float | None = None
    ms_ssim: float | None = None
    """Over the real torso; `_own` with the portrait's own, here and below."""
    ms_ssim_own: float | None = None
    lpips: float | None = None
    lpips_own: float | None = None
    fid: float | None = None
    fid_own: float | None = None
    upper: float | None = None
    """Error of brows and lids, and of lips and jaw, in variances of the real ones."""
    lower: float | None = None
    aue_upper: float | None = None
    """Error of action units by OpenFace, where its files are given."""
    aue_lower: float | None = None
    aue: float | None = None
    sync_c: float | None = None
    """LSE-C, LSE-D and the offset in frames, by SyncNet."""
    sync_d: float | None = None
    sync_offset: float | None = None
    lip_sync: float | None = None
    """How clearly the lips belong to the sound, and by how many frames they come after it, by a sync expert on landmarks."""
    lip_sync_offset: float | None = None
    loudness_r: float | None = None
    """How well lip opening goes with loudness, and how many frames it comes after it."""
    loudness_lag: float | None = None
    flicker: float | None = None
    """Grey levels that change from frame to frame without movement."""
    seam: float | None = None
    """Grey levels a pixel: gradient against the real one in a band round jaw and neck."""
    seam_edge: float | None = None
    """Likewise the picture's own gradient."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of one portrait on one clip."""

    method: str
    size: int
    frames: list[int]
    split: dict[str, list[list[int]]]
    """Ranges [start, stop) of the frames that were learned from ("train") and measured on ("test"), unseen ones left out."""
    table: list[Figures]
    real_jitter: float | None
    detector_missed: dict[str, int]
    silence: dict[str, float]
    """Lip opening with silent sound: mean and standard deviation, with the gate open too, and the real mean; pixels."""
    speed: dict[str, float]
    """See `likeness.evaluate.speed`."""
    delivery: dict[str, Any] = field(default_factory=lambda: dict(DELIVERY))
    """How the rows by sound are spoken."""
    recipes: dict[str, str] = field(default_factory=lambda: dict(metrics.RECIPES))
    boxes: list[dict[str, list[int]]] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Of the real frames: lip opening in pixels, eye opening, yaw in radians."""
    pictures: dict[str, Pictures] = field(default_factory=dict, repr=False)
    """Own-torso pictures of each row and the real ones; not part of `as_json`."""
    intervals: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """By row and field: [low, high] of 95 %, over this clip's frames (`likeness.evaluate.intervals`)."""
    missing: dict[str, str] = field(default_factory=dict)
    """By the name of a measure: why it could not be taken, and what would help."""
    floor: dict[str, dict[str, float]] = field(default_factory=dict)
    """What the detector alone makes of real frames that were hardly changed, by the change; fields of `Figures`."""
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Tests of what a table hides, each with `passed`: see `likeness.evaluate.checks`."""
    machine: dict[str, Any] = field(default_factory=dict)
    openings: dict[str, list[float | None]] = field(default_factory=dict)
    """By row: lip opening in its pictures, pixels; None where no face was found."""
    sync: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By row, where SyncNet has judged: over how many `frames`, and how many windows fit best at each of the `offsets`."""
    given: str = ""
    """What the portrait got of the held-out pictures themselves, if anything: with it, figures of whole frames and of the upper
    face say nothing."""
    sources: dict[str, dict[str, float]] = field(default_factory=dict)
    """What else could speak for the portrait, as lips alone: see `likeness.evaluate.sources`."""
    setting: str = "self-reconstruction"
    """Or "speech": driven by sounds without a reference; or "finished video"."""

    def __getitem__(self, row: str) -> Figures:
        return next(f for f in self.table if f.row == row)

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures. What is no number (a box in which nothing lies) is None: JSON has no NaN."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "pictures"}
        return plain(values | {"table": [asdict(figures) for figures in self.table]})


def plain(value: Any) -> Any:
    """Without what JSON has not: NaN and infinities are None, tuples lists, and all keys text."""
    if isinstance(value, dict):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def ranges(frames: np.ndarray) -> list[list[int]]:
    """Rising frame numbers as ranges [start, stop)."""
    pieces = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    return [[int(piece[0]), int(piece[-1]) + 1] for piece in pieces if len(piece)]
