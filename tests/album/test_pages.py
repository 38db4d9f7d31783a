"""A page read back: its crops are those that `dub` cuts, and its points lie on the picture however the square is moved."""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from likeness.album import MARGIN, Jitter, Page
from likeness.album.pages import WHOLE, encoded, forget, write_page
from likeness.dub.crop import Place, cut_out
from likeness.dub.faces import MIDDLE, SIDE
from likeness.errors import BadInput, Refused
from likeness.mesh import INNER_LIPS, LEFT_EYE, LEFT_IRIS, LIP_CORNERS, OUTER_LIPS, RIGHT_EYE, RIGHT_IRIS
from likeness.prepare.generic_face import generic_face, other_side

STORED = 160
MEAN = ((generic_face()[:, :2] - MIDDLE) / SIDE + 0.5).astype(np.float32)


def page_of(folder: Path, images: list[np.ndarray], points: np.ndarray = MEAN, key: str = "ann-1-0000000") -> Page:
    """A page of these stored crops, RGB 0 .. 1; each row of its features tells its number."""
    frames, side = len(images), images[0].shape[0]
    page = Page(folder / f"{key}.safetensors", "ann", key, "train", frames, side, 150.0)
    features = {"mel": np.arange(4 * frames)[:, None] + np.zeros(80), "phones": np.arange(4 * frames)[:, None] + np.zeros(42)}
    write_page(page, "a recipe", [encoded(image) for image in images], np.tile(points, (frames, 1, 1)), features)
    forget()
    return page


