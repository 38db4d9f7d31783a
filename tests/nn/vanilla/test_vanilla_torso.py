"""The torso before the head: the composite, where it gives way, and that it is the same every time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from likeness.nn.vanilla import Place, VanillaTorso, joined
from likeness.nn.vanilla.rendering import Seen
from likeness.nn.vanilla.torso import first_row, hides, numbers
from tests.box import CAMERA, SIDE, TINY, pose_of


@pytest.fixture
def torso() -> VanillaTorso:
    torch.manual_seed(4)
    made = VanillaTorso(TINY, Place.of(torch.stack([pose_of(t) for t in range(8)]), CAMERA))
    for net in (made.coarse, made.fine):
        torch.nn.init.constant_(net.sigma.bias, 4.0)
    return made


def head() -> tuple[torch.Tensor, torch.Tensor]:
    """A head that is opaque in the middle of the picture."""
    alpha = torch.zeros(SIDE, SIDE)
    alpha[4:20, 4:20] = 1
    return alpha[..., None] * torch.tensor([0.8, 0.6, 0.5]), alpha


def test_the_composite_by_hand():
    # C = C_head w_last + C_torso: a head of 0.5 over white, a torso that lets a quarter through.
    behind = torch.ones(1, 3)
    face, cloth = Seen(torch.full((1, 3), 0.3), torch.tensor([0.5])), Seen(torch.full((1, 3), 0.4), torch.tensor([0.75]))
    both = joined(face, cloth)
    assert torch.allclose(both.over(behind), torch.full((1, 3), (0.3 + 0.5 * 1) * 0.25 + 0.4))
    assert float(both.last) == pytest.approx(0.5 * 0.25)
    assert torch.allclose(both.over(behind), face.over(behind) * cloth.last[:, None] + cloth.color)


def test_above_its_rays_the_picture_stays(torso):
    rgb, alpha = head()
    seen, covered = torso.over((rgb, alpha), pose_of(0), torch.zeros(8), CAMERA)
    assert torch.equal(seen[:12], rgb[:12]) and torch.equal(covered[:12], alpha[:12])
    assert not torch.equal(seen[12:], rgb[12:])


def test_it_gives_way_well_inside_the_head_only_where_wanted(torso):
    rgb, alpha = head()
    inside = hides(alpha)
    assert inside[8:16, 8:16].all() and not inside[:, :5].any() and not inside[4].any()
    kept = torso.over((rgb, alpha), pose_of(0), torch.zeros(8), CAMERA)[0]
    assert torch.equal(kept[inside], rgb[inside])
    torso.settings = replace(TINY, torso_yields=False)
    bled = torso.over((rgb, alpha), pose_of(0), torch.zeros(8), CAMERA)[0]
    below = inside.clone()
    below[:12] = False
    assert not torch.isclose(bled[below], rgb[below]).all(1).any()
    assert torch.equal(kept[~inside], bled[~inside])


def test_haze_hides_nothing():
    assert not hides(torch.full((SIDE, SIDE), 0.6)).any() and hides(torch.full((SIDE, SIDE), 0.8)).all()


def test_the_same_every_time_in_training_mode_too(torso):
    torso.train()
    first, again = (torso.over(head(), pose_of(3), torch.ones(8), CAMERA)[0] for _ in range(2))
    assert torch.equal(first, again)


def test_what_it_depends_on(torso):
    def drawn(rgb, pose, code) -> torch.Tensor:
        return torso.over((rgb, head()[1]), pose, code, CAMERA)[0][12:, :3]  # where there is no head

    rgb, pose, code = head()[0], pose_of(1), torch.zeros(8)
    usual = drawn(rgb, pose, code)
    painted = rgb.clone()
    painted[12:, :3] = 0.9
    assert not torch.equal(usual, drawn(painted, pose, code))
    assert not torch.equal(usual, drawn(rgb, pose_of(6), code))
    assert not torch.equal(usual, drawn(rgb, pose, code + 1))


def test_a_pose_unlike_all_is_the_nearest_known(torso):
    nothing = torch.zeros(SIDE, SIDE, 3), torch.zeros(SIDE, SIDE)
    far, farther = pose_of(0), pose_of(0)
    far[0, 3], farther[0, 3] = far[0, 3] + 1.0, far[0, 3] + 2.0
    one, other = (torso.over(nothing, pose, torch.zeros(8), CAMERA)[0] for pose in (far, farther))
    assert torch.equal(one, other)


def test_six_numbers_of_a_pose():
    pose = pose_of(1)
    held = numbers(pose[None])[0]
    assert held[:3].tolist() == pytest.approx([0, 0.5 * 2**-0.5, 0], abs=1e-6)
    assert held[3:].tolist() == pose[:3, 3].tolist()


@pytest.mark.parametrize("scale", [0.5, 1, 3])
def test_rays_begin_in_the_middle_at_any_size(torso, scale):
    side = round(scale * SIDE)
    assert first_row(float(torso.horizon), CAMERA.scaled((side, side))) == side // 2
    assert first_row(float(torso.horizon), CAMERA.cropped(0, 8, SIDE, 10)) == 4
    assert first_row(float(torso.horizon), CAMERA.cropped(0, 0, SIDE, 10)) == 10
