"""The chain that lips of all methods go through."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from likeness.nn.adaptation.projection import Manifold
from likeness.nn.chain import radius, settled, smoothed
from likeness.rig import Rig
from tests.nn.utterances import face, sound


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig.fit(face(sound(200, 1)[1]))


def test_an_impulse_spreads_over_time_only():
    """GeneFace smooths without an axis, which mixes coordinates and leaves time as it was."""
    lips = torch.zeros(21, 8)
    lips[10, 3] = 1.0
    found = smoothed(torch.nn.functional.pad(lips, (0, 0, 3, 3)), 1.0)
    assert found.shape == lips.shape
    assert (found[:, [0, 1, 2, 4, 5, 6, 7]] == 0).all()
    assert float(found[:, 3].sum()) == pytest.approx(1, abs=1e-6)
    assert found[10, 3] > found[9, 3] > found[8, 3] > 0 and found[9, 3] == found[11, 3]


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0, 2.5])
def test_smoothing_needs_its_radius_and_chunks_do_not_show(sigma):
    lips = torch.from_numpy(np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32))
    reach = radius(sigma)
    whole = smoothed(lips, sigma)
    assert len(whole) == 60 - 2 * reach
    parts = [smoothed(lips[a : b + 2 * reach], sigma) for a, b in pairwise([0, 1, 2, 17, len(whole)])]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    assert torch.allclose(smoothed(torch.ones(40, 8), sigma), torch.ones(40 - 2 * reach, 8), atol=1e-6)


def test_lips_stay_within_what_was_seen_and_rest_in_silence(rig):
    wild = 100 * torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    found = settled(wild, rig, torch.ones(30))
    assert (found >= rig.low[:8]).all() and (found <= rig.high[:8]).all()
    assert torch.equal(settled(wild, rig, torch.zeros(30)), rig.rest.expand(30, -1))


def test_the_projection_takes_its_share(rig):
    own = Manifold.of(torch.zeros(4, 8))
    lips = rig.high[:8].expand(5, -1) / 2
    assert torch.allclose(settled(lips, rig, torch.ones(5), own, 0.25), 0.75 * lips, atol=1e-6)
    assert torch.allclose(settled(lips, rig, torch.ones(5), own, 0.0), lips, atol=1e-6)
