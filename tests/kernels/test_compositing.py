"""`composite`: the CPU body against the reference, and the laws of volume rendering."""

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likeness.kernels import composite
from likeness.kernels import compositing_reference as reference


def samples(n: int, channels: int, dense: float, seed: int = 0, longest: int = 12) -> tuple[Tensor, ...]:
    """density, values, widths, starts, t of n rays, some of them empty; `dense` is the largest optical thickness."""
    random = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, longest + 1, (n,), generator=random)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    m = int(starts[-1])
    widths = torch.rand(m, generator=random) * 0.09 + 0.01
    density = (torch.rand(m, generator=random) * dense / widths).where(torch.rand(m, generator=random) > 0.1, 0)
    return density, torch.randn(m, channels, generator=random), widths, starts, torch.rand(m, generator=random) + 2


def scattered(pictures, chosen: tuple[int, ...], seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    weights = [torch.randn(p.shape, generator=random).to(p) for p in pictures]
    return sum((pictures[i] * weights[i]).sum() for i in chosen)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 600),
    channels=st.sampled_from([1, 2, 3, 3, 3, 4, 17, 32]),
    dense=st.sampled_from([0.01, 0.5, 3.0, 30.0]),
    uniform=st.booleans(),
    chosen=st.sampled_from([(0,), (1,), (2,), (3,), (0, 1), (0, 1, 2), (0, 1, 2, 3)]),
    seed=st.integers(0, 99),
)
def test_body_and_reference_agree(n, channels, dense, uniform, chosen, seed) -> None:
    density, values, widths, starts, t = samples(n, channels, dense, seed)
    leaves = [leaf.requires_grad_() for leaf in (density, values)]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    wide = 0.03 if uniform else widths
    exact_wide = torch.tensor([0.03]).double() if uniform else widths.double()
    pictures, wanted = composite(*leaves, wide, starts, t), reference.composite(*exact, exact_wide, starts, t.double())
    for picture, expected in zip(pictures, wanted):
        assert picture.shape == expected.shape
        # In float32 a ray may stop one sample sooner or later, which is worth 1e-4 of what that sample holds.
        assert picture.numel() == 0 or (picture.double() - expected).abs().max() < 1e-3
        assert (picture.double() - expected).norm() <= 2e-5 * expected.norm() + 1e-6
    scattered(pictures, chosen, seed).backward()
    scattered(wanted, chosen, seed).backward()
    for mine, theirs in zip(leaves, exact):
        expected = torch.zeros_like(theirs) if theirs.grad is None else theirs.grad
        grad = torch.zeros_like(mine) if mine.grad is None else mine.grad
        assert (grad.double() - expected).norm() <= 1e-4 * expected.norm() + 1e-6


@pytest.mark.parametrize("dense", [0.3, 4.0])
def test_reference_gradients_are_right(dense: float) -> None:
    density, values, widths, starts, t = (leaf.double() for leaf in samples(5, 2, dense, seed=4))
    density = density + 0.1
    leaves = density.requires_grad_(), values.requires_grad_()
    assert torch.autograd.gradcheck(lambda d, v: reference.composite(d, v, widths, starts.long(), t), leaves)


def ray(density: list[float], widths: list[float], values: list[float] | None = None) -> tuple[Tensor, ...]:
    shades = torch.tensor(values or [1.0] * len(density))[:, None]
    starts = torch.tensor([0, len(density)])
    return torch.tensor(density), shades, torch.tensor(widths), starts, torch.tensor(widths).cumsum(0)


def test_two_samples_by_hand() -> None:
    """Half the light is stopped by the first, half of what is left by the second."""
    half = math.log(2)
    value, alpha, depth, weights = composite(*ray([half / 0.1, half / 0.3], [0.1, 0.3], [1.0, 10.0]))
    assert weights.tolist() == pytest.approx([0.5, 0.25])
    assert value[0, 0].item() == pytest.approx(3.0)
    assert alpha[0].item() == pytest.approx(0.75)
    assert depth[0].item() == pytest.approx(0.5 * 0.1 + 0.25 * 0.4)


@settings(max_examples=50, deadline=None)
@given(sigma=st.floats(0, 12), parts=st.integers(1, 200))
def test_a_constant_slab_is_beers_law(sigma: float, parts: int) -> None:
    """radnerf.md 11 C; sigma times L stays above the threshold at which a ray stops (9.2) or is cut there."""
    starts = torch.tensor([0, parts])
    _, alpha, _, weights = composite(torch.full((parts,), sigma), torch.ones(parts, 3), 0.75 / parts, starts)
    assert alpha[0].item() == pytest.approx(1 - math.exp(-sigma * 0.75), abs=1e-5)
    assert weights.sum().item() == pytest.approx(alpha[0].item(), abs=1e-5)


