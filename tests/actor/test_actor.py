"""The synthetic actor: what it calls true is what it draws and says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from likeness.actor import Actor, Performance, Trouble
from likeness.actor.motion import LEAD_S
from likeness.actor.phones import PHONES
from likeness.actor.traits import Traits
from likeness.camera import to_camera
from likeness.clip import PARTS


@pytest.fixture(scope="module")
def actor() -> Actor:
    return Actor(0)


@pytest.fixture(scope="module")
def take(actor: Actor) -> Performance:
    """Ten seconds at 256², lively."""
    return actor.perform(10, seed=3, size=256, movement=1.5)


def loudness(take: Performance) -> np.ndarray:
    """Root mean square of the sound per frame."""
    samples = int(take.rate / take.fps)
    return np.sqrt((take.waveform[: samples * len(take)].reshape(len(take), samples) ** 2).mean(-1))


def test_same_seeds_same_take(actor: Actor, take: Performance) -> None:
    again = Actor(0).perform(10, seed=3, size=256, movement=1.5)
    assert np.array_equal(again.waveform, take.waveform)
    for t in (0, 77):
        assert np.array_equal(again.image(t), take.image(t))
        assert np.array_equal(again.parts(t), take.parts(t))


def test_another_seed_says_something_else(actor: Actor, take: Performance) -> None:
    other = actor.perform(10, seed=4, size=256)
    assert [p.name for p in other.phones] != [p.name for p in take.phones]
    assert abs(np.corrcoef(other.waveform, take.waveform)[0, 1]) < 0.1
    assert abs(np.corrcoef(other.lips_m, take.lips_m)[0, 1]) < 0.6


@pytest.mark.parametrize(("fps", "size"), [(25.0, 64), (29.97, (98, 64)), (60.0, 64)])
def test_lengths_are_exact(actor: Actor, fps: float, size: int | tuple[int, int]) -> None:
    take = actor.perform(3, seed=1, size=size, fps=fps)
    assert len(take) == round(3 * fps) == len(take.motion) == len(take.lips_m) == len(take.silence)
    assert len(take.waveform) == round(len(take) / fps * take.rate)
    assert take.waveform.dtype == np.float32 and np.abs(take.waveform).max() < 1
    width, height = take.camera.size
    assert take.image(0).shape == (height, width, 3) and take.parts(0).shape == (height, width)
    assert take.phones[0].start == 0 and take.phones[-1].stop == pytest.approx(len(take) / fps)
    assert all(a.stop == pytest.approx(b.start) for a, b in zip(take.phones, take.phones[1:], strict=False))


def test_motion_is_the_drawn_mesh(actor: Actor, take: Performance) -> None:
    """Landmarks taken through the true pose are the very vertices that were painted."""
    for t in (5, 120):
        view, _ = actor.figure.vertices(take.pose_of(t))
        through = to_camera(take.motion.landmarks[t], take.motion.pose[t])
        assert torch.allclose(through, torch.from_numpy(view[actor.landmark_vertices]), atol=2e-6)
    turn = take.motion.pose[:, :3, :3]
    assert torch.allclose(turn @ turn.transpose(1, 2), torch.eye(3).expand_as(turn), atol=1e-5)


def test_landmarks_lie_on_the_face(actor: Actor, take: Performance) -> None:
    for t in (0, 60, 200):
        x, y = take.pixels[t, actor.landmark_groups["rigid"]].numpy().astype(int).T
        assert (take.parts(t)[y, x] == PARTS["face"]).mean() > 0.9


def test_origin_is_the_mean_of_the_rigid_landmarks(actor: Actor, take: Performance) -> None:
    still = take.motion.landmarks[:, actor.landmark_groups["rigid"]]
    assert len(actor.landmark_groups["rigid"]) > 25
    assert still.mean((0, 1)).abs().max() < 1e-3
    assert (still - still[0]).norm(dim=-1).max() < 2e-3


def test_mouth_label_is_as_high_as_the_lips_are_open(actor: Actor) -> None:
    """Rows labelled mouth in the column of the lips' middle against lips_px, from straight ahead."""
    take = actor.perform(6, seed=8, size=384, movement=0.1)
    inner = actor.landmark_groups["lips_inner"]
    column = take.pixels[:, inner].mean(1)[:, 0].numpy()
    open_wide = np.flatnonzero(take.lips_m > 0.004)[::6]
    assert len(open_wide) > 3
    for t in open_wide:
        rows = (take.parts(t)[:, int(column[t])] == PARTS["mouth"]).sum()
        assert rows == pytest.approx(take.lips_px[t], abs=1.6)
    for t in np.flatnonzero(take.lips_m == 0)[::10]:
        assert (take.parts(t) == PARTS["mouth"]).sum() <= 2


