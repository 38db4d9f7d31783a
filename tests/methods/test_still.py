"""Splats of rigged Gaussians: the same head, in metres, and how near degree 1 comes to their colours."""

import pytest
import torch

from likeness.errors import BadInput
from likeness.export import export
from likeness.kernels import splat
from likeness.methods.rigged_gaussians.gaussians import UNIT, Gaussians
from likeness.methods.rigged_gaussians.still import still
from likeness.portrait import Portrait
from likeness.rig import SIZE
from tests.splats_file import read_cloud


def poses(count: int, distance: float, spread: float = 0.1, seed: int = 0) -> torch.Tensor:
    """Cameras at a distance (metres) in front of the head, `spread` apart (radians)."""
    generator = torch.Generator().manual_seed(seed)
    sideways = spread * torch.randn(count, 2, generator=generator)
    direction = torch.nn.functional.normalize(torch.cat([sideways, -torch.ones(count, 1)], 1), dim=1)
    placed = torch.eye(4).repeat(count, 1, 1)
    placed[:, :3, 3] = distance * direction
    return placed


def coloured(views: torch.Tensor, count: int = 300) -> Gaussians:
    """Gaussians all over a head whose colours answer to the view at random, as `install` sets up its range."""
    generator = torch.Generator().manual_seed(1)
    gaussians = Gaussians(count)
    with torch.no_grad():
        gaussians.rest.copy_(0.6 * torch.randn(count, 3, generator=generator).clamp(-1.5, 1.5))
        gaussians.color.copy_(torch.rand(count, 3, generator=generator))
        gaussians.color_by_view.copy_(torch.randn(count, 3, 3, generator=generator))
        directions = gaussians.direction(views)
        gaussians.view_centre.copy_(directions.mean(0))
        gaussians.view_spread.copy_(directions.std(0).clamp_min(1e-3))
    return gaussians


@torch.no_grad()
def loss_of(gaussians: Gaussians, views: torch.Tensor) -> float:
    """Root mean square of what degree 1 misses, as a share of what the view does to the colours."""
    cloud = still(gaussians, torch.zeros(SIZE), views)
    shown = torch.stack([cloud.colors(view[:3, 3]) for view in views])
    wanted = torch.stack([gaussians.colors(view) for view in views])
    return float(((shown - wanted).square().mean() / (wanted - wanted.mean(0)).square().mean()).sqrt())


@torch.no_grad()
def test_far_away_and_within_the_range_degree_1_says_the_same():
    views = poses(40, 500.0)
    gaussians = coloured(views)
    inside = views[(gaussians.view(views).abs() < 1.99).all(1)]
    cloud = still(gaussians, torch.zeros(SIZE), inside)
    for view in inside[::5]:
        assert torch.allclose(cloud.colors(view[:3, 3]), gaussians.colors(view), atol=0.01)


def test_what_degree_1_misses_at_the_distance_of_a_desk():
    views = poses(200, 0.6)
    gaussians = coloured(views)
    assert loss_of(gaussians, views) < 0.25  # the clamp bends a tenth of them
    assert loss_of(gaussians, views[(gaussians.view(views).abs() < 1.99).all(1)]) < 0.02


@torch.no_grad()
def test_a_head_that_never_turns_keeps_its_colours():
    views = poses(1, 0.8).repeat(60, 1, 1)
    gaussians = coloured(poses(50, 0.8))
    cloud = still(gaussians, torch.zeros(SIZE), views)
    assert torch.allclose(cloud.colors(views[0, :3, 3]), gaussians.colors(views[0]), atol=1e-3)


@torch.no_grad()
def test_the_splats_of_a_frame_draw_its_picture(portrait, portrait_file, tmp_path):
    """Read from the file, in metres, by nothing but the rules of 3D Gaussian splatting."""
    t = 20
    export(portrait_file, tmp_path / "a.ply", frame=t)
    cloud = read_cloud(tmp_path / "a.ply")
    motion, camera = portrait.stage.motion[t : t + 1], portrait.stage.camera
    pose = motion.pose[0]
    colors = cloud.colors(pose[:3, 3]).clamp_min(0)
    view = torch.linalg.inv(pose)
    focal = (camera.focal, camera.focal)
    shape = (cloud.means, cloud.quats, cloud.scales, cloud.opacities)
    drawn = splat(*shape, colors, view, focal, camera.centre, camera.size)
    real, _ = portrait.render(portrait.follow(motion), motion)
    assert (drawn.alpha - real.alpha[0]).abs().max() < 5e-3
    assert float((drawn.image - real.rgb[0]).square().mean()) < 1e-4  # 40 dB


@torch.no_grad()
def test_without_motion_it_is_the_average_face(portrait):
    mean = portrait.gaussians.means(torch.zeros(SIZE)) / UNIT
    assert torch.allclose(portrait.splats().means, mean, atol=1e-6)
    frame = portrait.stage.motion[20:21]
    lips = portrait.follow(frame)
    states = [portrait.splats(), portrait.splats(lips), portrait.splats(None, frame), portrait.splats(lips, frame)]
    assert all(not torch.equal(a.means, b.means) for i, a in enumerate(states) for b in states[:i])
    assert all(torch.equal(a.opacities, states[0].opacities) for a in states)


def test_a_method_without_gaussians_says_so(portrait):
    with pytest.raises(BadInput, match="rigged-gaussians"):
        Portrait.splats(portrait)
