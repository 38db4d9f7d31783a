"""Small settings of a radiance field, and a lesson for it, for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest
import torch

from likeness.clip import Clip
from likeness.kernels import geometric
from likeness.methods.radnerf import preset
from likeness.methods.radnerf.config import Config
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.radiance import Settings, stages
from likeness.nn.radiance.lesson import Lesson
from likeness.rig import Rig
from likeness.run import Run

FEW = {
    "steps": 6, "lip_steps": 4, "samples": 4096, "rays": 256, "occupancy_every": 3, "coarse_steps": 2,
    "plane_sizes": geometric(16.0, 4, finest=64.0), "grid_sizes": geometric(8.0, 3, finest=32.0), "grid_log2_rows": 10,
}  # fmt: skip
"""Every stage and several looks at space, in 10 steps."""
EVERY = 6  # of the training frames

L = TypeVar("L", bound=Lesson)


def few(**more: object) -> Config:
    return replace(preset("fast"), **{**FEW, **more})


def paper(**more: object) -> Config:
    """The published settings, with fewer steps, rays and nodes, and only in space near the head."""
    return replace(preset("paper"), **{**FEW, "torso_steps": 0, "seeded": True, **more})


def first_error(lesson: L, config: Settings, folder: Path, head: Callable[[L], object]) -> float:
    """Error of colour in the first step of what `head` trains; space is not settled before."""
    with Run(folder, {}, keep_every_s=1e9) as run, pytest.MonkeyPatch.context() as patch:
        logged: list[dict] = []
        patch.setattr(stages, "settle", lambda head, lesson: None)
        patch.setattr(run, "log", lambda **values: logged.append(values))
        mine = type(lesson)(lesson.clip, lesson.rig, lesson.frames, config, run, perceptual_loss("laplacian"))
        mine.pictures, mine.allowed = lesson.pictures, lesson.allowed
        head(mine)
    return float(logged[0]["color"])


def lesson_of(kind: type[L], clip: Clip, folder: Path, config: Settings | None = None) -> L:
    """Of few frames, in a run of its own; where something may be is worked out once, for lessons that take it over."""
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    run = Run(folder, {})
    lesson = kind(clip, rig, clip.train[::EVERY], few() if config is None else config, run, perceptual_loss("laplacian"))
    lesson.allowed = cache(lesson.allowed)
    return lesson
