"""Persistent Gaussians: where they start, how they are drawn, multiplied and removed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from likeness.clip import PARTS
from likeness.kernels.harmonics import DEGREE_0
from likeness.methods.talking_gaussian.field import Field, Offsets
from likeness.methods.talking_gaussian.growth import SHRINK, Growth, Rule, grow
from likeness.methods.talking_gaussian.head import Head, Moved
from likeness.methods.talking_gaussian.lesson import GREEN, of_face, on_green, screened
from likeness.methods.talking_gaussian.seed import seeds
from likeness.nn.placement import UNIT, log_scales
from likeness.rig import LIP_COEFFICIENTS
from tests.school import few, paper

COUNT = 20
RULE = Rule(threshold=1.0, faint=0.1, extent=1.0, most=1000, too_large=False, wide_px=20.0)


# ---- where they start


@pytest.mark.parametrize("config", [few(), paper()], ids=["mesh", "random"])
def test_scales_start_as_the_softplus_of_the_logarithm_of_the_spacing(school, config):
    for seed in seeds(school.clip, school.rig, school.frames, config):
        field = seed.field()
        spacing = np.exp(log_scales(seed.xyz, np.inf if config.placement == "random" else 0.06))
        assert np.allclose(field.scales().detach().numpy(), np.log1p(spacing), atol=1e-6)
        colors = field.colors(school.clip.motion.pose[0]).detach()
        assert torch.allclose(colors, torch.from_numpy(seed.color).float(), atol=1e-5)  # as seen, from everywhere
        assert field.opacity.sigmoid().mean().item() == pytest.approx(0.1 if config.placement == "random" else 0.731, abs=1e-3)


def test_gaussians_are_drawn_where_the_tracker_saw_the_face(school):
    clip, t = school.clip, int(school.frames[3])
    field = Field(clip.motion.landmarks.shape[1])
    with torch.no_grad():
        field.xyz.copy_(clip.motion.landmarks[t] * UNIT)
        field.scale.fill_(-6.0)
        field.quats[:, 0] = 1
        drawn = field(None, clip.motion.pose[t], clip.camera)
    assert torch.allclose(drawn.means2d, clip.pixels[t], atol=2e-3)  # pixels, in single precision


def test_what_moves_the_seeds_at_first_is_the_rig(school):
    """In the rig's mean face nothing moves; the interior of the mouth has no share in what eyes and brows do."""
    face, mouth = seeds(school.clip, school.rig, school.frames, few())
    zero = torch.zeros(1, len(school.rig.basis))
    wide = zero.clone()
    wide[0, LIP_COEFFICIENTS:] = 2.0
    for seed in (face, mouth):
        assert not seed.displacement(school.rig, zero).abs().gt(1e-6).any()
    assert face.displacement(school.rig, wide).abs().max() > 1e-3
    assert not mouth.displacement(school.rig, wide).abs().gt(1e-6).any()


# ---- the face before the mouth before the rest


@pytest.fixture
def view(school):
    t = int(school.frames[4])
    return school.clip.motion.pose[t], school.pictures[t]


@torch.no_grad()
def test_the_face_is_before_the_mouth_whatever_the_screen(school, view):
    pose, picture = view
    head = school.begun(few())
    image, alpha = head.draw(_still(head), pose, picture.camera)
    face = head.face(None, pose, picture.camera)
    mouth = head.mouth(None, pose, picture.camera)
    for behind in (torch.tensor(GREEN), torch.zeros(3), picture.behind):
        # The published way: each layer is drawn before a screen, which is then taken away.
        screen = torch.tensor(GREEN)
        through, beyond = 1 - face.alpha[..., None], 1 - mouth.alpha[..., None]
        inner = on_green(mouth.image, mouth.alpha) - screen * beyond + behind * beyond
        published = on_green(face.image, face.alpha) - screen * through + inner * through
        # What would shine through with less than 1e-4 is left out, as in every picture of Gaussians.
        assert torch.allclose(image + (1 - alpha[..., None]) * behind, published, rtol=0, atol=1e-4)


