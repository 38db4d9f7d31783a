"""MS-SSIM against values worked out by hand, and against torchmetrics."""

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as theirs

from likeness.evaluate.multiscale import SMALLEST, WEIGHTS, ms_ssim


def textured(seed: int = 0, height: int = 200, width: int = 190) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 10, width // 10, 3))
    return np.kron(coarse, np.ones((10, 10, 1))).astype(np.uint8)


def test_flat_pictures_differ_in_luminance_alone_and_only_at_the_coarsest_size():
    a, b = (np.full((180, 180, 3), v, np.uint8) for v in (100, 150))
    x, y = 100 / 255, 150 / 255
    luminance = (2 * x * y + 1e-4) / (x * x + y * y + 1e-4)
    assert ms_ssim(a, b) == pytest.approx(luminance ** WEIGHTS[-1], abs=1e-4)
    assert ms_ssim(a, a) == pytest.approx(1, abs=1e-5)


def test_channels_count_alike():
    a, b = np.full((180, 180, 3), 100, np.uint8), np.full((180, 180, 3), 100, np.uint8)
    b[..., 0] = 150
    both = ms_ssim(a, np.full((180, 180, 3), 150, np.uint8))
    assert ms_ssim(a, b) == pytest.approx((both + 2) / 3, abs=1e-4)


def test_it_is_the_paper_s_product_of_means():
    """Section 3 of the paper, pixel by pixel: windows wholly within, low-pass and every second pixel between the sizes."""
    a = textured()
    b = np.clip(a + np.random.default_rng(1).normal(0, 25, a.shape), 0, 255).astype(np.uint8)
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    total = []
    for channel in range(3):
        x, y, product = a[..., channel] / 255, b[..., channel] / 255, 1.0
        for size, weight in enumerate(WEIGHTS):
            mx, my, xx, yy, xy = (correlate2d(v, window, "valid") for v in (x, y, x * x, y * y, x * y))
            structure = (2 * (xy - mx * my) + 0.03**2) / (xx - mx**2 + yy - my**2 + 0.03**2)
            luminance = (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2)
            product *= (structure * luminance if size == 4 else structure).mean() ** weight
            x, y = (v[: len(v) // 2 * 2, : v.shape[1] // 2 * 2] for v in (x, y))
            x, y = ((v[::2, ::2] + v[1::2, ::2] + v[::2, 1::2] + v[1::2, 1::2]) / 4 for v in (x, y))
        total.append(product)
    assert ms_ssim(b, a) == pytest.approx(np.mean(total), abs=1e-4) and 0.3 < np.mean(total) < 0.99


def test_it_is_nearly_what_torchmetrics_says():
    """Which pads the borders."""
    a = textured()
    noisy = np.clip(a + np.random.default_rng(1).normal(0, 25, a.shape), 0, 255).astype(np.uint8)
    pair = [torch.from_numpy(x).permute(2, 0, 1)[None].float() / 255 for x in (noisy, a)]
    known = float(theirs(*pair, data_range=1.0, kernel_size=11, sigma=1.5))
    assert 0.3 < known < 0.99 and ms_ssim(noisy, a) == pytest.approx(known, abs=0.01)


def test_worse_pictures_are_worse_and_opposite_ones_are_nothing():
    a = textured()
    rng = np.random.default_rng(2)
    found = [ms_ssim(np.clip(a + rng.normal(0, s, a.shape), 0, 255).astype(np.uint8), a) for s in (5, 20, 60)]
    assert 1 > found[0] > found[1] > found[2] > 0
    assert ms_ssim(255 - a, a) == 0


def test_small_pictures_are_refused():
    with pytest.raises(ValueError, match=f"{SMALLEST} pixels"):
        ms_ssim(textured(height=170), textured(height=170))
