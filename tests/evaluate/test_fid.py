"""The Fréchet distance against closed forms, and the network's layout."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from likeness.evaluate.fid import frechet
from likeness.evaluate.inception import LAYERS, NORM, Inception, shapes


def test_of_one_number_it_is_that_of_means_and_deviations():
    a, b = np.array([[0.0], [2.0]]), np.array([[5.0], [11.0]])  # means 1 and 8, variances 2 and 18
    assert frechet(a, b) == pytest.approx(49 + (math.sqrt(18) - math.sqrt(2)) ** 2)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 50), st.integers(2, 6))
@settings(max_examples=15, deadline=None)
def test_it_is_the_formula_of_the_paper(seed, dim):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((40, dim)) @ rng.standard_normal((dim, dim)), rng.standard_normal((30, dim)) + 1
    of_a, of_b = np.cov(a.T), np.cov(b.T)
    known = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(of_a + of_b - 2 * sqrtm(of_a @ of_b).real)
    assert frechet(a, b) == pytest.approx(known, rel=1e-5) and frechet(b, a) == pytest.approx(known, rel=1e-5)


def test_fewer_rows_than_numbers_and_a_shift():
    rows = np.random.default_rng(0).standard_normal((5, 64))
    assert frechet(rows, rows + 2) == pytest.approx(4 * 64) and frechet(rows, rows[::-1]) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="at least 2"):
        frechet(rows[:1], rows)


def test_the_network_has_the_published_number_of_parameters():
    learned = {key: shape for key, shape in shapes().items() if not key.endswith(("running_mean", "running_var"))}
    # Inception v3 without its auxiliary classifier has 23 834 568 for 1000 classes; this one has 1008
    assert sum(math.prod(shape) for shape in learned.values()) == 23_834_568 + 8 * 2049
    assert len(LAYERS) == 94


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """Weights that keep the size of a signal."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for key, shape in shapes().items():
        if key.endswith(("bn.weight", "running_var")):
            found[key] = torch.ones(shape)
        elif len(shape) == 1:
            found[key] = torch.zeros(shape)
        else:
            found[key] = torch.randn(shape, generator=generator) * math.sqrt(2 / math.prod(shape[1:]))
    return found


def test_features_of_any_size_and_only_of_the_picture(tensors):
    net = Inception(tensors)
    picture = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    found = net.features(picture)
    assert found.shape == (2048,) and (found >= 0).all() and found.std() > 0
    assert np.array_equal(found, net.features(picture))
    assert not np.allclose(found, net.features(255 - picture))


def test_means_leave_padding_out_and_the_last_block_takes_the_largest(tensors):
    changed = dict(tensors)
    for block, into in (("Mixed_5b", 192), ("Mixed_7b", 1280), ("Mixed_7c", 2048)):
        kernel = torch.zeros_like(tensors[f"{block}.branch_pool.conv.weight"])
        kernel[0, 0] = 1  # the first channel out is the first one pooled
        changed[f"{block}.branch_pool.conv.weight"] = kernel
        assert kernel.shape[1] == into
    net = Inception(changed)
    from likeness.evaluate.inception import BLOCKS, EPSILON

    scale = 1 / math.sqrt(1 + EPSILON)
    ones = net._block("Mixed_5b", BLOCKS["Mixed_5b"], torch.ones(1, 192, 5, 5))[0, 224]
    assert ones.numpy() == pytest.approx(np.full((5, 5), scale))  # corners too: nothing of the padding counts
    for block, into, wanted in (("Mixed_7b", 1280, 1 / 9), ("Mixed_7c", 2048, 1.0)):
        peak = torch.zeros(1, into, 7, 7)
        peak[0, 0, 3, 3] = 1
        pooled = net._block(block, BLOCKS[block], peak)[0, 320 + 768 + 768]
        assert float(pooled[2, 4]) == pytest.approx(wanted * scale) and float(pooled[3, 5]) == 0
    assert len(NORM) == 4
