"""A drawn clip as rays: where they go, and what they should see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from likeness import mesh
from likeness.nn.vanilla import HeadLesson, TorsoLesson, VanillaHead
from likeness.nn.vanilla.training import train_vanilla_head, train_vanilla_torso
from likeness.portrait import below
from likeness.run import Run
from tests.box import TINY

SIZE = 64
SETTINGS = replace(TINY, rays=200, steps=2, torso_steps=2, trial=1)


@pytest.fixture(scope="module")
def lesson(clip, tmp_path_factory) -> HeadLesson:
    frames = clip.train[::8]
    near = torch.randn(len(frames), SETTINGS.around, 6)
    return HeadLesson(clip, frames, near, tmp_path_factory.mktemp("vanilla"), SIZE, SETTINGS)


def landmarks(lesson: HeadLesson) -> tuple[torch.Tensor, torch.Tensor]:
    motion = lesson.clip.motion[torch.from_numpy(lesson.frames)]
    return motion.landmarks[:, : mesh.NODES], motion.pose


def test_near_and_far_enclose_the_face(lesson):
    points, pose = landmarks(lesson)
    distance, (near, far, _) = (points - pose[:, None, :3, 3]).norm(dim=-1), lesson.geometry
    assert 0 < near < float(distance.min()) and float(distance.max()) < far < float(distance.max()) + 0.3


def test_the_window_of_use_is_what_was_learned(lesson):
    head = VanillaHead(SETTINGS, lesson.geometry)
    for t in lesson.frames:
        rows, columns = head.frame(lesson.clip.motion.pose[t], lesson.pictures.camera)
        x, y = lesson.pictures.corner[t]
        assert abs(rows.start - y) <= 3 and abs(columns.start - x) <= 3
        points = lesson.pictures.pixels[t, : mesh.NODES].numpy()
        assert (points[:, 0] > columns.start).all() and (points[:, 0] < columns.stop).all()


def test_rays_go_to_the_face_and_see_the_frame(lesson):
    assert 0.1 < lesson.face(int(lesson.frames[0])).mean() < 1
    for seed in range(3):
        batch = lesson.batch(np.random.default_rng(seed))
        t = int(lesson.frames[np.random.default_rng(seed).integers(len(lesson.frames))])
        pose, camera = lesson.clip.motion.pose[t], lesson.pictures.camera
        at = camera.project(batch.rays.directions @ pose[:3, :3])
        xy = (at - 0.5).round().long().numpy() - lesson.pictures.corner[t]
        assert lesson.face(t)[xy[:, 1], xy[:, 0]].mean() == pytest.approx(SETTINGS.face_share, abs=0.005)
        picture = lesson.pictures[t].image.numpy()[xy[:, 1], xy[:, 0]]
        assert np.allclose(batch.color.numpy(), picture, atol=1e-6)
        assert torch.allclose(batch.rays.origins, pose[:3, 3].expand(200, 3))


def test_head_and_torso_go_through_their_stages(lesson):
    with Run(lesson.pictures.path.parent / "run", {}) as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr("likeness.nn.vanilla.course.BETTER", 1e9)
        head = train_vanilla_head(lesson, SETTINGS, run)
        course = TorsoLesson(lesson, head)
        batch = course.batch(np.random.default_rng(0))
        canonical = lesson.clip.motion.pose[lesson.frames[0]]
        rows = course.camera.project(batch.rays.directions @ canonical[:3, :3])[:, 1]
        assert float(rows.min()) >= SIZE / 2 and torch.equal(batch.rays.origins[0], canonical[:3, 3])
        torso = train_vanilla_torso(course, SETTINGS, run)
        assert run.done("vanilla_head") and run.done("vanilla_torso")
    for name, net in (("vanilla_head", head), ("vanilla_torso", torso)):
        kept = below(f"{name}.net.", run.resumed)
        assert kept.keys() == net.state_dict().keys()
        assert all(torch.equal(value, kept[key]) for key, value in net.state_dict().items())
    at, code = course.sight(0)
    assert at.color.shape == (32, 32, 3) and code.shape == (SETTINGS.code,)
