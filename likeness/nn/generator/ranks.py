"""Processes that learn together: `torchrun` starts them, gloo joins them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """Which process this is, and of how many."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """The sum over processes; no gradients."""
        value = value.detach().clone()
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def meet(self) -> None:
        """Go on when everybody is here."""
        if self.count > 1:
            dist.barrier()

    def share(self, tensors: dict[str, Tensor]) -> None:
        """The first process' values for everybody, in place; all have the same names and shapes."""
        if self.count > 1:
            for name in sorted(tensors):
                dist.broadcast(tensors[name], 0)


@contextmanager
def joined() -> Iterator[Ranks]:
    """The processes that `torchrun` started, as its environment says; one alone otherwise."""
    if dist.is_available() and dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    dist.init_process_group("gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
