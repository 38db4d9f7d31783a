"""The offset between sound and lips, on constructed mouths and on real clips whose offset is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import audio, speech, video
from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.phones import PHONES
from likeness.prepare.sound import LEAD, OPENING, lip_offset, lip_opening, moved, place_sound

CLIPS = Path(__file__).parents[3] / "shared" / "clips"


def spoken(frames: int, seed: int) -> np.ndarray:
    """Log posteriors [4 frames, 42] of random phones of 50 to 150 ms."""
    generator = np.random.default_rng(seed)
    names = generator.integers(0, 42, 4 * frames)
    row = np.repeat(names, generator.integers(5, 16, 4 * frames))[: 4 * frames]
    return np.log(np.eye(42)[row] * 0.9 + 0.1 / 42 + speech.PROBABILITY_FLOOR).astype(np.float32)


def mouth(phones: np.ndarray, late: float) -> np.ndarray:
    """The opening [T] of lips that are `late` frames behind the sound, as the tracker would see it."""
    weights = np.array([OPENING[p] for p in PHONES])
    rows = np.convolve(np.exp(phones) @ weights, np.hanning(13) / np.hanning(13).sum(), "same")
    frames = len(rows) // 4
    return np.interp(4 * (np.arange(frames) - late + LEAD) + 1.5, np.arange(len(rows)), rows)


def test_every_phone_has_an_opening() -> None:
    assert set(OPENING) == set(PHONES)
    assert max(OPENING[p] for p in ("P", "B", "M")) < min(OPENING[p] for p in ("AA", "AE", "AY"))


@settings(max_examples=10, deadline=None)
@given(st.floats(-9, 9), st.integers(0, 50))
def test_a_constructed_offset_is_found(late: float, seed: int) -> None:
    phones = spoken(400, seed)
    generator = np.random.default_rng(seed)
    opening = mouth(phones, late) + generator.normal(0, 0.1, 400)
    seen = generator.random(400) > 0.1
    opening[~seen] = 99
    offset = lip_offset(phones, opening, seen)
    assert offset.clear and abs(offset.frames - late) < 0.5
    assert offset.curve.shape == (121,) and offset.peak == offset.curve.max()


def test_the_wrong_sound_is_not_clear() -> None:
    clear = [lip_offset(spoken(300, k), mouth(spoken(300, k + 100), 0), np.ones(300, bool)).clear for k in range(20)]
    assert sum(clear) <= 3


def test_nothing_to_go_by() -> None:
    phones = spoken(300, 0)
    seen = np.ones(300, bool)
    assert not lip_offset(phones, np.full(300, 0.3), seen).clear
    assert not lip_offset(phones, mouth(phones, 0), np.zeros(300, bool)).clear
    assert not lip_offset(phones[:40], mouth(phones, 0), seen).clear
    silence = np.log(np.tile((np.array(PHONES) == "SIL") + 1e-3, (1200, 1))).astype(np.float32)
    assert not lip_offset(silence, mouth(phones, 0), seen).clear


def test_moving_by_the_offset_puts_it_right() -> None:
    phones = spoken(400, 3)
    opening = mouth(phones, -5.5)
    offset = lip_offset(phones, opening, np.ones(400, bool))
    assert offset.frames == pytest.approx(-5.5, abs=0.3)
    corrected = moved(phones, round(offset.frames * 4), len(phones), phones[0])
    assert abs(lip_offset(corrected, opening, np.ones(400, bool)).frames) < 0.3


@settings(max_examples=50, deadline=None)
@given(st.integers(-12, 12), st.integers(1, 10), st.integers(1, 10))
def test_moved_keeps_the_values_in_their_order(by: int, rows: int, length: int) -> None:
    values = np.arange(1, rows + 1)
    out = moved(values, by, length)
    for place in range(length):
        assert out[place] == (values[place - by] if 0 <= place - by < rows else 0)


@pytest.mark.skipif(not CLIPS.is_dir(), reason="real clips are not in ../shared/clips")
@pytest.mark.parametrize(("name", "known"), [("address", -5.5), ("teacher_720p", -2.2), ("many/retalk_1", 2.0)])
def test_the_offsets_of_real_clips(name: str, known: float) -> None:
    """Against those that a trained regressor found, within three quarters of a frame."""
    mediapipe = pytest.importorskip("mediapipe")
    path = CLIPS / f"{name}.mp4"
    landmarks, seen = [], []
    with mediapipe.solutions.face_mesh.FaceMesh(max_num_faces=1) as mesh:
        for picture in video.read(path):
            if picture.index >= 260:
                break
            found = mesh.process(picture.image).multi_face_landmarks
            size = np.array(picture.image.shape[1::-1])
            points = [(p.x, p.y) for p in found[0].landmark] if found else np.zeros((468, 2))
            landmarks.append(np.array(points) * size)
            seen.append(bool(found))
    phones = speech.extract("phones", audio.load(path)[: 262 * 640])
    offset = lip_offset(phones, lip_opening(np.array(landmarks)), np.array(seen))
    assert offset.clear and offset.frames == pytest.approx(known, abs=0.75)


def make_clip(folder: Path, opening: np.ndarray, phones: np.ndarray, waveform: np.ndarray) -> Clip:
    """A clip as far as the step `offset` needs one."""
    frames = len(opening)
    landmarks = np.zeros((frames, 478, 3), np.float32)
    landmarks[:, 33, 0], landmarks[:, 263, 0] = -0.05, 0.05
    landmarks[:, 14, 1] = 0.02 * opening
    motion = {"pose": np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), "landmarks": landmarks}
    motion |= {"expression": np.zeros((frames, 2), np.float32), "eyes": np.ones(frames, np.float32)}
    (folder / "steps").mkdir(parents=True)
    np.savez(folder / "motion.npz", seen=np.ones(frames, bool), **motion)
    np.save(folder / "steps" / "phones.npy", phones)
    audio.save_wav(folder / "steps" / "sound.wav", waveform)
    camera = {"focal": 700.0, "centre": [256.0, 256.0], "size": [512, 512]}
    return Clip(folder, {"frames": frames, "fps": 25.0, "camera": camera, "scenes": [[0, frames]], "breaks": []})


@pytest.mark.parametrize(("late", "moved_by"), [(-5.5, -5.5), (3.0, 3.0), (0.2, 0.0)])
def test_the_step_moves_sound_and_features_alike(tmp_path: Path, late: float, moved_by: float) -> None:
    phones = spoken(400, 5)
    waveform = np.random.default_rng(0).normal(0, 0.1, 402 * 640).astype(np.float32)  # 2 frames longer than the pictures
    clip = make_clip(tmp_path / "c", mouth(phones, late), phones, waveform)
    found = place_sound(clip)
    assert found["clear"] and found["frames"] == pytest.approx(moved_by, abs=0.26)
    by = round(found["frames"] * 4)
    placed = audio.load(clip.audio)
    assert len(placed) == 400 * 640
    assert np.abs(placed - moved(waveform, by * 160, 400 * 640)).max() < 1e-4
    assert np.array_equal(clip.features("phones")[100:200], phones[100 - by : 200 - by])
    assert np.allclose(clip.features("mel"), speech.extract("mel", placed), atol=1e-4)
    assert clip.features("phones").shape == (1600, 42) and clip.features("mel").shape == (1600, 80)


def test_an_unclear_offset_moves_nothing(tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 300 * 640).astype(np.float32)
    clip = make_clip(tmp_path / "c", mouth(spoken(300, 100), 0), spoken(300, 0), waveform)
    found = place_sound(clip)
    assert found["frames"] == 0 and not found["clear"] and found["margin"] < 0.2
    (clip.folder / "steps" / "phones.npy").write_bytes(b"cut short")
    with pytest.raises(BadInput, match="prepare again"):
        place_sound(clip)
