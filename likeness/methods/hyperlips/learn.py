"""HyperLips' stages of learning, one after the other: shapes from sound, base faces, detail. From many people or from one clip.

Under `torchrun` every step's stretches are shared among the processes; the first one writes. What a step draws depends on seed,
stage, step and lane alone, so the result does not depend on the number of processes but for rounding, and a run that was killed
goes on as it would have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from likeness.methods.hyperlips.config import Training
from likeness.methods.hyperlips.material import Batch, Judged, Material, Sampler
from likeness.methods.hyperlips.objective import Objective, centres, judging
from likeness.nn.generator.ranks import Ranks
from likeness.nn.hyper.discriminator import BaseDiscriminator, DetailDiscriminator
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.settings import SIDE
from likeness.nn.perceptual import LaplacianDistance, Lpips
from likeness.nn.sync.pixels.loss import SyncLoss
from likeness.nn.sync.pixels.published import PublishedLoss
from likeness.run import Run, optimiser_state

WARM_UP = 50  # steps in which the rate rises
LOWEST = 0.05  # share of the rate that is left at the end
CLIP_NORM = 1.0
JUDGE_RATE = 5.0  # of the discriminators, over the networks' (Chen et al. 2023)
LOG_EVERY = 20


@dataclass(frozen=True)
class Lesson:
    """What a stage is given."""

    net: LipNet
    material: Material
    training: Training
    perceptual: Lpips | LaplacianDistance
    seed: int
    ranks: Ranks
    run: Run | None
    """Of the first process."""
    sync: SyncLoss | PublishedLoss | None = None


def learn(lesson: Lesson) -> None:
    """Base faces, then detail; what an earlier process finished is not done again."""
    _restore(lesson)
    for name, steps in (("base", lesson.training.base_steps), ("refine", lesson.training.refine_steps)):
        if not _done(lesson, name):
            _stage(lesson, name, steps)


def _restore(lesson: Lesson) -> None:
    """The network as an earlier process left it, in every process."""
    if lesson.run is not None and lesson.run.resumed:
        held = lesson.run.resumed
        lesson.net.load_state_dict({key: held[f"net.{key}"] for key in lesson.net.state_dict()})
    lesson.ranks.share(_named("net.", lesson.net))


def _done(lesson: Lesson, name: str) -> bool:
    done = torch.tensor(float(lesson.run is not None and lesson.run.done(name)))
    lesson.ranks.share({"done": done})
    return bool(done)


def _stage(lesson: Lesson, name: str, steps: int) -> None:
    refined, ranks, run = name == "refine", lesson.ranks, lesson.run
    sampler = _sampler(lesson, refined)
    learner = Learner.begun(lesson, refined)
    learner.restore({} if run is None else run.resumed)
    ranks.share(learner.state())
    objective = Objective(lesson.net, lesson.training, lesson.perceptual, learner.judge, lesson.sync)
    for step in run.steps(name, steps) if run is not None else range(int(learner.at), steps):
        batch = sampler.batch(_draws(lesson, name, step))
        learner.set_rate(rate(step, steps, lesson.training.rate))
        losses, made = objective(batch, refined)
        learner.learned(losses["loss"], ranks)
        if learner.judge is not None:
            losses["judge"] = learner.judged(made.detach(), batch, ranks)
        learner.at.fill_(step + 1)
        if step % LOG_EVERY == 0:
            told = {key: ranks.total(value) / ranks.count for key, value in losses.items()}
            if run is not None:
                run.log(**told)
        if run is not None:
            run.keep(learner.state)
    lesson.net.requires_grad_(False).eval()
    if run is not None:
        run.finish(_named("net.", lesson.net))


@dataclass
class Learner:
    """A stage's networks and everything else that its next step depends on."""

    net: LipNet
    part: nn.Module
    """What is learned."""
    optimiser: torch.optim.Adam
    judge: BaseDiscriminator | DetailDiscriminator | None
    judge_optimiser: torch.optim.Adam | None
    at: Tensor
    """The next step."""

    @staticmethod
    def begun(lesson: Lesson, refined: bool) -> Learner:
        net, training = lesson.net, lesson.training
        part = net.refiner if refined else net.base
        net.requires_grad_(False).eval()
        part.requires_grad_(True).train()
        torch.manual_seed(lesson.seed)  # the discriminator's first weights; every process has the same
        kind = DetailDiscriminator if refined else BaseDiscriminator
        judge = kind(net.settings.judging) if training.adversarial_weight else None
        own, other = (None if m is None else _adam(m, training) for m in (part, judge))
        assert own is not None
        return Learner(net, part, own, judge, other, torch.zeros(1))

    def set_rate(self, value: float) -> None:
        self.optimiser.param_groups[0]["lr"] = value
        if self.judge_optimiser is not None:
            self.judge_optimiser.param_groups[0]["lr"] = JUDGE_RATE * value

    def learned(self, loss: Tensor, ranks: Ranks) -> None:
        """A step of the networks."""
        if self.judge is not None:
            self.judge.requires_grad_(False)
        loss.backward()
        _stepped(self.part, self.optimiser, ranks)
        if self.judge is not None:
            self.judge.requires_grad_(True)

    def judged(self, made: Tensor, batch: Batch, ranks: Ranks) -> Tensor:
        """A step of the discriminator; returns its loss."""
        assert self.judge is not None and self.judge_optimiser is not None
        where = centres(batch, made.shape[-1])
        loss = judging(self.judge, made.flatten(0, 1), batch.heads.crops.flatten(0, 1), where)
        loss.backward()
        _stepped(self.judge, self.judge_optimiser, ranks)
        return loss.detach()

    def state(self) -> dict[str, Tensor]:
        """Views of all of it, by name."""
        tensors = _named("net.", self.net) | optimiser_state(self.optimiser, "adam.") | {"at": self.at}
        if self.judge is not None and self.judge_optimiser is not None:
            tensors |= _named("judge.", self.judge) | optimiser_state(self.judge_optimiser, "judge_adam.")
        return tensors

    def restore(self, held: dict[str, Tensor]) -> None:
        """Put back what `state` gave; what is not there stays."""
        for name, value in self.state().items():
            if name in held:
                value.detach().copy_(held[name])


