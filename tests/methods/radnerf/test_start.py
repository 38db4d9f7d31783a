"""A warm start: what a new head takes over, and from whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from likeness import methods
from likeness.errors import BadInput
from likeness.methods import radnerf
from likeness.methods.radnerf import Model
from likeness.methods.radnerf.head import Head
from likeness.methods.radnerf.start import beginning, take_over
from likeness.rig import LIP_COEFFICIENTS, Rig
from tests.few_rays import first_error


@pytest.fixture(scope="module")
def known(portrait_files) -> Model:
    return methods.load(portrait_files["radnerf"])


def test_a_head_begins_with_what_the_other_knows(known):
    head = Head(known.config, 7)
    take_over(head, beginning(known, known.config), known.rig)
    given = dict(known.head.named_parameters())
    for name, parameter in head.named_parameters():
        wanted = given[name].mean(0).expand(7, -1) if name == "appearance" else given[name]
        assert torch.allclose(parameter, wanted, atol=1e-5)


def test_it_hears_lips_alike_whatever_the_rig_calls_them(known, clip):
    """Of another part of the clip, whose rig has other components: the same lips give the same code."""
    motion = clip.motion[torch.from_numpy(clip.train)]
    rig = Rig.fit(motion[torch.arange(len(motion) // 2)])
    head = Head(known.config, 7)
    take_over(head, beginning(known, known.config), rig)
    old, new = (r.encode(motion)[:, :LIP_COEFFICIENTS] for r in (known.rig, rig))

    def off(given: torch.Tensor, wanted: torch.Tensor) -> float:
        return float(((given - given.mean(0)) - (wanted - wanted.mean(0))).square().mean())

    with torch.no_grad():
        wanted = known.head.code(old)
        assert off(head.code(new), wanted) < 0.3 * off(known.head.code(new), wanted)


def test_training_goes_on_from_there(known, lesson, tmp_path):
    """The first step's error is that of the head that it began with, not that of a new one."""
    config = replace(known.config, steps=1, lip_steps=0, coarse_steps=0)
    anew = first_error(lesson, config, tmp_path / "anew", radnerf._head)
    begun = first_error(lesson, config, tmp_path / "begun", lambda mine: radnerf._head(mine, beginning(known, config)))
    assert begun < 0.7 * anew


def test_a_run_knows_what_it_began_with(known):
    begin, other = beginning(known, known.config), beginning(known, known.config)
    assert other.digest == begin.digest
    other.known["appearance"][0, 0] += 1
    assert other.digest != begin.digest


def test_what_is_built_in_another_way_is_named(known):
    for name, value in (
        ("speech", "ambient"),
        ("warped", False),
        ("hidden", 32),
        ("plane_log2_rows", 3),
        ("features", ("mel",)),
    ):
        with pytest.raises(BadInput, match=name):
            beginning(known, replace(known.config, **{name: value}))


def test_who_cannot_begin_from_a_portrait_says_so(portrait_files, clip, tmp_path):
    with pytest.raises(BadInput, match="always begins from nothing"):
        methods.train(clip, tmp_path / "a.portrait", "rigged-gaussians", start=portrait_files["rigged_gaussians"])
    with pytest.raises(BadInput, match="a portrait of rigged-gaussians"):
        methods.train(clip, tmp_path / "a.portrait", "radnerf", start=portrait_files["rigged_gaussians"])
    assert not list(tmp_path.iterdir())
