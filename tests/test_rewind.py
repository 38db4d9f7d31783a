"""Videos read from the end: the same pictures, whatever is held at a time."""

from __future__ import annotations

import numpy as np
import pytest

from likeness.video import Writer, backwards, read, rewind
from tests.media import make_video, number_in, numbered

FRAMES = 130


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Three groups of pictures with B frames."""
    path = tmp_path_factory.mktemp("videos") / "numbers.mp4"
    with Writer(path, (128, 64), 30000 / 1001) as writer:
        for t in range(FRAMES):
            writer.write(numbered(t))
    return path


@pytest.mark.parametrize(("fps", "held", "seek"), [(30000 / 1001, 7, True), (30000 / 1001, 200, True), (24.0, 16, False)])
def test_backwards_is_forwards_turned_round(video, fps, held, seek):
    forwards = list(read(video, fps))
    found = list(backwards(video, fps, 0, len(forwards), held=held, seek=seek))
    assert [p.index for p in found] == list(range(len(forwards)))[::-1]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(found, reversed(forwards), strict=True))


def test_a_part_is_sought_out_not_read_from_the_beginning(video):
    stretch = rewind._stretch(video, 30000 / 1001, 120, 125, True)
    assert stretch is not None and [number_in(p.image) for p in stretch] == [120, 121, 122, 123, 124]


def test_a_late_start_and_uneven_timestamps_change_nothing(tmp_path):
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.06, 60)) + 0.7
    path = make_video(tmp_path / "uneven.mp4", times.tolist())
    forwards = [number_in(p.image) for p in read(path, 25.0)]
    found = [number_in(p.image) for p in backwards(path, 25.0, 0, len(forwards), held=9)]
    assert found == forwards[::-1]
