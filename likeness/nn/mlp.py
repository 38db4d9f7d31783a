"""The perceptrons of neural fields: no bias, ReLU between layers."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def mlp(inputs: int, outputs: int, hidden: int, layers: int) -> nn.Sequential:
    """`layers` linear maps of `hidden` numbers between them."""
    widths = [inputs, *[hidden] * (layers - 1), outputs]
    found: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(widths)):
        found += [nn.ReLU()] * (i > 0) + [nn.Linear(before, after, bias=False)]
    return nn.Sequential(*found)
