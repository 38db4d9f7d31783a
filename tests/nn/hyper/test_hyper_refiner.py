"""The refiner and the discriminators: sizes, what goes in, what they look at."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from likeness.nn.hyper import (
    KEPT,
    PRESETS,
    BaseDiscriminator,
    DetailDiscriminator,
    Judging,
    Refiner,
    Refining,
    enlarged,
    mouths,
)

PAPER = PRESETS["paper"]


def millions(module: nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


# ---- refiner


@pytest.mark.parametrize("scale, size", [(1, 0.133), (2, 0.171), (4, 0.282)])
def test_published_sizes_of_the_refiner(scale, size):
    assert millions(Refiner(replace(PAPER.refining, scale=scale))) == pytest.approx(size, abs=0.001)


@pytest.mark.parametrize("enlarging", ["shuffle", "transposed"])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_what_comes_out_is_scale_times_as_large(scale, enlarging):
    refiner = Refiner(Refining(scale, width=4, depth=1, guides=1, enlarging=enlarging)).eval()
    shape = (2, 3, 128 * scale, 128 * scale)
    with torch.inference_mode():
        assert refiner(torch.rand(2, 3, 128, 128), torch.rand(2, 1, 128, 128), torch.rand(shape)).shape == shape


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("enlarging", ["shuffle", "transposed"])
def test_the_residual_form_begins_as_the_enlarged_base_and_learns_from_there(enlarging, norm):
    refiner = Refiner(Refining(2, width=8, depth=1, referred=False, enlarging=enlarging, norm=norm))
    base, sketch = torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128)
    out = refiner(base, sketch)
    assert torch.equal(out, enlarged(base, 2))
    out.square().mean().backward()
    assert refiner.colors[-2 if enlarging == "shuffle" else -1].weight.grad.abs().sum() > 0


def test_with_a_reference_it_begins_with_its_detail_and_what_the_base_face_changed():
    refiner = Refiner(Refining(2, width=8, depth=1))
    sketch, references = torch.rand(1, 3, 128, 128), torch.rand(1, 3, 256, 256)
    same = torch.nn.functional.avg_pool2d(references, 2)
    assert torch.allclose(refiner(same, sketch, references), references, atol=1e-6)
    darker = refiner(same - 0.2, sketch, references)
    assert torch.allclose(darker, references - 0.2, atol=1e-5)


def test_the_plain_form_makes_the_picture_anew_within_its_range():
    out = Refiner(replace(PAPER.refining, width=8))(torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128))
    assert float(out.detach().min()) > 0 and float(out.detach().max()) < 1


def test_a_picture_that_was_enlarged_before_is_refused():
    """The original feeds the output's size in use, another than in training."""
    refiner = Refiner(Refining(2, width=4, depth=1, referred=False))
    with pytest.raises(ValueError, match="base face has 256 x 256 pixels"):
        refiner(torch.rand(1, 3, 256, 256), torch.rand(1, 3, 256, 256))
    with pytest.raises(ValueError, match="sketch has 256 x 256 pixels"):
        refiner(torch.rand(1, 3, 128, 128), torch.rand(1, 3, 256, 256))


# ---- discriminators


def test_published_sizes_of_the_discriminators():
    assert millions(BaseDiscriminator(PAPER.judging)) == pytest.approx(14.1, abs=0.05)
    assert millions(DetailDiscriminator(PAPER.judging)) == pytest.approx(1.9, abs=0.05)


def test_the_base_discriminator_looks_at_the_lower_half_of_each_frame_by_itself():
    torch.manual_seed(0)
    judge = BaseDiscriminator(Judging(0.1))
    faces = torch.rand(3, 3, 128, 128, requires_grad=True)
    verdicts = judge(faces)
    assert verdicts.shape == (3, 1)
    verdicts[1].sum().backward()
    assert faces.grad is not None
    assert faces.grad[1, :, KEPT:].any() and not faces.grad[1, :, :KEPT].any() and not faces.grad[[0, 2]].any()


@pytest.mark.parametrize("side", [128, 256])
def test_the_detail_discriminator_looks_at_mouths_or_at_everything(side):
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, side, side, requires_grad=True)
    patches = DetailDiscriminator(Judging(detail_width=0.1))(pictures)
    assert patches.shape == (2, (side // 32) ** 2)
    patches.sum().backward()
    assert pictures.grad is not None
    assert not pictures.grad[..., : side // 2, :].any() and pictures.grad[..., side // 2 :, side // 4 : -side // 4].all()
    whole = DetailDiscriminator(Judging(detail_width=0.1, detail_look="whole"))(pictures)
    assert whole.shape == (2, 1)
    whole.sum().backward()
    assert pictures.grad[..., : side // 2, :].any()


@pytest.mark.parametrize("judge", [BaseDiscriminator, DetailDiscriminator])
def test_verdicts_are_logits(judge):
    """No sigmoid: with a large weight at the end they leave 0..1, and the gradient stays."""
    torch.manual_seed(0)
    judge = judge(Judging(0.1, 0.1))
    nn.init.constant_(judge.verdict.weight, 1e3)
    pictures = torch.rand(1, 3, 128, 128, requires_grad=True)
    verdicts = judge(pictures)
    assert verdicts.detach().abs().max() > 1
    verdicts.sum().backward()
    assert pictures.grad is not None and pictures.grad.abs().max() > 0.01


def test_mouths_are_cut_where_they_are_and_never_beyond_the_picture():
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    picture = torch.stack([columns, rows, rows])[None].expand(3, 3, 128, 128)
    cut = mouths(picture, torch.tensor([[64.0, 90.0], [3.0, 120.0], [127.0, 64.0]]))
    assert cut.shape == (3, 3, 64, 64)
    assert cut[:, :2, 0, 0].tolist() == [[32, 58], [0, 64], [64, 32]]
    assert mouths(picture)[0, :2, 0, 0].tolist() == [32, 64]