def test_both_branches_in_one_go_learn_what_two_layers_would(school, view):
    pose, picture = view
    head = school.begun(few())
    upstream = torch.rand(*picture.camera.size[::-1], 3, generator=torch.Generator().manual_seed(2))
    learned = [p for name, p in head.named_parameters() if name.split(".")[0] in ("face", "mouth")]

    def gradients(image, alpha):
        ((image + (1 - alpha[..., None]) * picture.behind) * upstream).sum().backward()
        return [p.grad.clone() for p in learned]

    once = gradients(*head.draw(_still(head), pose, picture.camera))
    head.zero_grad()
    face, mouth = head.face(None, pose, picture.camera), head.mouth(None, pose, picture.camera)
    through = 1 - face.alpha
    twice = gradients(face.image + through[..., None] * mouth.image, 1 - through * (1 - mouth.alpha))
    assert any(grad.any() for grad in twice)
    for one, two in zip(once, twice):
        # The mouth behind an all but opaque face is left out below a transmittance of 1e-4.
        assert torch.allclose(one, two, rtol=0, atol=2e-3 * float(two.abs().max()) + 1e-5)


@torch.no_grad()
def test_without_gaussians_there_is_what_lies_behind_and_behind_an_opaque_face_there_is_nothing(school, view):
    pose, picture = view
    head = school.begun(few())
    head.face.opacity.fill_(20.0)
    image, alpha = head.draw(_still(head), pose, picture.camera)
    face = head.face(None, pose, picture.camera)
    solid = face.alpha > 0.998
    assert solid.any() and (image - face.image)[solid].abs().max() < 0.01
    head.face.opacity.fill_(-40.0)
    _, alpha = head.draw(_still(head), pose, picture.camera)
    assert torch.equal(alpha, head.mouth(None, pose, picture.camera).alpha)
    head.mouth.opacity.fill_(-40.0)
    image, alpha = head.draw(_still(head), pose, picture.camera)
    assert torch.equal(image + (1 - alpha[..., None]) * picture.behind, picture.behind)


def _still(head: Head) -> Moved:
    return Moved(Offsets(torch.zeros_like(head.face.xyz)), Offsets(torch.zeros_like(head.mouth.xyz)))


# ---- growing


@pytest.fixture
def field() -> Field:
    generator = torch.Generator().manual_seed(0)
    field = Field(COUNT)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        field.base.fill_(1.0)
        field.opacity.fill_(2.0)
        field.scale.fill_(-8.0)  # 0.0003: smaller than DENSE
    return field


def pulled(count: int, chosen: list[int]) -> Growth:
    growth = Growth(count)
    gradient = torch.zeros(count, 2)
    gradient[chosen] = torch.tensor([0.0, 5.0])
    growth.watch(gradient, torch.full((count,), 3), 1.0)
    return growth


def numbered(field: Field) -> dict[str, dict[str, torch.Tensor]]:
    """Adam's moments that tell a Gaussian's number."""
    return {
        name: {
            "step": torch.tensor(7.0),
            "exp_avg": (1 + torch.arange(len(p))).float().view(-1, *[1] * (p.ndim - 1)).expand(p.shape).clone(),
            "exp_avg_sq": (2 + torch.arange(len(p))).float().view(-1, *[1] * (p.ndim - 1)).expand(p.shape).clone(),
        }
        for name, p in field.named_parameters()
    }


def test_moments_stay_with_their_gaussians_and_new_ones_begin_with_none(field, rng):
    with torch.no_grad():
        field.opacity[3] = -6.0
    grown, moments, growth = grow(field, numbered(field), pulled(COUNT, [5, 8]), RULE, rng)
    kept = [i for i in range(COUNT) if i != 3]
    assert len(grown) == COUNT - 1 + 2 and len(growth.total) == len(grown) and not growth.seen.any()
    for name, p in grown.named_parameters():
        state = moments[name]
        assert float(state["step"]) == 7 and state["exp_avg"].shape == p.shape == state["exp_avg_sq"].shape
        assert state["exp_avg"].reshape(len(grown), -1)[:, 0].tolist() == [i + 1 for i in kept] + [0, 0], name
        assert state["exp_avg_sq"].reshape(len(grown), -1)[:, 0].tolist() == [i + 2 for i in kept] + [0, 0], name
        assert torch.equal(p[: len(kept)], dict(field.named_parameters())[name][kept]), name


