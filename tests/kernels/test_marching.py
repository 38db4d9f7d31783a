"""`march`: the CPU body against the reference, to the last bit, and what the samples of a ray have to be."""

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likeness.kernels import march, marching, marching_cpu, sample_positions
from likeness.kernels import marching_reference as reference

LOW, HIGH = (-1.0, -0.5, 0.0), (1.0, 0.75, 3.0)


def rays(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rays from around the box towards it; a third along an axis or a plane, a few broken, some from cells' borders."""
    random = torch.Generator().manual_seed(seed)
    origins = (torch.rand(n, 3, generator=random) - 0.5) * 6
    origins = torch.where(torch.rand(n, 1, generator=random) < 0.3, (origins * 4).round() / 4, origins)
    targets = torch.rand(n, 3, generator=random) * (torch.tensor(HIGH) - torch.tensor(LOW)) + torch.tensor(LOW)
    directions = targets - origins
    directions = directions.where(torch.rand(n, 3, generator=random) > 0.2, 0)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    special = torch.tensor([float("nan"), float("inf"), -float("inf"), 1e30, 1e-30, -0.0])
    for numbers in (origins, directions):
        chosen = special[torch.randint(len(special), numbers.shape, generator=random)]
        numbers.copy_(torch.where(torch.rand(numbers.shape, generator=random) < 0.01, chosen, numbers))
    return origins, directions


def grid(shape: tuple[int, int, int], share: float, seed: int = 0) -> Tensor:
    """Lumps of occupied cells: whole blocks are empty, others nearly."""
    random = torch.Generator().manual_seed(seed)
    lumps = torch.rand(*[(size + 4) // 5 for size in shape], generator=random) < share
    for axis, size in enumerate(shape):
        lumps = lumps.repeat_interleave(5, axis).narrow(axis, 0, size)
    return lumps & (torch.rand(shape, generator=random) < 0.8)


def exhaustive(origins, directions, occupancy, step, most, jitter, near, low=LOW, high=HIGH) -> tuple[Tensor, Tensor]:
    jitter = torch.full_like(origins[:, 0], 0.5) if jitter is None else jitter
    return reference.march(origins, directions, occupancy, low, high, step, most, jitter, near)


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(0, 300),
    shape=st.tuples(*[st.sampled_from([1, 3, 8, 17, 40])] * 3),
    share=st.sampled_from([0.0, 0.02, 0.2, 1.0]),
    step=st.sampled_from([0.5, 0.05, 0.01, 0.0013]),
    most=st.sampled_from([1, 7, 16, 10**6]),
    jittered=st.booleans(),
    near=st.sampled_from([0.0, 0.7]),
    seed=st.integers(0, 999),
)
def test_body_and_reference_agree_to_the_last_bit(n, shape, share, step, most, jittered, near, seed) -> None:
    """The reference tries every lattice point; the body skips, from 0.0013 on whole blocks in these grids."""
    n = n if step > 0.005 else min(n, 40)
    origins, directions = rays(n, seed)
    occupancy = grid(shape, share, seed)
    jitter = torch.rand(n, generator=torch.Generator().manual_seed(seed)) if jittered else None
    t, starts = march(origins, directions, occupancy, LOW, HIGH, step, most, jitter, near)
    wanted, wanted_starts = exhaustive(origins, directions, occupancy, step, most, jitter, near)
    assert torch.equal(starts, wanted_starts)
    assert torch.equal(t, wanted)


def test_both_ways_of_skipping_are_taken() -> None:
    """What the test above relies on: finest steps look at blocks, others number every point."""
    cells = 40 / (HIGH[1] - LOW[1])
    assert 0.0013 * cells * marching_cpu.WORTH <= marching_cpu.BLOCK < 0.01 * cells * marching_cpu.WORTH


@pytest.mark.parametrize("directions", [(0.6, -0.64, 0.48), (0.0, 0.6, -0.8), (-1.0, 0.0, 0.0)])
def test_a_wrong_estimate_is_corrected(directions: tuple[float, float, float]) -> None:
    """`_prove` finds the same lattice points whatever it starts from."""
    ray = np.array([0.1, 0.5, 0.1, -0.05, 0.2, *directions], np.float32)
    blocks = np.zeros((4, 4, 4), np.uint8)
    blocks[1:3, 1:3, 1:3] = 1
    frame = marching_cpu._frame(blocks, np.array([32, 32, 32]), np.array([[-1.0] * 3, [1.0] * 3], np.float32))
    starts, stops = (0, 3, 60, 120), (0, 5, 70, 120)
    step = np.float32(0.01)
    (found,) = {marching_cpu._prove(ray, frame, step, start, stop, 120) for start in starts for stop in stops}
    assert found[0] < found[1] < 120


def test_every_sample_is_in_an_occupied_cell_and_on_its_lattice() -> None:
    origins, directions = rays(500, 3)
    occupancy = grid((20, 16, 30), 0.3, 3)
    samples = march(origins, directions, occupancy, LOW, HIGH, 0.02, 9)
    positions, numbers = sample_positions(samples, origins, directions)
    assert len(samples.t) > 500
    low, high = torch.tensor(LOW), torch.tensor(HIGH)
    exact = origins[numbers] + samples.t[:, None] * directions[numbers]
    assert torch.allclose(positions, exact, atol=1e-6)
    cells = ((exact - low) * (torch.tensor(occupancy.shape) / (high - low))).floor().long()
    assert occupancy[cells[:, 0], cells[:, 1], cells[:, 2]].all()
    assert torch.equal(numbers.bincount(minlength=500), samples.rays_start.diff())
    assert samples.rays_start.diff().max() == 9
    steps = samples.t.diff()[numbers.diff() == 0] / 0.02
    assert (steps > 0.99).all() and ((steps - steps.round()).abs() < 1e-3).all()


def test_a_full_box_is_sampled_from_end_to_end() -> None:
    """Middles of steps from the entry on: half a step to the front, and at most half a step to the back."""
    origins, directions = torch.tensor([[-5.0, 0.1, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    full = torch.ones(7, 7, 7, dtype=torch.uint8)
    t, starts = march(origins, directions, full, LOW, HIGH, 0.25, 100)
    assert starts.tolist() == [0, 8]
    assert torch.allclose(t, torch.arange(8) * 0.25 + 4.125)
    assert torch.allclose(march(origins, directions, full, LOW, HIGH, 0.25, 100, torch.tensor([0.25])).t, t - 0.0625)
    assert torch.allclose(march(origins, directions, full, LOW, HIGH, 0.25, 3).t, t[:3])
    assert torch.allclose(march(origins, directions, full, LOW, HIGH, 0.25, 100, near=5.0).t, torch.arange(4) * 0.25 + 5.125)


def test_rays_that_have_no_samples() -> None:
    full = torch.ones(4, 4, 4, dtype=torch.bool)
    nan, inf = float("nan"), float("inf")
    broken = [
        ([nan, 0, 0], [1, 0, 0]),
        ([-5, 0, 1], [nan, 0, 0]),
        ([inf, 0, 1], [-1, 0, 0]),
        ([-5, 0, 1], [inf, 0, 0]),
        ([0, 0, 1], [0, 0, 0]),
        ([-5, 0, 1], [-1, 0, 0]),
        ([-5, 2, 1], [1, 0, 0]),
        ([-5, 0.75, 1], [1, 0, 0]),
        ([-1e38, 0, 1], [1, 0, 0]),
    ]
    origins, directions = (torch.tensor(part, dtype=torch.float32) for part in zip(*broken))
    for jitter in (None, torch.rand(len(broken))):
        samples = march(origins, directions, full, LOW, HIGH, 0.1, 16, jitter)
        assert len(samples.t) == 0 and (samples.rays_start == 0).all()
    one = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    assert len(march(*one, full, LOW, HIGH, 0.1, 16, torch.tensor([nan])).t) == 0
    assert len(march(*one, full & False, LOW, HIGH, 0.1, 16).t) == 0
    assert len(march(*(part[:0] for part in one), full, LOW, HIGH, 0.1, 16).t) == 0


def test_bytes_and_truths_are_the_same() -> None:
    origins, directions = rays(100)
    occupancy = grid((12, 9, 20), 0.3)
    wanted = march(origins, directions, occupancy, LOW, HIGH, 0.03, 16)
    for same in (occupancy * torch.tensor(200, dtype=torch.uint8), occupancy.permute(2, 0, 1).contiguous().permute(1, 2, 0)):
        assert all(torch.equal(a, b) for a, b in zip(march(origins, directions, same, LOW, HIGH, 0.03, 16), wanted))


def test_parts_of_many_rays_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    origins, directions = rays(1000)
    occupancy = grid((40, 40, 40), 0.2)
    wanted = march(origins, directions, occupancy, LOW, HIGH, 0.02, 16)
    monkeypatch.setattr(marching, "ROOM", 16 * 300)
    assert all(torch.equal(a, b) for a, b in zip(march(origins, directions, occupancy, LOW, HIGH, 0.02, 16), wanted))


def test_it_is_the_same_on_any_number_of_threads() -> None:
    origins, directions = rays(5000)
    occupancy, threads, results = grid((40, 40, 40), 0.2), torch.get_num_threads(), []
    try:
        for number in (1, 2, threads):
            torch.set_num_threads(number)
            samples = march(origins, directions, occupancy, LOW, HIGH, 0.02, 16)
            results.append((*samples, *sample_positions(samples, origins, directions)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for result in results for a, b in zip(result, results[0]))


def test_what_it_refuses() -> None:
    origins, directions = rays(3)
    full = torch.ones(4, 4, 4, dtype=torch.bool)
    with pytest.raises(TypeError, match="float32"):
        march(origins.double(), directions, full, LOW, HIGH, 0.1, 16)
    for low, high in ((HIGH, LOW), ((-math.inf, -0.5, 0.0), HIGH), ((math.nan, -0.5, 0.0), HIGH)):
        with pytest.raises(ValueError, match="box"):
            march(origins, directions, full, low, high, 0.1, 16)
    with pytest.raises(ValueError, match="box"):
        march(origins, directions, full[:0], LOW, HIGH, 0.1, 16)
    for step in (0.0, -1.0, math.nan, math.inf, 1e-7):
        with pytest.raises(ValueError, match="step"):
            march(origins, directions, full, LOW, HIGH, step, 16)
    for wrong in ({"most": 0}, {"near": -1.0}, {"near": math.nan}):
        with pytest.raises(ValueError, match="march"):
            march(origins, directions, full, LOW, HIGH, 0.1, **{"most": 16, **wrong})
    with pytest.raises(ValueError, match="as many"):
        inspect.unwrap(march)(origins, directions, full, LOW, HIGH, 0.1, 16, torch.rand(2))
    with pytest.raises(ValueError, match="samples of 3 rays"):
        sample_positions(march(origins, directions, full, LOW, HIGH, 0.1, 16), origins[:2], directions[:2])
