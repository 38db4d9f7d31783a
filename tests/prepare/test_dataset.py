"""Dataset folders of the NeRF and Gaussian methods, written here from the actor, opened as clips."""

import json
import shutil

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from likeness import audio
from likeness.camera import Camera, to_camera
from likeness.clip import PARTS, Clip
from likeness.errors import BadInput, Refused
from likeness.prepare.bundle import View, generic_face
from likeness.prepare.dataset import FLIP, in_our_head_frame, parts_from_colours, read_transforms
from tests.prepare.conftest import SIZE

FRAMES = 40
LOST = 7  # their tracker left this frame out
COLOURS = {
    "background": (255, 255, 255), "torso": (255, 0, 0), "neck": (0, 255, 0), "face": (0, 0, 255),
    "hair": (0, 0, 0), "mouth": (100, 100, 100),
}  # fmt: skip


def theirs(pose: np.ndarray) -> np.ndarray:
    """Our camera-to-world as they would write it: another origin, turn and scale of the head frame, OpenGL's axes."""
    turn = Rotation.from_euler("xyz", (0.1, -0.15, 0.05)).as_matrix()
    moved = np.eye(4)
    moved[:3, :3] = turn @ pose[:3, :3]
    moved[:3, 3] = 1.2 * turn @ pose[:3, 3] + (0.01, -0.02, 0.03)
    return FLIP @ moved @ FLIP


def paint(parts: np.ndarray, older: bool) -> np.ndarray:
    """A parsing picture, RGB. The older sets paint hair and mouth like the face."""
    colours = np.zeros((*parts.shape, 3), np.uint8)
    for name, value in PARTS.items():
        colours[parts == value] = COLOURS["face"] if older and name in ("hair", "mouth") else COLOURS[name]
    return colours