def test_a_small_gaussian_is_cloned_and_a_large_one_split_into_smaller_ones(field, rng):
    with torch.no_grad():
        field.scale[8] = torch.tensor([-1.0, -2.0, -3.0])
    grown, _, _ = grow(field, {}, pulled(COUNT, [5, 8]), RULE, rng)
    twin, half = grown.scales()[COUNT], grown.scales()[[8, COUNT + 1]]
    assert torch.allclose(twin, field.scales()[5]) and torch.equal(grown.xyz[COUNT], field.xyz[5])
    # Under softplus a raw scale divided by a number would make a small Gaussian enormous.
    assert torch.allclose(half, (field.scales()[8] / SHRINK).expand(2, -1), rtol=1e-4)
    apart = (grown.xyz[[8, COUNT + 1]] - field.xyz[8]).norm(dim=1)
    assert (apart > 0).all() and (apart < 5 * field.scales()[8].max()).all()


def test_what_takes_the_colour_of_the_screen_is_removed(field, rng):
    with torch.no_grad():
        field.base[[2, 9], 0] = (torch.tensor(GREEN) - 0.5) / DEGREE_0
        field.base[4, 0] = (torch.tensor([0.3, 0.9, 0.3]) - 0.5) / DEGREE_0  # green, but no screen
    grown, _, _ = grow(field, {}, pulled(COUNT, []), RULE, rng)
    assert len(grown) == COUNT - 2
    assert torch.equal(grown.xyz, field.xyz[[i for i in range(COUNT) if i not in (2, 9)]])
    assert len(grow(field, {}, pulled(COUNT, []), replace(RULE, green=False), rng)[0]) == COUNT


def test_the_faint_the_large_and_the_wide_are_removed(field, rng):
    with torch.no_grad():
        field.opacity[0] = float(np.log(0.09 / 0.91))
        field.scale[1, 2] = 0.0  # 0.69: beyond a tenth of the extent
    growth = pulled(COUNT, [])
    growth.radius[2] = 21.0
    left = lambda rule: len(grow(field, {}, growth, rule, rng)[0])  # noqa: E731
    assert left(RULE) == COUNT - 1
    assert left(replace(RULE, too_large=True)) == COUNT - 3
    assert left(replace(RULE, too_large=True, extent=100.0)) == COUNT - 2


def test_there_are_never_more_than_the_most_nor_none(field, rng):
    grown, _, _ = grow(field, {}, pulled(COUNT, list(range(10))), replace(RULE, most=COUNT + 3), rng)
    assert len(grown) == COUNT + 3
    crowded, _, _ = grow(field, {}, pulled(COUNT, list(range(10))), replace(RULE, most=5), rng)
    assert len(crowded) == COUNT
    last, moments, _ = grow(field, numbered(field), pulled(COUNT, [1]), replace(RULE, faint=1.0), rng)
    assert last is field and set(moments) == {name for name, _ in field.named_parameters()}


def test_only_what_was_seen_counts(field):
    growth = Growth(3)
    growth.watch(torch.tensor([[3.0, 4.0]]).expand(3, 2), torch.tensor([2, 0, 9]), 2.0)
    growth.watch(torch.zeros(3, 2), torch.tensor([5, 0, 0]), 2.0)
    growth.watch(None, torch.tensor([1, 1, 1]), 2.0)
    assert growth.mean().tolist() == [5.0, 0.0, 10.0] and growth.radius.tolist() == [5.0, 0.0, 9.0]
    again = Growth.restored(growth.state(), 3)
    assert torch.equal(again.mean(), growth.mean()) and torch.equal(again.radius, growth.radius)


# ---- what a lesson compares


def test_faces_have_a_hole_where_the_mouth_has_its_own_branch(view):
    _, picture = view
    inside = picture.parts == PARTS["mouth"]
    apart, whole = of_face(picture, False), of_face(picture, True)
    assert not (apart & inside).any() and torch.equal(whole, apart | inside)
    real = screened(picture.image, apart)
    assert torch.equal(real[apart], picture.image[apart]) and (real[~apart] == torch.tensor(GREEN)).all()
