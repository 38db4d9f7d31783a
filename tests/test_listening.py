"""Listening: pieces of a long sound give what the whole gives, and the ends are what the docstring says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import audio, listening, speech
from likeness.audio import RATE, Hearing
from likeness.errors import BadInput
from likeness.listening import Listening
from tests.media import tone

MEL = Hearing(("mel",))
SECONDS = 4.37  # 110 frames, the last one filled in part


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "bursts.wav"
    waveform = 0.01 * np.random.default_rng(0).standard_normal(round(SECONDS * RATE)).astype(np.float32)
    for start in (0.4, 2.1, 3.0):
        first = round(start * RATE)
        waveform[first : first + RATE // 2] += tone(0.5, RATE, 300 * start + 100)
    audio.save_wav(path, waveform)
    return path


@pytest.mark.parametrize(("piece", "context"), [(30, 25), (7, 3), (110, 25), (109, 1), (37, 12)])
def test_pieces_equal_the_whole(sound, monkeypatch, piece, context):
    whole = Listening(MEL, sound)
    monkeypatch.setattr(listening, "PIECE_FRAMES", piece)
    monkeypatch.setattr(listening, "CONTEXT_FRAMES", context)
    parts = Listening(MEL, sound)
    assert parts.frames == whole.frames == 110
    assert torch.allclose(parts.stretch(0, 110), whole.stretch(0, 110), atol=1e-4)
    assert torch.allclose(parts.mean, whole.mean, atol=1e-4) and torch.allclose(parts.std, whole.std, atol=1e-4)
    assert torch.equal(parts.activity, whole.activity) and torch.allclose(parts.spoken_mean, whole.spoken_mean, atol=1e-4)


def test_it_hears_what_extracting_the_whole_sound_gives(sound):
    heard = Listening(MEL, sound)
    features = torch.from_numpy(speech.extract("mel", audio.load(sound)))
    assert torch.equal(heard.stretch(0, heard.frames), MEL.window(features, 0, heard.frames))
    assert torch.allclose(heard.mean, features.mean(0), atol=1e-5)
    assert heard.activity.shape == (heard.frames,) and 0 < heard.activity.mean() < 1


@given(st.data(), st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=25, deadline=None)
def test_a_stretch_is_constant_in_shape_and_repeats_the_ends(heard_anyhow, data, past, future):
    heard = heard_anyhow
    heard.hearing = Hearing(("mel",), past, future)
    start = data.draw(st.integers(0, heard.frames - 1))
    stop = data.draw(st.integers(start + 1, heard.frames))
    stretch = heard.stretch(start, stop)
    assert stretch.shape == (4 * (past + stop - start + future), 80)
    rows = torch.arange(4 * (start - past), 4 * (stop + future)).clamp(0, 4 * heard.frames - 1)
    heard.hearing = Hearing(("mel",), 0, 0)
    assert torch.equal(stretch, heard.stretch(0, heard.frames)[rows])


@pytest.fixture(scope="module")
def heard_anyhow(sound):
    return Listening(MEL, sound)


def test_the_mean_while_somebody_speaks_knows_no_pauses(sound, tmp_path):
    waveform = audio.load(sound)
    paused = tmp_path / "paused.wav"
    audio.save_wav(paused, np.concatenate([waveform[: 2 * RATE], np.zeros(20 * RATE, np.float32), waveform[2 * RATE :]]))
    short, long = Listening(MEL, sound), Listening(MEL, paused)
    moved, whole = ((getattr(short, name) - getattr(long, name)).abs().mean() for name in ("spoken_mean", "mean"))
    assert moved < 0.15 * whole


def test_what_is_usual_is_windows_in_which_somebody_speaks(sound, tmp_path):
    heard = Listening(MEL, sound)
    times = 0.04 * np.flatnonzero(heard.activity.numpy() > 0)
    assert heard.usual is heard.usual and heard.usual.shape[1:] == (MEL.rows, 80)
    assert 0.3 * heard.frames < len(heard.usual) < len(times) + 3 < heard.frames
    audio.save_wav(tmp_path / "nothing.wav", np.zeros(RATE, np.float32))
    assert len(Listening(MEL, tmp_path / "nothing.wav").usual) == 0


def test_silence_is_heard_as_silence(tmp_path):
    path = tmp_path / "silence.wav"
    audio.save_wav(path, np.zeros(RATE, np.float32))
    heard = Listening(Hearing(), path)
    assert heard.frames == 25 and heard.stretch(0, 25).shape == (4 * 31, 122)
    assert (heard.activity == 0).all() and heard.stretch(0, 25).isfinite().all() and (heard.std > 0).all()


def test_a_sound_shorter_than_a_frame_has_one(tmp_path):
    path = tmp_path / "click.wav"
    audio.save_wav(path, tone(0.01, RATE))
    assert Listening(MEL, path).frames == 1


def test_no_sound_is_bad_input(tmp_path):
    path = tmp_path / "nothing.wav"
    audio.save_wav(path, np.zeros(0, np.float32))
    with pytest.raises(BadInput):
        Listening(MEL, path)


def test_what_waits_on_disk_goes_with_it(sound):
    heard = Listening(MEL, sound)
    folder = heard._folder.name
    assert (np.array(heard._features) != 0).any()
    del heard
    import gc
    from pathlib import Path

    gc.collect()
    assert not Path(folder).exists()


def test_windows_at_any_row_are_those_of_whole_frames_where_they_meet(sound):
    heard = Listening(MEL, sound)
    assert heard.seconds == pytest.approx(SECONDS, abs=1e-3)
    stretch = heard.stretch(0, heard.frames)
    assert torch.equal(heard.windows(4 * np.arange(heard.frames)), MEL.windows(stretch))
    between, beyond = heard.windows(np.array([41, 10_000]))
    assert torch.equal(between, stretch[41 : 41 + MEL.rows])
    assert torch.equal(beyond, stretch[-1:].expand_as(beyond))
