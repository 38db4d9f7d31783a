"""Who is portrayed and how the picture is framed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.errors import BadInput
from likeness.prepare.framing import ABOVE, WHOLE, Face, Person, choose, find_crop, find_people
from likeness.prepare.survey import survey
from tests.prepare.conftest import SHARED


def way(x, y, size, times, drift=0.0):
    return [(t, Face(float(x + drift * t), float(y), float(size))) for t in times]


def samples(*ways):
    times = sorted({t for way_ in ways for t, _ in way_})
    return [(t, [f for way_ in ways for s, f in way_ if s == t]) for t in times]


TIMES = [0.5 * k for k in range(40)]


def test_the_largest_and_longest_seen_comes_first():
    people = find_people(samples(way(200, 300, 80, TIMES), way(700, 300, 200, TIMES[:30]), way(1000, 200, 90, TIMES[:1])))
    assert [round(p.middle.x) for p in people] == [700, 200]  # somebody seen once is a bystander


def test_a_person_is_followed_by_place_and_found_again_after_a_gap():
    there = way(300, 300, 100, TIMES[:10], drift=4) + way(330, 310, 105, TIMES[25:])
    people = find_people(samples(there, way(800, 300, 90, TIMES)))
    assert sorted(len(p.faces) for p in people) == [25, 40]


def test_two_people_who_are_there_at_once_are_never_joined():
    people = find_people(samples(way(300, 300, 100, TIMES), way(360, 300, 100, TIMES)))
    assert len(people) == 2


def test_choosing():
    people = find_people(samples(way(200, 300, 80, TIMES), way(700, 300, 200, TIMES)))
    chosen, warning = choose(people, None)
    assert chosen is people[0]
    assert "2 people" in warning and "--person" in warning
    assert choose(people, "2")[0] is people[1]
    assert choose(people, "190,310")[0] is people[1]
    for wrong in ("3", "0", "1.5", "1200,600", "left", ""):
        with pytest.raises(BadInput, match="--person"):
            choose(people, wrong)
    with pytest.raises(BadInput, match="no face"):
        choose([], None)


@given(
    st.tuples(st.integers(200, 2000), st.integers(200, 2000)),
    st.floats(0.05, 0.9), st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.floats(0, 0.3),
)  # fmt: skip
def test_the_window_is_a_square_inside_the_picture(size, share, x, y, travel):
    width, height = size
    times = np.linspace(0, 1, 9)
    faces = [Face(float(width * (x + travel * (t - 0.5))), height * y, share * min(size)) for t in times]
    x0, y0, side = find_crop(Person(list(times), faces), width, height)
    assert x0 >= 0 and x0 + side <= width and y0 >= 0 and y0 + side <= height and side > 0


def test_head_and_shoulders():
    x0, y0, side = find_crop(Person(TIMES, [Face(900.0, 300.0, 200.0)] * 40), 1280, 720)
    assert 2.2 * 200 <= side <= 2.6 * 200
    assert x0 + side / 2 == pytest.approx(900, abs=2)
    assert 200 - y0 >= ABOVE * 200 - 1  # the hair is in
    assert y0 + side - 400 >= 0.5 * 200  # and the collar


def test_a_square_close_up_is_taken_whole_and_a_far_one_is_not():
    close = [Face(256.0, 250.0, 512 / WHOLE + 5)] * 40
    assert find_crop(Person(TIMES, close), 512, 512) == (0, 0, 512)
    far = [Face(256.0, 250.0, 100.0)] * 40
    assert find_crop(Person(TIMES, far), 512, 512)[2] < 300


def test_the_window_holds_the_travel():
    faces = [Face(400 + 200 * float(np.sin(k / 5)), 300.0, 120.0) for k in range(40)]
    x0, _, side = find_crop(Person(TIMES, faces), 1280, 720)
    assert x0 < 400 - 200 - 60 and x0 + side > 400 + 200 + 60


@pytest.mark.parametrize(
    ("name", "crop"),
    [("teacher_720p", (677, 48, 512)), ("seated_720p", (467, 9, 388))],
)
def test_real_clips(name, crop):
    path = SHARED / f"{name}.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is not here: real clips are not part of the project")
    found = survey(path, None, None, lambda _: None)
    assert found["people"] == 1
    # looked at: head and shoulders of the one person, hair inside
    assert np.allclose(found["crop"], crop, atol=0.04 * crop[2])
