"""Portraits of GeneFace: what they are moved by, and that training and drawing come out the same every time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from likeness import methods, speech
from likeness.clip import Motion
from likeness.evaluate.rows import features
from likeness.methods import geneface
from likeness.methods.geneface import Config, Model, preset
from likeness.methods.geneface.head import Head
from likeness.methods.geneface.landmarks import FRAMES, NEAR
from likeness.methods.geneface.lesson import Lesson
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.radiance import stages
from likeness.portrait import Heard
from likeness.rig import LIP_COEFFICIENTS
from likeness.run import Run
from tests.few_rays import FEW

CONFIGS = {"fast": preset("fast"), "rad": replace(preset("rad"), seeded=True)}
"""Of the published renderer's space only what is near the head."""


@pytest.fixture
def portrait(portrait_files) -> Model:
    return methods.load(portrait_files["geneface"])


def drawn(model: Model, cond: torch.Tensor, motion: Motion) -> torch.Tensor:
    layer = model.render(cond, motion)[0]
    return torch.cat([layer.rgb, layer.alpha[..., None]], -1)


class Schooled(NamedTuple):
    """A head that was trained, which of its parameters had gradients, and the log."""

    head: Head
    learned: set[str]
    log: list[dict]


def trained(lesson: Lesson, config: Config, folder: Path) -> Head:
    """A head that went through all stages in a few steps, every one of them logged."""
    with Run(folder, {}, keep_every_s=1e9) as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "LOG_EVERY", 1)
        config = replace(config, **FEW)
        mine = Lesson(lesson.clip, lesson.rig, lesson.frames, config, run, perceptual_loss("laplacian"))
        mine.pictures, mine.allowed = lesson.pictures, lesson.allowed
        return geneface._head(mine)


@pytest.fixture(scope="module")
def schooled(lesson, tmp_path_factory) -> Callable[[str], Schooled]:
    """One of CONFIGS, trained once."""

    @cache
    def of(name: str) -> Schooled:
        learned: set[str] = set()
        step = stages.Pupil.step

        def watching(pupil, *args):
            learned.update(n for n, p in pupil.head.named_parameters() if p.grad is not None and p.grad.any())
            step(pupil, *args)

        folder = tmp_path_factory.mktemp("run")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stages.Pupil, "step", watching)
            head = trained(lesson, CONFIGS[name], folder)
        return Schooled(head, learned, [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()])

    return of


@pytest.mark.parametrize("name", CONFIGS)
def test_every_variant_trains_is_saved_loaded_and_drawn(lesson, schooled, portrait, tmp_path, name):
    head, learned, rows = schooled(name)
    assert {n for n, _ in head.named_parameters()} == learned
    assert list(dict.fromkeys(row["stage"] for row in rows)) == ["head", "lips"]
    assert all(math.isfinite(value) for row in rows for value in row.values() if not isinstance(value, str))
    model = Model(head.config, portrait.hearing, head, portrait.voice)
    model.rig, model.stage = lesson.rig, portrait.stage
    again = methods.load(model.eval().save(tmp_path / "a.portrait"))
    assert again.config == model.config and torch.equal(again.head.landmarks.std, head.landmarks.std)
    motion = lesson.clip.motion[30:32]
    cond = model.follow(motion)
    torch.testing.assert_close(again.follow(motion), cond)  # a product of another memory layout may round otherwise
    picture = drawn(model, cond, motion)
    assert torch.equal(drawn(again, cond, motion), picture) and float(picture[..., 3].mean()) > 0.01
    assert set(again.maps(None, motion[:1])) == {"depth", "attention to speech", "attention to the upper face"}
    assert again.has_quick_way == (name == "fast") and again.lights == len(lesson.frames)


def test_training_twice_is_the_same_bit_for_bit(lesson, schooled, tmp_path):
    one, two = schooled("fast").head.named(), trained(lesson, CONFIGS["fast"], tmp_path / "two").named()
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_drawing_twice_is_the_same_bit_for_bit(portrait, portrait_files, clip):
    motion = clip.motion[40:43]
    again = methods.load(portrait_files["geneface"])
    pictures = [drawn(model, model.follow(motion), motion) for model in (portrait, portrait, again)]
    assert torch.equal(pictures[0], pictures[1]) and torch.equal(pictures[0], pictures[2])
    torso = [
        model.stage.torso.draw(model.stage.torso.follow(motion)[1], model.stage.background.numpy())
        for model in (portrait, again)
    ]
    assert (torso[0] == torso[1]).all()


class Killed(BaseException):
    pass