def scene(height: int = 480, width: int = 640) -> np.ndarray:
    """A picture with detail everywhere, about as fine as a film's."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)


@settings(max_examples=12)
@given(st.floats(200, 440), st.floats(180, 300), st.floats(90, 400), st.floats(-0.5, 0.5), st.sampled_from([128, 256]))
@example(620.0, 20.0, 190.0, 0.3, 128)  # beyond the picture
def test_a_crop_is_what_dub_cuts_out(tmp_path_factory, x, y, side, turn, size):
    stored = round(size * WHOLE)
    assume(int(side / size) == int(WHOLE * side / stored))  # else blocks of other sizes are averaged: right too, but another
    crop = cut_out(scene(), Place(x, y, WHOLE * side, turn), stored)
    page = page_of(tmp_path_factory.getbasetemp(), [crop])
    difference = np.abs(page.crop(0, size)[0] - cut_out(scene(), Place(x, y, side, turn), size))
    assert difference.mean() < 0.012 and np.quantile(difference, 0.99) < 0.05  # JPEG, and where blocks of 2 x 2 begin


def marked(point: np.ndarray) -> np.ndarray:
    """A stored crop, black but for a soft dot at this place of the square."""
    at = (point + MARGIN) * STORED / WHOLE
    rows, columns = np.mgrid[:STORED, :STORED] + 0.5
    dot = np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * 2.0**2))
    return np.repeat(dot[..., None], 3, 2).astype(np.float32)


MOVED = st.builds(
    Jitter, st.floats(-0.12, 0.12), st.floats(-0.12, 0.12), st.floats(-0.15, 0.15), st.floats(-0.2, 0.2), st.booleans()
)


def stays(jitter: Jitter) -> bool:
    """Whether it keeps within the margin."""
    try:
        return bool(jitter.place(STORED))
    except ValueError:
        return False


@settings(max_examples=40)
@given(st.integers(0, 477), st.sampled_from([96, 128, 160]), MOVED.filter(stays))
@example(61, 128, Jitter(0.05, -0.03, 0.05, 0.05, True))
def test_points_lie_on_the_picture_however_it_is_moved(tmp_path_factory, number, size, jitter):
    page = page_of(tmp_path_factory.getbasetemp(), [marked(MEAN[number])])
    image, points = page.crop(0, size, jitter)
    assert image.shape == (size, size, 3) and image.dtype == points.dtype == np.float32 and image.flags.c_contiguous
    expected = points[other_side()[number] if jitter.flip else number]
    assume((expected > 12).all() and (expected < size - 12).all())
    rows, columns = np.mgrid[:size, :size] + 0.5
    weight = np.where(image[..., 1] > 0.1, image[..., 1], 0)
    found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    assert np.abs(found - expected).max() < 0.15


def test_a_mirror_changes_the_sides_of_a_face_and_of_nothing_else():
    mirror = other_side()
    assert (mirror[mirror] == np.arange(478)).all()
    for one, other in [(RIGHT_EYE, LEFT_EYE), (RIGHT_IRIS, LEFT_IRIS), (OUTER_LIPS, OUTER_LIPS), (INNER_LIPS, INNER_LIPS)]:
        assert set(mirror[list(one)]) == set(other)
    assert mirror[LIP_CORNERS[0]] == LIP_CORNERS[1] and mirror[1] == 1


def test_a_flipped_crop_is_the_mirror_image(tmp_path):
    page = page_of(tmp_path, [cut_out(scene(), Place(300, 200, 200, 0.0), STORED)])
    image, points = page.crop(0, 128)
    mirrored, swapped = page.crop(0, 128, (0, 0, 0, 0, True))
    assert (mirrored == image[:, ::-1]).all()
    assert np.allclose(swapped[other_side()], [128, 0] + points * [-1, 1], atol=1e-4)


def test_no_square_reaches_beyond_what_is_stored(tmp_path):
    page = page_of(tmp_path, [np.zeros((STORED, STORED, 3), np.float32)])
    assert page.crop(0, 128, (MARGIN, -MARGIN, 0, 0, False))[0].shape == (128, 128, 3)
    for jitter in [(0.13, 0, 0, 0, False), (0, 0, 0.25, 0, False), (0.1, 0, 0.1, 0, False), (0.1, 0.1, 0, 0.2, False)]:
        with pytest.raises(ValueError, match="margin"):
            page.crop(0, 128, jitter)
    for t in (-1, 1):
        with pytest.raises(IndexError, match="ann-1"):
            page.crop(t, 128)


def test_a_page_goes_to_another_process_and_reads_what_is_asked_for(tmp_path):
    images = [np.full((STORED, STORED, 3), shade, np.float32) for shade in (0.2, 0.5, 0.8)]
    page = ForkingPickler.loads(ForkingPickler.dumps(page_of(tmp_path, images)))  # as a DataLoader does
    assert len(page) == 3 and page.points.shape == (3, 478, 2)
    assert [round(float(page.image(t).mean()) / 255, 1) for t in (2, 0, 1)] == [0.8, 0.2, 0.5]
    for name, width in (("mel", 80), ("phones", 42)):
        rows = page.features(name)
        assert rows.shape == (12, width) and rows.dtype == np.float32 and (rows[:, 0] == np.arange(12)).all()
    with pytest.raises(BadInput, match="pitch"):
        page.features("pitch")


def test_a_damaged_page_says_so(tmp_path):
    images = [cut_out(scene(), Place(300, 200, 200, 0.0), STORED)] * 3
    page = page_of(tmp_path, images)
    whole = page.path.read_bytes()

    def becomes(content: bytes, kind: type[Exception], match: str) -> None:
        page.path.write_bytes(content)
        forget()
        with pytest.raises(kind, match=match):
            page.crop(1, 128)

    becomes(whole[:-100], BadInput, "damaged.*made anew")
    becomes(whole[:40], BadInput, "damaged")
    becomes(b"", BadInput, "damaged")
    becomes(whole.replace(b"\xff\xd8\xff", bytes(3)), BadInput, "frame 1 is no picture")
    becomes(whole.replace(b'\\"frames\\": 3', b'\\"frames\\": 4'), BadInput, "another page")
    becomes(whole.replace(b'\\"version\\": 1', b'\\"version\\": 2'), Refused, "version 2")
    page.path.unlink()
    forget()
    with pytest.raises(BadInput, match="is gone"):
        page.image(0)


def test_a_page_may_hold_the_sound_itself(tmp_path):
    images = [np.full((STORED, STORED, 3), 0.5, np.float32)] * 2
    page = page_of(tmp_path, images)
    with pytest.raises(BadInput, match="without the sound"):
        page.features("sound")
    sound = np.random.default_rng(0).uniform(-1.2, 1.2, (8, 160)).astype(np.float32)
    features = {"mel": np.zeros((8, 80)), "phones": np.zeros((8, 42)), "sound": sound}
    write_page(page, "a recipe", [encoded(image) for image in images], np.tile(MEAN, (2, 1, 1)), features)
    forget()
    assert np.abs(page.features("sound") - sound.clip(-1, 1)).max() < 2e-5
    write_page(
        page, "a recipe", [encoded(image) for image in images], np.tile(MEAN, (2, 1, 1)), features | {"sound": sound[1:]}
    )
    forget()
    with pytest.raises(BadInput, match="not of one length"):
        page.features("sound")
