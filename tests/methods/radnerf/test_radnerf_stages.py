"""The stages of training: what they teach, which rays they look along, and that a run goes on exactly where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from likeness import mesh, methods, speech
from likeness.camera import to_camera
from likeness.clip import HEAD
from likeness.methods import radnerf
from likeness.methods.radnerf import Model
from likeness.methods.radnerf.config import Config, preset
from likeness.methods.radnerf.head import Head
from likeness.methods.radnerf.lesson import Lesson
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.radiance import stages
from likeness.nn.radiance.field import Field
from likeness.portrait import Heard
from likeness.run import Run
from tests.few_rays import few, paper

CONFIGS = {
    "fast": few(),
    "published": paper(),
    "sound and attention": few(conditioning="sound"),
    "a line of speech": few(speech="ambient", ambient=1),
    "speech in three numbers": few(speech="ambient", ambient=3, space="grid"),
}


class Schooled(NamedTuple):
    """A head that was trained, which of its parameters had gradients, and the log."""

    head: Head
    learned: set[str]
    log: list[dict]


def trained(lesson: Lesson, config: Config, folder: Path) -> Head:
    """A head that went through all stages, with every step logged."""
    with Run(folder, {}, keep_every_s=1e9) as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "LOG_EVERY", 1)
        mine = Lesson(lesson.clip, lesson.rig, lesson.frames, config, run, perceptual_loss("laplacian"))
        mine.pictures, mine.allowed = lesson.pictures, lesson.allowed
        return radnerf._head(mine)


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


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
            return Schooled(trained(lesson, CONFIGS[name], folder), learned, log(folder))

    return of


@pytest.mark.parametrize("name", CONFIGS)
def test_every_variant_trains_is_saved_loaded_and_drawn(lesson, schooled, portrait_files, tmp_path, name):
    config = CONFIGS[name]
    head, _, rows = schooled(name)
    assert list(dict.fromkeys(row["stage"] for row in rows)) == ["head", "lips"]
    assert all(math.isfinite(value) for row in rows for value in row.values() if not isinstance(value, str))
    other = methods.load(portrait_files["radnerf"])
    by_sound = config.conditioning == "sound"
    hears = radnerf.hearing(config.features) if by_sound else other.hearing
    model = Model(config, hears, head, None if by_sound else other.voice)
    model.rig, model.stage = other.rig, other.stage
    again = methods.load(model.eval().save(tmp_path / "a.portrait"))
    assert again.config == config
    features = torch.from_numpy(np.concatenate([lesson.clip.features(n) for n in hears.features], axis=1)).float()
    usual = speech.Statistics.of(features)
    heard = Heard(hears.window(features, 30, 32), usual.mean, usual.std, torch.ones(2))
    cond, motion = again.listen(heard), lesson.clip.motion[30:32]
    assert torch.equal(cond, model.listen(heard)) and len(cond) == 2
    drawn = again.render(cond, motion)[0]
    assert torch.equal(drawn.rgb, model.render(cond, motion)[0].rgb) and float(drawn.alpha.mean()) > 0.01
    maps = again.maps(None, motion[:1])
    assert set(maps) == {"depth", "attention to speech", "attention to the upper face"}
    depth, distance = maps["depth"], float(motion.pose[0, :3, 3].norm())
    assert ((depth == 0) | ((depth > 0.5 * distance) & (depth < 1.5 * distance))).all() and depth.any()


@pytest.mark.parametrize("name", ["fast", "published"])
def test_no_parameter_is_dead(schooled, name):
    head, learned, _ = schooled(name)
    assert {n for n, _ in head.named_parameters()} - learned == set()


class Killed(BaseException):
    pass


def test_a_run_killed_in_every_stage_goes_on_with_identical_results(lesson, schooled, tmp_path, monkeypatch):
    config, whole = CONFIGS["fast"], schooled("fast").head
    deaths = {2, 5, config.steps, config.steps + 2}
    keep, count = Run.keep, [0]

    def dying(run, *args):
        count[0] += 1
        if count[0] in deaths:
            run.keep_every_s = 0.0  # of all that could be kept, only what is gone on from
            keep(run, *args)
            raise Killed

    monkeypatch.setattr(Run, "keep", dying)
    for _ in deaths:
        with pytest.raises(Killed):
            trained(lesson, config, tmp_path / "cut")
    again = trained(lesson, config, tmp_path / "cut")
    for (name, one), (_, two) in zip(whole.named().items(), again.named().items(), strict=True):
        assert torch.equal(one, two), name


# ---- rays


def test_rays_go_through_the_middles_of_their_pixels(lesson):
    rng = np.random.default_rng(0)
    t = int(lesson.frames[3])
    xy = lesson._pixels(t, 400, rng)
    rays = lesson.through(t, xy, 0)
    ahead = to_camera(rays.origins + 0.7 * rays.directions, lesson.clip.motion.pose[t])
    hit = lesson.pictures.camera.project(ahead) - torch.from_numpy(lesson.pictures.corner[t])
    assert torch.allclose(hit, torch.from_numpy(xy).float() + 0.5, atol=1e-2)


def test_targets_are_the_pixels_of_the_frame(lesson):
    rows = np.array([1, 5])
    rays, target = lesson.rays(rows, 300, np.random.default_rng(1))
    assert rays.frame.tolist() == [0] * 300 + [1] * 300
    t = int(lesson.frames[5])
    pose, size = lesson.clip.motion.pose[t], lesson.config.size
    xy = lesson.pictures.camera.project(to_camera(rays.origins + rays.directions, pose))[300:].floor().long()
    image = lesson.clip.image(t, size)[xy[:, 1], xy[:, 0]]
    parts = lesson.clip.parts(t)
    assert (target.color[300:] * 255 - torch.from_numpy(image.copy())).abs().max() < 1
    assert size != len(parts) or np.corrcoef(target.head[300:], np.isin(parts[xy[:, 1], xy[:, 0]], HEAD))[0, 1] > 0.9


def test_rays_of_half_the_size_go_through_the_middles_of_four_pixels_and_see_their_mean(lesson):
    rows = np.array([2])
    rays, target = lesson.rays(rows, 300, np.random.default_rng(1), coarse=2)
    t = int(lesson.frames[2])
    pose, size = lesson.clip.motion.pose[t], lesson.config.size
    xy = lesson.pictures.camera.project(to_camera(rays.origins + rays.directions, pose))
    corner = xy.round().long() - 1  # of four pixels that meet there
    assert torch.allclose(xy, xy.round(), atol=1e-2)
    image = torch.from_numpy(lesson.clip.image(t, size).astype(np.float32))
    four = torch.stack([image[corner[:, 1] + i, corner[:, 0] + j] for i in (0, 1) for j in (0, 1)]).mean(0)
    assert (target.color * 255 - four).abs().max() < 1


def test_half_of_the_rays_look_at_the_face_and_the_lips_are_seen_often(lesson):
    t = int(lesson.frames[0])
    rng = np.random.default_rng(2)
    low, high = lesson._box(t, mesh.LIPS)
    xy = lesson._pixels(t, 4000, rng)
    share = ((xy >= low) & (xy <= high)).all(1).mean()
    area = float((high - low).prod()) / float(np.prod(lesson.pictures.crop))
    assert share > 0.18 + 0.5 * area
    lesson_paper = Lesson.__new__(Lesson)
    lesson_paper.__dict__ = lesson.__dict__ | {"config": replace(lesson.config, weighted=False)}
    even = lesson_paper._pixels(t, 4000, rng)
    assert abs(((even >= low) & (even <= high)).all(1).mean() - area) < 0.03


def test_a_step_has_fewer_rays_while_space_is_full(lesson):
    counts = [lesson.enough(n) for n in (100, 20_000, 200_000, 2_000_000)]
    assert counts == sorted(counts, reverse=True) and counts[0] == lesson.config.rays // lesson.config.batch
    assert counts[-1] >= lesson.config.samples // lesson.config.most // lesson.config.batch - 1


# ---- settings


def test_the_published_schedule():
    config = preset("paper")
    assert (config.steps, config.lip_steps, config.torso_steps) == (200_000, 50_000, 200_000)
    assert (config.rays, config.batch, config.most, config.grid_rate, config.network_rate) == (65536, 1, 16, 5e-3, 5e-4)
    assert config.space == "grid" and config.speech == "ambient" and config.ambient == 2 and config.conditioning == "sound"


def test_the_published_sizes():
    """Table 4.1 and 4.5 of radnerf.md: 903480 rows in space, 555520 for speech."""
    torch.manual_seed(0)
    field = Field(preset("paper"), 64, 1)
    assert field.space.table.shape == (903_480, 2) and field.ambient.table.shape == (555_520, 2)


@pytest.mark.parametrize("wrong", [{"size": 300}, {"ambient": 4}, {"step": 0.0}, {"batch": 0}, {"outside_every": 0}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError):
        replace(preset("fast"), **wrong)
