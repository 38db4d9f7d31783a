"""The torso as a field, on drawn pictures of a cloth that moves with the head."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from likeness.camera import Camera
from likeness.clip import PARTS, Clip
from likeness.errors import BadInput
from likeness.nn import torso_field
from likeness.nn.torso import Torso
from likeness.nn.torso_field import Net, TorsoField, euler, frequencies, positions
from likeness.run import Run

SIDE, FRAMES, FOCAL, STEPS = 64, 60, 100.0, 400


def drawn(t: int, plate: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Picture, parts, the torso's outline with what the head hides, and the head's shift in pixels."""
    head = np.array([5 * np.sin(t / 5), 2 * np.cos(t / 4)])
    shift = 0.6 * head
    body, face = np.zeros((2, SIDE, SIDE), np.uint8)

    def fixed(x: float, y: float) -> tuple[int, int]:
        return round(16 * x), round(16 * y)

    cv2.ellipse(body, fixed(32 + shift[0], 62 + shift[1]), fixed(24, 20), 0, 0, 360, 1, -1, shift=4)
    cv2.rectangle(body, fixed(27 + shift[0], 34 + shift[1]), fixed(37 + shift[0], 50 + shift[1]), 1, -1, shift=4)
    cv2.ellipse(face, fixed(32 + head[0], 22 + head[1]), fixed(11, 15), 0, 0, 360, 1, -1, shift=4)
    image, parts = plate.copy(), np.zeros((SIDE, SIDE), np.uint8)
    image[body > 0], parts[body > 0] = (190, 60, 40), PARTS["torso"]
    image[face > 0], parts[face > 0] = (224, 172, 150), PARTS["face"]
    return image, parts, body, head


@pytest.fixture(scope="module", autouse=True)
def few_pixels() -> Iterator[None]:
    """In a step: the pictures are small, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torso_field, "PIXELS", 256)
        yield


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Clip:
    folder = tmp_path_factory.mktemp("clip")
    for name in ("frames", "parts"):
        (folder / name).mkdir()
    plate = np.full((SIDE, SIDE, 3), (40, 120, 200), np.uint8)
    cv2.imwrite(str(folder / "background.png"), plate[..., ::-1])
    pose = np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1))
    for t in range(FRAMES):
        image, parts, _, head = drawn(t, plate)
        cv2.imwrite(str(folder / f"frames/{t:06d}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 97])
        cv2.imwrite(str(folder / f"parts/{t:06d}.png"), parts)
        pose[t, :3, 3] = (-head[0] / FOCAL, -(head[1] - 10) / FOCAL, -1.0)
    motion = {"expression": np.zeros((FRAMES, 1)), "eyes": np.ones(FRAMES), "landmarks": np.zeros((FRAMES, 478, 3))}
    motion = {k: v.astype(np.float32) for k, v in motion.items()}
    np.savez(folder / "motion.npz", pose=pose, seen=np.ones(FRAMES, bool), **motion)
    header = {"format": "likeness-clip", "version": 1, "fps": 25, "frames": FRAMES, "scenes": [[0, FRAMES]], "breaks": []}
    header["camera"] = {"focal": FOCAL, "centre": [SIDE / 2, SIDE / 2], "size": [SIDE, SIDE]}
    (folder / "clip.json").write_text(json.dumps(header))
    return Clip.open(folder)


def fit(clip: Clip, *words, seed: int = 0, **more) -> TorsoField:
    """In a run of its own."""
    with tempfile.TemporaryDirectory() as folder, Run(Path(folder), {}, seed) as run:
        return TorsoField.fit(clip, SIDE, clip.train, *words, run=run, **more)


@pytest.fixture(scope="module")
def field(clip) -> TorsoField:
    return fit(clip, steps=STEPS)


def test_a_moving_torso_is_reproduced(clip, field):
    """Its outline on frames that it has not seen, where no head hides it; and its colour."""
    where = field.follow(clip.motion)
    both = either = 0
    for t in clip.test:
        _, parts, body, _ = drawn(int(t), clip.background)
        layer = field.layer(where[t])
        open_ = parts != PARTS["face"]
        ours, real = (layer[..., 3] > 0.5) & open_, (body > 0) & open_
        both, either = both + (ours & real).sum(), either + (ours | real).sum()
        inner = cv2.erode(body, np.ones((5, 5))) * open_ > 0
        assert np.abs(field.draw(where[t], clip.background)[inner] - np.float32((190, 60, 40))).mean() < 10
    assert both / either > 0.95, both / either


def test_nothing_is_hollow_behind_the_chin(clip, field):
    """Where the texture goes on behind the head, so does the field."""
    torso = Torso.fit(clip, SIDE, clip.train)
    _, parts, _, _ = drawn(30, clip.background)
    behind = torso.layer(torso.follow(clip.motion)[30])[..., 3] > 0.9
    hidden = behind * (parts == PARTS["face"]) > 0
    assert hidden.any()
    assert (field.layer(field.follow(clip.motion)[30])[..., 3][hidden] > 0.5).all()


def test_draw_is_layer_over_background(clip, field):
    where = field.follow(clip.motion)[10]
    layer = field.layer(where)
    under = clip.background.astype(np.float32) / 255
    expected = layer[..., :3] + (1 - layer[..., 3:]) * under
    np.testing.assert_allclose(field.draw(where, under), expected, atol=1e-5)
    bytes_ = field.draw(where, clip.background)
    assert bytes_.dtype == np.uint8
    assert np.abs(bytes_ - expected * 255).max() <= 0.51
    assert clip.background.std((0, 1)).max() == 0  # what was given is left alone


def test_state_round_trip(clip, field):
    again = TorsoField.load({k: v.clone() for k, v in field.state_dict().items()})
    where = field.follow(clip.motion)
    assert torch.equal(where, again.follow(clip.motion))
    np.testing.assert_array_equal(field.draw(where[3], clip.background), again.draw(where[3], clip.background))


def test_euler_angles_and_position_as_pose_code(clip):
    """RAD-NeRF's: learned, stored and read like the other."""
    field = fit(clip, "pose", steps=3)
    again = TorsoField.load(field.state_dict())
    assert "net.anchors" not in field.state_dict() and again.net.kind == "pose"
    where = again.follow(clip.motion)
    assert where.shape == (FRAMES, 6)
    np.testing.assert_array_equal(field.layer(where[3]), again.layer(where[3]))


