"""A warm start of GeneFace: the code hears the same face alike, whatever a clip's statistics are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from likeness import methods
from likeness.errors import BadInput
from likeness.methods import geneface
from likeness.methods.geneface import Model
from likeness.methods.geneface.head import Head
from likeness.methods.geneface.landmarks import FRAMES, NUMBERS
from likeness.methods.geneface.start import BIAS, WEIGHT, beginning, take_over
from tests.few_rays import first_error


@pytest.fixture(scope="module")
def known(portrait_files) -> Model:
    return methods.load(portrait_files["geneface"])


@torch.no_grad()
def test_the_same_displacement_makes_the_same_code(known):
    generator = torch.Generator().manual_seed(0)
    head, old = Head(known.config, 7), known.head
    head.landmarks.mean.copy_(old.landmarks.mean + 0.05 * torch.randn(NUMBERS, generator=generator))
    head.landmarks.std.copy_(old.landmarks.std * (0.5 + torch.rand(NUMBERS, generator=generator)))
    take_over(head, beginning(known, known.config))
    moves = old.landmarks.mean + old.landmarks.std * torch.randn(4, FRAMES, NUMBERS, generator=generator)
    codes = [h.code((moves - h.landmarks.mean) / h.landmarks.std) for h in (head, old)]
    assert torch.allclose(*codes, atol=1e-4) and float(codes[1].std()) > 1e-2


def test_all_else_is_taken_over(known):
    head = Head(known.config, 7)
    take_over(head, beginning(known, known.config))
    given = dict(known.head.named_parameters())
    assert torch.allclose(head.appearance, given.pop("appearance").mean(0).expand(7, -1))
    for name, value in given.items():
        assert name in (WEIGHT, BIAS) or torch.equal(dict(head.named_parameters())[name], value)


def test_training_goes_on_from_there(known, lesson, tmp_path):
    """The first step's error is that of the head that it began with, not that of a new one."""
    config = replace(known.config, steps=1, lip_steps=0, coarse_steps=0)
    anew = first_error(lesson, config, tmp_path / "anew", geneface._head)
    begun = first_error(lesson, config, tmp_path / "begun", lambda mine: geneface._head(mine, beginning(known, config)))
    assert begun < 0.7 * anew


@pytest.mark.parametrize("preset, why", [("rad", "space, speech"), ("paper", "preset paper")])
def test_what_is_built_in_another_way_is_said_before_the_work(portrait_files, clip, tmp_path, preset, why):
    with pytest.raises(BadInput, match=why):
        methods.train(clip, tmp_path / "a.portrait", "geneface", preset=preset, start=portrait_files["geneface"])
    assert not list(tmp_path.iterdir())
