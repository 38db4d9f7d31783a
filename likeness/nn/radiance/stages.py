"""The stages of training: the head, then its lips once more."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.nn.perceptual import SMALLEST
from likeness.nn.radiance.field import CHUNK, Said
from likeness.nn.radiance.head import Head
from likeness.nn.radiance.lesson import Lesson, Target
from likeness.nn.radiance.volume import Rays, Seen, glance, look
from likeness.run import optimiser_state, restore_optimiser

LOG_EVERY = 50
BETAS, EPS = (0.9, 0.99), 1e-15
CLEAR = 1e-5  # how near to 0 and 1 alpha is told apart by its entropy
SETTLED = 64  # frames in which the finished head's space is looked at
STRETCH = 8192  # rays at a time


class Pupil:
    """A head in training: what moves its parameters, and their running mean."""

    def __init__(self, head: Head, lesson: Lesson) -> None:
        self.head, self.lesson, config = head, lesson, lesson.config
        rates = {"grid": config.grid_rate, "attention": config.attention_rate, "network": config.network_rate}
        groups: dict[str, list[Tensor]] = {kind: [] for kind in rates}
        for name, parameter in head.named_parameters():
            parts = name.split(".")
            kind = "grid" if "table" in parts else "attention" if "attention" in parts or "weigh" in parts else "network"
            groups[kind].append(parameter)
        self.optimiser = torch.optim.Adam(
            [{"params": held, "lr": rates[kind], "rate": rates[kind]} for kind, held in groups.items() if held],
            betas=BETAS, eps=EPS, fused=True,
        )  # fmt: skip
        self.mean = [parameter.detach().clone() for parameter in head.parameters()]
        state = lesson.run.resumed
        restore_optimiser(self.optimiser, state, "adam.")
        for i, mean in enumerate(self.mean):
            mean.copy_(state.get(f"mean.{i}", mean))

    def step(self, factor: float, step: int) -> None:
        """Move by the gradients that there are, at this share of the rates, and forget them."""
        for group in self.optimiser.param_groups:
            group["lr"] = factor * group["rate"]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        config = self.lesson.config
        if step % config.average_every == 0:
            for mean, parameter in zip(self.mean, self.head.parameters()):
                mean.lerp_(parameter.detach(), 1 - min(config.averaged, (step + 1) / (step + 10)))

    def averaged(self) -> None:
        """Take the mean of the parameters for the parameters."""
        with torch.no_grad():
            for mean, parameter in zip(self.mean, self.head.parameters()):
                parameter.copy_(mean)

    def named(self) -> dict[str, Tensor]:
        """For a run's checkpoint."""
        means = {f"mean.{i}": mean for i, mean in enumerate(self.mean)}
        return self.head.named() | optimiser_state(self.optimiser, "adam.") | means


H = TypeVar("H", bound=Head)


def begin(kind: type[H], lesson: Lesson) -> H:
    """A new head, or that of a run that goes on."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(lesson.config.seed)
        head = kind(lesson.config, len(lesson.frames))
    if lesson.run.resumed:
        head.restore(lesson.run.resumed)
    else:
        head.occupancy.become(lesson.allowed())
    return head


def learn(head: Head, lesson: Lesson) -> None:
    """All stages that are still to be done."""
    if not lesson.run.done("head"):
        train_head(head, lesson)
    if not lesson.run.done("lips"):
        tune_lips(head, lesson)
    settle(head, lesson)


def train_head(head: Head, lesson: Lesson) -> None:
    """Random rays of random frames; what is occupied is looked at again and again."""
    run, config = lesson.run, lesson.config
    pupil = Pupil(head, lesson)
    for step in run.steps("head", config.steps):
        rng = run.generator(step)
        if step % config.occupancy_every == 0:
            said = lesson.said(head, rng.integers(0, len(lesson.frames), 1), None)
            head.occupancy.update(lambda xyz: _density(head, xyz, said), rng)
        losses = _random_rays(head, lesson, step, rng)
        pupil.step(config.rate_end ** (step / config.steps), step)
        if step % LOG_EVERY == 0:
            run.log(**losses, occupied=head.occupancy.bits.float().mean())
        run.keep(pupil.named, lambda: preview(head, lesson, step))
    run.finish(pupil.named())


def tune_lips(head: Head, lesson: Lesson) -> None:
    """Every second step sees all of the lips, and how they look as a picture; what is occupied stays."""
    run, config = lesson.run, lesson.config
    pupil = Pupil(head, lesson)
    total = config.steps + config.lip_steps
    for step in run.steps("lips", config.lip_steps):
        rng = run.generator(step)
        losses = _lips(head, lesson, rng) if step % 2 else _random_rays(head, lesson, config.steps + step, rng)
        pupil.step(config.lip_rate_end ** ((config.steps + step) / total), config.steps + step)
        if step % LOG_EVERY < 2:
            run.log(**losses)
        run.keep(pupil.named, lambda: preview(head, lesson, step))
    pupil.averaged()
    run.finish(head.named())


@torch.no_grad()
def settle(head: Head, lesson: Lesson) -> None:
    """Space in which no ray of many frames sees anything is passed over in use."""
    rng = np.random.default_rng(lesson.config.seed)
    width, height = lesson.pictures.crop
    xy = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)

    def looked() -> None:
        for row in np.linspace(0, len(lesson.frames) - 1, SETTLED).astype(int):
            for some in np.array_split(xy, -(-len(xy) // STRETCH)):
                _looked(head, lesson, np.array([row]), lesson.through(int(lesson.frames[row]), some, 0), rng)

    head.occupancy.settle(looked)


def _density(head: Head, xyz: Float[Tensor, "n 3"], said: Said) -> Float[Tensor, " n"]:
    """Under what is said in one frame."""
    parts = [head.field.at(p, torch.zeros(len(p), dtype=torch.long), said).density for p in xyz.split(CHUNK)]
    return torch.cat(parts)


def _random_rays(head: Head, lesson: Lesson, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Gradients of a step with random rays, and its losses."""
    config = lesson.config
    rows = rng.integers(0, len(lesson.frames), config.batch)
    coarse = 2 if step < config.coarse_steps else 1
    rays, target = lesson.rays(rows, lesson.enough(int(head.occupancy.bits.sum())), rng, coarse)
    maps = step % config.outside_every == 0
    seen = _looked(head, lesson, rows, rays, rng, maps)
    losses = _losses(seen, target, lesson, step, maps)
    sum(losses.values(), start=torch.zeros(())).backward()
    return {key: value.detach() for key, value in losses.items()}


