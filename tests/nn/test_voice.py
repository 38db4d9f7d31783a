"""The voice: laws on synthetic sound whose lips are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from likeness.errors import BadInput
from likeness.nn import voice_train
from likeness.nn.voice import HEARING, Voice, voice_distance
from likeness.nn.voice_train import (
    FAMILIES,
    RATIO,
    Lesson,
    begin,
    calibrate,
    correlation,
    fit,
    opening,
    silences,
    train_voice,
)
from likeness.phones import PHONES
from likeness.portrait import Heard
from likeness.rig import Rig
from likeness.run import Run
from likeness.speech import BANDS, FLOOR, PROBABILITY_FLOOR, Statistics
from tests.nn.utterances import TIME, face, made_clip, sound


@pytest.fixture(scope="module")
def taught() -> tuple[Voice, Rig, Lesson, dict[str, tuple[float, float]]]:
    features, wide = sound(TIME, 1)
    motion = face(wide)
    rig = Rig.fit(motion)
    usable = np.ones(TIME, bool)
    lesson = Lesson(features, rig.encode(motion)[:, :8], usable, usable.copy())
    voice = begin(lesson, rig)
    return voice, rig, lesson, {family: fit(voice, lesson, rig, family) for family in FAMILIES}


def hear(features: torch.Tensor, start: int, stop: int, statistics: Statistics, **more) -> Heard:
    stretch = HEARING.window(features, start, stop)
    return Heard(stretch, statistics.mean, statistics.std, torch.ones(stop - start), **more)


@pytest.mark.parametrize("family", FAMILIES)
def test_lips_that_follow_the_sound_are_learned(taught, family):
    voice, rig, lesson, figures = taught
    assert figures[family][0] > 0.95
    features, wide = sound(200, 2)
    lips = voice(hear(features, 0, 200, Statistics.of(lesson.features), voice=family))
    moves = opening(rig, lips)
    assert correlation(moves, torch.from_numpy(wide.astype(np.float32))) > 0.95
    real = opening(rig, lesson.lips)
    assert RATIO - 0.15 < moves.std() / real.std() < RATIO + 0.15


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.5], ids=["clear", "blurred", "poor"])
def test_movement_is_added_where_it_errs_least(taught, monkeypatch, family, noise):
    """In frames left out the opening moves RATIO as much as the real one, and the lips err no more than if all of them had
    been enlarged alike until it does."""
    learned, rig, lesson, _ = taught
    stir = torch.randn(lesson.lips.shape, generator=torch.Generator().manual_seed(5))
    harder = replace(lesson, lips=lesson.lips + noise * stir)
    asked = []
    monkeypatch.setattr(voice_train, "calibrate", lambda *args: asked.append(args) or calibrate(*args))
    voice = Voice.restored({f"voice.{k}": v for k, v in learned.state_dict().items()})
    fit(voice, harder, rig, family)
    _, _, _, guess, real = asked[0]
    bias, matrix = voice.memory(family).bias, voice.calibration[FAMILIES.index(family)]
    wanted = RATIO * opening(rig, real + bias).std()
    low, high = 0.0, 100.0
    for _ in range(40):
        factor = (low + high) / 2
        low, high = (factor, high) if opening(rig, factor * guess + bias).std() < wanted else (low, factor)
    fitted, alike = guess @ matrix, low * guess
    assert opening(rig, fitted + bias).std() == pytest.approx(float(wanted), rel=0.01)
    error = lambda lips: float((rig.lip_weight * (lips - real).square()).sum(1).mean())  # noqa: E731
    assert error(fitted) <= error(alike)


@pytest.mark.parametrize("family", FAMILIES)
def test_chunks_do_not_show(taught, family):
    voice, _, lesson, _ = taught
    statistics = Statistics.of(lesson.features)
    whole = voice(hear(lesson.features, 0, 100, statistics, voice=family))
    for cuts in ([0, 1, 2, 3, 50, 100], [0, 33, 66, 100]):
        parts = [voice(hear(lesson.features, a, b, statistics, voice=family)) for a, b in pairwise(cuts)]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


def test_sound_outside_the_hearing_has_no_effect(taught):
    voice, _, lesson, _ = taught
    statistics = Statistics.of(lesson.features)
    before = voice(hear(lesson.features, 50, 60, statistics))
    changed = lesson.features.clone()
    changed[: (50 - HEARING.past) * 4] += 3
    changed[(60 + HEARING.future) * 4 :] -= 3
    assert torch.equal(voice(hear(changed, 50, 60, statistics)), before)
    changed[(60 + HEARING.future) * 4 - 1] += 3
    assert not torch.equal(voice(hear(changed, 50, 60, statistics)), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mouth_rests_in_silence(taught, family):
    voice, rig, lesson, _ = taught
    silence = torch.full((80, BANDS + len(PHONES)), float(np.log(PROBABILITY_FLOOR)))
    silence[:, :BANDS] = float(np.log(FLOOR))
    silence[:, BANDS + PHONES.index("SIL")] = 0
    lips = voice(hear(silence, 0, 20, Statistics.of(lesson.features), voice=family))
    width = opening(rig, lesson.lips).std()
    assert (opening(rig, lips) - opening(rig, rig.rest[None])).abs().max() < 0.25 * width


def test_the_other_voice_hears_no_mel(taught):
    voice, _, lesson, _ = taught
    statistics = Statistics.of(lesson.features)
    changed = lesson.features.clone()
    changed[:, :BANDS] += torch.randn(BANDS, generator=torch.Generator().manual_seed(0))
    same = [voice(hear(f, 0, 50, statistics, voice="other")) for f in (lesson.features, changed)]
    assert torch.equal(*same)
    assert not torch.equal(*(voice(hear(f, 0, 50, statistics)) for f in (lesson.features, changed)))


def test_amplitude_is_round_the_mouth_at_rest(taught):
    voice, rig, lesson, _ = taught
    statistics = Statistics.of(lesson.features)
    one, half, none = (voice(hear(lesson.features, 0, 30, statistics, amplitude=a)) for a in (1.0, 0.5, 0.0))
    assert torch.allclose(none, rig.rest.expand(30, -1), atol=1e-6)
    assert torch.allclose(half - rig.rest, (one - rig.rest) / 2, atol=1e-5)


def test_the_own_voice_is_recognised_louder_too(taught):
    voice, _, lesson, _ = taught
    own = Statistics.of(lesson.features)
    assert voice.recognise(own.mean, own.std) == "own"
    assert voice.recognise(own.mean + 2, own.std) == "own"
    tilted = own.mean + torch.linspace(-4, 4, BANDS + len(PHONES))
    assert voice.recognise(tilted, own.std) == "other"
    assert voice.recognise(own.mean, own.std * 3) == "other"
    assert float(voice_distance(own.mean[:BANDS], own.std[:BANDS], own.mean[:BANDS], own.std[:BANDS])) == 0


def test_the_state_is_all_there_is(taught):
    voice, _, lesson, _ = taught
    again = Voice.restored({f"voice.{k}": v for k, v in voice.state_dict().items()} | {"gaussians.rest": torch.ones(1)})
    assert len(again) == len(voice)
    heard = hear(lesson.features, 0, 40, Statistics.of(lesson.features))
    assert torch.equal(again(heard), voice(heard))
    blank = Voice(len(voice)).state_dict()
    assert {k: v.shape for k, v in blank.items()} == {k: v.shape for k, v in voice.state_dict().items()}


def test_silences_end_in_digital_silence(taught):
    rows = silences(taught[2].features)
    assert rows[-1, :BANDS].tolist() == pytest.approx([float(np.log(FLOOR))] * BANDS)
    assert len(rows) % 4 == 0


def test_a_lesson_stays_within_its_scenes(tmp_path):
    clip = made_clip(tmp_path / "c", [(0, 60), (60, 400)], [200])
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    lesson = Lesson.of(clip, rig, clip.train)
    past, future = HEARING.past, HEARING.future
    left_out = {0, past - 1, 60 - future, 59, 60, 60 + past - 1, 120, 123, 200 - future, 200, 200 + past - 1, 399}
    assert not lesson.usable[sorted(left_out | {int(t) for t in clip.test})].any()
    assert lesson.usable[[past, 60 - future - 1, 60 + past, 119, 124, 200 - future - 1, 200 + past]].all()
    assert not lesson.judged[:60].any()


def test_training_is_the_same_every_time_and_keeps_what_the_run_held(tmp_path):
    clip = made_clip(tmp_path / "c", [(0, 300)], [])
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    states = []
    for name in ("a", "b"):
        with Run(tmp_path / name, {}) as run:
            for _ in run.steps("head", 1):
                pass
            run.finish({"gaussians.rest": torch.ones(3)})
            states.append(train_voice(clip, rig, clip.train, run).state_dict())
            assert run.done("voice")
            assert run.resumed["gaussians.rest"].tolist() == [1, 1, 1]
            assert torch.equal(Voice.restored(run.resumed).calibration, states[-1]["calibration"])
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_too_little_to_learn_from_is_said(tmp_path):
    clip = made_clip(tmp_path / "c", [(0, 300)], [])
    rig = Rig.fit(clip.motion)
    with Run(tmp_path / "run", {}) as run, pytest.raises(BadInput, match="least"):
        train_voice(clip, rig, clip.train[:40], run)
