"""The field and its picture: what depends on what, and that it learns."""

from __future__ import annotations

import pytest
import torch

from likeness.nn.radiance.field import CODE, Field, Said, _Exp, of_frames
from likeness.nn.radiance.occupancy import CELLS, Occupancy
from likeness.nn.radiance.volume import Rays, glance, look
from likeness.rig import UPPER_COEFFICIENTS
from tests.few_rays import few


def field(**more) -> Field:
    torch.manual_seed(1)
    made = Field(few(**more), CODE, UPPER_COEFFICIENTS)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "table" in name:
                parameter.normal_(0, 0.5)
    return made


def said(frames: int = 1) -> Said:
    g = torch.Generator().manual_seed(2)
    return Said(
        torch.randn(frames, CODE, generator=g), torch.randn(frames, UPPER_COEFFICIENTS, generator=g), torch.randn(frames, 4)
    )


def places(count: int = 200) -> torch.Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(3)) * 1.6 - 0.8


def rays(count: int = 150) -> Rays:
    g = torch.Generator().manual_seed(4)
    directions = torch.nn.functional.normalize(torch.tensor([0.0, 0.0, 1.0]) + 0.15 * torch.randn(count, 3, generator=g), dim=1)
    return Rays(torch.tensor([0.0, 0.0, -0.7]).expand(count, 3), directions, torch.zeros(count, dtype=torch.long))


def everywhere() -> Occupancy:
    return Occupancy(culled=False)


@pytest.mark.parametrize("more", [{}, {"space": "grid"}, *({"speech": "ambient", "ambient": n} for n in (1, 2, 3))])
@torch.no_grad()
def test_density_depends_on_place_speech_and_upper_face(more):
    made, xyz, two = field(**more), places(), said(2)
    frame = torch.zeros(len(xyz), dtype=torch.long)
    first = made.at(xyz, frame, two)
    assert first.density.shape == (len(xyz),) and (first.density > 0).all() and first.density.isfinite().all()
    assert first.density.std() > 0
    assert not torch.equal(first.density, made.at(xyz, frame + 1, two).density)
    still = two._replace(upper=two.upper.flip(0))
    assert not torch.equal(first.density, made.at(xyz, frame, still).density)


@torch.no_grad()
def test_a_place_without_attention_does_not_hear():
    made, xyz = field(), places()
    frame = torch.zeros(len(xyz), dtype=torch.long)
    made.hears[-1].weight.zero_()
    one, other = said(2), said(2)._replace(code=torch.randn(2, CODE))
    assert torch.equal(made.at(xyz, frame, one).density, made.at(xyz, frame, other).density)
    assert not made.at(xyz, frame, one).heard.any()


@torch.no_grad()
def test_colours_may_pass_their_range_by_a_thousandth():
    made = field()
    geometry = 100 * torch.randn(500, 64)
    color = made.colored(geometry, torch.randn(500, 16), torch.zeros(500, 4))
    assert color.min() >= -1.01e-3 and color.max() <= 1.00101 and color.min() < 0 < 1 < color.max()


def test_the_gradient_of_density_does_not_run_away():
    x = torch.tensor([-40.0, 0.0, 3.0, 40.0], requires_grad=True)
    _Exp.apply(x).sum().backward()
    assert torch.allclose(x.grad, x.detach().clamp(-15, 15).exp())


@torch.no_grad()
def test_a_glance_sees_what_a_look_sees():
    made, line, one, config = field(), rays(), said(), few()
    middle = torch.full((len(line.origins),), 0.5)
    slow = look(made, everywhere(), line, one, config, middle)
    fast = glance(made, everywhere().bits, line, one, config, maps=True)
    assert slow.alpha.mean() > 0.05
    for name in ("alpha", "depth", "heard", "shown"):
        assert torch.allclose(getattr(slow, name), getattr(fast, name), atol=2e-2 * float(getattr(slow, name).abs().max()))
    assert torch.allclose(slow.color, fast.color, atol=config.most / 1024 + 0.02)
    assert (slow.color - fast.color).abs().mean() < 4e-3


@torch.no_grad()
def test_what_is_seen_does_not_depend_on_whether_maps_are_asked_for():
    made, line, one, middle = field(), rays(), said(), torch.full((150,), 0.5)
    seen, plain = (look(made, everywhere(), line, one, few(), middle, maps) for maps in (True, False))
    for name in ("color", "alpha", "depth"):
        assert torch.allclose(getattr(seen, name), getattr(plain, name), atol=1e-5)
    assert seen.heard.any() and not plain.heard.any()