def _lips(head: Head, lesson: Lesson, rng: np.random.Generator) -> dict[str, Tensor]:
    """Gradients of a step with all rays of a patch of lips, and its losses."""
    rows = rng.integers(0, len(lesson.frames), 1)
    rays, target, shape = lesson.patch(int(rows[0]), SMALLEST)
    maps = lesson.config.outside_every == 1
    seen = _looked(head, lesson, rows, rays, rng, maps)
    losses = _losses(seen, target, lesson, lesson.config.steps, maps)
    if min(shape) >= SMALLEST:
        drawn, real = _over(seen, target).reshape(*shape, 3), target.color.reshape(*shape, 3)
        losses["perceptual"] = lesson.distance_weight * lesson.distance(drawn, real)
    sum(losses.values(), start=torch.zeros(())).backward()
    return {key: value.detach() for key, value in losses.items()}


def _looked(head: Head, lesson: Lesson, rows: np.ndarray, rays: Rays, rng: np.random.Generator, maps: bool = False) -> Seen:
    jitter = torch.from_numpy(rng.random(len(rays.origins), np.float32))
    said = lesson.said(head, rows, rng)
    return look(head.field, head.occupancy, rays, said, lesson.config, jitter, maps)


def _over(seen: Seen, target: Target) -> Float[Tensor, "n 3"]:
    return seen.color + (1 - seen.alpha[:, None]) * target.behind


def _losses(seen: Seen, target: Target, lesson: Lesson, step: int, maps: bool) -> dict[str, Tensor]:
    """Already weighed: squared error, alpha against the mask, doubt, speech where none should count."""
    config = lesson.config
    clear = seen.alpha.clamp(CLEAR, 1 - CLEAR)
    doubt = -(clear * clear.log2() + (1 - clear) * (1 - clear).log2())
    losses = {
        "color": (_over(seen, target) - target.color).square().mean(),
        "doubt": config.entropy_weight * doubt.mean(),
    }
    if maps:
        weight = config.outside_every * config.outside_weight * min(step / config.steps, 1.0)
        losses["outside"] = weight * (seen.heard * target.quiet).mean()
    if config.alpha_weight:
        losses["alpha"] = config.alpha_weight * (seen.alpha - target.head).abs().mean()
    return losses


@torch.no_grad()
def preview(head: Head, lesson: Lesson, step: int) -> np.ndarray:
    """A square round the lips of one frame, real and drawn."""
    row = step % len(lesson.frames)
    rays, target, shape = lesson.patch(row, lesson.pictures.crop[0])
    seen = glance(head.field, head.occupancy.bits, rays, lesson.said(head, np.array([row]), None), lesson.config)
    both = torch.cat([target.color.reshape(*shape, 3), _over(seen, target).reshape(*shape, 3)], 1)
    return (both.clamp(0, 1) * 255).byte().numpy()
