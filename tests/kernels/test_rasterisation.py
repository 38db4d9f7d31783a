"""`rasterise`: the CPU body against the reference, tile edges, and the laws of compositing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likeness.kernels import project, rasterise
from likeness.kernels import rasterisation_reference as reference


def flat(cloud, view, dtype: torch.dtype) -> list[Tensor]:
    """2D Gaussians of a cloud as leaves: means2d, conics, colors, opacities, depths, radii."""
    means2d, conics, depths, radii = project(*cloud[:3], *view)
    leaves = (means2d, conics, cloud.colors, cloud.opacities, depths)
    return [leaf.detach().to(dtype).requires_grad_() for leaf in leaves] + [radii]


def one(x: float, y: float, opacity: float = 0.9, sharpness: float = 0.2, depth: float = 1.0) -> list[Tensor]:
    conics = torch.tensor([[sharpness, 0.0, sharpness]])
    rest = torch.tensor([[0.25, 0.5, 1.0]]), torch.tensor([opacity]), torch.tensor([depth]), torch.ones(1)
    return [torch.tensor([[x, y]]), conics, *rest]


def scattered(pictures: tuple[Tensor, ...], seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return sum((p * torch.randn(p.shape, generator=random).to(p)).sum() for p in pictures)


@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(0, 120),
    seed=st.integers(0, 99),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    channels=st.sampled_from([1, 2, 3, 3, 3, 4, 7, 32]),
)
def test_body_and_reference_agree(cloud, view, n: int, seed: int, width: int, height: int, channels: int) -> None:
    camera = view(width, height)
    ours = flat(cloud(n, seed, channels), camera, torch.float32)
    exact = flat(cloud(n, seed, channels), camera, torch.float64)
    pictures = rasterise(*ours, camera.size)
    wanted = reference.rasterise(*exact, camera.size)
    for picture, expected in zip(pictures, wanted):
        assert picture.shape == expected.shape
        error = (picture.double() - expected).abs()
        # One pixel may land on the other side of alpha = 1/255 in float32; elsewhere rounding only.
        assert error.max() < 6e-3
        assert error.flatten().sort().values[: int(0.999 * error.numel())].max() < 2e-5 if error.numel() > 1 else True
    scattered(pictures, seed).backward()
    scattered(wanted, seed).backward()
    for mine, theirs in zip(ours[:5], exact[:5]):
        assert (mine.grad.double() - theirs.grad).norm() <= 5e-3 * theirs.grad.norm() + 1e-6


def test_reference_gradients_are_right(cloud, view) -> None:
    """Finite differences; opacities and shapes are such that no pixel is near a threshold."""
    random = torch.Generator().manual_seed(3)
    means2d = torch.rand(3, 2, generator=random, dtype=torch.float64) * 2 + 1
    conics = torch.tensor([[0.05, 0.01, 0.04]] * 3, dtype=torch.float64)
    colors = torch.rand(3, 2, generator=random, dtype=torch.float64)
    opacities = torch.rand(3, generator=random, dtype=torch.float64) * 0.4 + 0.3
    depths = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    leaves = [leaf.requires_grad_() for leaf in (means2d, conics, colors, opacities, depths)]
    assert torch.autograd.gradcheck(lambda *gaussians: reference.rasterise(*gaussians, torch.ones(3), (4, 3)), leaves)


@pytest.mark.parametrize("x", [0.0, 15.4, 15.5, 16.0, 16.5, 31.99, 32.0, -2.0, 39.0, 41.5])
@pytest.mark.parametrize("y", [0.5, 16.0, 20.9, 22.0])
def test_a_gaussian_on_tile_edges(x: float, y: float) -> None:
    gaussian = one(x, y)
    for picture, wanted in zip(rasterise(*gaussian, (39, 21)), reference.rasterise(*gaussian, (39, 21))):
        assert torch.allclose(picture, wanted, atol=2e-6)


def test_the_middle_of_a_pixel_is_a_half() -> None:
    image, alpha, depth = rasterise(*one(5.5, 3.5, opacity=0.8, depth=2.0), (12, 8))
    assert alpha[3, 5].item() == pytest.approx(0.8)
    assert alpha[3, 6].item() == pytest.approx(0.8 * math.exp(-0.1), rel=1e-5)
    assert image[3, 5].tolist() == pytest.approx([0.2, 0.4, 0.8])
    assert depth[3, 5].item() == pytest.approx(1.6)


def test_nearer_covers_farther_whatever_the_order() -> None:
    near, far = one(4.5, 4.5, 0.6, depth=1.0), one(4.5, 4.5, 0.5, depth=3.0)
    there = rasterise(*map(torch.cat, zip(near, far)), (9, 9))
    back = rasterise(*map(torch.cat, zip(far, near)), (9, 9))
    for one_way, other in zip(there, back):
        assert torch.equal(one_way, other)
    assert there[2][4, 4].item() == pytest.approx(0.6 * 1.0 + 0.4 * 0.5 * 3.0)


def test_depths_may_be_of_any_sign_and_size() -> None:
    depths = torch.tensor([3.0, -1.0, 1e-20, -1e6, 0.0, 1e6, -2.0, 3.0000002])
    stack = [tensor.repeat(8, *[1] * (tensor.dim() - 1)) for tensor in one(4.5, 4.5, 0.3)]
    stack[2], stack[4] = torch.eye(8)[:, :8], depths
    for picture, wanted in zip(rasterise(*stack, (9, 9)), reference.rasterise(*stack, (9, 9))):
        assert torch.allclose(picture, wanted, atol=2e-6, rtol=1e-5)


def test_equal_depths_keep_their_order() -> None:
    red, blue = one(4.5, 4.5, 0.9), one(4.5, 4.5, 0.9)
    red[2], blue[2] = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 0, 1.0]])
    image = rasterise(*map(torch.cat, zip(red, blue)), (9, 9))[0]
    assert image[4, 4].tolist() == pytest.approx([0.9, 0.0, 0.09])


def test_an_opaque_pixel_takes_no_more() -> None:
    n = 40
    stack = [tensor.repeat(n, *[1] * (tensor.dim() - 1)) for tensor in one(8.5, 8.5, 0.95, sharpness=1e-4)]
    stack[4] = torch.arange(1.0, n + 1)
    stack[2].requires_grad_()
    _, alpha, _ = rasterise(*stack, (16, 16))
    image = rasterise(*stack, (16, 16))[0]
    image.sum().backward()
    assert 0.9999 < alpha.min() <= alpha.max() <= 1
    assert (stack[2].grad[:3] > 0).all()
    assert (stack[2].grad[4:] == 0).all()


def test_nothing_to_draw() -> None:
    empty = [tensor[:0].requires_grad_() for tensor in one(1.0, 1.0)]
    image, alpha, depth = rasterise(*empty, (20, 10))
    assert image.shape == (10, 20, 3)
    assert (image == 0).all() and (alpha == 0).all() and (depth == 0).all()
    (image.sum() + alpha.sum()).backward()
    culled = one(4.0, 4.0)
    culled[5] = torch.zeros(1)
    assert (rasterise(*culled, (20, 10))[1] == 0).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e38])
def test_broken_numbers_neither_crash_nor_spread(bad: float) -> None:
    good = one(8.5, 8.5)
    wanted = rasterise(*good, (20, 20))
    for position in (0, 1, 3, 4):
        broken = [tensor.clone() for tensor in one(9.0, 9.0)]
        broken[position] = torch.full_like(broken[position], bad)
        pictures = rasterise(*map(torch.cat, zip(good, broken)), (20, 20))
        assert all(torch.equal(picture, expected) for picture, expected in zip(pictures, wanted))


def test_unused_outputs_get_no_gradient_but_cause_no_harm(cloud, view) -> None:
    camera = view(33, 20)
    for chosen in range(3):
        ours, exact = flat(cloud(30), camera, torch.float32), flat(cloud(30), camera, torch.float64)
        rasterise(*ours, camera.size)[chosen].sum().backward()
        reference.rasterise(*exact, camera.size)[chosen].sum().backward()
        for mine, theirs in zip(ours[:5], exact[:5]):
            expected = torch.zeros_like(theirs) if theirs.grad is None else theirs.grad
            assert (mine.grad.double() - expected).norm() <= 1e-3 * expected.norm() + 1e-5
