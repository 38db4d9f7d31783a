"""Loading and saving, windows of hearing, and the gate that closes the mouth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import audio
from likeness.audio import Hearing
from likeness.errors import BadInput
from tests.media import make_sound, make_video, tone


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
def test_load_resamples_and_keeps_the_length(tmp_path: Path, rate: int) -> None:
    path = make_sound(tmp_path / "a b.wav", np.stack([tone(12.345, rate)] * 2, 1), rate, "pcm_s24le", "stereo")
    waveform = audio.load(path)
    assert waveform.dtype == np.float32 and len(waveform) == round(round(12.345 * rate) * 16000 / rate)
    wanted = tone(12.345, 16000)[: len(waveform)]
    inside = slice(800, len(wanted) - 800)
    assert np.abs(waveform[inside] - wanted[inside]).max() < 2e-3
    assert np.array_equal(waveform, audio.load(path))


def test_streaming_gives_the_same(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.flac", tone(7, 44100)[:, None], 44100, "flac", "mono")
    blocks = list(audio.stream(path, block_s=1.0))
    assert len(blocks) > 4 and np.allclose(np.concatenate(blocks), audio.load(path), atol=1e-6)


def test_silence_has_no_sound_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no sound"):
        audio.load(make_video(tmp_path / "a.mp4", [0, 0.04]))
    with pytest.raises(BadInput, match="no such file"):
        audio.load(tmp_path / "b.wav")


def test_save_is_whole_and_clips(tmp_path: Path) -> None:
    path = tmp_path / "it's.wav"
    waveform = tone(1.5, 16000) * 3
    audio.save_wav(path, waveform)
    back = audio.load(path)
    assert np.abs(back - np.clip(waveform, -1, 1)).max() < 1e-4
    assert [p.name for p in tmp_path.iterdir()] == ["it's.wav"]
    with pytest.raises(BadInput):
        audio.save_wav(tmp_path / "no" / "a.wav", waveform)


# hearing

hearings = st.builds(Hearing, past=st.integers(0, 6), future=st.integers(0, 4))


@given(hearings, st.integers(1, 60), st.data())
def test_windows_do_not_depend_on_chunks(hearing: Hearing, frames: int, draw: st.DataObject) -> None:
    features = torch.arange(frames * 4.0)[:, None].expand(-1, 3)
    start = draw.draw(st.integers(0, frames - 1))
    stop = draw.draw(st.integers(start + 1, frames))
    whole = hearing.windows(hearing.window(features, 0, frames))
    part = hearing.windows(hearing.window(features, start, stop))
    assert whole.shape == (frames, hearing.rows, 3)
    assert torch.equal(part, whole[start:stop])


@given(hearings, st.integers(20, 60), st.data())
def test_sound_outside_a_window_has_no_effect(hearing: Hearing, frames: int, draw: st.DataObject) -> None:
    features = torch.randn(frames * 4, 2, generator=torch.Generator().manual_seed(0))
    t = draw.draw(st.integers(0, frames - 1))
    heard = hearing.window(features, t, t + 1)
    changed = features + 1
    first, last = max(0, (t - hearing.past) * 4), (t + 1 + hearing.future) * 4
    changed[first:last] = features[first:last]
    assert torch.equal(hearing.window(changed, t, t + 1), heard)
    assert hearing.latency_s == pytest.approx((hearing.future + 1) * 0.04)


def test_the_frame_itself_is_in_its_place() -> None:
    hearing = Hearing(past=1, future=2)
    window = hearing.windows(hearing.window(torch.arange(40.0)[:, None], 0, 10))[3]
    assert window[:, 0].tolist() == list(range(8, 24))


# silence


def speech_and_silence(level: float, noise: float) -> np.ndarray:
    """2 s of noise, 3 s of syllables, 2 s of noise, 3 s of syllables, 2 s of noise."""
    generator = np.random.default_rng(0)
    syllables = tone(3, 16000, level=level) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(48000) / 16000))
    quiet = np.zeros(32000)
    parts = np.concatenate([quiet, syllables, quiet, syllables, quiet])
    return (parts + noise * generator.normal(size=len(parts))).astype(np.float32)


@pytest.mark.parametrize("level", [0.9, 0.05])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_activity_follows_speech(level: float, noise: float) -> None:
    waveform = speech_and_silence(level, noise * level)
    active = audio.activity(waveform)
    truth = np.repeat([0, 1, 0, 1, 0], [50, 75, 50, 75, 50]).astype(bool)
    assert len(active) == 300
    wrong = active != truth
    held = np.zeros(300, bool)
    held[[125, 126, 127, 128, 250, 251, 252, 253]] = True  # 150 ms below before it counts as over
    assert not (wrong & ~held).any()


def test_short_pauses_stay_open_and_the_gate_is_smooth() -> None:
    waveform = speech_and_silence(0.5, 0.001)
    waveform[48000:49600] *= 0  # 100 ms
    assert audio.activity(waveform)[50:125].all()
    decibels = audio.loudness(waveform)
    opening, _ = audio.gate_step(decibels, audio.levels(decibels))
    assert opening[45] < 0.01 and opening[60] > 0.99 and opening[170] < 0.01
    assert opening[50] == pytest.approx(0.5) and np.diff(opening).max() <= 0.5 + 1e-6
    assert -np.diff(opening).min() <= 0.3 + 1e-6


def test_thresholds_are_those_measured() -> None:
    decibels = np.linspace(-80, -20, 101).astype(np.float32)
    quiet, loud = -77.0, -23.0
    levels = audio.levels(decibels)
    assert levels.on == pytest.approx(max(loud - 30, quiet + 8), abs=0.01)
    assert levels.off == pytest.approx(max(loud - 36, quiet + 5), abs=0.01)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(0, 5))
def test_any_chunking_of_the_gate_gives_the_same(chunks: list[int], seed: int) -> None:
    decibels = np.random.default_rng(seed).uniform(-70, -10, sum(chunks) * 4).astype(np.float32)
    thresholds = audio.levels(decibels)
    whole, _ = audio.gate_step(decibels, thresholds)
    state, parts, at = audio.Gate(), [], 0
    for frames in chunks:
        part, state = audio.gate_step(decibels[at : at + 4 * frames], thresholds, state)
        parts.append(part)
        at += 4 * frames
    assert np.array_equal(np.concatenate(parts), whole)


def test_silence_and_next_to_nothing() -> None:
    assert not audio.activity(np.zeros(16000, np.float32)).any()
    for samples in (0, 1):
        decibels = audio.loudness(np.zeros(samples, np.float32))
        assert len(audio.gate_step(decibels, audio.levels(decibels))[0]) == samples
    assert audio.frames_in(640) == 1 and audio.frames_in(641) == 2
