"""Clip, Motion and the split. The clips here are drawn by hand: small, and with every number known."""

import json
import resource
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from likeness.camera import Camera, from_camera
from likeness.clip import PARTS, TEST_SHARE, Clip, Motion, landmarks_from_pixels, ping_pong
from likeness.errors import BadInput, Exhausted, Refused

FRAMES, SIDE = 60, 32


def motion(frames: int = 9) -> Motion:
    turns = Rotation.from_rotvec(np.random.default_rng(0).normal(0, 0.3, (frames, 3))).as_matrix()
    pose = torch.eye(4).repeat(frames, 1, 1)
    pose[:, :3, :3] = torch.from_numpy(turns).float()
    pose[:, 2, 3] = -0.6 - 0.01 * torch.arange(frames)
    t = torch.arange(frames).float()
    return Motion(pose, t[:, None].repeat(1, 3), t / frames, t[:, None, None].repeat(1, 478, 3))


def make(folder, scenes=((0, FRAMES),), unseen=(), frames=FRAMES) -> Clip:
    """A clip whose frame t is of brightness 4 t."""
    for name in ("frames", "parts", "features"):
        (folder / name).mkdir(parents=True)
    for t in range(frames):
        cv2.imwrite(str(folder / f"frames/{t:06d}.jpg"), np.full((SIDE, SIDE, 3), min(4 * t, 255), np.uint8))
        cv2.imwrite(str(folder / f"parts/{t:06d}.png"), np.full((SIDE, SIDE), t % len(PARTS), np.uint8))
    cv2.imwrite(str(folder / "background.png"), np.full((SIDE, SIDE, 3), (200, 100, 50), np.uint8))
    seen = np.ones(frames, bool)
    seen[list(unseen)] = False
    held = {f: getattr(motion(frames), f).numpy() for f in ("pose", "expression", "eyes", "landmarks")}
    np.savez(folder / "motion.npz", **held, seen=seen)
    np.save(folder / "features/mel.npy", np.zeros((4 * frames, 80), np.float32))
    header = {"format": "likeness-clip", "version": 1, "source": {}, "fps": 25.0, "frames": frames, "breaks": []}
    header |= {"camera": {"focal": 70.0, "centre": [16.0, 16.0], "size": [SIDE, SIDE]}, "scenes": [list(s) for s in scenes]}
    (folder / "clip.json").write_text(json.dumps(header))
    return Clip.open(folder)


# ---- motion


def test_motion_slices_like_a_tensor():
    whole = motion()
    for index in (slice(2, 5), [3, 1, 1], torch.tensor([0, 8]), np.array([4, 2])):
        part = whole[index]
        assert len(part) == len(whole.eyes[index]) and part.torso is None
        for name in ("pose", "expression", "eyes", "landmarks"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[index])


@given(st.integers(1, 12), st.integers(0, 60), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_ping_pong_turns_without_repeating_and_has_a_period(length, wanted, start):
    index = ping_pong(length, wanted, start).tolist()
    assert len(index) == wanted and all(0 <= i < length for i in index)
    if length > 1:
        assert all(abs(a - b) == 1 for a, b in pairwise(index))
        assert index == ping_pong(length, wanted + start).tolist()[start:]
        assert ping_pong(length, 2 * length - 2, start).sort()[0].tolist() == sorted([*range(length), *range(1, length - 1)])


def test_a_loop_is_played_back_and_forth():
    assert motion(4).loop(9, start=2).eyes.mul(4).round().int().tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2]


@given(st.floats(0.1, 6))
@settings(max_examples=15, deadline=None)
def test_smoothing_keeps_rotations_and_leaves_the_rest_alone(sigma):
    rough = motion(40)
    smooth = rough.smooth(sigma)
    turns = smooth.pose[:, :3, :3]
    assert torch.allclose(turns @ turns.transpose(1, 2), torch.eye(3).expand_as(turns), atol=1e-5)
    assert torch.allclose(torch.det(turns), torch.ones(40), atol=1e-5)
    assert torch.equal(smooth.pose[:, 3], rough.pose[:, 3]) and torch.equal(smooth.eyes, rough.eyes)
    step = lambda m: (m.pose[1:, :3, :3] - m.pose[:-1, :3, :3]).norm()  # noqa: E731
    assert step(smooth) <= step(rough) + 1e-4


