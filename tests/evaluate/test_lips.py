"""Lips against sound by a sync expert, in pictures: the drawn actor's own, shifted, and still ones."""

import numpy as np
import pytest

from likeness import audio
from likeness.displacement import displacement
from likeness.evaluate import lips
from likeness.evaluate.experts import Experts
from likeness.evaluate.intervals import Sample
from likeness.evaluate.judge import Judge, Measured
from likeness.evaluate.metrics import RECIPES
from likeness.evaluate.sound import Sound
from likeness.nn.sync import asset
from likeness.nn.sync.expert import Expert
from likeness.nn.sync.measure import measure


@pytest.fixture(scope="module")
def expert(sync_file) -> Expert:
    return asset.load(sync_file)


@pytest.fixture(scope="module")
def judge(clip, expert) -> Judge:
    return Judge(clip, np.arange(15, 125), 256, Experts(landmarks=expert))


def test_real_pictures_are_in_step_and_sound_that_is_off_is_found(judge):
    start, stop = 15, 125
    found = {by: judge.lip_sync(judge.real_landmarks, judge.sound.later(by), start, stop) for by in (0, 6)}
    assert abs(found[0]["lip_sync_offset"].figure) < 0.6
    # frame t is shown with what is said 6 frames after it: the lips are 6 frames late
    assert abs(found[6]["lip_sync_offset"].figure - found[0]["lip_sync_offset"].figure - 6) < 0.4
    assert found[0]["lip_sync"].figure > 0.3
    low, high = found[0]["lip_sync"].interval()
    assert low < found[0]["lip_sync"].figure < high + 0.1
    assert judge._lip_sync(judge.real_landmarks, judge.sound)["lip_sync"].figure == found[0]["lip_sync"].figure


def test_pictures_by_their_landmarks_say_what_the_tracked_clip_says(judge, clip, expert):
    """The way from pictures back to displacement is the one that the expert learned from."""
    rows = lips.likenesses(expert, judge.real_landmarks, clip.camera.scaled((256, 256)), Sound(audio.load(clip.audio)), 15, 125)
    moves = displacement(clip.motion.landmarks.numpy()).moves[15:125]
    ours = measure(expert, moves, {"phones": clip.features("phones")[60:]})
    curve = np.nanmean(rows, 0)
    assert np.corrcoef(curve, ours.curve)[0, 1] > 0.9 and curve.max() > 0.5 * ours.curve.max()


def test_a_still_mouth_has_no_offset(judge):
    still = judge.real_landmarks
    still = type(still)(np.repeat(still.pixels[:1], len(still.pixels), 0), still.found)
    found = judge.lip_sync(still, judge.sound, 15, 125)
    real = judge.lip_sync(judge.real_landmarks, judge.sound, 15, 125)
    assert "lip_sync_offset" not in found and found["lip_sync"].figure < 0.5 * real["lip_sync"].figure


def test_less_than_three_seconds_and_no_expert_give_no_figure(judge, clip):
    assert judge.lip_sync(judge.real_landmarks[:50], judge.sound, 15, 65) == {}
    assert "75 frames (3 s)" in judge.missing["lip_sync"] and "50" in judge.missing["lip_sync"]
    without = Judge(clip, np.arange(15, 27), 256, Experts())
    assert without.lip_sync(judge.real_landmarks, judge.sound, 15, 125) == {}


def test_a_row_without_sound_has_none(judge):
    samples = {name: Sample(np.ones(3)) for name in ("lip_sync", "lip_sync_offset", "jitter")}
    assert set(Measured("theirs", samples, {}, judge.real_landmarks).without_sound().samples) == {"jitter"}


def test_the_recipe_names_the_expert(expert):
    assert lips.recipe(expert) == {"lip sync": f"{RECIPES['lip sync']} by {expert.id}"}
    assert lips.recipe(None) == {}