def _adam(module: nn.Module, training: Training) -> torch.optim.Adam:
    """With its moments made at once, so that every process has them to be filled."""
    optimiser = torch.optim.Adam(module.parameters(), training.rate, training.betas)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for entry in optimiser.state.values():
        entry["step"].zero_()
    optimiser.zero_grad()
    return optimiser


def _stepped(module: nn.Module, optimiser: torch.optim.Adam, ranks: Ranks) -> None:
    """A step along the mean of everybody's gradients."""
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in module.parameters()]
    if ranks.count > 1:
        whole = ranks.total(torch.cat([g.flatten() for g in gradients])) / ranks.count
        for parameter, mean in zip(module.parameters(), whole.split([g.numel() for g in gradients])):
            parameter.grad = mean.view_as(parameter)
    nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
    optimiser.step()
    optimiser.zero_grad()


def _named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in module.state_dict().items()}


def _sampler(lesson: Lesson, refined: bool) -> Sampler:
    """Of pictures as large as the stage needs; where hardly any are, the second stage takes what there is, enlarged."""
    size = lesson.net.size if refined else SIDE
    groups = lesson.material.of("train", size if refined else 0) or lesson.material.of("train")
    settings, training = lesson.net.settings, lesson.training
    sync = None if refined else lesson.sync
    judged = Judged() if sync is None else Judged(sync.features, sync.around)
    return Sampler(groups, settings, size, training.time, training.unheard, True, judged)


def _draws(lesson: Lesson, name: str, step: int) -> list[np.random.Generator]:
    """Random numbers of this process' lanes."""
    lanes = range(lesson.ranks.rank, lesson.training.lanes, lesson.ranks.count)
    return [np.random.default_rng([lesson.seed, sum(name.encode()), step, lane]) for lane in lanes]


def rate(step: int, steps: int, highest: float) -> float:
    """The learning rate of a step."""
    fall = LOWEST + (1 - LOWEST) * 0.5 * (1 + math.cos(math.pi * step / steps))
    return highest * min(1.0, (step + 1) / WARM_UP) * fall