def test_splitting_a_sample_changes_nothing() -> None:
    density, values, widths, starts, t = samples(300, 3, 1.0)
    whole = composite(density, values, widths, starts, t)
    twice = [leaf.repeat_interleave(2, 0) for leaf in (density, values, widths / 2)]
    split = composite(*twice, 2 * starts, t.repeat_interleave(2))
    for a, b in zip(whole[:3], split[:3]):
        assert torch.allclose(a, b, atol=1e-4 * 3)
    assert torch.allclose(whole.weights, split.weights.reshape(-1, 2).sum(1), atol=1e-4)


def test_permuting_rays_permutes_results() -> None:
    density, values, widths, starts, t = samples(600, 3, 2.0)
    order = torch.randperm(600, generator=torch.Generator().manual_seed(1))
    there = torch.cat([torch.arange(starts[i], starts[i + 1]) for i in order.tolist()])
    counts = starts.diff()[order]
    moved = composite(*(x[there] for x in (density, values, widths)), torch.cat([starts[:1], counts.cumsum(0)]), t[there])
    still = composite(density, values, widths, starts, t)
    assert all(torch.equal(a[order], b) for a, b in zip(still[:3], moved[:3]))
    assert torch.equal(still.weights[there], moved.weights)


def test_an_opaque_ray_takes_no_more() -> None:
    """Stopping early changes the result by less than 1e-4 (radnerf.md 11 C), and what is behind gets no gradient."""
    density, values, _, _, t = ray([40.0] * 50, [0.1] * 50, [0.5 + i % 2 for i in range(50)])
    leaves = density.requires_grad_(), values.requires_grad_()
    value, alpha, depth, weights = composite(*leaves, 0.1, torch.tensor([0, 50]), t)
    unstopped = torch.exp(-4.0 * torch.arange(50)) * (1 - math.exp(-4.0))
    assert (weights[:3] > 0).all() and (weights[3:] == 0).all()
    assert (weights - unstopped).abs().sum() < 1e-4
    assert abs(value.item() - (unstopped @ values[:, 0]).item()) < 1e-4
    (value.sum() + alpha.sum() + depth.sum() + weights.sum()).backward()
    for leaf in leaves:
        assert (leaf.grad[:3] != 0).all() and (leaf.grad[3:] == 0).all()


def test_empty_rays_give_zeros() -> None:
    starts = torch.tensor([0, 0, 2, 2])
    density, values, *_ = ray([1.0, 1.0], [1.0, 1.0])
    value, alpha, depth, _ = composite(density, values, 1.0, starts)
    assert depth is None
    assert alpha[0] == alpha[2] == 0 and value[0] == value[2] == 0
    nothing = composite(density[:0].requires_grad_(), values[:0], 1.0, torch.zeros(4, dtype=torch.int32), density[:0])
    assert nothing.value.shape == (3, 1) and (nothing.alpha == 0).all() and (nothing.depth == 0).all()
    nothing.alpha.sum().backward()
    assert composite(density[:0], values[:0], 1.0, torch.zeros(1, dtype=torch.int64)).alpha.shape == (0,)


def test_thin_samples_keep_their_digits() -> None:
    """1 - exp(-x) in float32 has none left at x = 1e-8."""
    thickness = torch.logspace(-12, 1, 400)
    density, starts = thickness.clone(), torch.arange(401)
    weights = composite(density, torch.ones(400, 1), 1.0, starts).weights
    assert ((weights.double() / -torch.expm1(-thickness.double()) - 1).abs() < 1e-6).all()


def test_broken_numbers_do_not_spread() -> None:
    density, values, widths, starts, t = samples(300, 3, 1.0)
    wanted = composite(density, values, widths, starts, t)
    ray = int((starts.diff() > 2).nonzero()[7])
    density[starts[ray]] = float("nan")
    got = composite(density, values, widths, starts, t)
    others = torch.arange(300) != ray
    assert all(torch.equal(a[others], b[others]) for a, b in zip(got[:3], wanted[:3]))


def test_it_is_the_same_on_any_number_of_threads() -> None:
    density, values, widths, starts, t = samples(5000, 3, 2.0)
    leaves, threads, results = (density.requires_grad_(), values.requires_grad_()), torch.get_num_threads(), []
    try:
        for number in (1, 2, threads):
            torch.set_num_threads(number)
            pictures = composite(*leaves, widths, starts, t)
            results.append((*pictures, *torch.autograd.grad(scattered(pictures, (0, 1, 2, 3), 0), leaves)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for result in results for a, b in zip(result, results[0]))


def test_what_it_refuses() -> None:
    density, values, widths, starts, t = samples(5, 3, 1.0)
    with pytest.raises(TypeError, match="float32"):
        composite(density.double(), values, widths, starts, t)
    for wrong in (starts[:-1], starts[1:], starts + 1, starts.flip(0), starts[:0], torch.tensor([0, len(t) + 1, len(t)])):
        with pytest.raises(ValueError, match="starts"):
            composite(density, values, widths, wrong, t)
    for short in ({"values": values[1:]}, {"widths": widths[1:]}, {"t": t[1:]}):
        with pytest.raises(ValueError, match="as many"):
            inspect.unwrap(composite)(
                **{"density": density, "values": values, "widths": widths, "starts": starts, "t": t, **short}
            )
