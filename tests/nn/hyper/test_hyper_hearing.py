"""What the lip generator hears: whose rows a window holds, and on what scale."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from likeness import speech
from likeness.nn.hyper import hearing, normalised
from likeness.nn.hyper.hearing import picture


def test_the_window_of_frame_f_begins_with_frame_f_minus_one():
    """One convention, where the original has another one in use than in training: its lips come a frame early."""
    rows = torch.arange(4 * 30.0)[:, None]
    ears = hearing(("mel",))
    windows = ears.windows(ears.window(rows, 0, 30))
    assert windows.shape == (30, 20, 1)
    for f in range(1, 27):
        assert windows[f, :, 0].tolist() == list(range(4 * (f - 1), 4 * (f + 4)))  # frames f - 1 .. f + 3
    assert windows[0, :5, 0].tolist() == [0, 0, 0, 0, 0] and windows[29, -1] == 119  # edges repeat


@given(start=st.integers(0, 29), frames=st.integers(1, 10))
def test_chunks_hear_what_the_whole_does(start, frames):
    stop = min(30, start + frames)
    rows = torch.arange(4 * 30.0)[:, None]
    ears = hearing(("mel",))
    whole = ears.windows(ears.window(rows, 0, 30))
    assert torch.equal(ears.windows(ears.window(rows, start, stop)), whole[start:stop])


def test_a_click_is_in_the_windows_of_five_frames():
    sound = np.zeros(640 * 20, np.float32)
    sound[640 * 10 + 320] = 1  # in the middle of frame 10
    features = torch.as_tensor(speech.extract("mel", sound))
    ears = hearing(("mel",))
    windows = normalised(ears.windows(ears.window(features, 0, 20)), ("mel",))
    assert windows.shape == (20, 80, 20)
    heard = (windows > -3.9).flatten(1).any(1).nonzero()[:, 0].tolist()
    assert heard == [7, 8, 9, 10, 11]  # frame f hears frames f - 1 .. f + 3


def test_silence_is_minus_four_and_the_loudest_tone_four():
    silence = torch.as_tensor(speech.extract("mel", np.zeros(6400, np.float32)))
    assert (normalised(silence, ("mel",)) + 4).abs().max() < 1e-5
    time = np.arange(16000) / 16000
    loudest = []
    for hertz in np.linspace(200, 6000, 24):
        tone = torch.as_tensor(speech.extract("mel", np.sin(2 * math.pi * hertz * time).astype(np.float32)))
        loudest.append(float(normalised(tone, ("mel",)).max()))
    assert 3.7 < max(loudest) < 4.05


def test_features_side_by_side_are_scaled_each_by_its_own_rule():
    draw = torch.Generator().manual_seed(0)
    mel, phones = torch.randn(20, 80, generator=draw) - 8, torch.rand(20, 42, generator=draw)
    both = normalised(torch.cat([mel, (phones + speech.PROBABILITY_FLOOR).log()], 1), ("mel", "phones"))
    assert torch.equal(both[:80], normalised(mel, ("mel",)))
    assert (both[80:] - 2 * phones.T).abs().max() < 1e-5


def test_the_published_picture_keeps_time():
    """16 columns over the same 0.2 s: a ramp in time stays the ramp, read at the columns' middles."""
    middles = (torch.arange(20) + 0.5) * 0.2 / 20
    ramp = picture(middles.expand(1, 80, 20))
    assert ramp.shape == (1, 1, 80, 16)
    assert (ramp[0, 0, 3] - (torch.arange(16) + 0.5) * 0.2 / 16).abs().max() < 1e-6
