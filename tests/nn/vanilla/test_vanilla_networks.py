"""Codes of what moves the face, waves of places, and samples along rays."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from likeness.nn.torso_field import frequencies
from likeness.nn.vanilla import Settings, VanillaHead, VanillaTorso
from likeness.nn.vanilla.condition import ConditionCode
from likeness.nn.vanilla.perceptron import Perceptron
from likeness.nn.vanilla.rendering import REACH, Rays, gathered, spread, through
from tests.box import TINY

SPAN = torch.tensor([0.5, 0.8])


def test_octaves_by_hand():
    waves = frequencies(torch.tensor([[0.5, 0.0, -0.25]]), 10)
    assert waves.shape == (1, 63)
    assert waves[0, :3].tolist() == [0.5, 0.0, -0.25]
    for k in (0, 3, 9):
        start = 3 + 6 * k
        assert float(waves[0, start]) == pytest.approx(math.sin(2**k * 0.5), abs=1e-5)
        assert float(waves[0, start + 5]) == pytest.approx(math.cos(2**k * -0.25), abs=1e-5)
    assert frequencies(torch.zeros(1, 3), 4).shape == (1, 27)


def test_published_sizes():
    settings = Settings()
    net = VanillaHead(settings).fine
    assert net.entrance.in_features == 63 + 64
    assert [layer.in_features for layer in net.density] == [256, 256, 256, 256, 256 + 63 + 64, 256, 256]
    assert net.side.in_features == 256 + 27 and len(net.color) == 2
    assert VanillaTorso(settings).fine.entrance.in_features == 63 + 64 + 2 * 39 + 16
    assert settings.around == 5 and settings.smooths and not replace(settings, steps=200_000).smooths


def test_parts_of_a_layer_that_are_worked_out_apart_are_the_layer():
    torch.manual_seed(0)
    net = Perceptron(TINY, 8)
    xyz, towards, cond = torch.randn(5, 4, 3), torch.nn.functional.normalize(torch.randn(5, 3), dim=1), torch.randn(5, 8)
    place = torch.cat([frequencies(xyz, 5), cond[:, None].expand(-1, 4, -1)], -1)
    x = net.entrance(place).relu()
    for i, layer in enumerate(net.density):
        x = layer(torch.cat([place, x], -1) if i == TINY.skip else x).relu()
    side = net.side(torch.cat([x, frequencies(towards, 2)[:, None].expand(-1, 4, -1)], -1)).relu()
    density, color = net(xyz, towards, cond)
    assert torch.allclose(density, net.sigma(x)[..., 0].relu(), atol=0.02)  # half precision
    assert torch.allclose(color, net.rgb(side).sigmoid(), atol=0.02)


@pytest.mark.parametrize("window", [1, 2, 5, 8, 16])
def test_every_window_makes_a_code(window):
    settings = replace(TINY, window=window)
    assert ConditionCode(settings)(torch.randn(3, settings.around, 6), True).shape == (3, 8)


def test_windows_that_cannot_be_folded_are_said():
    with pytest.raises(ValueError, match="17 frames"):
        ConditionCode(replace(TINY, window=17))


def test_what_stays_the_same_is_smoothed_to_itself():
    torch.manual_seed(1)
    code = ConditionCode(replace(TINY, smooth=5))
    near = torch.randn(1, 1, 6).expand(4, 5, -1)
    assert torch.allclose(code(near, True), code(near, False), atol=1e-6)
    moving = torch.randn(4, 5, 6)
    assert not torch.allclose(code(moving, True), code(moving, False), atol=1e-4)


def test_one_frame_of_its_own_hears_no_neighbour():
    code, near = ConditionCode(TINY), torch.randn(2, 3, 6)
    other = near.clone()
    other[:, [0, 2]] += 1
    assert torch.equal(code(near, False), code(other, False)) and not torch.equal(code(near, True), code(other, True))


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_shifted_samples_stay_in_order_within_their_stretches(seed, count):
    shift = torch.from_numpy(np.random.default_rng(seed).random((3, count), np.float32))
    t, still = spread(SPAN, count, shift), spread(SPAN, count, None)
    assert (t.diff(dim=1) >= 0).all() and torch.equal(t[:, -1], SPAN[1].expand(3))
    assert (t - still).abs().max() <= 0.3 / (count - 1) * 0.5001
    assert torch.allclose(still.diff(dim=1), torch.tensor(0.3 / (count - 1)), atol=1e-6)


def test_fine_samples_go_where_the_coarse_ones_weigh():
    t = torch.linspace(0, 1, 11)[None]
    weights = torch.zeros(1, 10)
    weights[0, 4], weights[0, 7] = 0.6, 0.2
    more = gathered(t, weights, 400, None)[0]
    in_first, in_second = ((more >= low) & (more <= low + 0.1) for low in (0.35, 0.65))
    assert float(in_first.float().mean()) == pytest.approx(0.75, abs=0.01)
    assert float(in_second.float().mean()) == pytest.approx(0.25, abs=0.01)
    at_random = gathered(t, weights, 400, torch.rand(1, 400))[0]
    assert float(((at_random >= 0.35) & (at_random <= 0.45)).float().mean()) == pytest.approx(0.75, abs=0.08)


def test_without_weights_they_go_everywhere():
    more = gathered(torch.linspace(0, 1, 11)[None], torch.zeros(1, 10), 91, None)[0]
    assert torch.allclose(more, torch.linspace(0.05, 0.95, 91), atol=1e-4)


@pytest.fixture
def nets() -> tuple[Perceptron, Perceptron]:
    torch.manual_seed(2)
    return Perceptron(TINY, 8), Perceptron(TINY, 8)


def lines(count: int = 6) -> Rays:
    torch.manual_seed(3)
    directions = torch.nn.functional.normalize(torch.tensor([0.0, 0.0, 1.0]) + 0.1 * torch.randn(count, 3), dim=1)
    return Rays(torch.tensor([0.0, 0.0, -0.7]).expand(count, 3), directions)


def filled(net: Perceptron, density: float) -> None:
    with torch.no_grad():
        net.sigma.weight.zero_()
        net.sigma.bias.fill_(density)


def test_where_there_is_nothing_the_background_is_all(nets):
    for net in nets:
        filled(net, -1.0)
    for seen in through(nets, lines(), torch.zeros(1, 8), TINY, SPAN, None):
        assert torch.equal(seen.last, torch.ones(6)) and torch.equal(seen.color, torch.zeros(6, 3))
        assert torch.equal(seen.over(torch.zeros(6, 3)), torch.zeros(6, 3))


def test_the_last_weight_is_the_light_that_is_left(nets):
    for net in nets:
        filled(net, 2.0)
    through_all = math.exp(-2.0 * REACH)  # near to far are REACH units, whatever they are in metres
    for seen in through(nets, lines(), torch.zeros(1, 8), TINY, SPAN, None):
        assert torch.allclose(seen.last, torch.tensor(through_all), atol=1e-3)
        white = seen.over(torch.ones(6, 3))
        assert torch.allclose(white - seen.over(torch.zeros(6, 3)), seen.last[:, None].expand(-1, 3), atol=1e-6)


def test_without_shifts_the_same_every_time(nets):
    first, again = (through(nets, lines(), torch.zeros(1, 8), TINY, SPAN, None)[1] for _ in range(2))
    assert torch.equal(first.color, again.color) and torch.equal(first.alpha, again.alpha)
    one, other = (through(nets, lines(), torch.zeros(1, 8), TINY, SPAN, np.random.default_rng(5))[1] for _ in range(2))
    assert torch.equal(one.color, other.color) and not torch.equal(one.color, first.color)
