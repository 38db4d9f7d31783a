"""The torso on a drawn person whose shirt moves with the head by a known rule."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from likeness.clip import HEAD, PARTS, Clip
from likeness.errors import BadInput
from likeness.nn.alignment import Aligner, Grid, solve_positive
from likeness.nn.torso import Torso, pose_features
from likeness.nn.warping import CELLS, invert

SIDE, FRAMES, FOCAL = 256, 120, 400.0


def shirt() -> np.ndarray:
    """A checked cloth, larger than the picture."""
    rng = np.random.default_rng(3)
    cloth = cv2.resize(rng.uniform(0, 1, (20, 24, 3)).astype(np.float32), (400, 360), interpolation=cv2.INTER_CUBIC)
    return np.clip(60 + 150 * cloth, 0, 255).astype(np.uint8)


def moment(t: int) -> tuple[np.ndarray, np.ndarray]:
    """Head shift (x, y) in pixels and the torso's affine map for it: shift, scale and shear by the head's movement."""
    head = np.array([14 * np.sin(t / 9) + 4 * np.sin(t / 3.1), 5 * np.cos(t / 7)])
    m = np.array([[1 + 0.002 * head[1], 0.001 * head[0], 0.6 * head[0]], [0, 1, 0.5 * head[1]]])
    m[:, 2] += -m[:, :2] @ [200, 260] + [128, 190]
    return head, m


def drawn(t: int, cloth: np.ndarray, plate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    head, m = moment(t)
    outline = np.zeros(cloth.shape[:2], np.uint8)
    cv2.ellipse(outline, (200, 340), (120, 120), 0, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.rectangle(outline, (175, 190), (225, 300), 255, -1)
    layer = cv2.warpAffine(np.dstack([cloth, outline]), m, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    alpha = layer[..., 3:].astype(np.float32) / 255
    image = plate * (1 - alpha) + layer[..., :3] * alpha
    parts = np.where(alpha[..., 0] > 0.5, PARTS["torso"], PARTS["background"]).astype(np.uint8)
    centre = (round(16 * (128 + head[0])), round(16 * (95 + head[1])))
    face = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(face, centre, (16 * 42, 16 * 55), 0, 0, 360, 1, -1, shift=4)
    image[face > 0], parts[face > 0] = (224, 172, 150), PARTS["face"]
    return image.round().astype(np.uint8), parts


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Clip:
    folder = tmp_path_factory.mktemp("clip")
    for name in ("frames", "parts"):
        (folder / name).mkdir()
    plate = np.full((SIDE, SIDE, 3), (40, 120, 200), np.float32)
    cv2.imwrite(str(folder / "background.png"), plate.astype(np.uint8)[..., ::-1])
    pose = np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1))
    cloth = shirt()
    for t in range(FRAMES):
        image, parts = drawn(t, cloth, plate)
        cv2.imwrite(str(folder / f"frames/{t:06d}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 97])
        cv2.imwrite(str(folder / f"parts/{t:06d}.png"), parts)
        head = moment(t)[0]
        pose[t, :3, 3] = (-head[0] / FOCAL, -(head[1] - 33) / FOCAL, -1.0)
    motion = {"expression": np.zeros((FRAMES, 1)), "eyes": np.ones(FRAMES), "landmarks": np.zeros((FRAMES, 478, 3))}
    motion = {k: v.astype(np.float32) for k, v in motion.items()}
    np.savez(folder / "motion.npz", pose=pose, seen=np.ones(FRAMES, bool), **motion)
    header = {
        "format": "likeness-clip",
        "version": 1,
        "fps": 25,
        "frames": FRAMES,
        "scenes": [[0, FRAMES]],
        "breaks": [],
    }
    header["camera"] = {"focal": FOCAL, "centre": [SIDE / 2, SIDE / 2], "size": [SIDE, SIDE]}
    (folder / "clip.json").write_text(json.dumps(header))
    return Clip.open(folder)


@pytest.fixture(scope="module")
def torso(clip) -> Torso:
    return Torso.fit(clip, SIDE, clip.train)


def test_held_out_frames(clip, torso):
    """It follows poses that it has not seen, and looks like the shirt."""
    where = torso.follow(clip.motion)
    psnr = []
    for t in clip.test:
        real, parts = clip.image(int(t)), clip.parts(int(t))
        ours = torso.draw(where[t], clip.background)
        outside = cv2.erode((~np.isin(parts, HEAD)).astype(np.uint8), np.ones((5, 5))) > 0
        error = ((ours.astype(float) - real) ** 2)[outside].mean()
        psnr.append(10 * np.log10(255**2 / error))
    assert np.mean(psnr) > 30, np.mean(psnr)


def test_control_points_are_where_the_shirt_is(clip, torso):
    """Points on the shirt move as its affine map says, within half a pixel, on held-out frames."""
    where = torso.follow(clip.motion).numpy()
    reference = int(clip.test[0])
    points = np.array([[150.0, 230.0], [128.0, 215.0], [100.0, 240.0]])  # pixels of the reference frame
    rows, columns = torso.grid.shape

    def seen(t: int, canvas: np.ndarray) -> np.ndarray:
        warp = where[t, : 2 * rows * columns].reshape(rows, columns, 2)
        return torso.grid.at(warp, canvas[None, :, 0], canvas[None, :, 1])[0]

    canvas = points + 40.0
    for _ in range(20):  # the canvas position that the reference frame shows at `points`
        canvas -= seen(reference, canvas) - points
    _, m0 = moment(reference)
    cloth = (points - m0[:, 2]) @ np.linalg.inv(m0[:, :2]).T
    for t in clip.test[1:]:
        _, m = moment(int(t))
        assert np.abs(seen(t, canvas) - (cloth @ m[:, :2].T + m[:, 2])).max() < 0.6


def test_the_neck_goes_on_behind_the_head(clip, torso):
    layer = torso.layer(torso.follow(clip.motion)[60])
    head, _ = moment(60)
    chin = int(95 + 55 + head[1])
    assert layer[chin - 6, int(128 + head[0])][3] > 0.9  # just above the chin: hidden by the head, drawn all the same


def test_draw_is_layer_over_background(clip, torso):
    where = torso.follow(clip.motion)[10]
    layer = torso.layer(where)
    under = clip.background.astype(np.float32) / 255
    expected = layer[..., :3] + (1 - layer[..., 3:]) * under
    drawn_float = torso.draw(where, under)
    assert drawn_float.dtype == np.float32
    np.testing.assert_allclose(drawn_float, expected, atol=1e-5)
    bytes_ = torso.draw(where, clip.background)
    assert bytes_.dtype == np.uint8
    assert np.abs(bytes_ - expected * 255).max() <= 0.51
    assert layer.min() >= 0 and layer.max() <= 1 + 1e-5


def test_state_round_trip(clip, torso):
    again = Torso.load({k: v.clone() for k, v in torso.state_dict().items()})
    assert torch.equal(torso.follow(clip.motion), again.follow(clip.motion))
    where = again.follow(clip.motion)[3]
    np.testing.assert_array_equal(torso.draw(where, clip.background), again.draw(where, clip.background))


def test_portraits_without_shading_still_load(clip, torso):
    old = Torso.load({k: v for k, v in torso.state_dict().items() if k != "shading"})
    where = old.follow(clip.motion)[3]
    assert np.abs(old.layer(where) - torso.layer(where)).mean() < 0.02


def test_a_colour_that_follows_the_pose_is_learned(clip, torso):
    """A shirt that brightens as the head goes right: what the texture lacks is in the shading."""

    class Lit(Clip):
        def image(self, t, size=None):
            return np.clip(super().image(t, size) * (1 + moment(int(t))[0][0] / 100), 0, 255).astype(np.uint8)

    lit = Torso.fit(Lit(clip.folder, clip.header), SIDE, clip.train)
    where = lit.follow(clip.motion)
    still = Torso.load({k: v for k, v in lit.state_dict().items() if k != "shading"})
    t = max(clip.test, key=lambda t: abs(moment(int(t))[0][0]))
    real = Lit(clip.folder, clip.header).image(t).astype(float)
    shirt_ = cv2.erode((clip.parts(t) == PARTS["torso"]).astype(np.uint8), np.ones((9, 9))) > 0
    off, on = (np.abs(x.draw(where[t], clip.background)[shirt_] - real[shirt_]).mean() for x in (still, lit))
    assert on < 0.7 * off, (on, off)


def test_damaged_state_is_refused(torso):
    state = torso.state_dict()
    with pytest.raises(BadInput, match="incomplete"):
        Torso.load({k: v for k, v in state.items() if k != "weights"})
    with pytest.raises(BadInput, match="weights"):
        Torso.load(state | {"weights": state["weights"][:, :-2]})
    with pytest.raises(BadInput, match="shading"):
        Torso.load(state | {"shading": state["shading"][1:]})


def test_wrong_background_and_no_frames(clip, torso):
    with pytest.raises(ValueError, match="background"):
        torso.draw(torso.follow(clip.motion)[0], np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(BadInput):
        Torso.fit(clip, SIDE, [])


def test_no_torso_in_the_picture(clip, tmp_path):
    bare = Clip(clip.folder, clip.header)
    bare.parts = lambda t: np.where(clip.parts(t) == PARTS["torso"], 0, clip.parts(t)).astype(np.uint8)  # type: ignore
    with pytest.raises(BadInput, match="torso"):
        Torso.fit(bare, SIDE, clip.train)


def test_follow_looks_only_so_far(clip, torso):
    """Poses farther away than the smoothing reaches have no effect."""
    whole = torso.follow(clip.motion)
    part = torso.follow(clip.motion[:100])
    torch.testing.assert_close(part[:50], whole[:50])


def test_still_head_has_only_present_features():
    features = pose_features(torch.eye(4).repeat(7, 1, 1) + 0.0)
    assert torch.allclose(features[:, 6:], torch.zeros(1), atol=1e-6)


def test_aligner_finds_a_known_warp():
    picture = cv2.cvtColor(shirt(), cv2.COLOR_RGB2GRAY)[:256, :256].astype(np.float32)
    m = np.array([[1.02, 0.01, -4.0], [-0.015, 0.99, 3.0]])
    frame = cv2.warpAffine(picture, m, (256, 256))
    grid = Grid(0.0, 0.0, 51.0, (6, 6))
    found = Aligner(picture, np.ones((256, 256), np.uint8), grid)(frame, np.ones((256, 256)), np.zeros((6, 6, 2)), steps=12)
    x, y = np.meshgrid(np.arange(60, 200), np.arange(60, 200))
    truth = np.dstack([x, y]) @ m[:, :2].T + m[:, 2]
    assert np.abs(grid.at(found, x, y) - truth).max() < 0.15


def test_affine_motion_is_smooth():
    grid = Grid(0.0, 0.0, 10.0, (5, 7))
    j, i = np.mgrid[:5, :7]
    assert np.abs(grid.roughness() @ (2 + 3 * i - j).ravel()).max() < 1e-9
    assert (grid.roughness() @ (i * i).ravel()).any()


def test_inverse_on_the_lattice():
    rng = np.random.default_rng(0)
    grid = Grid(0.0, 60.0, 42.0, (7, 9))
    j, i = np.mgrid[:7, :9]
    warp = np.dstack([-40 + 0.8 * i - 0.5 * j, -40 + 0.6 * j]) + rng.normal(0, 0.5, (7, 9, 2))
    lattice = invert(warp.astype(np.float32), 0.0, 60.0, 42.0, 256)
    back = grid.at(warp, lattice[..., 0], lattice[..., 1])
    x, y = np.meshgrid(np.arange(CELLS + 1) * 8 - 0.5, np.arange(CELLS + 1) * 8 - 0.5)
    assert np.abs(back - np.dstack([x, y])).max() < 0.06  # OpenCV interpolates in steps of 1/32 node


def test_solver():
    rng = np.random.default_rng(2)
    a = rng.normal(size=(12, 9))
    matrix, right = a.T @ a + np.eye(9), rng.normal(size=9)
    np.testing.assert_allclose(solve_positive(matrix.copy(), right.copy()), np.linalg.solve(matrix, right), rtol=1e-9)
