"""Kernel ridge regression from windows of sound to motion: an answer from what was near.

With few people a network learns them by heart; a kernel answers from whoever sounded alike. It is solved in closed form,
whatever the corpus, and is the same every time.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

SHARPNESS = 0.2  # over the median squared distance; .1 is the same
RIDGE = 2e-4  # times the rows; at 13 000 a third and three times as much are the same
JITTER = 1e-6
SOME = 500  # windows whose distances decide the sharpness
AT_ONCE = 4096


class Regression(nn.Module):
    """The fitted regression, which remembers a number of windows. Blank until `fit` or a file fills it."""

    keys: Tensor
    weights: Tensor
    bias: Tensor
    sharpness: Tensor

    def __init__(self, keys: int, window: int, outputs: int) -> None:
        """Of `keys` windows at most, of `window` numbers each."""
        super().__init__()
        self.register_buffer("keys", torch.zeros(keys, window, dtype=torch.float16))
        self.register_buffer("weights", torch.zeros(keys, outputs))
        self.register_buffer("bias", torch.zeros(outputs))
        self.register_buffer("sharpness", torch.ones(1))

    def similarity(self, windows: Float[Tensor, "time window"]) -> Float[Tensor, "time keys"]:
        """exp(-sharpness · squared distance); in double: the parts of a sum of squares cancel, and chunks must not show."""
        windows, keys = windows.double(), self.keys.double()
        distance = windows.square().sum(1)[:, None] + keys.square().sum(1) - 2 * windows @ keys.T
        return (-self.sharpness.double() * distance.clamp_min(0)).exp()

    @torch.no_grad()
    def answered(self, windows: Float[Tensor, "time window"]) -> Float[Tensor, "time outputs"]:
        """What is expected at these windows."""
        return (self.similarity(windows) @ self.weights.double() + self.bias.double()).float()

    @torch.no_grad()
    def fit(self, inputs: Float[Tensor, "time window"], outputs: Float[Tensor, "time outputs"]) -> None:
        """Solve (KᵀK + λ n Kₖₖ) w = Kᵀy for n rows, K between windows and keys, Kₖₖ between keys; all rows count alike."""
        outputs = outputs.double()
        count = min(len(self.keys), len(inputs))
        keyed = torch.linspace(0, len(inputs) - 1, count).round().long()
        self.keys.zero_()
        self.keys[:count] = inputs[keyed].half()
        some = inputs[:: max(1, len(inputs) // SOME)].double()
        self.sharpness.fill_(SHARPNESS / float(torch.cdist(some, some).square().median().clamp_min(1e-6)))
        self.bias.copy_(outputs.mean(0))
        gram = torch.zeros(count, count, dtype=torch.float64)
        pull = torch.zeros(count, outputs.shape[1], dtype=torch.float64)
        for rows, real in zip(inputs.split(AT_ONCE), outputs.split(AT_ONCE)):
            alike = self.similarity(rows)[:, :count]
            gram += alike.T @ alike
            pull += alike.T @ (real - self.bias.double())
        gram += RIDGE * len(inputs) * self.similarity(self.keys[:count].float())[:, :count]
        gram += JITTER * len(inputs) * torch.eye(count, dtype=torch.float64)
        self.weights.zero_()
        self.weights[:count] = torch.cholesky_solve(pull, torch.linalg.cholesky(gram)).float()


def tapered(rows: Float[Tensor, "*batch numbers frames"], before: int, taper: float) -> Float[Tensor, "*batch window"]:
    """Windows as a kernel compares them: what lies `taper` frames (a standard deviation) from the one spoken, which has
    `before` frames before it, counts less."""
    place = torch.arange(rows.shape[-1]) - before
    weight = torch.exp(-0.5 * (place / taper) ** 2)
    return (rows * (weight / weight.sum()).sqrt()).flatten(-2)