def test_all_parts_are_there_and_in_their_places(take: Performance) -> None:
    parts = take.parts(40)
    share = np.bincount(parts.ravel(), minlength=6) / parts.size
    low, high = (0.25, 0.10, 0.01, 0.10, 0.03), (0.70, 0.35, 0.10, 0.30, 0.20)
    assert all(a < s < b for a, s, b in zip(low, share, high, strict=False)), share
    middle = {k: np.argwhere(parts == v)[:, 0].mean() for k, v in PARTS.items() if k not in ("background", "mouth")}
    assert middle["hair"] < middle["face"] < middle["neck"] < middle["torso"]


def test_blinks_shut_the_eyes(actor: Actor, take: Performance) -> None:
    shut, wide = np.flatnonzero(take.eyes < 0.08), np.flatnonzero(take.eyes > 0.85)
    assert len(shut) >= 2 and len(wide) > len(take) / 3

    def whitest(t: int) -> float:
        x, y = take.pixels[t, actor.landmark_groups["eye_left"]].numpy().T
        box = take.image(t)[int(y.mean()) - 2 : int(y.mean()) + 3, int(x.min()) + 2 : int(x.max()) - 1]
        return float(np.percentile(box.min(-1), 90))  # the white is bright in every channel, skin is not in blue

    assert np.mean([whitest(t) for t in shut]) < 0.75 * np.mean([whitest(t) for t in wide[::10]])


def test_silence_in_sound_and_mask_agree(take: Performance) -> None:
    level = loudness(take)
    assert 0.08 < take.silence.mean() < 0.5
    assert level[take.silence].max() < 1e-3 < np.percentile(level[~take.silence], 20)
    long = [p for p in take.phones if p.name == "SIL" and p.stop - p.start > 0.4]
    for p in long:
        inside = slice(int(np.ceil((p.start + 0.15) * take.fps)), int((p.stop - 0.2) * take.fps))
        assert np.all(take.lips_m[inside] < 2e-4)


def test_lips_meet_for_p_b_m_and_part_for_open_vowels(actor: Actor) -> None:
    """At 100 frames/s no closure falls between frames."""
    take = actor.perform(20, seed=5, size=32, fps=100)
    middles = {p: int((0.5 * (p.start + p.stop) - LEAD_S) * take.fps) for p in take.phones}
    shut = [take.lips_m[t] for p, t in middles.items() if PHONES[p.name].shut]
    wide = [take.lips_m[t] for p, t in middles.items() if p.name in ("AA", "AE", "AY", "AW")]
    assert len(shut) > 5 and max(shut) < 1e-5
    assert len(wide) > 5 and np.mean(wide) > 0.006


