"""Rigged Gaussians: how they move, how they grow, and that training goes on exactly where it was."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from likeness import mesh, methods
from likeness.errors import BadInput, Exhausted
from likeness.methods.rigged_gaussians import head_train
from likeness.methods.rigged_gaussians.config import Config
from likeness.methods.rigged_gaussians.densify import FAINT, GROWN, PER_GAUSSIAN, SHRINK, Growth, densify
from likeness.methods.rigged_gaussians.gaussians import Gaussians
from likeness.nn.pictures import Pictures
from likeness.nn.placement import UNIT
from likeness.rig import LIP_COEFFICIENTS, SIZE, Rig
from likeness.run import Run
from tests.takes import SIZE as SIDE
from tests.takes import tiny

STEPS = 14


@pytest.fixture
def gaussians(portrait) -> Gaussians:
    return Gaussians.restored({f"gaussians.{k}": v.clone() for k, v in portrait.gaussians.state_dict().items()})


def quiet_network(gaussians: Gaussians) -> None:
    """Take the node network's say away."""
    with torch.no_grad():
        gaussians.node_out.weight.zero_()
        gaussians.node_out.bias.zero_()


# ---- motion


@torch.no_grad()
def test_without_conditioning_the_means_are_at_rest(gaussians):
    free = gaussians.weights.sum(1) == 0  # hang on no node
    assert 0 < free.sum() < len(gaussians)
    zero = torch.zeros(SIZE)
    assert torch.equal(gaussians.means(zero)[free], gaussians.rest[free])
    nodes = gaussians.nodes(zero)
    carried = (nodes[gaussians.corners.long()] * gaussians.weights[..., None]).sum(1)
    assert torch.allclose(gaussians.means(zero), gaussians.rest + carried)
    quiet_network(gaussians)
    assert torch.equal(gaussians.means(zero), gaussians.rest)


@torch.no_grad()
def test_but_for_the_network_movement_is_linear(gaussians):
    quiet_network(gaussians)
    a, b = torch.randn(2, SIZE, generator=torch.Generator().manual_seed(0))
    moved = lambda cond: gaussians.means(cond) - gaussians.rest  # noqa: E731
    assert torch.allclose(moved(a + 2 * b), moved(a) + 2 * moved(b), atol=1e-5)
    assert moved(a).abs().max() > 1e-3


@torch.no_grad()
def test_eyes_and_brows_move_nothing_below_the_nose(gaussians, portrait):
    """Not even after training: what moves with them by chance in a short clip would move the mouth."""
    nodes = portrait.rig.mean * UNIT
    lips = nodes[list(mesh.LIPS)]
    assert (gaussians.node_above[list(mesh.LIPS + mesh.CHIN)] == 0).all() and gaussians.node_above.max() == 1
    said = torch.zeros(3, SIZE)
    said[:, :LIP_COEFFICIENTS] = torch.randn(LIP_COEFFICIENTS, generator=torch.Generator().manual_seed(0))
    said[1:, LIP_COEFFICIENTS:] = 3 * torch.randn(2, SIZE - LIP_COEFFICIENTS, generator=torch.Generator().manual_seed(1))
    moved = torch.stack([gaussians.nodes(cond) for cond in said])
    below = gaussians.node_above == 0
    assert torch.allclose(moved[1:, below], moved[:1, below].expand(2, -1, -1), atol=1e-6)
    assert (moved[1:, ~below] - moved[:1, ~below]).abs().max() > 1e-2
    held = (gaussians.node_above[gaussians.corners.long()] * gaussians.weights).sum(1) == 0
    still = (gaussians.above == 0) & held
    means = torch.stack([gaussians.means(cond) for cond in said])
    assert torch.allclose(means[1:, still], means[:1, still].expand(2, -1, -1), atol=1e-6)
    at_mouth = (gaussians.rest[:, 1] > lips[:, 1].min()) & (gaussians.rest[:, 1] < lips[:, 1].max())
    assert at_mouth.sum() > 50 and still[at_mouth].float().mean() > 0.9
    assert (means[1:, gaussians.above == 1] - means[:1, gaussians.above == 1]).abs().max() > 1e-2


@torch.no_grad()
def test_conditioning_outside_the_percentiles_is_clipped(portrait, clip):
    motion = clip.motion[:1]
    wild = torch.full((1, 8), 40.0)
    rows = torch.cat(portrait.within(wild, motion), dim=1)
    assert torch.equal(rows[0, :8], portrait.rig.high[:8])
    assert torch.equal(portrait.rig.clip(rows), rows)
    same, _ = portrait.render(portrait.rig.high[None, :8], motion)
    assert torch.equal(portrait.render(wild, motion)[0].rgb, same.rgb)


@torch.no_grad()
def test_zeroed_motion_leaves_the_picture_unchanged(portrait, clip):
    """The same conditioning under the same pose, whenever it comes."""
    motion, cond = clip.motion[[3, 90, 3]], portrait.follow(clip.motion[[3, 90]])[[0, 1, 0]]
    layer, _ = portrait.render(cond, motion)
    assert torch.allclose(layer.rgb[0], layer.rgb[2], atol=1e-4)  # products of matrices round by place
    assert not torch.allclose(layer.rgb[0], layer.rgb[1], atol=0.1)


@torch.no_grad()
def test_colours_change_with_the_view_alone_through_their_gradient(gaussians, clip):
    assert not torch.equal(gaussians.colors(clip.motion.pose[0]), gaussians.colors(clip.motion.pose[70]))
    gaussians.color_by_view.zero_()
    assert torch.equal(gaussians.colors(clip.motion.pose[0]), gaussians.color)


# ---- growing


