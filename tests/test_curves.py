"""Curves in text files: what they say between their rows, and that errors name line and column."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.curves import Curve, read_curve
from likeness.errors import BadInput

LIMITS = {"yaw": (-180.0, 180.0), "x": (-10.0, 10.0)}


def read(tmp_path, text: str, limits=LIMITS):
    path = tmp_path / "a curve.csv"
    path.write_text(text, encoding="utf-8")
    return read_curve(path, limits, 25.0)


@pytest.mark.parametrize(
    "text",
    [
        "frame,yaw\n0,1\n25,3\n",
        "\ufeffTime; Yaw\r\n0; 1\r\n1; 3\r\n",
        "# by hand\n\nyaw\ttime\n1\t0\n3\t1  # looks right\n\n",
    ],
)
def test_frames_or_seconds_in_any_order_and_spelling(tmp_path, text):
    curve, names = read(tmp_path, text)
    assert names == ["yaw"] and len(curve) == 26
    assert np.array_equal(curve.frames, [0, 25]) and np.array_equal(curve.values[:, 0], [1, 3])


def test_columns_come_in_the_order_of_their_limits(tmp_path):
    curve, names = read(tmp_path, "x,frame,yaw\n0.5,7,20\n")
    assert names == ["yaw", "x"] and np.array_equal(curve.at(np.arange(3.0)), [[20, 0.5]] * 3)
    assert read(tmp_path, "time\n0.5\n2\n")[1] == []


@given(st.lists(st.tuples(st.floats(0.1, 9), st.integers(-50, 50)), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_curve_meets_its_rows_and_never_goes_beyond_them(rows):
    frames, values = np.cumsum([step for step, _ in rows]), np.array([[float(value)] for _, value in rows])
    curve = Curve(frames, values)
    assert np.allclose(curve.at(frames), values)
    fine = np.linspace(0, frames[-1] + 5, 300)
    found = curve.at(fine)[:, 0]
    assert np.allclose(found[fine <= frames[0]], values[0]) and np.allclose(found[fine >= frames[-1]], values[-1])
    for a, b, low, high in zip(frames, frames[1:], values[:, 0], values[1:, 0]):
        inside = found[(fine >= a) & (fine <= b)]
        assert (inside >= min(low, high) - 1e-9).all() and (inside <= max(low, high) + 1e-9).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("frame,yaw\n", "no row"),
        ("0,1\n1,2\n", "line 1: unknown column '0'"),
        ("frame,jaw\n0,1\n", "line 1: unknown column 'jaw'"),
        ("yaw\n1\n", "line 1: it needs one column of moments"),
        ("frame,time,yaw\n0,0,1\n", "line 1: it needs one"),
        ("frame,yaw,yaw\n0,0,1\n", "line 1: it needs one"),
        ("frame,yaw\n0,1\n\n2,left\n", "line 4, column yaw: 'left' is no number"),
        ("frame,yaw\n0,\n", "line 2, column yaw: '' is no number"),
        ("frame,yaw\n0,181\n", "line 2, column yaw: 181 is not between -180 and 180"),
        ("frame,yaw\n0,nan\n", "line 2, column yaw: nan is not between"),
        ("frame,yaw\n-1,0\n", "line 2, column frame: -1 is not between 0"),
        ("time,yaw\n1e9,0\n", "line 2, column time"),
        ("frame,yaw\n0,1\n5,2\n5,3\n", "line 4, column frame: not later"),
        ("frame,yaw\n0,1,2\n", "line 2: 3 values under 2 columns"),
    ],
)
def test_errors_name_line_and_column(tmp_path, text, says):
    with pytest.raises(BadInput, match=r"a curve\.csv") as error:
        read(tmp_path, text)
    assert says in str(error.value)


def test_what_is_no_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(BadInput, match="cannot be read as text"):
        read_curve(path, LIMITS, 25.0)
