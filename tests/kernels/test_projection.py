"""`project`: the CPU body against the reference, and the reference against the camera model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.kernels import project
from likeness.kernels import projection_reference as reference


def close(ours: torch.Tensor, wanted: torch.Tensor, relative: float = 1e-4) -> bool:
    return bool((ours.double() - wanted.double()).norm() <= relative * wanted.double().norm() + 1e-7)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(0, 60), seed=st.integers(0, 99), width=st.integers(1, 90), height=st.integers(1, 90))
def test_body_and_reference_agree(cloud, view, n: int, seed: int, width: int, height: int) -> None:
    scene, camera = cloud(n, seed), view(width, height)
    exact = scene.to(torch.float64)
    outputs = project(*scene[:3], *camera)
    wanted = reference.project(*exact[:3], *camera)
    same = outputs[3] == wanted[3]
    assert (~same).sum() <= 1  # a radius or an edge may round the other way in float32
    for ours, theirs in zip(outputs[:3], wanted[:3]):
        assert close(ours[same], theirs[same])

    upstream = [torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)) for output in wanted[:3]]
    for output, weights in ((outputs, upstream), (wanted, upstream)):
        sum((o * w.to(o) * same.reshape(-1, *[1] * (o.dim() - 1))).sum() for o, w in zip(output, weights)).backward()
    for ours, theirs in zip(scene[:3], exact[:3]):
        assert close(ours.grad, theirs.grad, 1e-3)


def test_reference_gradients_are_right(cloud, view) -> None:
    scene = cloud(6).to(torch.float64)
    camera = view(40, 30)
    assert (reference.project(*scene[:3], *camera)[3] > 0).all()
    assert torch.autograd.gradcheck(lambda *gaussians: reference.project(*gaussians, *camera)[:3], scene[:3])


def test_beyond_the_limits_gradients_still_agree(view) -> None:
    camera = view(40, 30)
    means = torch.tensor([[0.6, 0.0, 0.1], [0.1, -0.5, -0.2]], requires_grad=True)
    quats = torch.tensor([[1.0, 0.3, 0.2, 0.1]] * 2)
    scales = torch.tensor([[0.3, 0.2, 0.4]] * 2)
    exact = means.detach().double().requires_grad_()
    outputs = project(means, quats, scales, *camera)
    wanted = reference.project(exact, quats.double(), scales.double(), *camera)
    assert (outputs[3] > 0).all()
    outputs[1].sum().backward()
    wanted[1].sum().backward()
    assert close(means.grad, exact.grad, 1e-3)


def test_where_a_point_lands() -> None:
    mean, quat, scale = torch.tensor([[0.1, -0.2, 2.0]]), torch.tensor([[2.0, 0.0, 0.0, 0.0]]), torch.full((1, 3), 0.05)
    means2d, conics, depths, radii = project(mean, quat, scale, torch.eye(4), (100.0, 200.0), (50.0, 60.0), (100, 120))
    assert means2d.tolist() == [pytest.approx([55.0, 40.0])]
    assert depths.tolist() == [2.0]
    spread_x = 2.5**2 * (1 + 0.05**2) + 0.3  # (f s / z)^2 (1 + (x/z)^2), plus the low-pass filter
    assert (1 / conics[0, 0]).item() == pytest.approx(spread_x, rel=1e-3)
    assert radii.item() == 16


def test_culled_rows_are_zero(view) -> None:
    far, nan = 1e3, float("nan")
    means = torch.tensor([[0.0, 0.0, -5.0], [far, 0.0, 0.0], [nan, 0.0, 0.0], [0.0, 0.0, float("inf")], [0.0, 0.0, 0.0]])
    means.requires_grad_()
    quats = torch.tensor([[1.0, 0, 0, 0]] * 4 + [[nan, 0, 0, 0]])
    outputs = project(means, quats, torch.full((5, 3), 0.01), *view(32, 32))
    for output in outputs:
        assert (output == 0).all()
    outputs[0].sum().backward()
    assert (means.grad == 0).all()


def test_float64_is_refused_with_advice(cloud, view) -> None:
    with pytest.raises(TypeError, match="float32"):
        project(*cloud(3).to(torch.float64)[:3], *view(8, 8))