def test_lip_motion_can_be_learnt_from_sound(actor: Actor) -> None:
    """A linear map from 16 log bands around a frame predicts the opening of held-out frames."""
    take = actor.perform(40, seed=6, size=32)
    window = np.hanning(640)
    padded = np.pad(take.waveform, (12 * 320, 28 * 320))
    starts = np.arange(0, len(take.waveform) + 26 * 320, 320)
    spectrum = np.abs(np.fft.rfft(np.stack([padded[s : s + 640] * window for s in starts]), axis=-1)) ** 2
    bands = np.log(np.add.reduceat(spectrum[:, 2:], np.geomspace(1, 300, 16).astype(int), axis=1) + 1e-4)
    rows = np.stack([bands[12 + 2 * t + np.arange(-10, 16, 2)].ravel() for t in range(len(take))])
    rows = (rows - rows.mean(0)) / rows.std(0)
    split = int(0.75 * len(take))
    target = take.lips_m - take.lips_m[:split].mean()
    weights = np.linalg.solve(rows[:split].T @ rows[:split] + 500 * np.eye(rows.shape[1]), rows[:split].T @ target[:split])
    assert np.corrcoef(rows[split:] @ weights, target[split:])[0, 1] > 0.7


def test_mediapipe_tracks_the_actor(take: Performance) -> None:
    mesh = pytest.importorskip("mediapipe").solutions.face_mesh.FaceMesh(refine_landmarks=True, static_image_mode=False)
    lips, lids, truth, eyes = [], [], [], []
    frames = range(30, 150)
    for t in frames:
        found = mesh.process(take.image(t)).multi_face_landmarks
        if found:
            p = np.array([[q.x, q.y] for q in found[0].landmark]) * 256
            lips.append(np.linalg.norm(p[13] - p[14]))
            lids.append(np.linalg.norm(p[159] - p[145]) + np.linalg.norm(p[386] - p[374]))
            truth.append(take.lips_px[t])
            eyes.append(take.eyes[t])
    mesh.close()
    assert len(lips) >= 0.98 * len(frames)
    assert np.corrcoef(lips, truth)[0, 1] > 0.9
    assert np.corrcoef(lids, eyes)[0, 1] > 0.8
    assert np.mean(np.array(lids)[np.array(eyes) < 0.1]) < 0.5 * np.median(lids)


def test_troubles_do_what_they_say(actor: Actor) -> None:
    plain = actor.perform(1.2, seed=2, size=96)
    trouble = Trouble(sound_delay_frames=3, cuts=(10,), leave=(15, 20), cover=(22, 26))
    take = actor.perform(1.2, seed=2, size=96, trouble=trouble)
    assert np.array_equal(take.waveform[3 * 640 :], plain.waveform[: -3 * 640])
    assert np.array_equal(take.image(9), plain.image(9))
    corner = np.s_[:20, :20]
    assert np.abs(take.image(9)[corner].astype(int) - take.image(10)[corner]).mean() > 3
    assert set(np.unique(take.parts(17))) == {0}
    assert (take.parts(23) == PARTS["background"]).sum() > (take.parts(21) == PARTS["background"]).sum()
    assert take.seen.sum() == len(take) - 9


def test_written_video_and_truth_have_every_frame(actor: Actor, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    take = actor.perform(1, seed=2, size=128)
    take.write(tmp_path / "take.mp4")
    with av.open(str(tmp_path / "take.mp4")) as file:
        frames = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
        assert file.streams.audio
    assert len(frames) == 25
    assert np.abs(frames[12].astype(float) - take.image(12)).mean() < 6
    take.save_truth(tmp_path / "truth.npz")
    with np.load(tmp_path / "truth.npz", allow_pickle=False) as truth:
        assert np.array_equal(truth["pose"], take.motion.pose.numpy())
        assert len(truth["phone_names"]) == len(truth["phone_spans"]) == len(take.phones)


def test_seeds_draw_different_people() -> None:
    people = [Traits.draw(seed) for seed in range(12)]
    assert len(set(people)) == 12
    assert len({(p.skin, p.hair, p.cloth, p.long_hair) for p in people}) > 8
    assert all(0.75 < p.jaw < 1.2 and 80 < p.pitch_hz < 260 for p in people)