def test_a_run_killed_in_a_stage_goes_on_with_identical_results(lesson, schooled, tmp_path, monkeypatch):
    whole = schooled("fast").head.named()
    deaths, keep, count = {4, FEW["steps"] + 2}, Run.keep, [0]

    def dying(run, *args):
        count[0] += 1
        if count[0] in deaths:
            run.keep_every_s = 0.0  # of all that could be kept, only what is gone on from
            keep(run, *args)
            raise Killed

    monkeypatch.setattr(Run, "keep", dying)
    for _ in deaths:
        with pytest.raises(Killed):
            trained(lesson, CONFIGS["fast"], tmp_path / "cut")
    again = trained(lesson, CONFIGS["fast"], tmp_path / "cut").named()
    assert all(torch.equal(again[name], value) for name, value in whole.items())


# ---- what moves them


def test_lips_that_move_nothing_leave_the_picture_unchanged(portrait, clip):
    motion = clip.motion[[40, 40]]
    lips = torch.randn(2, FRAMES * LIP_COEFFICIENTS, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(*drawn(portrait, lips, motion).split(1))
    basis = portrait.rig.basis.clone()
    basis[:LIP_COEFFICIENTS] = 0
    portrait.rig = replace(portrait.rig, basis=basis)
    portrait.head.follow(portrait.rig)
    assert torch.equal(*drawn(portrait, lips, motion).split(1))


def test_the_frames_around_count_but_the_rig_moves_with_the_frame_itself(portrait, clip):
    motion = clip.motion[40:41]
    cond = portrait.follow(clip.motion[38:43])[2:3]
    other = cond.unflatten(1, (FRAMES, LIP_COEFFICIENTS)).clone()
    other[:, 0] += 1
    upper = portrait.within(cond, motion)[1]
    one, two = (portrait.head.said(rows, upper, None) for rows in (cond, other.flatten(1)))
    assert not torch.equal(one.code, two.code) and torch.equal(one.shift.moved, two.shift.moved)


def test_following_gives_what_training_sees(portrait, lesson, clip):
    take = torch.from_numpy(clip.take)
    known = {int(t): row for t, row in zip(lesson.frames, torch.from_numpy(lesson.near))}
    followed = portrait.follow(clip.motion[take])
    compared = [t for t in clip.take if int(t) in known]
    assert len(compared) > 5
    for t in compared:
        seen = lesson.cond[known[int(t)], :LIP_COEFFICIENTS].flatten()
        assert torch.allclose(followed[int(t) - int(take[0])], seen, atol=1e-4)


def test_in_silence_the_lips_of_all_frames_rest(portrait, clip):
    rows = features(portrait, clip)
    usual = speech.Statistics.of(rows)
    heard = Heard(portrait.hearing.window(rows, 40, 44), usual.mean, usual.std, torch.tensor([1.0, 0.0, 0.0, 1.0]))
    cond = portrait.listen(heard).unflatten(1, (FRAMES, LIP_COEFFICIENTS))
    assert torch.allclose(cond[1:3], portrait.rig.rest.expand(2, FRAMES, -1)) and not torch.allclose(cond[0], cond[1])
    loud = portrait.listen(replace(heard, activity=torch.ones(4))).unflatten(1, (FRAMES, LIP_COEFFICIENTS))
    assert torch.equal(loud[0, NEAR + 1], loud[1, NEAR])  # what follows one frame is the next one


def test_lips_beyond_what_training_showed_are_kept_within(portrait, clip):
    motion = clip.motion[40:41]
    far = torch.full((1, FRAMES * LIP_COEFFICIENTS), 1e4)
    cond, _ = portrait.within(far, motion)
    assert torch.equal(cond, portrait.head.held(portrait.rig.high[None, :LIP_COEFFICIENTS]))
    assert torch.equal(drawn(portrait, far, motion), drawn(portrait, cond, motion))


def test_a_delivery_can_be_quick(portrait, clip):
    motion = clip.motion[40:42]
    cond = portrait.follow(motion)
    quick = portrait.on(replace(portrait.stage, quick=True))
    assert float((drawn(quick, cond, motion) - drawn(portrait, cond, motion)).abs().mean()) < 0.01


# ---- settings


def test_the_published_renderer():
    """geneface.md, 8.2."""
    config = preset("rad")
    assert (config.steps, config.lip_steps, config.rays, config.most) == (200_000, 50_000, 65536, 16)
    assert config.hidden == 128 and config.appearance == 4 and config.clamp == 2.5
    torch.manual_seed(0)
    head = Head(config, 7)
    assert head.appearance.shape == (7, 4)  # as many as there are frames
    squeeze, density, color = ([m.out_features for m in net if hasattr(m, "out_features")] for net in
                               (head.field.squeeze, head.field.density, head.field.color))  # fmt: skip
    assert (squeeze, density, color) == ([128, 128, 2], [128, 128, 129], [128, 3])
    assert head.width == 64 and head.field.squeeze[0].in_features == 32 + 64
    assert (config.rate_end, config.lip_rate_end) == (pytest.approx(0.1 ** (200 / 250)), 0.1)


@pytest.mark.parametrize("wrong", [{"size": 300}, {"clamp": 0.0}, {"hidden": 0}, {"step": 2.0}])
def test_settings_of_geneface_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError):
        replace(preset("fast"), **wrong)
