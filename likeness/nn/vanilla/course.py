"""How a vanilla radiance field is taught: Adam, a rate that falls, and a new beginning where the first one learns nothing.

The density of these networks is a ReLU's. A bad beginning has it at zero everywhere: then nothing is seen but the background,
no gradient says otherwise, and the authors tell users to start again until the loss drops. Here that is watched: where after
`Settings.trial` steps a network draws no better than the background alone, or one colour, it begins anew with the next seed.
Every trial is a stage of the run, so that one that was cut off goes on exactly as it would have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.errors import BadInput
from likeness.nn.vanilla.rendering import Seen
from likeness.nn.vanilla.settings import Settings
from likeness.portrait import below
from likeness.run import Run, optimiser_state, restore_optimiser

LOG_EVERY = 50
JUDGED = 0.25  # of a trial's steps, its last ones
BETTER = 0.8  # of the error of the background or of one colour: what is more has not begun to learn
PIECE = 400  # rays whose inner results are kept at a time: by count about half a gigabyte at the published sizes, not two

M = TypeVar("M", bound=nn.Module)


class Errors(NamedTuple):
    """Of a step's pictures, squared, means over rays and channels."""

    coarse: float
    fine: float
    behind: float
    """Of what is there without what is taught."""
    plain: float
    """Of one colour."""


@dataclass(frozen=True)
class Course(Generic[M]):
    """What is taught."""

    name: str
    """Of the stage, and what the names of its tensors begin with."""
    steps: int
    begin: Callable[[], M]
    """A new network, by PyTorch's own random numbers."""
    step: Callable[[M, int, np.random.Generator], Errors]
    """Gradients of a step."""
    preview: Callable[[M, int], np.ndarray]


class Pupil(Generic[M]):
    """A network in training."""

    def __init__(self, course: Course[M], settings: Settings, seed: int, beginning: int) -> None:
        self.course, self.settings, self.beginning = course, settings, beginning
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + beginning)
            self.net = course.begin()
        groups: dict[float, list[Tensor]] = {1.0: [], settings.attention_rate: []}
        for name, parameter in self.net.named_parameters():
            weighs = "attention." in name or "weigh." in name
            groups[settings.attention_rate if weighs else 1.0].append(parameter)
        held = [{"params": some, "lr": 0.0, "share": share} for share, some in groups.items() if some]
        self.optimiser = torch.optim.Adam(held, fused=True)
        self.watch = torch.zeros(3, dtype=torch.float64)  # what it drew wrong, and what the background and one colour would

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from `named`."""
        self.net.load_state_dict(below("net.", state))
        restore_optimiser(self.optimiser, state, "adam.")
        self.watch.copy_(state["watch"])

    def named(self) -> dict[str, Tensor]:
        """For a run's checkpoint."""
        state = {f"net.{key}": value for key, value in self.net.state_dict().items()}
        state |= {"watch": self.watch, "beginning": torch.tensor(self.beginning)} | optimiser_state(self.optimiser, "adam.")
        return {self.course.name + "." + key: value for key, value in state.items()}

    def step(self, n: int, rng: np.random.Generator, judged: bool) -> Errors:
        """Learn from one step, the nth in all."""
        self.optimiser.zero_grad(set_to_none=True)
        errors = self.course.step(self.net, n, rng)
        rate = self.settings.rate * self.settings.decay ** (n / self.settings.decay_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.optimiser.step()
        if judged:
            self.watch += torch.tensor([errors.fine, errors.behind, errors.plain])
        return errors

    @property
    def promising(self) -> bool:
        """Whether it began to learn."""
        drawn, *known = self.watch.tolist()
        return drawn < BETTER * min(known)


def taught(course: Course[M], settings: Settings, run: Run) -> M:
    """The network after all stages that are still to be done. What else the run keeps stays. The same seed gives the same
    network. Raises BadInput where none of the beginnings learned anything."""
    prefix = course.name + "."
    others = {key: value for key, value in run.resumed.items() if not key.startswith(prefix)}
    mine = below(prefix, run.resumed)
    if run.done(course.name):
        pupil = Pupil(course, settings, run.seed, 0)
        pupil.net.load_state_dict(below("net.", mine))
        return pupil.net

    def teach(pupil: Pupil[M], stage: str, first: int, steps: int, judged_from: int) -> None:
        for step in run.steps(stage, steps):
            errors = pupil.step(first + step, run.generator(step), step >= judged_from)
            if step % LOG_EVERY == 0:
                run.log(loss=errors.coarse + errors.fine, fine=errors.fine, psnr=-10 * math.log10(max(errors.fine, 1e-12)))
            run.keep(lambda: others | pupil.named(), lambda: course.preview(pupil.net, step))

    pupil = Pupil(course, settings, run.seed, int(mine.get("beginning", 0)))
    if mine:
        pupil.restore(mine)
    trial = min(settings.trial, course.steps)
    while True:
        stage = f"{course.name} {pupil.beginning}"
        if not run.done(stage):
            teach(pupil, stage, 0, trial, int((1 - JUDGED) * trial))
            drawn, behind, plain = pupil.watch.tolist()
            run.log(drawn=drawn, without=behind, plain=plain, begins_anew=float(not pupil.promising))
            run.finish(others | pupil.named())
        if pupil.promising:
            break
        if pupil.beginning + 1 >= settings.beginnings:
            raise _nothing_learned(course.name, settings, run)
        pupil = Pupil(course, settings, run.seed, pupil.beginning + 1)
    teach(pupil, course.name, trial, course.steps - trial, course.steps)
    run.finish(others | {prefix + "net." + key: value for key, value in pupil.net.state_dict().items()})
    return pupil.net


def _nothing_learned(name: str, settings: Settings, run: Run) -> BadInput:
    return BadInput(
        f"{run.folder}: {settings.beginnings} beginnings of {name} drew nothing better than the background after "
        f"{settings.trial} steps each. Look at the clip's report.html (is the face in the picture, is its pose known?); if it "
        "is sound, delete this folder and train with another --seed, or in Python with more trial steps."
    )


def squared(seen: Seen, color: Float[Tensor, "n 3"], behind: Float[Tensor, "n 3"]) -> Tensor:
    """The sum of squared errors of what is seen over what is behind."""
    return (seen.over(behind) - color).square().sum()


def errors_of(drawn: Float[Tensor, "2"], color: Float[Tensor, "n 3"], behind: Float[Tensor, "n 3"]) -> Errors:
    """Of the coarse and the fine picture (`drawn`), and what the simplest pictures of these rays would have."""
    plain = (color - color.mean(0)).square().mean()
    return Errors(float(drawn[0]), float(drawn[1]), float((behind - color).square().mean()), float(plain))