@pytest.fixture
def grown(gaussians):
    """Before and after: optimiser states that tell their Gaussian's number, pulls that rise with it, 40 faint ones."""
    with torch.no_grad():
        gaussians.opacity_logits.clamp_(min=2.0)
        gaussians.opacity_logits[10:50] = -8.0
    optimiser = torch.optim.Adam([{"params": [p], "lr": 0.1 * i} for i, p in enumerate(gaussians.parameters())], fused=True)
    for i, (name, p) in enumerate(gaussians.named_parameters()):
        number = torch.arange(len(gaussians)).float() if name in PER_GAUSSIAN else torch.tensor(3.0)
        shape = [1] * p.ndim
        if name in PER_GAUSSIAN:
            shape[PER_GAUSSIAN[name]] = -1
        moment = number.view(shape).expand(p.shape).clone()
        optimiser.state[p] = {"step": torch.tensor(7.0), "exp_avg": moment + i, "exp_avg_sq": 2 * moment}
    growth = Growth(len(gaussians))
    growth.watch(torch.arange(len(gaussians)).float()[:, None].expand(-1, 2), 256)
    return gaussians, optimiser, densify(gaussians, optimiser, growth, np.random.default_rng(0))


def test_the_count_rule(grown):
    before, _, (after, _, growth) = grown
    assert len(after) == len(before) - 40 + int(GROWN * len(before))
    assert len(growth.total) == len(after) and float(growth.total.sum()) == 0
    assert (after.opacity_logits.sigmoid() >= FAINT).all()


def test_optimiser_state_stays_with_its_gaussian(grown):
    before, old, (after, new, _) = grown
    kept = torch.tensor([i for i in range(len(before)) if not 10 <= i < 50])
    count = int(GROWN * len(before))
    doubled = torch.arange(len(before) - count, len(before))  # those that pull hardest
    for i, ((name, p), group, was) in enumerate(zip(after.named_parameters(), new.param_groups, old.param_groups)):
        assert group["params"] == [p] and group["lr"] == was["lr"]
        state = new.state[p]
        assert float(state["step"]) == 7 and state["exp_avg"].shape == p.shape == state["exp_avg_sq"].shape
        if name in PER_GAUSSIAN:
            numbers = state["exp_avg"].movedim(PER_GAUSSIAN[name], 0).reshape(len(after), -1)[:, 0] - i
            assert torch.equal(numbers[: len(kept)], kept.float()), name
            assert torch.equal(numbers[len(kept) :].sort()[0], doubled.float()), name


def test_both_halves_of_a_doubled_gaussian_are_smaller_and_one_is_moved(grown):
    before, _, (after, _, _) = grown
    count = int(GROWN * len(before))
    last = before.log_scale[-1] - float(np.log(SHRINK))
    halves = torch.nonzero(torch.isclose(after.log_scale, last).all(1))[:, 0]
    assert len(halves) == 2
    assert torch.equal(after.rest[halves[0]], before.rest[-1]) and halves[1] >= len(after) - count
    shift = (after.rest[halves[1]] - before.rest[-1]).abs()
    assert shift.max() > 0 and (shift < 4 * before.log_scale[-1].exp()).all()
    assert torch.equal(after.color[halves[0]], after.color[halves[1]])
    assert torch.allclose(after.log_scale[0], before.log_scale[0])  # not doubled: as it was


# ---- training


def test_training_lowers_the_loss_and_multiplies_the_gaussians(portrait_file, portrait):
    log = portrait_file.with_name(portrait_file.name + ".run") / "log.jsonl"
    rows = [row for row in map(json.loads, log.read_text().splitlines()) if row["stage"] == "head"]
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert len(portrait.gaussians) == portrait.sizes()["gaussians"] > rows[0]["gaussians"]


class Killed(BaseException):
    pass


def train_head(clip, folder, config: Config) -> Gaussians:
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    with Run(folder, {"steps": config.steps}, keep_every_s=0.0) as run:
        return head_train.train_head(clip, rig, clip.train, config, run)


@pytest.mark.parametrize("stop_at", [1, 9], ids=["between two growings", "after the last"])
def test_a_killed_training_goes_on_with_identical_results(clip, tmp_path, monkeypatch, stop_at):
    config = replace(tiny(methods.get("rigged_gaussians")), steps=STEPS)
    steps = 0
    loss = head_train.photometric

    def dying(*args):
        nonlocal steps
        steps += 1
        if steps == stop_at + 1:
            raise Killed
        return loss(*args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(head_train, "photometric", dying)
        train_head(clip, tmp_path / "killed", config)
    resumed = train_head(clip, tmp_path / "killed", config)
    whole = train_head(clip, tmp_path / "whole", config)
    assert len(resumed) == len(whole)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_pictures_that_find_the_disk_full_leave_nothing_and_are_made_again(clip, tmp_path, monkeypatch):
    made = lambda: Pictures(clip, clip.train[:3], SIDE, tmp_path / "pictures.raw", 3.0)  # noqa: E731
    with monkeypatch.context() as patch:
        full = lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # noqa: E731
        patch.setattr("likeness.nn.pictures.os.replace", full)
        with pytest.raises(Exhausted, match=r"pictures\.raw: the disk is full"):
            made()
    assert not list(tmp_path.iterdir())
    t = int(clip.train[0])
    picture = made()[t]
    assert picture.image.shape == picture.behind.shape and 0 < picture.head.mean() < 1
    assert [p.name for p in tmp_path.iterdir()] == ["pictures.raw"]


def test_what_is_missing_is_said_before_the_training(clip, tmp_path, monkeypatch):
    home = methods.get("rigged_gaussians")
    clip = type(clip)(clip.folder, clip.header | {"scenes": [[0, 90]]})
    with pytest.raises(BadInput, match="81 training frames"):
        home.train(clip, tmp_path / "a.portrait")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="256 or 512"):
        Config(size=300)
