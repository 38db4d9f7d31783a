"""A head drawn by what is kept of it, against the field itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from likeness import mesh, methods
from likeness.methods.radnerf import Model

FRAMES = torch.tensor([10, 40, 70])


@pytest.fixture
def fresh(portrait_files):
    """The portrait, of which nothing is kept yet."""

    def load() -> Model:
        return methods.load(portrait_files["radnerf"])

    return load


def drawn(model: Model, clip, frames: Tensor, baked: bool = True) -> Tensor:
    model.config = replace(model.config, baked=baked)
    motion = clip.motion[frames]
    layer = model.render(model.follow(motion), motion)[0]
    return torch.cat([layer.rgb, layer.alpha[..., None]], -1)


def test_pictures_are_those_of_the_field(fresh, clip):
    model = fresh()
    kept, exact = drawn(model, clip, FRAMES), drawn(model, clip, FRAMES, baked=False)
    (bake,) = model.bakes.values()
    assert bake.count > 100
    head = exact[..., 3] > 0.01
    error = (kept - exact).square().mean(-1)
    assert float(error[head].mean()) < 10**-3.6 and float(error[~head].max()) < 10**-2
    assert not torch.equal(kept, exact)
    camera, scale = model.stage.camera, model.stage.camera.size[0] / clip.camera.size[0]
    assert camera.size[0] == round(scale * clip.camera.size[0])
    lips = clip.pixels[FRAMES][:, list(mesh.LIPS)] * scale
    for picture, ring in zip(error, lips):
        (x, y), (right, below) = ring.amin(0).ceil().int().tolist(), ring.amax(0).floor().int().tolist()
        assert float(picture[y:below, x:right].mean()) < 10**-5


def test_what_is_kept_does_not_depend_on_which_frame_came_first(fresh, clip):
    forwards, backwards = drawn(fresh(), clip, FRAMES), drawn(fresh(), clip, FRAMES.flip(0)).flip(0)
    assert torch.equal(forwards, backwards)


def test_every_light_is_kept_by_itself(fresh, clip):
    model = fresh()
    stage = model.stage
    mean = drawn(model, clip, FRAMES[:1])
    model.stage = replace(stage, appearance=3)
    other = drawn(model, clip, FRAMES[:1])
    assert not torch.equal(other, mean)
    model.stage = stage
    assert torch.equal(drawn(model, clip, FRAMES[:1]), mean) and set(model.bakes) == {None, 3}
