"""Speech features: their length, their place in time, and what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import audio, phones, speech
from likeness.errors import BadInput, MissingAsset
from likeness.phones import PHONES
from tests.media import tone

SPEECH = Path(__file__).parents[2] / "shared" / "speech"
needs_speech = pytest.mark.skipif(not SPEECH.is_dir(), reason="real speech is not in ../shared/speech")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20000))
def test_mel_has_four_rows_a_frame(samples: int) -> None:
    features = speech.extract("mel", tone(2, 16000)[:samples])
    assert features.shape == (4 * audio.frames_in(samples), 80) and features.dtype == np.float32
    assert np.isfinite(features).all()


@pytest.mark.parametrize("samples", [1, 639, 641, 16001])
def test_phones_have_four_rows_a_frame(samples: int) -> None:
    features = speech.extract("phones", tone(2, 16000)[:samples])
    assert features.shape == (4 * audio.frames_in(samples), 42)
    assert np.allclose(speech.probabilities(torch.from_numpy(features)).sum(1), 1, atol=1e-3)


def test_mel_knows_pitch_level_and_time() -> None:
    low, high = (speech.extract("mel", tone(1, 16000, hertz)).mean(0).argmax() for hertz in (300, 3000))
    assert low < high - 20
    louder = speech.extract("mel", tone(1, 16000, level=0.5)) - speech.extract("mel", tone(1, 16000, level=0.05))
    assert louder[20:80].max(1) == pytest.approx(np.log(100), abs=0.3)
    click = np.zeros(16000, np.float32)
    click[8000:8010] = 0.5  # where frame 12.5 begins
    rows = speech.extract("mel", click).mean(1)
    assert np.flatnonzero(rows > rows.min() + 1).tolist() == [49, 50]
    assert speech.extract("mel", np.zeros(640, np.float32)).max() == pytest.approx(np.log(speech.FLOOR), abs=1e-3)


def test_no_mel_band_is_empty() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
    assert speech.extract("mel", noise).std(0).min() > 0.1


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40))
def test_mel_of_a_cut_with_its_margin_is_the_same(first: int, rows: int) -> None:
    waveform = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    piece = waveform[first * 160 - speech.MARGIN : (first + rows) * 160 + speech.MARGIN]
    assert np.allclose(speech._mel(piece), speech.mel(waveform)[first : first + rows], atol=1e-4)


def test_unknown_missing_and_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    with pytest.raises(BadInput, match="mel, phones"):
        speech.extract("deepspeech", tone(1, 16000))
    with pytest.raises(BadInput, match="empty"):
        speech.extract("mel", np.zeros(0, np.float32))
    with pytest.raises(MissingAsset, match="safetensors of") as raised:
        speech.extract("hubert", tone(1, 16000))
    assert str(tmp_path / "hubert") in str(raised.value) and "Without it" in str(raised.value)
    assert raised.value.exit_code == 4


def test_recipes_have_ids_of_their_own() -> None:
    assert len({speech.recipe_id(name) for name in speech.RECIPES}) == len(speech.RECIPES)
    assert speech.recipe_id("phones") == speech.recipe_id("phones") != speech.recipe_id("mel")


def test_the_list_of_phones_is_the_models() -> None:
    from pocketsphinx import get_model_path

    model = (Path(get_model_path("en-us/en-us")) / "mdef").read_bytes()
    assert b"\0".join(phone.encode() for phone in PHONES) + b"\0" in model
    assert len(PHONES) == 42


def test_silence_is_silence() -> None:
    waveform = np.concatenate([np.zeros(16000), tone(1, 16000), np.zeros(16000)]).astype(np.float32)
    probabilities = phones.posteriors(waveform)
    assert probabilities[:80, PHONES.index("SIL")].mean() > 0.8


@needs_speech
def test_phones_of_speech_do_not_depend_on_level_and_are_repeatable() -> None:
    waveform = audio.load(SPEECH / "english_m_30s.wav")[: 6 * 16000]
    once = phones.posteriors(waveform)
    assert once.sum(1) == pytest.approx(1, abs=1e-4)
    assert np.array_equal(once, phones.posteriors(waveform))
    quieter = phones.posteriors(waveform * 0.3)
    assert (once.argmax(1) == quieter.argmax(1)).mean() > 0.85
    vowels = [PHONES.index(p) for p in PHONES if p[0] in "AEIOU"]
    loud = audio.loudness(waveform)
    share = once[:, vowels].sum(1)
    assert np.corrcoef(share, loud[: len(share)])[0, 1] > 0.3


@needs_speech
def test_long_sound_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = audio.load(SPEECH / "english_m_30s.wav")[: 12 * 16000]
    whole = phones.posteriors(waveform)
    monkeypatch.setattr(phones, "CHUNK_S", 6)
    parts = phones.posteriors(waveform)
    assert parts.shape == whole.shape
    assert (parts.argmax(1) == whole.argmax(1)).mean() > 0.8


@needs_speech
def test_live_features_are_those_of_the_file() -> None:
    waveform = audio.load(SPEECH / "english_m_30s.wav")[: 5 * 16000]
    whole = np.concatenate([speech.extract(name, waveform) for name in speech.OFFLINE], 1)
    live, sizes = speech.Live(), np.random.default_rng(0).integers(100, 2000, 90)
    found, at = [], 0
    for size in sizes:
        rows = live.hear(waveform[at : at + size])
        at += size
        found.append(rows)
        assert min(at, len(waveform)) / 160 - sum(map(len, found)) < 8  # rows of latency
    live.close()
    rows = np.concatenate(found)
    assert np.allclose(rows[:, :80], whole[: len(rows), :80], atol=1e-4)
    assert (rows[:, 80:].argmax(1) == whole[: len(rows), 80:].argmax(1)).mean() > 0.6
    with pytest.raises(BadInput, match="live"):
        speech.Live(("hubert",))
    with pytest.raises(BadInput, match="pitch cannot be heard live"):
        speech.Live(("mel", "pitch"))


def test_pitch_is_a_feature() -> None:
    waveform = np.sin(2 * np.pi * 120 * np.arange(8100) / 16000).astype(np.float32)
    rows = speech.extract("pitch", waveform)
    assert rows.shape == (4 * 13, 1) and np.allclose(rows[5:45], 120, rtol=0.01)
    assert not speech.extract("pitch", np.zeros(1600, np.float32)).any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_running_statistics_do_not_depend_on_chunks(chunks: list[int]) -> None:
    features = torch.randn(sum(chunks), 5, generator=torch.Generator().manual_seed(0)) * 3 + 1
    running = speech.Statistics(torch.zeros(5), torch.ones(5))
    for part in features.split(chunks):
        running = running.heard(part)
    whole = speech.Statistics.of(features)
    assert running.rows == whole.rows
    assert torch.allclose(running.mean, whole.mean, atol=1e-4)
    if sum(chunks) > 3:
        assert torch.allclose(running.std, whole.std, atol=2e-2)
