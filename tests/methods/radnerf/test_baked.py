"""A head drawn quickly, by what is kept of it, against the field itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from likeness import methods
from likeness.kernels.bricks_reference import ABSENT
from likeness.methods.radnerf import Model, baked
from likeness.rig import UPPER_COEFFICIENTS

FRAMES = torch.tensor([10, 40, 70])


@pytest.fixture
def fresh(portrait_files):
    """The portrait, of which nothing is kept yet."""

    def load() -> Model:
        return methods.load(portrait_files["radnerf"])

    return load


def drawn(model: Model, clip, frames: Tensor, quick: bool = True) -> Tensor:
    motion = clip.motion[frames]
    layer = model.on(replace(model.stage, quick=quick)).render(model.follow(motion), motion)[0]
    return torch.cat([layer.rgb, layer.alpha[..., None]], -1)


def test_where_speech_changes_nothing_pictures_are_those_of_the_field(fresh, clip):
    model = fresh()
    field = model.head.field
    with torch.no_grad():
        field.hears[-1].weight.zero_()
        field.density[0].weight[:, -UPPER_COEFFICIENTS:] = 0
    kept, exact = drawn(model, clip, FRAMES), drawn(model, clip, FRAMES, quick=False)
    (bake,) = model.bakes.values()
    assert bake.count > 100 and not (bake.index == ABSENT).any()
    head = exact[..., 3] > 0.01
    error = (kept - exact).square().mean(-1)
    assert 0 < float(error[head].mean()) < 1e-5 and float(error[~head].max()) < 1e-4


def test_where_it_changes_everything_they_are_exactly_so(fresh, clip, monkeypatch):
    monkeypatch.setattr(baked, "CHANGES", 0.0)
    model = fresh()
    assert torch.equal(drawn(model, clip, FRAMES), drawn(model, clip, FRAMES, quick=False))
    assert model.bakes[None].count == 0


def test_what_is_kept_does_not_depend_on_which_frame_came_first(fresh, clip):
    forwards, backwards = drawn(fresh(), clip, FRAMES), drawn(fresh(), clip, FRAMES.flip(0)).flip(0)
    # Half precision rounds by how many rows are multiplied at once; an eighth of a grey level is no difference.
    assert torch.allclose(forwards, backwards, rtol=0, atol=0.125 / 255)


def test_every_light_is_kept_by_itself(fresh, clip):
    model = fresh()
    mean = drawn(model, clip, FRAMES[:1])
    other = drawn(model.on(replace(model.stage, appearance=3)), clip, FRAMES[:1])
    assert not torch.equal(other, mean)
    assert torch.equal(drawn(model, clip, FRAMES[:1]), mean) and set(model.bakes) == {None, 3}
