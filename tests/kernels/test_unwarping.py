"""`unwarp`: the CPU body against the reference, and what taking a motion back means."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likeness.kernels import unwarp
from likeness.kernels import unwarping_reference as reference

LOW, HIGH = torch.tensor([-0.5, -0.4, -0.3]), torch.tensor([0.5, 0.6, 0.8])


def case(n: int, shape: tuple[int, int, int], far: float, seed: int) -> tuple[Tensor, Tensor]:
    """Places in and around the box, some of them broken, and a motion that moves nothing by more than `far`."""
    random = torch.Generator().manual_seed(seed)
    xyz = LOW - 0.2 + torch.rand(n, 3, generator=random) * (HIGH - LOW + 0.4)
    special = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e30])
    chosen = special[torch.randint(len(special), xyz.shape, generator=random)]
    xyz = torch.where(torch.rand(n, 3, generator=random) < 0.01, chosen, xyz)
    return xyz, far * (2 * torch.rand(*shape, 3, generator=random) - 1)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 5000),
    shape=st.tuples(*[st.sampled_from([2, 3, 9, 30])] * 3),
    turns=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_body_and_reference_agree(n, shape, turns, seed) -> None:
    """At the box's side the motion jumps to nothing, where a place may be on either side by rounding: not looked at."""
    xyz, motion = case(n, shape, 0.02, seed)
    motion[[0, -1]] = motion[:, [0, -1]] = motion[:, :, [0, -1]] = 0
    found, wanted = unwarp(xyz, motion, LOW, HIGH, turns), reference.unwarp(xyz, motion, LOW, HIGH, turns)
    assert torch.allclose(found, wanted, atol=2e-6, equal_nan=True)


def test_a_place_comes_back_to_where_it_was() -> None:
    """A smooth motion that fades at the box's sides, forwards by its definition, then back."""
    axes = [torch.linspace(-1, 1, 40)] * 3
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    fade = (1 - x**2) * (1 - y**2) * (1 - z**2)
    motion = torch.stack([0.06 * fade * (1 + y), -0.08 * fade, 0.05 * fade * x], -1)
    low, high = -torch.ones(3), torch.ones(3)
    nodes = torch.stack([x, y, z], -1).reshape(-1, 3)
    moved = nodes + motion.reshape(-1, 3)
    errors = [(unwarp(moved, motion, low, high, turns) - nodes).abs().max() for turns in (1, 2, 8)]
    assert errors[0] > 5 * errors[1] and errors[2] < 1e-3


def test_nothing_moves_without_motion_or_beyond_the_box() -> None:
    xyz, motion = case(500, (5, 6, 7), 0.1, 1)
    still = unwarp(xyz, torch.zeros_like(motion), LOW, HIGH, 2)
    assert torch.equal(still.nan_to_num(), xyz.nan_to_num())
    beyond = ~((xyz > LOW) & (xyz < HIGH)).all(1)
    assert beyond.any() and torch.equal(unwarp(xyz, motion, LOW, HIGH, 1)[beyond].nan_to_num(), xyz[beyond].nan_to_num())


def test_threads_do_not_matter() -> None:
    xyz, motion = case(20000, (20, 30, 25), 0.05, 2)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = unwarp(xyz, motion, LOW, HIGH, 2)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone.nan_to_num(), unwarp(xyz, motion, LOW, HIGH, 2).nan_to_num())


@pytest.mark.parametrize(
    ("motion", "high", "turns"),
    [(torch.zeros(1, 4, 4, 3), HIGH, 1), (torch.zeros(4, 4, 4, 3), LOW, 1), (torch.zeros(4, 4, 4, 3), HIGH, 0)],
)
def test_what_does_not_fit_is_an_error(motion, high, turns) -> None:
    with pytest.raises(ValueError, match="unwarp"):
        unwarp(torch.zeros(3, 3), motion, LOW, high, turns)
