"""MFCC against the formulas, written out for one row."""

import math

import numpy as np
import pytest

from likeness.evaluate.mfcc import COEFFICIENTS, FILTERS, filters, mfcc


def tone(seconds: float = 0.2, hertz: float = 440.0) -> np.ndarray:
    t = np.arange(round(16000 * seconds)) / 16000
    return (0.4 * np.sin(2 * np.pi * hertz * t) + 0.05 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)


def test_rows_are_a_hundred_a_second():
    assert len(mfcc(np.zeros(400, np.float32))) == 1 and len(mfcc(np.zeros(401, np.float32))) == 2
    assert len(mfcc(np.zeros(100, np.float32))) == 1
    assert mfcc(np.zeros(16000, np.float32)).shape == (99, COEFFICIENTS)  # 1 + ceil(15600 / 160)


def test_silence_is_the_smallest_number():
    row = mfcc(np.zeros(640, np.float32))[0]
    assert row[0] == pytest.approx(math.log(np.finfo(float).eps)) and row[1:] == pytest.approx(np.zeros(12), abs=1e-9)


def test_filters_are_triangles_on_whole_bins():
    bank = filters()
    assert bank.shape == (FILTERS, 257) and bank.max() == 1 and (bank >= 0).all()
    peaks = bank.argmax(1)
    assert (np.diff(peaks) > 0).all()
    mel = [2840.0230467083188 * i / 27 for i in range(28)]
    corners = [math.floor(513 * 700 * (10 ** (m / 2595) - 1) / 16000) for m in mel]
    assert peaks.tolist() == corners[1:-1] and corners[-1] == 256
    assert bank[5, corners[5]] == 0 and bank[5, corners[7]] == 0


def test_one_row_by_the_formulas():
    sound = tone()
    samples = [round(float(v) * 32767) for v in sound]
    rising = [samples[0]] + [samples[i] - 0.97 * samples[i - 1] for i in range(1, len(samples))]
    frame = np.array(rising[160 * 3 : 160 * 3 + 400] + [0.0] * 112)
    k, n = np.arange(257)[:, None], np.arange(512)[None]
    power = np.abs((frame * np.exp(-2j * np.pi * k * n / 512)).sum(1)) ** 2 / 512
    bands = np.log(filters() @ power)
    row = [
        math.sqrt((1 if j == 0 else 2) / 26) * sum(bands[i] * math.cos(math.pi * j * (2 * i + 1) / 52) for i in range(26))
        for j in range(13)
    ]
    row = [value * (1 + 11 * math.sin(math.pi * j / 22)) for j, value in enumerate(row)]
    row[0] = math.log(power.sum())
    assert mfcc(sound)[3] == pytest.approx(row, abs=1e-6)


def test_a_row_hears_its_own_window_alone():
    a, b = tone(0.3), tone(0.3)
    b[160 * 5 + 400 :] = 0
    assert np.array_equal(mfcc(a)[:6], mfcc(b)[:6]) and not np.allclose(mfcc(a)[6], mfcc(b)[6])