@pytest.fixture(scope="module")
def dataset(take, tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "dataset"
    for name in ("ori_imgs", "parsing"):
        (root / name).mkdir(parents=True)
    performance = take.performance
    for t in range(FRAMES):
        cv2.imwrite(str(root / f"ori_imgs/{t}.jpg"), take.images[t][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
        cv2.imwrite(str(root / f"parsing/{t}.png"), paint(performance.parts(t), older=False)[..., ::-1])
    poses = performance.motion.pose.numpy().astype(float)
    rows = [{"img_id": t, "aud_id": t, "transform_matrix": theirs(poses[t]).tolist()} for t in range(FRAMES) if t != LOST]
    header = {"focal_len": performance.camera.focal, "cx": SIZE / 2, "cy": SIZE / 2}
    (root / "transforms_train.json").write_text(json.dumps(header | {"frames": rows[:35]}))
    (root / "transforms_val.json").write_text(json.dumps(header | {"frames": rows[35:]}))
    cv2.imwrite(str(root / "bc.jpg"), np.full((SIZE, SIZE, 3), (10, 60, 200), np.uint8))
    audio.save_wav(root / "aud.wav", performance.waveform[: FRAMES * 640])
    return root


@pytest.fixture(scope="module")
def opened(dataset) -> Clip:
    return Clip.open(dataset)


def test_it_opens_as_a_clip_beside_their_files(dataset, opened, take):
    assert opened.folder == dataset / "likeness"
    assert len(opened) == FRAMES and not opened.seen[LOST]
    assert opened.seen.sum() >= FRAMES - 2
    assert opened.camera.focal == pytest.approx(take.performance.camera.focal)
    assert np.abs(opened.image(20).astype(int) - take.images[20]).mean() < 4
    assert np.abs(opened.background.astype(int) - (200, 60, 10)).max() < 12
    assert opened.features("phones").shape == (4 * FRAMES, 42)
    assert (opened.folder / "report.html").is_file()
    assert sorted(p.name for p in dataset.iterdir()) == [
        "aud.wav", "bc.jpg", "likeness", "ori_imgs", "parsing", "transforms_train.json", "transforms_val.json",
    ]  # fmt: skip


def test_it_is_converted_once(dataset, opened):
    before = (opened.folder / "clip.json").stat().st_mtime_ns
    assert Clip.open(dataset).header == opened.header
    assert (opened.folder / "clip.json").stat().st_mtime_ns == before


def test_two_conversions_at_once_are_refused(dataset, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    shutil.copytree(dataset, tmp_path / "set", ignore=shutil.ignore_patterns("likeness"))
    steps = tmp_path / "set" / "likeness.partial" / "steps"
    steps.mkdir(parents=True)
    with open(steps / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another conversion"):
            Clip.open(tmp_path / "set")
    assert steps.is_dir()


def test_what_a_killed_conversion_left_is_not_in_the_way(dataset, tmp_path, monkeypatch):
    root = tmp_path / "set"
    shutil.copytree(dataset, root, ignore=shutil.ignore_patterns("likeness"))
    for left in ("frames/000000.jpg", "steps/frames.json", "steps/lock", "motion.npz"):
        (root / "likeness.partial" / left).parent.mkdir(parents=True, exist_ok=True)
        (root / "likeness.partial" / left).touch()

    def run(conversion) -> None:
        assert {str(p.relative_to(conversion.out)) for p in conversion.out.rglob("*")} == {"steps", "steps/lock"}
        raise BadInput("enough")

    monkeypatch.setattr("likeness.prepare.dataset._Conversion.run", run)
    with pytest.raises(BadInput, match="enough"):
        Clip.open(root)
    assert not (root / "likeness.partial").exists()


def test_pictures_that_do_not_begin_with_0_are_refused(dataset, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(dataset, root, ignore=shutil.ignore_patterns("likeness"))
    for name in ("transforms_train.json", "transforms_val.json"):
        held = json.loads((root / name).read_text())
        held["frames"] = [frame for frame in held["frames"] if frame["img_id"] >= 3]
        (root / name).write_text(json.dumps(held))
    assert sorted(read_transforms(root).poses)[0] == 3  # pictures 0 to 2 are there, and only unseen
    for t in range(3):
        (root / f"ori_imgs/{t}.jpg").unlink()
    before = sorted(p.name for p in root.iterdir())
    with pytest.raises(BadInput, match=r"begin with number 3.*anew"):
        Clip.open(root)
    assert sorted(p.name for p in root.iterdir()) == before


def test_the_motion_is_theirs(opened, take):
    """From the camera's side: how the view moves between frames does not depend on the head frame, scale aside."""
    ours, true = opened.motion.pose.double().numpy(), take.performance.motion.pose.double().numpy()[:FRAMES]
    frames = np.flatnonzero(opened.seen.numpy())
    first = frames[0]
    moved = [np.linalg.inv(p[frames]) @ p[first] for p in (ours, true)]
    turned = Rotation.from_matrix(moved[0][:, :3, :3] @ np.swapaxes(moved[1][:, :3, :3], 1, 2)).magnitude()
    assert np.degrees(turned).max() < 0.01
    shifts = [m[:, :3, 3].ravel() for m in moved]
    scale = shifts[0] @ shifts[1] / (shifts[1] @ shifts[1])
    assert np.allclose(shifts[0], scale * shifts[1], atol=2e-3)
    assert 0.6 < scale < 1.6


def test_landmarks_lie_in_our_head_frame_and_on_the_face(opened, take):
    face = opened.motion.landmarks.numpy()[opened.seen.numpy()]
    assert np.abs(face.mean(0) - generic_face()).max() < 0.03  # metres, upright, facing us
    found = opened.pixels.numpy()[20]
    lips = found[[13, 14]].mean(0)
    inner = take.performance.pixels[20, take.performance.actor.landmark_groups["lips_inner"]].mean(0).numpy()
    assert np.linalg.norm(lips - inner) < 0.03 * SIZE


def test_masks_are_theirs(opened, take):
    for t in (0, 20):
        assert (opened.parts(t) == take.performance.parts(t)).mean() > 0.995


def test_older_masks_get_hair_and_mouth_from_the_mesh(opened, take):
    t = int(np.argmax(take.performance.lips_m[:FRAMES]))
    true = take.performance.parts(t)
    parts = parts_from_colours(paint(true, older=True), opened.pixels.numpy()[t])
    assert (parts == true).mean() > 0.93
    assert (parts[true == PARTS["torso"]] == PARTS["torso"]).all()
    assert ((parts == PARTS["hair"]) & (true == PARTS["hair"])).sum() > 0.7 * (true == PARTS["hair"]).sum()
    mouth = true == PARTS["mouth"]
    assert not mouth.any() or (parts[mouth] == PARTS["mouth"]).mean() > 0.4


def test_scaled_masks_take_the_nearest_colour():
    colours = np.array([[[250, 251, 255], [90, 110, 100], [10, 5, 240], [20, 230, 9]]], np.uint8)
    names = {v: k for k, v in PARTS.items()}
    assert [names[v] for v in parts_from_colours(colours, None)[0]] == ["background", "mouth", "face", "neck"]


def test_the_similarity_is_exact_without_noise():
    rng = np.random.default_rng(0)
    camera = Camera(300.0, (96.0, 96.0), (192, 192))
    rotation = Rotation.from_rotvec(rng.normal(0, 0.15, (30, 3))).as_matrix()
    true = View(rotation, np.array([0.0, 0.0, 0.7]) + rng.normal(0, 0.02, (30, 3)))
    points = np.einsum("tij,kj->tki", true.rotation, generic_face()) + true.shift[:, None]
    pixels = (points[..., :2] / points[..., 2:] * camera.focal + 96.0).astype(np.float32)
    turn, shift, scale = Rotation.from_rotvec((0.2, -0.1, 0.1)).as_matrix(), np.array([0.02, -0.01, 0.03]), 1.3
    other = View(true.rotation @ turn, scale * (true.shift - true.rotation @ turn @ shift / scale))
    found = in_our_head_frame(other, pixels, generic_face(), camera)
    assert np.allclose(found.rotation, true.rotation, atol=1e-3)
    assert np.allclose(found.shift, true.shift, atol=2e-3)


def test_axes_by_hand(tmp_path):
    """A camera 0.7 m before the face, looking at it, is OpenGL's identity turn at z = +0.7, and ours at z = -0.7."""
    cv2_ok = cv2.imwrite(str(tmp_path / "x.jpg"), np.zeros((64, 64, 3), np.uint8))
    assert cv2_ok
    (tmp_path / "gt_imgs").mkdir()
    (tmp_path / "x.jpg").rename(tmp_path / "gt_imgs/0.jpg")
    matrix = np.eye(4)
    matrix[:3, 3] = (0.1, 0.2, 0.7)  # right and above
    frames = [{"img_id": 0, "transform_matrix": matrix.tolist()}]
    (tmp_path / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 0.8, "frames": frames}))
    found = read_transforms(tmp_path)
    assert np.allclose(found.poses[0][:3, :3], np.eye(3))
    assert np.allclose(found.poses[0][:3, 3], (0.1, -0.2, -0.7))
    assert found.camera.focal == pytest.approx(32 / np.tan(0.4))
    import torch

    seen = to_camera(torch.zeros(1, 3).double(), torch.from_numpy(found.poses[0])[None])
    assert np.allclose(seen.numpy(), [[-0.1, 0.2, 0.7]])  # the face is left of and below the view's middle


@pytest.mark.parametrize(
    ("text", "match"),
    [("{", "cannot be read"), ('{"frames": []}', "no frames"), ('{"frames": [{"img_id": 0}]}', "cannot be read"),
     ('{"frames": [{"img_id": 0, "transform_matrix": [[1, 2], [3, 4]]}]}', "4x4")],
)  # fmt: skip
def test_damaged_transforms(tmp_path, text, match):
    (tmp_path / "transforms_train.json").write_text(text)
    with pytest.raises(BadInput, match=match):
        Clip.open(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["transforms_train.json"]


def test_without_pictures_and_without_focal_length(tmp_path):
    frames = [{"img_id": 0, "transform_matrix": np.eye(4).tolist()}]
    (tmp_path / "transforms_train.json").write_text(json.dumps({"focal_len": 600, "frames": frames}))
    with pytest.raises(BadInput, match="no pictures"):
        Clip.open(tmp_path)
    (tmp_path / "ori_imgs").mkdir()
    cv2.imwrite(str(tmp_path / "ori_imgs/0.jpg"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "transforms_train.json").write_text(json.dumps({"frames": frames}))
    with pytest.raises(BadInput, match="focal"):
        Clip.open(tmp_path)