def test_rows_of_frames_are_those_that_indexing_gives_and_so_are_gradients():
    frame = torch.tensor([0, 0, 1, 2, 2, 2])
    rows = torch.randn(3, 5, requires_grad=True)
    weight = torch.randn(6, 5)
    (picked,) = of_frames(frame, rows)
    (by_product,) = torch.autograd.grad((picked.float() * weight).sum(), rows)
    (by_index,) = torch.autograd.grad((rows[frame] * weight).sum(), rows)
    assert torch.allclose(picked.float(), rows[frame], atol=2e-2) and torch.allclose(by_product, by_index, atol=5e-2)
    (one,) = of_frames(frame * 0, rows[:1])
    assert one.shape == (1, 5)


def test_rays_that_meet_nothing_teach_nothing():
    made, nowhere = field(), everywhere()
    nowhere.become(torch.zeros_like(nowhere.allowed))
    seen = look(made, nowhere, rays(), said(), few(), torch.full((150,), 0.5))
    seen.color.sum().backward()
    assert not seen.alpha.any() and all(p.grad is None or not p.grad.any() for p in made.parameters())


@torch.no_grad()
def test_nothing_is_seen_where_nothing_can_be():
    seen = glance(field(), torch.zeros_like(everywhere().bits), rays(), said(), few())
    assert not seen.alpha.any() and not seen.color.any()


def test_a_sphere_whose_mouth_follows_a_signal_is_learned():
    """The acceptance test of radnerf.md: better than 30 dB after 500 steps."""
    torch.manual_seed(0)
    config = few(step=0.04, most=24, plane_sizes=few().plane_sizes)
    made = Field(config, CODE, UPPER_COEFFICIENTS)
    code = torch.nn.Linear(1, CODE, bias=False)
    optimiser = torch.optim.Adam([
        {"params": [p for n, p in made.named_parameters() if "table" in n], "lr": 1e-2},
        {"params": [p for n, p in made.named_parameters() if "table" not in n] + [*code.parameters()], "lr": 2e-3},
    ])  # fmt: skip
    cells = (torch.arange(CELLS) + 0.5) * (2 / CELLS) - 1
    near = everywhere()
    near.become(torch.stack(torch.meshgrid(cells, cells, cells, indexing="ij"), -1).norm(dim=-1) < 0.6)

    def truth(line: Rays, signal: torch.Tensor) -> torch.Tensor:
        """Of a ball of radius 0.5 UNIT, with a spot whose red is the signal."""
        origins, directions = line.origins * 4, line.directions
        b = (origins * directions).sum(1)
        root = b * b - (origins * origins).sum(1) + 0.25
        point = origins + (-b - root.clamp_min(0).sqrt())[:, None] * directions
        color = 0.4 + 0.4 * point
        spot = (point[:, :2] - torch.tensor([0.0, 0.15])).norm(dim=1) < 0.12
        color[spot] = torch.stack([signal, torch.full_like(signal, 0.1), torch.full_like(signal, 0.1)], 1)[spot]
        return color * (root > 0)[:, None]

    g = torch.Generator().manual_seed(5)
    signals = torch.linspace(0, 1, 20)

    def batch(frame: torch.Tensor) -> tuple[Rays, Said]:
        n = len(frame)
        xy = torch.rand(n, 2, generator=g) * 0.4 - 0.2
        directions = torch.nn.functional.normalize(torch.cat([xy, torch.ones(n, 1)], 1), dim=1)
        return Rays(torch.tensor([0.0, 0.0, -0.7]).expand(n, 3), directions, frame), Said(
            code(signals[:, None] * 2 - 1), torch.zeros(20, UPPER_COEFFICIENTS), torch.zeros(20, 4)
        )

    errors = []
    for _ in range(500):
        line, moved = batch(torch.randint(20, (256,), generator=g))
        seen = look(made, near, line, moved, config, torch.rand(256, generator=g))
        loss = (seen.color - truth(line, signals[line.frame])).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
        for group in optimiser.param_groups:
            group["lr"] *= 0.994
    line, moved = batch(torch.arange(20).repeat(60))
    with torch.no_grad():
        seen = look(made, near, line, moved, config, torch.full((1200,), 0.5))
    error = (seen.color - truth(line, signals[line.frame])).square().mean()
    assert -10 * error.log10() > 30, errors[::50]
