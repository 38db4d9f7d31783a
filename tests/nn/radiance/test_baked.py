"""A head drawn quickly, by what is kept of it, against the field itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from likeness import methods
from likeness.delivery import Delivery
from likeness.errors import BadInput
from likeness.kernels.bricks import ABSENT
from likeness.methods.radnerf import Model
from likeness.nn.radiance import baked
from likeness.rig import UPPER_COEFFICIENTS
from likeness.scenery import staged

FRAMES = torch.tensor([10, 40, 70])
SIDE = 64


@pytest.fixture
def fresh(portrait_files):
    """The portrait, of which nothing is kept yet, in small pictures: fewer cells are looked at."""

    def load() -> Model:
        model = methods.load(portrait_files["radnerf"])
        return model.on(replace(model.stage, camera=model.stage.camera.scaled((SIDE, SIDE))))

    return load


def drawn(model: Model, clip, frames: Tensor, quick: bool = True) -> Tensor:
    motion = clip.motion[frames]
    layer = model.on(replace(model.stage, quick=quick)).render(model.follow(motion), motion)[0]
    return torch.cat([layer.rgb, layer.alpha[..., None]], -1)


def silenced(model: Model) -> Model:
    """Speech and expression change nothing but what the rig moves."""
    with torch.no_grad():
        model.head.field.hears[-1].weight.zero_()
        model.head.field.density[0].weight[:, -UPPER_COEFFICIENTS:] = 0
    return model


def test_where_speech_changes_nothing_pictures_are_those_of_the_field(fresh, clip):
    model = silenced(fresh())
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
    (bake,) = model.bakes.values()
    assert bake.count == 0


def test_what_is_kept_does_not_depend_on_which_frame_came_first(fresh, clip):
    forwards, backwards = drawn(fresh(), clip, FRAMES), drawn(fresh(), clip, FRAMES.flip(0)).flip(0)
    # Half precision rounds by how many rows are multiplied at once; an eighth of a grey level is no difference.
    assert torch.allclose(forwards, backwards, rtol=0, atol=0.125 / 255)


def test_every_light_is_kept_by_itself(fresh, clip):
    model = silenced(fresh())
    with torch.no_grad():
        model.head.appearance[3] += 2
    lit = model.on(replace(model.stage, appearance=3))
    mean, kept, exact = drawn(model, clip, FRAMES[:1]), drawn(lit, clip, FRAMES[:1]), drawn(lit, clip, FRAMES[:1], quick=False)
    assert (kept - exact).square().mean() < 0.01 * (kept - mean).square().mean()


def test_a_delivery_asks_for_it(fresh):
    model = fresh()
    hasty = staged(model, Delivery(quick=True))
    assert hasty.stage.quick and not model.stage.quick and not staged(hasty, Delivery()).stage.quick


def test_who_has_no_quick_way_says_so(fresh, portrait_files):
    unmoved = fresh()
    unmoved.head.warp = None
    for portrait in (unmoved, methods.load(portrait_files["rigged_gaussians"])):
        with pytest.raises(BadInput, match="no quicker way"):
            staged(portrait, Delivery(quick=True))
