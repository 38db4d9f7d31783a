"""`ssim`: the CPU body against the reference, hand values and laws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.kernels import similarity_reference as reference
from likeness.kernels import ssim, ssim_map


def pair(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    a = torch.rand(shape, generator=random)
    return a, (a + 0.2 * torch.randn(shape, generator=random)).clamp(0, 1)


@settings(max_examples=10, deadline=None)
@given(
    batch=st.integers(1, 2),
    height=st.integers(1, 140),
    width=st.integers(1, 280),
    channels=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 99),
)
def test_body_and_reference_agree(batch: int, height: int, width: int, channels: int, seed: int) -> None:
    a, b = pair(batch, height, width, channels, seed=seed)
    ours, exact = a.clone().requires_grad_(), a.double().requires_grad_()
    similarities, mean = ssim_map(ours, b), ssim(ours, b)
    wanted = reference.similarity(exact, b.double())
    assert (similarities - wanted).abs().max() < 2e-5
    assert mean.item() == pytest.approx(wanted.mean().item(), abs=2e-6)
    weights = torch.randn(a.shape, generator=torch.Generator().manual_seed(seed))
    ((similarities * weights).sum() + 7 * mean).backward()
    ((wanted * weights).sum() + 7 * wanted.mean()).backward()
    assert (ours.grad - exact.grad).norm() < 1e-4 * exact.grad.norm()


def test_reference_gradients_are_right() -> None:
    a, b = pair(1, 4, 5, 1)
    b = b.double()
    assert torch.autograd.gradcheck(lambda x: reference.similarity(x, b), a.double().requires_grad_())


def test_equal_pictures_score_one() -> None:
    a, _ = pair(40, 33, 3)
    assert ssim(a, a).item() == pytest.approx(1.0, abs=1e-6)
    assert torch.allclose(ssim_map(a, a), torch.ones_like(a), atol=1e-5)


def test_two_flat_pictures() -> None:
    """Far from the edges only brightness differs: (2 p q + C1) / (p^2 + q^2 + C1)."""
    p, q = 0.25, 0.75
    similarities = ssim_map(torch.full((31, 31, 1), p), torch.full((31, 31, 1), q))
    assert similarities[15, 15, 0].item() == pytest.approx((2 * p * q + 1e-4) / (p * p + q * q + 1e-4), rel=1e-3)


def test_it_is_symmetric_and_the_same_on_any_number_of_threads() -> None:
    a, b = pair(2, 90, 150, 3)
    assert ssim(a, b).item() == pytest.approx(ssim(b, a).item(), abs=1e-7)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, threads):
            torch.set_num_threads(number)
            leaf = a.clone().requires_grad_()
            mean = ssim(leaf, b)
            mean.backward()
            results.append((mean.detach(), leaf.grad))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(mean, results[0][0]) and torch.equal(grad, results[0][1]) for mean, grad in results)


def test_what_it_refuses() -> None:
    a, b = pair(8, 8, 3)
    with pytest.raises(ValueError, match="first picture"):
        ssim(a, b.requires_grad_())
    with pytest.raises(ValueError, match="shape"):
        ssim(a[..., :0], b[..., :0].detach())
