"""Ridge adapter: generic motion of mouth and jaw, over a few frames, to a person's lips; in closed form.

A frozen generator of many people with this adapter was as good as one fine-tuned to a person where there is little footage, and
better for other people's voices; fine-tuning wears off what many people taught.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.nn.adaptation.person import WIDTH
from likeness.nn.voice_train import BLOCKS, GAP, Lesson, calibration
from likeness.rig import LIP_COEFFICIENTS, Rig

DIMS = 14
"""Principal dimensions of the generic motion: more hold tracking noise of the people that it was learned from."""
PAST, FUTURE = 2, 2
PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Of the variance of the first dimension, times the number of frames; the one whose left-out frames err least is taken."""


class Ridge(nn.Module):
    """Lip coefficients of a stretch of generic motion; the window of a frame is PAST frames before and FUTURE after it."""

    past, future = PAST, FUTURE
    centre: Tensor
    basis: Tensor
    weights: Tensor
    bias: Tensor
    calibration: Tensor

    def __init__(self) -> None:
        super().__init__()
        window = (PAST + 1 + FUTURE) * DIMS
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.register_buffer("basis", torch.zeros(WIDTH, DIMS))
        self.register_buffer("weights", torch.zeros(window, LIP_COEFFICIENTS))
        self.register_buffer("bias", torch.zeros(LIP_COEFFICIENTS))
        self.register_buffer("calibration", torch.eye(LIP_COEFFICIENTS))

    def windows(self, moves: Float[Tensor, "stretch width"]) -> Float[Tensor, "time window"]:
        """Principal dimensions of each frame's neighbours, side by side."""
        dims = (moves - self.centre) @ self.basis
        return dims.unfold(0, PAST + 1 + FUTURE, 1).flatten(1)

    @torch.no_grad()
    def forward(self, moves: Float[Tensor, "stretch width"]) -> Float[Tensor, "time lips"]:
        """Of PAST + T + FUTURE frames the T in the middle."""
        return self.bias + self.windows(moves) @ self.weights @ self.calibration


@dataclass(frozen=True)
class Fitted:
    """A ridge adapter, and how it did on frames that were left out in turn."""

    ridge: Ridge
    guess: Float[Tensor, "judged lips"]
    """For the lesson's judged frames, amplitude not restored."""
    penalty: float
    r: float
    ratio: float


def fit(
    moves: Float[Tensor, "stretch width"],
    silent: Float[Tensor, "silence width"],
    lesson: Lesson,
    rig: Rig,
) -> Fitted:
    """Fit to a clip. `moves`: generic motion to all of the clip's sound with PAST and FUTURE frames round it; `silent`: to
    silence, likewise, for which the mouth rests."""
    ridge = Ridge()
    ridge.centre.copy_(moves.mean(0))
    _, size, axes = torch.linalg.svd((moves - ridge.centre).double(), full_matrices=False)
    ridge.basis.copy_((axes[:DIMS] / (size[0] / len(moves) ** 0.5)).T)
    chosen = torch.from_numpy(np.flatnonzero(lesson.usable))
    ridge.bias.copy_(lesson.lips[chosen].mean(0))
    inputs = torch.cat([ridge.windows(moves)[chosen], ridge.windows(silent)]).double()
    target = torch.cat([lesson.lips[chosen], rig.rest.expand(len(inputs) - len(chosen), -1)]) - ridge.bias
    judged = torch.from_numpy(lesson.judged)[chosen]
    real = target[: len(chosen)][judged]
    best: tuple[float, float, Tensor] | None = None
    for penalty in PENALTIES:
        guess = left_out(inputs, target.double(), lesson, penalty)
        error = float((rig.lip_weight * (guess - real).square()).sum(1).mean())
        if best is None or error < best[0]:
            best = error, penalty, guess
    assert best is not None
    _, penalty, guess = best
    ridge.weights.copy_(solved(inputs.T @ inputs, inputs.T @ target.double(), penalty, len(inputs)))
    matrix, r, ratio = calibration(rig, ridge.bias, guess, real)
    ridge.calibration.copy_(matrix)
    return Fitted(ridge, guess, penalty, r, ratio)


def left_out(
    inputs: Float[Tensor, "examples window"], target: Float[Tensor, "examples lips"], lesson: Lesson, penalty: float
) -> Float[Tensor, "judged lips"]:
    """What each judged frame gets when its block and GAP frames round it are not learned from."""
    chosen = np.flatnonzero(lesson.usable)
    gram, pull = inputs.T @ inputs, inputs.T @ target
    parts = []
    for block in np.array_split(np.flatnonzero(lesson.judged), BLOCKS):
        near = torch.from_numpy(np.flatnonzero((chosen >= block[0] - GAP) & (chosen <= block[-1] + GAP)))
        gone = inputs[near]
        left = len(inputs) - len(near)
        weights = solved(gram - gone.T @ gone, pull - gone.T @ target[near], penalty, left)
        parts.append(inputs[torch.from_numpy(np.searchsorted(chosen, block))] @ weights)
    return torch.cat(parts).float()


def solved(
    gram: Float[Tensor, "window window"], pull: Float[Tensor, "window lips"], penalty: float, examples: int
) -> Float[Tensor, "window lips"]:
    """Ridge regression; the penalty grows with the number of examples, as the sums do."""
    return torch.linalg.solve(gram + penalty * examples * torch.eye(len(gram), dtype=gram.dtype), pull)
