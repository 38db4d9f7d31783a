"""Portraits of the original code on the stage of a dataset folder, of a clip, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from likeness import importing, methods, speech
from likeness.camera import moved
from likeness.cli import run
from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.importing import import_portrait, open_area, plain_stage, similarity
from likeness.methods.radnerf.original import AXES
from likeness.nn.torso import Torso
from likeness.nn.torso_field import TorsoField
from likeness.prepare.dataset import FLIP
from tests.originals import made, write


def cameras(count: int, seed: int) -> torch.Tensor:
    """Of a head that moves a few centimetres and degrees."""
    rng = np.random.default_rng(seed)
    pose = np.tile(np.eye(4), (count, 1, 1))
    pose[:, :3, :3] = Rotation.from_euler("xyz", rng.normal(0, 0.1, (count, 3))).as_matrix()
    pose[:, :3, 3] = rng.normal((0, 0, -0.8), 0.02, (count, 3))
    return torch.from_numpy(pose)


def similar(angles: tuple[float, ...], scale: float, shift: tuple[float, ...]) -> torch.Tensor:
    found = np.eye(4)
    found[:3, :3] = scale * Rotation.from_euler("xyz", angles).as_matrix()
    found[:3, 3] = shift
    return torch.from_numpy(found)


# ---- how head frames lie to each other


@settings(max_examples=40, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-1, 1)] * 3), scale=st.floats(0.5, 2), shift=st.tuples(*[st.floats(-0.2, 0.2)] * 3),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_similarity_is_what_moved_the_cameras(angles, scale, shift, seed):
    wanted, ours = similar(angles, scale, shift), cameras(20, seed)
    theirs = moved(ours, wanted)
    eye = theirs[:, :3, :3] @ theirs[:, :3, :3].mT
    assert torch.allclose(eye, torch.eye(3).double().expand_as(eye), atol=1e-9)  # rotations stay rotations
    assert torch.allclose(similarity(ours, theirs).double(), wanted, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.5, 2))
def test_a_head_that_never_moved_is_seen_by_the_same_camera(seed, scale):
    ours = cameras(1, seed).expand(9, 4, 4)
    theirs = moved(ours, similar((0.1, 0.2, -0.1), scale, (0.01, 0.02, 0.03)))
    found = similarity(ours, theirs).double()
    assert float(torch.linalg.det(found[:3, :3])) == pytest.approx(1, abs=1e-4)
    assert torch.allclose(moved(ours, found), theirs, atol=1e-5)


# ---- a dataset folder


def in_transforms(pose: np.ndarray) -> np.ndarray:
    """Our camera as a dataset has it, whose head frame lies elsewhere and is larger: OpenGL's axes."""
    return FLIP @ moved(torch.from_numpy(pose), similar((0.1, -0.15, 0.05), 1.2, (0.01, -0.02, 0.03))).numpy() @ FLIP


@pytest.fixture(scope="module")
def dataset(clip, tmp_path_factory) -> Path:
    """A dataset folder that was opened before: the clip is beside the transforms."""
    folder = tmp_path_factory.mktemp("sets") / "person"
    (folder / "ori_imgs").mkdir(parents=True)
    (folder / "likeness").symlink_to(clip.folder)
    cv2.imwrite(str(folder / "ori_imgs/0.jpg"), clip.image(0)[..., ::-1])
    poses = clip.motion.pose.double().numpy()
    frames = [{"img_id": t, "aud_id": t, "transform_matrix": in_transforms(poses[t]).tolist()} for t in range(len(clip))]
    header = {"focal_len": clip.camera.focal, "cx": clip.camera.centre[0], "cy": clip.camera.centre[1]}
    (folder / "transforms_train.json").write_text(json.dumps(header | {"frames": frames}))
    return folder


@pytest.mark.parametrize(("kind", "torso"), [("RAD-NeRF", True), ("ER-NeRF", True), ("ER-NeRF", False)])
def test_on_the_stage_of_its_dataset(clip, dataset, tmp_path, kind, torso):
    done = import_portrait("radnerf", write(made(kind, torso=torso), tmp_path / "a.pth"), tmp_path / "a.portrait", dataset)
    stage, head = done.portrait.stage, done.portrait.head
    assert done.stage == "dataset" and stage.camera == clip.camera
    assert isinstance(stage.torso, TorsoField if torso else Torso)
    assert np.array_equal(stage.background.numpy(), clip.background)
    take = clip.take[[0, 30, 60]]
    for t, pose in zip(take, clip.motion.pose[torch.from_numpy(take)]):
        p = in_transforms(clip.motion.pose[int(t)].double().numpy())
        # section 2.3 of the specification, but for its scale of 4
        rows = [[p[row, 0], -p[row, 1], -p[row, 2], p[row, 3]] for row in (1, 2, 0)]
        assert head.placed(pose).numpy() == pytest.approx(np.array([*rows, [0, 0, 0, 1]]), abs=1e-4)
    again = methods.load(tmp_path / "a.portrait")
    assert torch.equal(again.stage.motion.pose, clip.motion.pose[torch.from_numpy(clip.take)])
    if torso:
        where = stage.torso.follow(stage.motion)
        assert torch.equal(again.stage.torso.follow(stage.motion), where) and where.std() > 0
        assert again.stage.torso.layer(where[0])[..., 3].max() > 0.1


