"""A portrait where there is no reference: what is measured, against what, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from likeness import audio
from likeness.cli import run
from likeness.delivery import Delivery
from likeness.errors import BadInput
from likeness.evaluate import Evaluation, metrics
from likeness.evaluate.detection import detect
from likeness.evaluate.rows import held_still, mean_cond
from likeness.evaluate.sound import Sound
from likeness.evaluate.speaking import Played, evaluate_speech
from likeness.speak import speak


@pytest.fixture(scope="module")
def found(portrait, clip, speech_file, experts) -> Evaluation:
    return evaluate_speech(portrait, clip, [speech_file], Delivery(pose="orbit:5:2"), experts)


def test_pictures_are_those_that_are_served(portrait, speech_file):
    delivery = Delivery(pose="fixed")
    played = Played(speak(portrait, speech_file, delivery))
    served = list(speak(portrait, speech_file, delivery))
    assert len(played.pictures) == len(served) == 58
    assert all(np.array_equal(a, b) for a, b in zip(played.pictures, served))
    assert len(played.bands) == 58 and played.bands[0].any() and not played.bands[0].all()
    assert np.std(played.hidden) > 0


def test_the_static_row_holds_the_mean_face(portrait, clip, speech_file):
    still = mean_cond(portrait, clip), held_still(clip.motion, clip.train)
    assert torch.allclose(still[1].landmarks[0], clip.motion.landmarks[torch.from_numpy(clip.train)].mean(0), atol=1e-6)
    played = Played(speak(portrait, speech_file, Delivery(pose="fixed")), still)
    assert all(np.array_equal(played.pictures[0], picture) for picture in played.pictures)
    assert np.std(played.hidden) == 0


def test_what_needs_no_reference_is_measured(found):
    assert [f.row for f in found.table] == ["some speech", "static", "real"] and found.setting == "speech"
    measured = {"jitter", "flicker", "loudness_r", "loudness_lag", "sync_c", "sync_d", "sync_offset"}
    for figures in found.table:
        values = {n for n in found.as_json()["table"][0] if n != "row" and getattr(figures, n) is not None}
        assert values == measured | (set() if figures.row == "real" else {"seam_edge"})
    assert found.recipes["flicker"] == metrics.RECIPES["flicker, own flow"]
    assert found.recipes["seam edge"] == metrics.RECIPES["seam edge, drawn border"]
    assert found["real"].jitter == found.real_jitter
    assert found.delivery["pose"] == "orbit:5:2" and found.delivery["frames"] == {"some speech": 58}
    assert set(found.checks) == {"leak, some speech"} and "mean" in found.silence
    assert not {"lpips", "fid"} & set(found.missing)


def test_figures_are_those_of_the_pictures(found):
    landmarks = detect("again", found.pictures["some speech"])
    assert landmarks.missed == found.detector_missed["some speech"] == 0
    assert found["some speech"].jitter == pytest.approx(metrics.jitter(landmarks.pixels))
    assert found.openings["some speech"] == pytest.approx(landmarks.opening)
    low, high = found.intervals["some speech"]["jitter"]
    assert low <= found["some speech"].jitter <= high


def test_the_command(portrait_file, clip, speech_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path / "none"))
    portrait = shutil.copy(portrait_file, tmp_path / "a.portrait")
    other = shutil.copy(speech_file, tmp_path / "other.wav")
    words = ["evaluate", str(portrait), str(clip.folder), "--speech", str(speech_file), str(other), "--pose", "fixed", "--json"]
    assert run([*words, "--frames", str(tmp_path / "frames")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["row"] for row in said["table"]] == ["some speech", "other", "static", "real"]
    assert "syncnet" in said["missing"]["sync"] and not list(tmp_path.glob("*.png"))
    assert len(list((tmp_path / "frames" / "other").iterdir())) == 58
    assert run([*words, "--sheet", str(tmp_path / "sheet.png")]) == 3
    assert "--sheet" in capsys.readouterr().err


def test_without_a_sound_it_is_the_held_out_one(portrait, clip, experts):
    """A novel pose is no use with sound that was learned from."""
    found = evaluate_speech(portrait, clip, [], Delivery(pose="orbit:5:2"), experts)
    assert [f.row for f in found.table] == ["held-out sound", "static", "real"]
    assert found.delivery["frames"] == {"held-out sound": int(clip.test[-1] - clip.test[0]) + 1}
    first, last = int(clip.test[0]), int(clip.test[-1])
    heard = audio.load(clip.audio)[first * audio.HOP : (last + 1) * audio.HOP]
    rows = metrics.with_loudness(np.array(found.openings["held-out sound"]), Sound(heard).decibels)
    assert found["held-out sound"].loudness_r == pytest.approx(metrics.loudness_r(rows), abs=1e-3)


def test_what_cannot_be_measured_is_refused(portrait, clip, speech_file, tmp_path):
    with pytest.raises(BadInput, match="transparent"):
        evaluate_speech(portrait, clip, [speech_file], Delivery(background="transparent"))
    with pytest.raises(BadInput, match="taken"):
        evaluate_speech(portrait, clip, [speech_file, speech_file])
    audio.save_wav(tmp_path / "short.wav", np.zeros(3000, np.float32))
    with pytest.raises(BadInput, match="at least 10"):
        evaluate_speech(portrait, clip, [tmp_path / "short.wav"])
