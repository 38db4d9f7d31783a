"""The two stages: the head, then the torso that knows how the head was drawn.

The published settings (400,000 steps of 1600 rays each, twice) are work for a GPU: the published times are 30 hours for the
head and 36 for the torso. A core of an EPYC takes about 2 ms for a ray of the head in use, so by count some 10 s for a step and
two minutes for a picture of 256². Training here stays on the CPU: use it with smaller networks and fewer steps, or to compare.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.nn.vanilla.course import PIECE, Course, Errors, errors_of, squared, taught
from likeness.nn.vanilla.head import VanillaHead
from likeness.nn.vanilla.lesson import Batch, Sight, TorsoBatch
from likeness.nn.vanilla.settings import Settings
from likeness.nn.vanilla.torso import Place, VanillaTorso, joined
from likeness.run import Run

HEAD, TORSO = "vanilla_head", "vanilla_torso"
"""Stages, and what the names of their tensors begin with in a run's state."""


@runtime_checkable
class Heads(Protocol):
    """What a head learns from; `lesson.HeadLesson` of a clip."""

    geometry: Any
    """A `Geometry`."""

    def batch(self, rng: np.random.Generator) -> Batch: ...
    def sight(self, number: int) -> Sight: ...


@runtime_checkable
class Torsos(Protocol):
    """What a torso learns from; `lesson.TorsoLesson` of a clip."""

    head: VanillaHead
    place: Place

    def batch(self, rng: np.random.Generator) -> TorsoBatch: ...
    def sight(self, number: int) -> tuple[Sight, Float[Tensor, " code"]]: ...


def train_vanilla_head(lesson: Heads, settings: Settings, run: Run) -> VanillaHead:
    """Stages `vanilla_head 0`, 1 … (trials, see `course`) and `vanilla_head` of a run; goes on where it was cut off.

    The loss is the squared error of the coarse and of the fine picture over what is behind the head.
    """

    def step(head: VanillaHead, n: int, rng: np.random.Generator) -> Errors:
        batch = lesson.batch(rng)
        code = head.code(batch.near, n >= settings.smooth_from)
        # The rays go in pieces, so that memory is bounded; the code's gradient is collected and goes back once.
        given, sums, count = code.detach().requires_grad_(), torch.zeros(2), batch.color.numel()
        for rows in _pieces(len(batch.color)):
            coarse, fine = head.look(batch.rays.part(rows), given, rng)
            errors = torch.stack([squared(seen, batch.color[rows], batch.behind[rows]) for seen in (coarse, fine)]) / count
            errors.sum().backward()
            sums += errors.detach()
        assert given.grad is not None
        code.backward(given.grad)
        return errors_of(sums, batch.color, batch.behind)

    def preview(head: VanillaHead, number: int) -> np.ndarray:
        at = lesson.sight(number)
        rgb, alpha = head.picture(at.pose, head.said(at.near)[0], at.camera)
        return _side_by_side(at, rgb + (1 - alpha[..., None]) * at.behind)

    course = Course(HEAD, settings.steps, lambda: VanillaHead(settings, lesson.geometry), step, preview)
    return taught(course, settings, run).eval()


def train_vanilla_torso(lesson: Torsos, settings: Settings, run: Run) -> VanillaTorso:
    """Stages `vanilla_torso 0`, 1 … and `vanilla_torso` of a run, beside whose state it keeps its own; the head stays as it is.

    The loss is the squared error of the coarse and of the fine torso before head and background.
    """

    def step(torso: VanillaTorso, n: int, rng: np.random.Generator) -> Errors:
        batch, sums = lesson.batch(rng), torch.zeros(2)
        count = batch.color.numel()
        for rows in _pieces(len(batch.color)):
            head = batch.head.part(rows)
            both = torso.look(batch.rays.part(rows), batch.pose, batch.code, head.color, rng)
            parts = [squared(joined(head, seen), batch.color[rows], batch.plate[rows]) for seen in both]
            errors = torch.stack(parts) / count
            errors.sum().backward()
            sums += errors.detach()
        return errors_of(sums, batch.color, batch.head.over(batch.plate))

    def preview(torso: VanillaTorso, number: int) -> np.ndarray:
        at, code = lesson.sight(number)
        rgb, alpha = torso.over(lesson.head.picture(at.pose, code, at.camera), at.pose, code, at.camera)
        return _side_by_side(at, rgb + (1 - alpha[..., None]) * at.behind)

    course = Course(TORSO, settings.torso_steps, lambda: VanillaTorso(settings, lesson.place), step, preview)
    return taught(course, settings, run).eval()


def _pieces(count: int) -> list[slice]:
    return [slice(i, i + PIECE) for i in range(0, count, PIECE)]


def _side_by_side(at: Sight, drawn: Float[Tensor, "height width 3"]) -> np.ndarray:
    """Real and drawn, each pixel four times as large."""
    both = torch.cat([at.color, drawn.clamp(0, 1)], 1)
    return (both * 255).byte().numpy().repeat(4, 0).repeat(4, 1)
