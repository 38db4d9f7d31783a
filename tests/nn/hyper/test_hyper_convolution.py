"""Convolutions that a sound makes: equal to plain ones sample by sample, and no sample's business is another's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from likeness.nn.hyper.convolution import GAIN, Generated, HyperConv, HyperNet
from likeness.nn.hyper.settings import CODE


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 5), channels=st.integers(1, 24), rank=st.sampled_from((0, 1, 4)), scaled=st.booleans(),
    height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 99),
)  # fmt: skip
def test_all_samples_at_once_are_a_loop_of_plain_convolutions(n, channels, rank, scaled, height, width, seed):
    torch.manual_seed(seed)
    generated = Generated(channels, rank, scaled)
    maps, code = torch.randn(n, channels, height, width), torch.randn(n, CODE)
    kernels, biases = generated.written_out(code)
    assert kernels.shape == (n, channels, channels, 3, 3)
    looped = torch.cat([F.conv2d(maps[i : i + 1], kernels[i], biases[i], padding=1) for i in range(n)]).detach()
    assert (generated(maps, code) - looped).abs().max() < 1e-5 * max(1.0, float(looped.abs().max()))


@pytest.mark.parametrize("rank", [0, 8])
@pytest.mark.parametrize("channels", [16, 40, 128])
def test_generated_kernels_begin_with_the_strength_that_is_asked_for(channels, rank):
    torch.manual_seed(0)
    generated = Generated(channels, rank)
    kernels, _ = generated.written_out(torch.randn(8, CODE))
    assert float(kernels.detach().std()) == pytest.approx((9 * channels) ** -0.5, rel=0.25)
    out = generated(torch.randn(8, channels, 16, 16), torch.randn(8, CODE))
    assert 0.6 < float(out.detach().std()) < 1.7  # neither dies nor grows, at any width
    of_sound = (kernels[0] - kernels[1]).detach().std() / kernels.detach().std()
    assert 0.5 < float(of_sound) < 1.6  # and what is heard makes much of it


def test_a_low_rank_spares_parameters_and_is_one():
    full, low = Generated(128), Generated(128, rank=8)
    count = [sum(p.numel() for p in g.parameters()) for g in (full, low)]
    assert count == [65 * (9 * 128**2 + 128), 65 * (9 * 128 * 8 + 128 * 8 + 128)]
    assert 2 * (count[0] - count[1]) > 17.5e6  # both convolutions of the coarsest scale
    kernels, _ = low.written_out(torch.randn(1, CODE))
    assert int(torch.linalg.matrix_rank(kernels[0].flatten(1), rtol=1e-4)) == 8


@pytest.mark.parametrize("form", ["residual", "replacing"])
@pytest.mark.parametrize("rank", [0, 4])
def test_a_sample_does_not_depend_on_its_neighbours_even_in_training(form, rank):
    torch.manual_seed(0)
    conv, net = HyperConv(16, form, "group", rank).train(), HyperNet(20, even=True).train()
    maps, heard = torch.randn(3, 16, 6, 5), torch.randn(3, 20)
    together = conv(maps, net(heard))
    alone = torch.cat([conv(maps[i : i + 1], net(heard[i : i + 1])) for i in range(3)])
    assert (together - alone).abs().max() < 1e-5
    other = heard.clone()
    other[1] += 1
    changed = (conv(maps, net(other)) - together).abs().amax((1, 2, 3))
    assert changed[0] < 1e-6 and changed[2] < 1e-6 and changed[1] > 1e-3


def test_batch_norm_couples_samples_in_training_only():
    torch.manual_seed(0)
    conv = HyperConv(16, "replacing", "batch")
    maps, code = torch.randn(3, 16, 6, 5), torch.randn(3, CODE)
    other = code.clone()
    other[1] += 1
    changed = (conv(maps, other) - conv(maps, code)).abs().amax((1, 2, 3))
    assert changed[0] > 1e-4
    conv.eval()
    changed = (conv(maps, other) - conv(maps, code)).abs().amax((1, 2, 3))
    assert changed[0] < 1e-6 and changed[1] > 1e-4
    assert torch.isfinite(conv(maps[:1], code[:1])).all()  # a batch of 1


def test_features_go_through_the_residual_form_and_are_replaced_in_the_other():
    torch.manual_seed(0)
    maps, code = 5 * torch.randn(2, 16, 8, 8), torch.randn(2, CODE)
    residual = HyperConv(16, "residual", "group")
    difference = (residual(maps, code) - maps).detach()
    assert 0 < float(difference.std()) < 2 * GAIN
    assert residual.gain is not None
    residual(maps, code).sum().backward()
    assert residual.gain.grad is not None and residual.first.kernel.weight.grad.abs().sum() > 0
    replaced = HyperConv(16, "replacing", "batch")(maps, code).detach()
    assert float(replaced.min()) >= 0 and float(replaced.max()) <= 1
