"""Wrong sound must hurt, and hidden originals must stay hidden."""

import numpy as np
import pytest

from likeness.evaluate.checks import leak, mismatched_sound, partial
from likeness.evaluate.detection import Landmarks
from likeness.evaluate.intervals import Sample
from likeness.evaluate.judge import Measured


def row(name: str, mouth: list[float], lmd: list[float] | None) -> Measured:
    samples = {"mouth": Sample(np.array(mouth))} | ({} if lmd is None else {"lmd": Sample(np.array(lmd))})
    return Measured(name, samples, {}, Landmarks(np.zeros((len(mouth), 478, 2)), np.ones(len(mouth), bool)))


def test_wrong_sound():
    mean = row("mean lips", [30.0, 32.0] * 6, [1.0, 2.0] * 6)
    worse = mismatched_sound(row("sound shifted", [28.0, 31.0] * 6, [1.5, 2.5] * 6), mean, -37)
    assert worse["passed"] is True and worse["by"] == -37
    assert worse["mouth_db"] == pytest.approx(1.5) and worse["lmd_px"] == pytest.approx(0.5)
    assert 1 <= worse["mouth_db_interval"][0] <= 1.5 <= worse["mouth_db_interval"][1] <= 2
    assert mismatched_sound(mean, mean, 37)["passed"] is False  # lips that do not move are no worse
    assert mismatched_sound(row("sound shifted", [28.0] * 12, [0.5] * 12), mean, 37)["passed"] is False
    # Worse on the whole, but not surely so.
    doubtful = row("sound shifted", [30.5, 31.0] * 5 + [27.0, 32.5], [1.5, 2.5] * 6)
    assert mismatched_sound(doubtful, mean, 37)["passed"] is None
    assert mismatched_sound(row("sound shifted", [28.0] * 12, None), mean, 37)["passed"] is None


def test_frames_without_a_face_do_not_count_in_it():
    mean = row("mean lips", [30.0] * 12, [1.0] * 12)
    missed = row("sound shifted", [29.0] * 12, [np.nan, *[3.0] * 11])
    assert mismatched_sound(missed, mean, 37)["lmd_px"] == pytest.approx(2)


def test_partial_correlation_by_hand():
    rng = np.random.default_rng(0)
    x, y, z, w = rng.standard_normal((4, 500))
    rows = np.stack([x + z, y + z, z], axis=1)  # what both have, they have of z
    assert np.corrcoef(rows.T)[0, 1] > 0.4 and abs(partial(rows)) < 0.1
    rest = [rows[:, i] - np.polyval(np.polyfit(z, rows[:, i], 1), z) for i in range(2)]
    assert partial(rows) == pytest.approx(np.corrcoef(rest)[0, 1])
    a, b, c = (np.corrcoef(u, v)[0, 1] for u, v in ((x + z, y + z), (x + z, z), (y + z, z)))
    assert partial(rows) == pytest.approx((a - b * c) / np.sqrt((1 - b * b) * (1 - c * c)))
    both = np.stack([x + z + w, y + z - w, z, w], axis=1)  # two things are taken out
    assert abs(partial(both)) < 0.1
    assert partial(np.stack([z, y, z], axis=1)) == 0  # nothing is left of the first


def test_a_leak_is_found_and_chance_is_none():
    rng = np.random.default_rng(1)
    hidden, heard, noise, other = rng.standard_normal((4, 300))
    honest = leak(heard + 0.3 * noise, hidden, heard, other)
    assert honest["passed"] is True and honest["r_heard"] > 0.9 and abs(honest["r_hidden"]) < 0.2
    leaking = leak(0.5 * hidden + heard + 0.3 * noise, hidden, heard, other)
    assert leaking["passed"] is False and leaking["r_leak"] > 0.7
    alike = 0.8 * heard + 0.6 * noise  # both originals rise and fall together
    chance = leak(heard + 0.1 * hidden[::-1], alike, heard, other)
    assert chance["r_chance"] > 0.6 and chance["passed"] is True


def test_what_pose_alone_brings_is_no_leak():
    """Lips that hold still seem to open when the head goes down: so do those of the original."""
    pitch, heard, noise, own, drawing = np.random.default_rng(2).standard_normal((5, 300))
    drawn, hidden = heard + 0.8 * pitch + 0.5 * drawing, own + 0.8 * pitch
    found = leak(drawn, hidden, heard, 0.8 * pitch + 0.05 * noise)
    assert found["r_hidden"] > 0.2 and found["r_mean_lips"] > 0.5 and found["passed"] is True
    assert leak(drawn, hidden, heard, noise)["passed"] is False  # if that were not taken out


def test_few_frames_tell_nothing():
    hidden, heard, noise, other = np.random.default_rng(3).standard_normal((4, 300))
    drawn = heard + 0.2 * hidden + noise
    drawn[9:] = np.nan
    assert leak(drawn, hidden, heard, other) == {"passed": None}
    told = []
    for start in range(0, 280, 14):
        drawn, *others = (series[start : start + 14] for series in (heard + 0.3 * hidden + noise, hidden, heard, other))
        found = leak(drawn, *others)
        low, high = found["r_leak_interval"]
        told.append(found["passed"])
        assert told[-1] is (False if low > 0 else None if high >= 0.5 else True)
    assert told.count(None) > 10