def test_stretches_do_not_show(clip, field):
    where = field.follow(clip.motion)[7]
    count = int(field.state_dict()["occupied"].sum())
    whole = field.at(where, torch.arange(count))
    parts = torch.cat([field.at(where, rows) for rows in torch.arange(count).split(97)])
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)


def test_far_pixels_cost_nothing(field):
    occupied = field.state_dict()["occupied"]
    assert occupied[: SIDE // 6].sum() == 0
    assert 0.1 < occupied.float().mean() < 0.8


def test_seeds(clip):
    first, again, other = (fit(clip, steps=3, seed=s).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["net.grid.table"], other["net.grid.table"])


class Killed(BaseException):
    pass


def test_a_run_that_was_killed_goes_on_beside_what_others_learned(clip, tmp_path, monkeypatch):
    whole = fit(clip, steps=5).state_dict()
    keep = Run.keep

    def dying(run, *args):
        keep(run, *args)
        if run._step == 2:
            raise Killed

    with Run(tmp_path / "run", {}, keep_every_s=0.0) as run:
        list(run.steps("head", 1))
        run.finish({"head.x": torch.ones(2)})
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Run, "keep", dying)
            TorsoField.fit(clip, SIDE, clip.train, steps=5, run=run)
    with Run(tmp_path / "run", {}, keep_every_s=0.0) as run:
        again = TorsoField.fit(clip, SIDE, clip.train, steps=5, run=run).state_dict()
        assert run.done("torso") and torch.equal(run.resumed["head.x"], torch.ones(2))
        once_more = TorsoField.fit(clip, SIDE, clip.train, steps=5, run=run).state_dict()
    assert all(torch.equal(whole[k], again[k]) and torch.equal(whole[k], once_more[k]) for k in whole)


def test_learning_leaves_the_global_seed_alone(clip):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(clip, steps=1)
    assert torch.equal(torch.rand(3), expected)


def test_damaged_state_is_refused(field):
    state = field.state_dict()
    for key in ("net.grid.table", "occupied", "size"):
        with pytest.raises(BadInput, match="incomplete"):
            TorsoField.load({k: v for k, v in state.items() if k != key})
    for key in ("net.deform.0.weight", "occupied", "least"):
        with pytest.raises(BadInput, match=key):
            TorsoField.load(state | {key: state[key][..., :-1]})


def test_wrong_background_and_no_frames(clip, field):
    with pytest.raises(ValueError, match="background"):
        field.draw(field.follow(clip.motion)[0], np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(BadInput), tempfile.TemporaryDirectory() as folder, Run(Path(folder), {}) as run:
        TorsoField.fit(clip, SIDE, [], run=run)


def test_anchors_are_points_seen_by_the_camera():
    net = Net("anchors")
    assert net.anchors is not None
    pose = torch.eye(4).repeat(2, 1, 1)
    pose[:, :3, 3] = torch.tensor([[0.0, 0, -1], [0.1, 0, -1.2]])
    seen = Camera(1.0, (0.0, 0.0), (2, 2)).project(net.anchors[None] - pose[:, None, :3, 3])
    torch.testing.assert_close(net.numbers(pose), seen.flatten(1))


def test_euler_angles():
    def turn(axis: int, angle: float) -> torch.Tensor:
        generator = torch.zeros(3, 3).double()
        a, b = [(1, 2), (2, 0), (0, 1)][axis]
        generator[a, b], generator[b, a] = -angle, angle
        return torch.linalg.matrix_exp(generator)

    rotation = turn(0, 0.3) @ turn(1, -0.5) @ turn(2, 0.2)
    torch.testing.assert_close(euler(rotation[None])[0], torch.tensor([0.3, -0.5, 0.2]).double())


def test_features_of_pixels():
    x = positions(4)
    assert x.shape == (16, 2) and torch.equal(x[0], -x[-1])
    assert x[1, 1] > x[0, 1] and x[1, 0] == x[0, 0]  # row, column
    assert x.abs().max() < torso_field.SHRINK
    assert frequencies(x, 10).shape == (16, torso_field.PLACE)


def test_first_layers_apart_are_the_layers_together():
    """What is worked out once for pixels, plus what changes with the frame, is E through the perceptrons."""
    torch.manual_seed(0)
    net = Net("pose").double()
    x, where, code = torch.rand(5, 2).double(), torch.rand(1, 6).double(), torch.rand(1, 8).double()
    given = net.given(where, code)
    both = torch.cat([frequencies(x, 10), given.expand(5, -1)], -1)
    moving, painting = (a + b for a, b in zip(net.pixelwise(frequencies(x, 10)), net.framewise(given), strict=True))
    torch.testing.assert_close(net.deform[1:](moving), net.deform(both))
    features = torch.rand(5, torso_field.SHAPE.width).double()
    known = features @ net.paint[0].weight[:, : torso_field.SHAPE.width].T
    torch.testing.assert_close(net.paint[1:](known + painting), net.paint(torch.cat([features, both], -1)))
