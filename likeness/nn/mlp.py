"""The perceptrons of neural fields: no bias, ReLU between layers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

ROWS = 2048
"""Rows of 64 numbers that stay in a core's cache from one layer to the next."""


def mlp(inputs: int, outputs: int, hidden: int, layers: int) -> nn.Sequential:
    """`layers` linear maps of `hidden` numbers between them."""
    widths = [inputs, *[hidden] * (layers - 1), outputs]
    found: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(widths)):
        found += [nn.ReLU()] * (i > 0) + [nn.Linear(before, after, bias=False)]
    return nn.Sequential(*found)


def in_stretches(run: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """`run(*rows)` of a network that knows each row alone. Where no gradient is kept, stretch by stretch, which avoids
    fresh memory for every layer (measured with 30000 rows: 4 ms instead of 7 to 15)."""
    if torch.is_grad_enabled():
        return run(*rows)
    return torch.cat([run(*parts) for parts in zip(*(x.split(ROWS) for x in rows), strict=True)])
