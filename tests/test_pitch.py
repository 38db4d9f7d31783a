"""Pitch: right on sounds whose pitch is known, and the drawn actor's voice; silence and noise have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import pitch


def voice(hertz: np.ndarray, seed: int = 0) -> np.ndarray:
    """Harmonics of a gliding pitch with a little noise."""
    phase = np.cumsum(hertz) / pitch.RATE
    wave = sum(np.cos(2 * np.pi * k * phase) / k for k in range(1, 9))
    return (0.1 * wave + 0.003 * np.random.default_rng(seed).standard_normal(len(hertz))).astype(np.float32)


@settings(max_examples=12, deadline=None)
@given(base=st.floats(90, 500), glide=st.floats(0, 0.2), seed=st.integers(0, 1000))
def test_a_known_pitch_is_found(base, glide, seed):
    time = np.arange(pitch.RATE) / pitch.RATE
    hertz = base * (1 + glide * np.sin(2 * np.pi * 0.7 * time + seed))
    found = pitch.f0(voice(np.clip(hertz, 82, 740), seed))
    true = np.clip(hertz, 82, 740)[pitch.STEP // 2 :: pitch.STEP]
    assert found.shape == (100,) and (found > 0).mean() > 0.95
    assert np.median(np.abs(found / true - 1)[found > 0]) < 0.005 and (np.abs(found / true - 1)[found > 0] < 0.03).mean() > 0.97


def test_noise_and_silence_are_unvoiced_and_loudness_does_not_matter():
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    assert (pitch.f0(noise) > 0).mean() < 0.1
    assert not pitch.f0(np.zeros(16000, np.float32)).any()
    speech = np.concatenate([voice(np.full(8000, 140.0)), 1e-4 * noise[:8000]])
    found = pitch.f0(speech)
    assert found[5:45] == pytest.approx(140, rel=0.01) and not found[55:].any()
    assert np.allclose(pitch.f0(0.05 * speech), found)
    assert len(pitch.f0(speech[:159])) == 0 and len(pitch.f0(speech[:161])) == 1


def test_the_actors_voice(take):
    sound, rate = take.sound
    assert rate == pitch.RATE
    found = pitch.f0(sound[:, 0].astype(np.float32))
    assert 0.2 < (found > 0).mean() < 0.9 and np.ptp(np.percentile(found[found > 0], [10, 90])) < 120
