"""The published renderers as portraits: trained, saved, loaded and drawn, with networks as small as they can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from likeness import methods
from likeness.methods.geneface import paper, preset
from likeness.methods.geneface.paper import PaperConfig, PaperModel
from likeness.nn.vanilla import Settings
from likeness.rig import LIP_COEFFICIENTS

TINY = Settings(
    depth=2, width=16, skip=0, color_depth=1, color_width=8, coarse=6, fine=6, rays=64, steps=4, smooth_from=2, torso_steps=4,
    trial=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(clip, tmp_path_factory) -> PaperModel:
    config = preset("paper")
    assert isinstance(config, PaperConfig)
    path = tmp_path_factory.mktemp("paper") / "a.portrait"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("likeness.nn.vanilla.course.Pupil.promising", True)  # four steps learn nothing
        trained = methods.get("geneface").train(clip, path, replace(config, renderers=TINY))
    found = methods.load(path)
    assert isinstance(found, PaperModel) and found.config == trained.config
    for name, value in trained.state_dict().items():
        assert torch.equal(value, found.state_dict()[name]), name
    small = found.on(replace(found.stage, camera=found.stage.camera.scaled((48, 48))))  # every pixel is hundreds of samples
    assert isinstance(small, PaperModel)
    return small


def test_it_draws_head_and_torso_the_same_every_time(made, clip):
    motion = clip.motion[torch.tensor([60])]
    cond = made.follow(clip.motion[torch.arange(58, 63)])[2:3]
    first, second = made.render(cond, motion)[0], made.render(cond, motion)[0]
    assert torch.equal(first.rgb, second.rgb) and torch.equal(first.alpha, second.alpha)
    height, width = first.alpha.shape[1:]
    assert (width, height) == made.stage.camera.size and made.stage.torso is None
    assert first.rgb.isfinite().all() and float(first.alpha.min()) >= 0 and float(first.alpha.max()) <= 1


def test_landmarks_move_it(made, clip):
    motion = clip.motion[torch.tensor([60])]
    cond = made.follow(clip.motion[torch.arange(58, 63)])[2:3]
    other = cond + 1.0
    assert not torch.equal(made.render(cond, motion)[0].rgb, made.render(other, motion)[0].rgb)
    assert cond.shape == (1, 5 * LIP_COEFFICIENTS)


def test_a_face_in_training_is_what_use_makes_of_it(made, clip, tmp_path, monkeypatch):
    class Seen(Exception):
        pass

    def look(_, frames, near, *others):
        raise Seen(frames, near)

    monkeypatch.setattr(paper, "HeadLesson", look)
    with pytest.raises(Seen) as seen:
        paper.train_paper(clip, tmp_path / "b.portrait", made.config, None)
    frames, near = seen.value.args
    place = 2 + int(np.flatnonzero(frames[4:] - frames[:-4] == 4)[0])  # among frames that follow each other
    follows = clip.motion[torch.from_numpy(frames[place - 2 : place + 3])]
    rows = paper.faces(*made.within(made.follow(follows)[2:3], follows[2:3]))
    assert torch.allclose(near[place], made.landmarks(rows)[0], atol=1e-4)
    assert near[place, 0].ne(near[place, 4]).any()


def test_codes_need_what_a_portrait_hears_of_lips():
    with pytest.raises(ValueError, match="7 frames"):
        PaperConfig(renderers=Settings(smooth=7))