@given(st.integers(2, 30), st.floats(0.1, 40), st.integers(0, 29), st.booleans())
@settings(max_examples=25, deadline=None)
def test_smoothing_is_the_weighted_mean_of_all_that_is_near_and_a_loop_has_no_seam(length, sigma, start, circular):
    rough = motion(length)
    radius = int(np.ceil(3 * sigma))
    offsets = torch.arange(-radius, radius + 1)
    weight = torch.exp(-0.5 * (offsets / sigma) ** 2)
    index = torch.arange(length)[:, None] + offsets
    index = index % length if circular else index.clamp(0, length - 1)
    wanted = torch.einsum("k,tkc->tc", weight / weight.sum(), rough.pose[index, :3, 3])
    smooth = rough.smooth(sigma, circular)
    assert torch.allclose(smooth.pose[:, :3, 3], wanted, atol=1e-4)
    turned = (torch.arange(length) + start) % length
    if circular:
        assert torch.allclose(rough[turned].smooth(sigma, circular).pose, smooth.pose[turned], atol=1e-4)


def test_smoothing_over_hundreds_of_frames_takes_no_more_memory_than_the_motion():
    long = motion(50).loop(20000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert torch.isfinite(long.smooth(300.0, circular=True).pose).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB; a window a frame would be 1.7 GB


def test_smoothing_by_nothing_and_of_stillness_changes_nothing():
    rough = motion()
    assert torch.equal(rough.smooth(0.0).pose, rough.pose)
    still = rough[[3] * 20]
    assert torch.allclose(still.smooth(2.0).pose, still.pose, atol=1e-6)


def test_landmarks_project_to_the_pixels_that_they_were_made_from():
    camera, poses = Camera(70.0, (16.0, 16.0), (SIDE, SIDE)), motion(5).pose
    pixels = torch.rand(5, 7, 2) * SIDE
    points = landmarks_from_pixels(pixels, torch.full((5, 7), 0.6), poses, camera)
    assert torch.allclose(points, from_camera(camera.unproject(pixels, torch.full((5, 7), 0.6)), poses[:, None]))


# ---- the clip


@given(st.lists(st.integers(1, 80), min_size=1, max_size=4), st.sets(st.integers(0, 300), max_size=40))
@settings(max_examples=30, deadline=None)
def test_test_is_the_last_tenth_of_the_longest_scene_and_never_straddles_a_cut(lengths, unseen):
    edges = np.cumsum([0, *lengths]).tolist()
    scenes = list(pairwise(edges))
    header = {"camera": {"focal": 1.0, "centre": [0.0, 0.0], "size": [8, 8]}, "breaks": [], "frames": edges[-1]}
    clip = Clip(Path(), header | {"scenes": scenes})
    seen = torch.ones(edges[-1], dtype=torch.bool)
    seen[[t for t in unseen if t < edges[-1]]] = False
    clip.__dict__["_motion_file"] = {"seen": seen}
    start, stop = clip.longest_scene
    assert stop - start == max(lengths)
    both = np.concatenate([clip.train, clip.test])
    assert (np.diff(both) > 0).all() and all(start <= t < stop for t in both)
    assert sorted(both) == [t for t in range(start, stop) if seen[t]]
    assert all(t >= stop - (stop - start) // TEST_SHARE for t in clip.test)
    assert len(clip.test) <= (stop - start) // TEST_SHARE


def test_a_frame_and_its_rows(tmp_path):
    clip = make(tmp_path / "clip", scenes=((0, 20), (20, FRAMES)), unseen=(3, 30))
    assert len(clip) == FRAMES and clip.fps == 25 and clip.longest_scene == (20, FRAMES)
    frame = clip[11]
    assert abs(int(frame.image.mean()) - 44) <= 2 and (frame.parts == 11 % len(PARTS)).all()
    assert frame.motion.expression.tolist() == [[11.0] * 3]
    assert clip.test.tolist() == [56, 57, 58, 59] and clip.train.tolist() == [t for t in range(20, 56) if t != 30]
    assert clip.background[0, 0].tolist() == [50, 100, 200]  # RGB
    assert clip.plate(8).shape == (8, 8, 3) and clip.pixels.shape == (FRAMES, 478, 2)
    assert clip.features("mel").shape == (4 * FRAMES, 80)


def test_the_picture_cache_is_what_resizing_gives_and_is_made_again_when_cut_short(tmp_path):
    clip = make(tmp_path / "clip")
    for t in (0, 17, FRAMES - 1):
        wanted = cv2.resize(clip.image(t), (16, 16), interpolation=cv2.INTER_AREA)
        assert (clip.image(t, 16) == wanted).all() and (clip.cached(16)[t] == wanted).all()
    assert clip.cached(16) is clip.cached(16) and clip.cached(8) is not clip.cached(16)
    path = clip.folder / "cache" / "16.rgb"
    (path.parent / "8.rgb").unlink()
    path.write_bytes(path.read_bytes()[:1000])
    clip = Clip.open(clip.folder)
    assert clip.image(40, 16).shape == (16, 16, 3)
    assert path.stat().st_size == FRAMES * 16 * 16 * 3
    assert [p.name for p in path.parent.iterdir()] == ["16.rgb"]
    assert (clip.image(5, SIDE) == clip.image(5)).all()  # its own size needs no cache


def test_a_cache_that_finds_the_disk_full_leaves_nothing(tmp_path, monkeypatch):
    clip = make(tmp_path / "clip")
    full = lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # noqa: E731
    monkeypatch.setattr("likeness.clip.os.replace", full)
    with pytest.raises(Exhausted, match="full"):
        clip.image(0, 16)
    assert not list((clip.folder / "cache").iterdir())


def edit(clip: Clip, **changes) -> None:
    header = json.loads((clip.folder / "clip.json").read_text()) | changes
    (clip.folder / "clip.json").write_text(json.dumps({k: v for k, v in header.items() if v is not None}))


def test_what_is_no_clip_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        Clip.open(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="a file, not a clip"):
        Clip.open(tmp_path / "file")
    with pytest.raises(BadInput, match="not a clip"):
        Clip.open(tmp_path)
    clip = make(tmp_path / "clip")
    edit(clip, version=99)
    with pytest.raises(Refused, match="version 99"):
        Clip.open(clip.folder)
    edit(clip, version=1, format="something")
    with pytest.raises(BadInput, match="header"):
        Clip.open(clip.folder)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '{"format": "likeness-clip", "version": 1}'])
