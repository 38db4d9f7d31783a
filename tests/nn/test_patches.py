"""Patches: which pixels they hold, how large they are, and boxes that are made large enough."""

import numpy as np
import pytest
import torch

from likeness.nn.patches import random_patches


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_patches_hold_every_pixel_once_and_in_order(rng) -> None:
    pictures = torch.arange(2 * 70 * 101 * 3).float().reshape(2, 70, 101, 3)
    patches = random_patches(pictures, (32, 32), rng)
    assert patches.shape == (2, 2 * 3, 32, 32, 3)
    assert torch.equal(patches[1, 0], pictures[1, :32, :32])
    assert torch.equal(patches[0, 5], pictures[0, 32:64, 64:96])
    assert len(patches.unique()) == patches.numel()


def test_sides_are_even_and_reach_both_ends(rng) -> None:
    pictures = torch.zeros(1, 100, 100, 1)
    sides = {random_patches(pictures, (32, 42), rng).shape[2] for _ in range(200)}
    assert sides == {32, 34, 36, 38, 40, 42}
    assert {random_patches(pictures, (33, 35), rng).shape[2] for _ in range(20)} == {34}


def test_sides_stay_within_the_pictures(rng) -> None:
    assert {random_patches(torch.zeros(2, 67, 90, 3), (64, 96), rng).shape[2] for _ in range(50)} == {64, 66}
    with pytest.raises(ValueError, match="90 x 63"):
        random_patches(torch.zeros(2, 63, 90, 3), (64, 96), rng)
    with pytest.raises(ValueError, match="no even side"):
        random_patches(torch.zeros(2, 63, 90, 3), (33, 33), rng)


def test_the_gradient_passes(rng) -> None:
    pictures = torch.zeros(2, 64, 64, 3, requires_grad=True)
    random_patches(pictures, (32, 32), rng)[0].sum().backward()
    assert pictures.grad is not None and (pictures.grad[0] == 1).all() and (pictures.grad[1] == 0).all()