def test_eyes_of_the_person_are_measured(clip, dataset, tmp_path):
    """RAD-NeRF's eye feature is an area in the picture, which depends on how large the face is in it."""
    area = open_area(clip)
    assert area is not None and 0.05 < area < 1
    square = torch.tensor([[[0.0, 0], [2, 0], [2, 3], [0, 3]]])
    assert float(importing._area(square)) == 6
    done = import_portrait("radnerf", write(made("RAD-NeRF", torso=True), tmp_path / "a.pth"), tmp_path / "a.portrait", dataset)
    motion = replace(clip.motion[:1], eyes=torch.ones(1))
    assert float(done.portrait.within(torch.zeros(1, 64), motion)[1][0, 0]) == pytest.approx(area)


def test_features_of_networks_are_made_when_asked_for(clip, tmp_path, monkeypatch):
    """evaluate asks a clip for what the portrait hears."""
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path / "none"))
    other = tmp_path / "clip"
    other.mkdir()
    for path in clip.folder.iterdir():
        if path.name != "features":
            (other / path.name).symlink_to(path)
    (other / "features").mkdir()
    with pytest.raises(speech.MissingAsset, match="hubert"):
        Clip.open(other).features("hubert")
    monkeypatch.setattr(speech, "pretrained", lambda name, waveform: np.ones((4 * len(clip) - 2, 1024), np.float32))
    assert Clip.open(other).features("hubert").shape == (4 * len(clip), 1024)
    assert (other / "features/hubert.npy").is_file()


# ---- a clip that is no dataset


def test_heads_are_laid_on_each_other_by_faces(portrait, clip, monkeypatch):
    """A portrait made of the clip itself, after few steps: both head frames are one, and what it draws says so."""
    stage = portrait.stage
    monkeypatch.setattr(portrait, "stage", replace(plain_stage(), torso=stage.torso))
    found = importing._by_faces(portrait, clip.motion[torch.from_numpy(clip.take)], clip)
    scale = float(torch.linalg.det(found[:3, :3])) ** (1 / 3)
    turn = Rotation.from_matrix(found[:3, :3].numpy() / scale).magnitude()
    assert scale == pytest.approx(1, abs=0.06) and np.degrees(turn) < 9 and float(found[:3, 3].norm()) < 0.02


def test_without_a_face_the_dataset_is_asked_for(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "SIDES", importing.SIDES[:1])
    monkeypatch.setattr(importing, "PLAIN", (90, importing.PLAIN[1] / 5, importing.PLAIN[2]))
    with pytest.raises(BadInput, match="Name the dataset folder"):
        import_portrait("radnerf", write(made("ER-NeRF"), tmp_path / "a.pth"), tmp_path / "a.portrait", clip.folder)
    assert not (tmp_path / "a.portrait").exists()


def test_the_plain_stage_is_the_window_of_the_original():
    stage = plain_stage()
    assert np.degrees(2 * np.arctan(225 / stage.camera.focal)) == pytest.approx(21.24)
    field = moved(stage.motion.pose[0], AXES) * torch.tensor([1, 1, 1, 4])
    assert field[:3, 3].tolist() == pytest.approx([0, 3.35, 0]) and field[:3, 2].tolist() == pytest.approx([0, -1, 0])


# ---- the command


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(made("ER-NeRF", torso=True), tmp_path / "ngp_ep0031.pth")
    assert run(["import", "radnerf", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    wanted = {"portrait": "ngp_ep0031.portrait", "layout": "ER-NeRF", "features": ["hubert"], "stage": "plain"}
    assert said | wanted | {"torso": "the checkpoint's", "weights": "as saved"} == said
    assert run(["import", "radnerf", str(path), "b.portrait"]) == 0
    assert capsys.readouterr().out == "b.portrait: ER-NeRF (as saved), stage: plain, torso: the checkpoint's; hears hubert\n"
    for name in ("ngp_ep0031", "b"):
        assert methods.load(f"{name}.portrait").method == "radnerf"


def test_the_command_fails_with_a_reason(tmp_path, capsys):
    network = write(made("RAD-NeRF"), tmp_path / "a.pth")
    other = tmp_path / "other.pth"
    torch.save({"model": {"a": torch.ones(2)}}, other)
    (tmp_path / "notes.txt").write_text("mine")
    for code, says, words in (
        (3, "not the layout", ["radnerf", other, tmp_path / "o.portrait"]),
        (3, "no such file", ["radnerf", tmp_path / "none.pth", tmp_path / "o.portrait"]),
        (3, "only of radnerf", ["rigged-gaussians", network, tmp_path / "o.portrait"]),
        (3, "no such folder", ["radnerf", network, tmp_path / "o.portrait", "--clip", tmp_path / "none"]),
        (5, "not a portrait", ["radnerf", network, tmp_path / "notes.txt"]),
        (2, "", ["radnerf"]),
    ):
        assert run(["import", *map(str, words)]) == code
        out, err = capsys.readouterr()
        assert out == "" and says in err and "Traceback" not in err
    assert not (tmp_path / "o.portrait").exists() and (tmp_path / "notes.txt").read_text() == "mine"