def test_a_damaged_header_is_bad_input(tmp_path, text):
    clip = make(tmp_path / "clip", frames=2, scenes=((0, 2),))
    (clip.folder / "clip.json").write_text(text)
    with pytest.raises(BadInput, match=r"clip\.json"):
        Clip.open(clip.folder)


@pytest.mark.parametrize(
    "changes", [{"camera": None}, {"camera": {"focal": 1}}, {"scenes": []}, {"scenes": [[0, 99]]}, {"frames": "many"}]
)
def test_a_header_that_makes_no_sense_is_bad_input(tmp_path, changes):
    clip = make(tmp_path / "clip", frames=2, scenes=((0, 2),))
    edit(clip, **changes)
    with pytest.raises(BadInput, match=r"clip\.json"):
        Clip.open(clip.folder)


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "foreign", "cut short"])
def test_damaged_motion_is_explained(tmp_path, content):
    clip = make(tmp_path / "clip")
    path = clip.folder / "motion.npz"
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(BadInput, match=r"motion\.npz"):
        _ = clip.motion


def test_motion_that_is_incomplete_or_of_another_length_is_explained(tmp_path):
    clip = make(tmp_path / "clip")
    held = dict(np.load(clip.folder / "motion.npz"))
    np.savez(clip.folder / "motion.npz", **{k: v for k, v in held.items() if k != "eyes"})
    with pytest.raises(BadInput, match="eyes"):
        _ = clip.motion
    np.savez(clip.folder / "motion.npz", **{k: v[:-1] for k, v in held.items()})
    with pytest.raises(BadInput, match="as long as"):
        _ = Clip.open(clip.folder).train


def test_missing_or_damaged_parts_of_the_folder_are_named(tmp_path):
    clip = make(tmp_path / "clip")
    (clip.folder / "frames/000007.jpg").write_bytes(b"")
    (clip.folder / "parts/000007.png").unlink()
    (clip.folder / "background.png").unlink()
    (clip.folder / "features/mel.npy").write_bytes(b"\x93NUMPY")
    for call, name in (
        (lambda: clip.image(7), "000007.jpg"),
        (lambda: clip.parts(7), "000007.png"),
        (lambda: clip.background, "background.png"),
        (lambda: clip.features("mel"), "mel.npy"),
        (lambda: clip.features("phones"), "it has mel"),
    ):
        with pytest.raises(BadInput, match=name):
            call()
