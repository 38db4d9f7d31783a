"""The speaker: a stand-in for a generator whose motion is known, and a small real one for files."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from likeness import methods
from likeness.clip import Clip
from likeness.displacement import LOWER_INNER_LIP
from likeness.errors import BadInput, Refused
from likeness.nn.adaptation import postnet_train
from likeness.nn.adaptation.distances import frechet, nearest_mouth_mm
from likeness.nn.adaptation.person import WIDTH, Person
from likeness.nn.adaptation.sound import Sound
from likeness.nn.adaptation.speaker import Speaker, blank_voice, sizes_of
from likeness.nn.adaptation.speaker_train import Adaptation, Generic, generic_of, origin_of, train_speaker, voice_of
from likeness.nn.generator import Generator, Settings, asset
from likeness.nn.voice import HEARING, Voice
from likeness.nn.voice_train import Lesson, correlation, opening
from likeness.portrait import Heard
from likeness.rig import Rig
from likeness.run import Run
from likeness.speech import BANDS, Statistics, probabilities
from tests.nn.utterances import OPEN, made_clip, sound

SMALL = Settings(features=("phones",), latent=4, condition=8, width=8, posterior_layers=1, decoder_layers=1, flows=0)
JAW = [*range(3, 14), 54, 55, 56, 57, 58, 59, 65, LOWER_INNER_LIP, 67]


class Standin(Generator):
    """The lower lip goes down by 4 mm where an open vowel is heard; with a temperature it trembles."""

    def moves(self, features, mean, std, start=0, temperature=0.0, seed=0):
        rows = self.hearing.rows_per_frame
        middle = features[self.hearing.past * rows : len(features) - self.hearing.future * rows]
        wide = probabilities(middle)[:, OPEN].unflatten(0, (-1, rows)).mean(1)
        place = torch.arange(start, start + len(wide))
        found = torch.zeros(len(wide), 68, 3)
        found[:, JAW, 1] = (0.4 * wide - 0.2 + temperature * 0.05 * torch.sin(place + 3.0 * seed))[:, None]
        return found


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> tuple[Speaker, Rig, Clip]:
    clip = made_clip(tmp_path_factory.mktemp("clip") / "c", [(0, 400)], [])
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    with Run(tmp_path_factory.mktemp("run"), {}) as run:
        return train_speaker(clip, rig, clip.train, run, Standin(SMALL)), rig, clip


def heard(speaker: Speaker, features: torch.Tensor, start: int, stop: int, **more) -> Heard:
    """Of a stream of mel and phones."""
    statistics = Statistics.of(features)
    stretch = speaker.hearing.window(features, start, stop)
    return Heard(stretch, statistics.mean, statistics.std, torch.ones(stop - start), start=start, **more)


def like(speaker: Speaker, own: str, other: str = "both", sigma: float = 0.0) -> Speaker:
    """The same with other sources."""
    again = Speaker(speaker.voice, speaker.generator, len(speaker.projection.manifold), {"own": own, "other": other}, sigma)
    again.ridge, again.projection = speaker.ridge, speaker.projection
    return again


@pytest.mark.parametrize("source", ["voice", "ridge", "both", "projection"])
def test_every_source_opens_the_mouth_with_the_sound(taught, source):
    speaker, rig, clip = taught
    features, wide = sound(150, 7)
    lips = like(speaker, source)(heard(like(speaker, source), features, 0, 150))
    moves, truth = opening(rig, lips), torch.from_numpy(wide.astype(np.float32))
    assert correlation(moves, truth) > 0.95
    lesson = Lesson.of(clip, rig, clip.train)
    real = opening(rig, lesson.lips[torch.from_numpy(lesson.judged)])
    assert 0.7 < moves.std() / real.std() < 1.4


@pytest.mark.parametrize("source", ["voice", "ridge", "both", "projection"])
@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_chunks_do_not_show_though_the_generator_hears_farther(taught, source, sigma):
    speaker = like(taught[0], source, "voice", sigma)
    features, _ = sound(90, 3)
    more = {"temperature": 0.7, "seed": 3, "amplitude": 1.2}
    whole = speaker(heard(speaker, features, 0, 90, **more))
    for cuts in ([0, 1, 2, 45, 90], [0, 30, 60, 90]):
        parts = [speaker(heard(speaker, features, a, b, **more)) for a, b in pairwise(cuts)]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-4)


def test_the_voice_hears_its_own_part_of_a_longer_stretch(taught):
    speaker = like(taught[0], "voice", "ridge")
    assert speaker.hearing.past > HEARING.past and speaker.hearing.features == HEARING.features
    features, _ = sound(60, 4)
    statistics = Statistics.of(features)
    alone = speaker.voice(Heard(HEARING.window(features, 10, 40), statistics.mean, statistics.std, torch.ones(30)))
    assert torch.equal(speaker(heard(speaker, features, 10, 40)), alone)


def test_sound_outside_the_hearing_has_no_effect(taught):
    speaker = like(taught[0], "both", "both", 1.0)
    features, _ = sound(200, 5)
    changed = features.clone()
    hearing, rows = speaker.hearing, 4
    changed[: (100 - hearing.past) * rows, BANDS:] = -3
    changed[(110 + hearing.future) * rows :, BANDS:] = -3
    usual = Statistics.of(features)

    def lips(of: torch.Tensor) -> torch.Tensor:
        return speaker(Heard(hearing.window(of, 100, 110), usual.mean, usual.std, torch.ones(10), start=100))

    assert torch.equal(lips(changed), lips(features))


def test_amplitude_is_round_the_mouth_at_rest(taught):
    speaker, rig, _ = taught
    features, _ = sound(60, 4)
    one, half, none = (speaker(heard(speaker, features, 0, 30, amplitude=a)) for a in (1.0, 0.5, 0.0))
    assert torch.allclose(none, rig.rest.expand(30, -1), atol=1e-6)
    assert torch.allclose(half - rig.rest, (one - rig.rest) / 2, atol=1e-5)


def test_temperature_and_seed_reach_the_generator(taught):
    speaker = like(taught[0], "ridge")
    features, _ = sound(60, 4)
    calm, warm, other = (
        speaker(heard(speaker, features, 0, 60, temperature=t, seed=s)) for t, s in ((0.0, 0), (1.0, 0), (1.0, 1))
    )
    assert not torch.equal(calm, warm) and not torch.equal(warm, other)


def test_adaptation_brings_motion_nearer_to_the_person_and_says_so(taught, tmp_path):
    import json

    _, rig, clip = taught
    with Run(tmp_path / "run", {}) as run:
        speaker = train_speaker(clip, rig, clip.train, run, Standin(SMALL), Adaptation(own="ridge", other="projection"))
    assert speaker.chosen == {"own": "ridge", "other": "projection"}
    told = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    row = next(row for row in told if "own_ridge_r" in row)
    assert row["own_projection_nearest_mm"] < row["own_generic_nearest_mm"]
    assert row["own_ridge_frechet"] < row["own_generic_frechet"]
    assert row["own_ridge_r"] > 0.9 and 0.9 < row["own_ridge_ratio"] < 1.2
    assert any("other_voice_r" in row for row in told)


def test_training_is_the_same_every_time_and_goes_on(taught, tmp_path):
    speaker, rig, clip = taught
    with Run(tmp_path / "run", {}) as run:
        first = train_speaker(clip, rig, clip.train, run, Standin(SMALL))
        second = train_speaker(clip, rig, clip.train, run, Standin(SMALL))  # after the stage was finished
    assert first.chosen == second.chosen == speaker.chosen
    kept = {name: value for name, value in speaker.state_dict().items() if not name.startswith("generator.")}
    for again in (first, second):
        assert all(torch.equal(again.state_dict()[name], value) for name, value in kept.items())


def test_a_post_net_is_trained_judged_and_carried(taught, tmp_path):
    _, rig, clip = taught
    quick = postnet_train.Settings(steps=4, every=2, batch=2, frames=8, warm_up=1)
    with Run(tmp_path / "run", {}) as run:
        speaker = train_speaker(clip, rig, clip.train, run, Standin(SMALL), Adaptation(own="postnet", postnet=quick))
        assert run.done("postnet") and run.done("voice")
    features, wide = sound(60, 7)
    lips = speaker(heard(speaker, features, 0, 60))
    assert correlation(opening(rig, lips), torch.from_numpy(wide.astype(np.float32))) > 0.8
    again = Speaker.blank(speaker.sizes())
    again.load_state_dict(speaker.state_dict())
    assert again.hearing == speaker.hearing


def test_without_an_asset_there_is_the_voice_alone(taught, tmp_path):
    _, rig, clip = taught
    torch.manual_seed(0)
    asset.save(tmp_path / "motion.safetensors", Generator(SMALL), {})
    with Run(tmp_path / "run", {}) as run:
        voice = voice_of(clip, rig, clip.train, run, None)
        again = voice_of(clip, rig, clip.train, run, None)
        speaker = voice_of(clip, rig, clip.train, run, generic_of(tmp_path / "motion.safetensors"))
    assert isinstance(voice, Voice) and isinstance(speaker, Speaker) and generic_of(None) is None
    with pytest.raises(BadInput, match="sound itself moves the face"):
        generic_of(tmp_path / "motion.safetensors", "sound")
    assert torch.equal(voice.calibration, again.calibration) and torch.equal(voice.calibration, speaker.voice.calibration)


def test_a_post_net_comes_with_a_generator(taught, tmp_path):
    _, rig, clip = taught
    with pytest.raises(BadInput, match="none is given"):
        methods.train(clip, tmp_path / "a.portrait", postnet=True)
    quick = postnet_train.Settings(steps=1, every=1, batch=2, frames=8, warm_up=1)
    wanted = Generic(Generator(SMALL), Adaptation(postnet=quick))
    with Run(tmp_path / "run", origin_of(wanted)) as run:
        speaker = voice_of(clip, rig, clip.train, run, generic_of(wanted))
    assert isinstance(speaker, Speaker) and speaker.postnet is not None
    with pytest.raises(Refused), Run(tmp_path / "run", origin_of(Generic(wanted.generator))):
        pass


def test_a_post_net_that_other_scenes_validate_is_not_judged(tmp_path):
    clip = made_clip(tmp_path / "c", [(0, 400), (400, 520)], [])
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    quick = postnet_train.Settings(steps=1, every=1, batch=2, frames=8, warm_up=1)
    with Run(tmp_path / "run", {}) as run:
        speaker = train_speaker(clip, rig, clip.train, run, Standin(SMALL), Adaptation(postnet=quick))
    assert speaker.postnet is not None and speaker.chosen["own"] != "postnet"
    assert "own_ridge_r" in (told := (tmp_path / "run/log.jsonl").read_text()) and "own_postnet_r" not in told


def test_a_portrait_file_carries_a_speaker(portrait, taught, tmp_path):
    """And one with a voice alone is read as before."""
    torch.manual_seed(0)
    chosen = {"own": "voice", "other": "both"}
    speaker = Speaker(Voice(len(portrait.voice)), Generator(SMALL), 20, chosen)
    for name, value in portrait.voice.state_dict().items():
        speaker.voice.state_dict()[name].copy_(value)
    spoken = methods.load(portrait.save(tmp_path / "alone.portrait"))
    spoken.voice, spoken.hearing = speaker, speaker.hearing
    again = methods.load(spoken.save(tmp_path / "spoken.portrait"))
    assert isinstance(again.voice, Speaker) and again.voice.chosen == chosen and again.hearing == speaker.hearing
    features, _ = sound(80, 1)
    for family in ("own", "other"):
        given = heard(again.voice, features, 20, 40, voice=family)
        assert torch.equal(again.listen(given), spoken.listen(given))
    projected = again.listen(replace(given, projection=1.0))
    assert projected.shape == (20, 8) and not torch.equal(projected, again.listen(given))
    alone = methods.load(tmp_path / "alone.portrait")
    assert isinstance(alone.voice, Voice)
    with pytest.raises(BadInput, match="without a generator of motion"):
        alone.listen(replace(given, temperature=0.5))


def test_sizes_that_are_none_are_bad_input(taught):
    speaker = taught[0]
    assert blank_voice(7) is not None and sizes_of(Voice(7)) == 7
    sizes = speaker.sizes()
    for wrong in ({"generator": {}}, {"chosen": {"own": "postnet", "other": "voice"}}, {"manifold": None}):
        with pytest.raises(BadInput):
            Speaker.blank(sizes | wrong)
    with pytest.raises(BadInput):
        Speaker.blank({key: value for key, value in sizes.items() if key != "voice"})


def test_landmarks_that_are_no_motion_are_refused(tmp_path: Path):
    clip = made_clip(tmp_path / "c", [(0, 300)], [])
    motion = clip.motion
    usable = np.ones(len(clip), bool)
    lips = torch.zeros(len(clip), 8)
    with pytest.raises(BadInput, match="do not move"):
        Person.of(Still(clip, replace(motion, landmarks=motion.landmarks[:1].expand(len(clip), -1, -1))), usable, lips)


class Still(Clip):
    """A clip with another motion."""

    def __init__(self, clip: Clip, motion) -> None:
        super().__init__(clip.folder, clip.header)
        self._other = motion

    @property
    def motion(self):
        return self._other


def test_distances_of_what_is_known():
    own = torch.zeros(3, WIDTH)
    own[1] += 1
    assert nearest_mouth_mm(own, own) == 0
    away = own.clone()
    away[:, :60:3] += 0.2  # 2 mm in x at every point of the mouth
    assert nearest_mouth_mm(away, own) == pytest.approx(2, rel=1e-4)
    a = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a + 2, a) == pytest.approx(12, rel=1e-3)
    assert frechet(3 * a, a) == pytest.approx(4 * 3, rel=0.05)


def test_generic_motion_is_as_long_as_the_clip_and_wider(taught):
    clip = taught[2]
    heard_ = Sound.of(clip, ["mel", "phones"])
    assert len(heard_.moves(Standin(SMALL), 0)) == len(clip)
    assert torch.allclose(heard_.moves(Standin(SMALL), 2)[2:-2], heard_.moves(Standin(SMALL), 0), atol=1e-6)
    assert heard_.silent(Standin(SMALL), 2).isfinite().all()
