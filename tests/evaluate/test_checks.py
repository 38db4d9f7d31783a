"""Wrong sound must hurt, and hidden originals must stay hidden."""

import numpy as np
import pytest

from likeness.evaluate.checks import leak, mismatched_sound, partial
from likeness.evaluate.intervals import Sample
from likeness.evaluate.judge import Measured


def row(name: str, mouth: list[float], lmd: list[float]) -> Measured:
    return Measured(name, {"mouth": Sample(np.array(mouth)), "lmd": Sample(np.array(lmd))}, {}, np.zeros((2, 478, 2)))


def test_wrong_sound():
    mean = row("mean lips", [30.0, 32.0] * 6, [1.0, 2.0] * 6)
    worse = mismatched_sound(row("sound shifted", [28.0, 31.0] * 6, [1.5, 2.5] * 6), mean)
    assert worse["passed"] and worse["mouth_db"] == pytest.approx(1.5) and worse["lmd_px"] == pytest.approx(0.5)
    assert 1 <= worse["mouth_db_interval"][0] <= 1.5 <= worse["mouth_db_interval"][1] <= 2
    assert not mismatched_sound(mean, mean)["passed"]  # lips that do not move are no worse
    assert not mismatched_sound(row("sound shifted", [28.0] * 12, [0.5] * 12), mean)["passed"]


def test_partial_correlation_by_hand():
    rng = np.random.default_rng(0)
    x, y, z = rng.standard_normal((3, 500))
    rows = np.stack([x + z, y + z, z], axis=1)  # what both have, they have of z
    assert np.corrcoef(rows.T)[0, 1] > 0.4 and abs(partial(rows)) < 0.1
    rest = [rows[:, i] - np.polyval(np.polyfit(z, rows[:, i], 1), z) for i in range(2)]
    assert partial(rows) == pytest.approx(np.corrcoef(rest)[0, 1])
    assert partial(np.stack([z, y, z], axis=1)) == 0  # nothing is left of the first


def test_a_leak_is_found_and_chance_is_none():
    rng = np.random.default_rng(1)
    hidden, heard, noise = rng.standard_normal((3, 300))
    honest = leak(heard + 0.3 * noise, hidden, heard, 0.01 * noise)
    assert honest["passed"] and honest["r_heard"] > 0.9 and abs(honest["r_hidden"]) < 0.2 and "r_mean_lips" in honest
    leaking = leak(0.5 * hidden + heard + 0.3 * noise, hidden, heard)
    assert not leaking["passed"] and leaking["r_leak"] > 0.7 and "r_mean_lips" not in leaking
    alike = 0.8 * heard + 0.6 * noise  # both originals rise and fall together
    assert leak(heard + 0.1 * hidden[::-1], alike, heard)["r_chance"] > 0.6
    assert leak(heard + 0.1 * hidden[::-1], alike, heard)["passed"]
