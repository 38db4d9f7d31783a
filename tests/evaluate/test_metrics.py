"""Every metric against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import mesh
from likeness.evaluate import metrics
from likeness.evaluate.sound import Sound


def picture(value: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def points(frames: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(20, 200, (frames, 478, 2))


def test_psnr_of_a_known_error():
    assert metrics.psnr(picture(100), picture(110)) == pytest.approx(20 * np.log10(255 / 10))
    assert metrics.psnr(picture(110), picture(100)) == pytest.approx(28.1308, abs=1e-4)  # uint8 must not wrap round
    assert metrics.psnr(picture(7), picture(7)) == 100.0
    one = picture(0)
    one[0, 0, 0] = 255  # one value of 768 is wrong by all there is
    assert metrics.psnr(one, picture(0)) == pytest.approx(10 * np.log10(768))


def test_psnr_looks_only_into_its_box():
    wrong = picture(50)
    wrong[:4, :8] = 60
    assert metrics.psnr(wrong, picture(50), (0, 0, 8, 4)) == pytest.approx(20 * np.log10(25.5))
    assert metrics.psnr(wrong, picture(50), (8, 4, 16, 16)) == 100.0
    assert metrics.psnr(wrong, picture(50), (0, 0, 16, 4)) == pytest.approx(10 * np.log10(255**2 / 50))


def test_ssim_of_equal_pictures_is_one_and_of_flat_ones_is_known():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert metrics.ssim(image, image) == pytest.approx(1, abs=1e-5)
    assert metrics.ssim(image, rng.permutation(image)) < 0.3
    assert metrics.ssim(image, picture(0, 40)) < metrics.ssim(image, np.clip(image.astype(int) + 5, 0, 255).astype(np.uint8))


def test_ssim_looks_only_into_its_box():
    rng = np.random.default_rng(0)
    real = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    wrong = real.copy()
    wrong[:10] = 255 - wrong[:10]
    assert metrics.ssim(wrong, real, (0, 15, 40, 40)) == pytest.approx(1, abs=1e-5)  # windows reach 5 pixels
    assert metrics.ssim(wrong, real, (0, 0, 40, 10)) < 0.3
    halves = [metrics.ssim(wrong, real, box) for box in ((0, 0, 40, 20), (0, 20, 40, 40))]
    assert metrics.ssim(wrong, real) == pytest.approx(np.mean(halves), abs=1e-5)


def test_boxes_have_their_margins_and_are_clipped():
    pixels = np.full((478, 2), 100.0)
    lips, oval = list(mesh.LIPS), list(mesh.FACE_OVAL)
    pixels[lips[0]], pixels[lips[1]] = (80.5, 110), (120, 130.2)
    assert metrics.mouth_box(pixels, 256) == (74, 94, 126, 137)
    assert metrics.mouth_box(pixels, 512) == (68, 88, 132, 143)
    pixels[oval[0]], pixels[oval[5]] = (-30, 2), (300, 255)
    assert metrics.face_box(pixels, 256) == (0, 0, 256, 256)
    assert all(type(v) is int for v in metrics.face_box(pixels, 256))  # numpy's integers cannot become JSON


def test_lmd_takes_shifts_out_and_leaves_scales_in():
    real = points()
    real[:, mesh.RIGHT_EYE_CORNERS] = (60, 80)
    real[:, mesh.LEFT_EYE_CORNERS] = (110, 80)  # 50 px apart
    assert metrics.lmd(real + np.array([7, -3]), real) == pytest.approx((0, 0), abs=1e-9)
    lips = list(mesh.LIPS)
    drawn = real.copy()
    centre = real[:, lips].mean(1, keepdims=True)
    drawn[:, lips] = centre + 1.1 * (real[:, lips] - centre)
    radius = np.linalg.norm(real[:, lips] - centre, axis=-1).mean()
    assert metrics.lmd(drawn, real) == pytest.approx((0.1 * radius, 0.1 * radius / 50))
    one = real.copy()
    one[:, lips[3], 0] += 4  # the centroid moves by .1: 39 points are off by .1, one by 3.9
    assert metrics.lmd(one, real)[0] == pytest.approx((39 * 0.1 + 3.9) / 40)


def test_interocular_and_opening():
    real = points()
    real[:, mesh.RIGHT_EYE_CORNERS], real[:, mesh.LEFT_EYE_CORNERS] = (10, 10), (40, 50)
    assert metrics.interocular(real) == pytest.approx(50)
    real[:, 13], real[:, 14] = (5, 5), (8, 9)
    assert metrics.opening(real) == pytest.approx(5)


def test_follows():
    curve = np.sin(np.arange(40) / 3.0)
    assert metrics.follows(0.5 * curve + 3, curve) == pytest.approx((1, 0.5))
    assert metrics.follows(-2 * curve, curve) == pytest.approx((-1, 2))
    assert metrics.follows(np.full(40, 2.0), curve) == (0.0, 0.0)
    assert metrics.follows(np.array([0.0, 1, 0, -1]), np.array([1.0, 0, -1, 0]))[0] == pytest.approx(0)


@given(st.floats(-3, 3), st.floats(0.5, 2), st.floats(-50, 50), st.floats(-50, 50))
@settings(max_examples=40, deadline=None)
def test_stabilising_removes_a_similarity_exactly(turn, scale, x, y):
    still = np.repeat(points(1), 6, axis=0)
    moved = still.copy()
    z = (moved[..., 0] + 1j * moved[..., 1]) * (scale * np.exp(1j * turn * np.linspace(0, 1, 6)))[:, None]
    moved = np.stack([z.real + x, z.imag + y], axis=-1)
    brought = metrics.stabilised(moved)
    assert np.abs(brought - brought[:1]).max() < 1e-8
    assert metrics.jitter(moved) == pytest.approx(0, abs=1e-8)


def test_jitter_of_constant_velocity_is_zero_and_of_a_zigzag_is_known():
    lips = list(mesh.LIPS)
    outside = sorted(set(lips) - set(mesh.SKULL))
    assert outside == sorted(lips)  # the rigid points hold still while the lips move
    pixels = np.repeat(points(1), 9, axis=0)
    even = pixels.copy()
    even[:, lips] += np.arange(9)[:, None, None] * np.array([0.3, 0.2])
    assert metrics.jitter(even) == pytest.approx(0, abs=1e-9)
    zigzag = pixels.copy()
    zigzag[::2, lips, 1] += 1.5  # second difference: 3 px everywhere
    assert metrics.jitter(zigzag) == pytest.approx(3)
    assert metrics.jitter(pixels) == pytest.approx(0, abs=1e-9)


def test_jitter_does_not_reach_over_frames_that_were_left_out():
    pixels = np.repeat(points(1), 9, axis=0)
    frames = np.array([10, 11, 12, 13, 20, 21, 22, 30, 31])
    pixels[:, list(mesh.LIPS), 0] += np.array([0.5 * t + 7 * (t >= 20) for t in frames])[:, None]  # even within each piece
    assert metrics.jolts(pixels, frames).shape == (3,)  # frames 11, 12 and 21 alone have both neighbours
    assert metrics.jitter(pixels, frames) == pytest.approx(0, abs=1e-9) and metrics.jitter(pixels) > 1


def test_figures_of_frames_have_the_figures_as_their_mean():
    real, drawn = points(), points(seed=1)
    assert metrics.lip_distances(drawn, real).shape == (6,) and metrics.jolts(drawn).shape == (4,)
    assert metrics.lip_distances(drawn, real).mean() == pytest.approx(metrics.lmd(drawn, real)[0])
    assert metrics.jolts(drawn).mean() == pytest.approx(metrics.jitter(drawn))


def test_boxes_of_one_pair_are_its_boxes_one_by_one():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 255, (40, 40, 3)).astype(np.uint8) for _ in range(2))
    boxes = (None, (0, 0, 20, 40), (5, 6, 30, 35))
    assert metrics.ssims(a, b, boxes) == [metrics.ssim(a, b, box) for box in boxes]


def test_a_target_is_what_frames_are_brought_to():
    pixels = points()
    target = np.random.default_rng(3).uniform(0, 9, (len(mesh.SKULL), 2))
    centres = metrics.stabilised(pixels, target)[:, list(mesh.SKULL)].mean(1)
    assert centres == pytest.approx(np.repeat(target.mean(0)[None], 6, axis=0))


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_lips_that_come_after_the_sound(late):
    loud = np.random.default_rng(0).standard_normal(80).astype(np.float32)
    opening = 0.5 * loud[10 - late : 70 - late] + 2  # frame t of the lips shows what was heard `late` frames before
    rows = metrics.with_loudness(opening, loud, 10)
    assert metrics.loudness_lag(rows) == late and metrics.loudness_r(rows) == pytest.approx(1, abs=1e-6)
    assert metrics.loudness_r(metrics.with_loudness(np.full(60, 3.0), loud, 10)) == 0


def test_beyond_its_ends_the_sound_is_as_there():
    loud = np.arange(10, dtype=np.float32)
    rows = metrics.with_loudness(np.zeros(4), loud, -2)
    zero = metrics.LAGS.index(0)
    assert rows[:, 1 + zero].tolist() == [0, 0, 0, 1]
    assert rows[3, 1:].tolist() == [max(0, 1 - lag) for lag in metrics.LAGS]


def test_what_is_not_in_the_picture_is_no_success():
    image = np.zeros((20, 20, 3), np.uint8)
    outside = metrics.mouth_box(np.full((478, 2), 60.0), 20)
    assert outside[2] - outside[0] >= 0 and np.isnan(metrics.psnr(image, image, outside))
    assert np.isnan(metrics.ssims(image, image, (outside,))[0])


def test_digital_silence_is_not_all_that_loudness_is():
    """Frames of nothing are as quiet as 40 dB below speech, not as a microphone that is off."""
    rng = np.random.default_rng(0)
    spoken = (rng.standard_normal(100 * 640) * np.repeat(0.02 + 0.1 * rng.random(100), 640)).astype(np.float32)
    decibels = Sound(np.concatenate([spoken, np.zeros(100 * 640, np.float32)])).decibels
    assert decibels[:100].min() > decibels[120] and decibels.max() - decibels.min() < 45
    assert np.percentile(decibels, 95) - decibels[150] == pytest.approx(40, abs=1e-3)
