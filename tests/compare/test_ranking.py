"""Laws of the marks: ties, what is not known, and which way is better."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.compare import ranking
from likeness.compare.costs import Cost
from likeness.evaluate.catalogue import Column

VALUES = st.lists(st.none() | st.floats(-1e4, 1e4), max_size=8)
BETTER = st.sampled_from(["higher", "lower", "near 1", "near real"])


def marks(values, better, digits, real=None):
    return ranking.marks(values, Column("a column", "", better, "psnr", digits), real)


@pytest.mark.parametrize(
    ("values", "better", "real", "wanted"),
    [
        ([3.0, 1.0, 2.0], "higher", None, ["best", None, "second"]),
        ([3.0, 1.0, 2.0], "lower", None, [None, "best", "second"]),
        ([0.8, 1.3, 1.1], "near 1", None, ["second", None, "best"]),
        ([-2.0, 1.0, 5.0], "near 1", None, ["second", "best", None]),
        ([0.8, 0.5, 0.7], "near real", 0.72, ["second", None, "best"]),
        ([0.9, 1.1, 3.0], "near 1", None, ["best", "best", None]),  # two first places leave no second
        ([3.0, 2.0, 2.0, 1.0], "higher", None, ["best", "second", "second", None]),
        ([None, 2.0, None, 1.0], "higher", None, [None, "best", None, "second"]),
        ([math.nan, 2.0, 1.0], "higher", None, [None, "best", "second"]),
        ([None, 2.0], "higher", None, [None, None]),  # nobody to be better than
        ([2.0, 2.0], "higher", None, [None, None]),
        ([2.0, 1.0], "near real", None, [None, None]),  # nobody knows what is real
        ([], "higher", None, []),
    ],
)
def test_places_by_hand(values, better, real, wanted):
    assert marks(values, better, 2, real) == wanted


def test_equal_as_shown_is_equal():
    assert marks([36.24, 36.16, 35.0], "higher", 1) == ["best", "best", None]
    assert marks([36.24, 36.16, 35.0], "higher", 2) == ["best", "second", None]
    assert marks([0.949, 1.051, 1.2], "near 1", 2) == ["best", "best", None]  # .05 off on either side
    assert marks([1.0 - 0.1, 1.0 + 0.1, 2.0], "near 1", 2) == ["best", "best", None]  # whatever floating point makes of it


@given(VALUES)
def test_a_column_without_order_has_no_marks(values):
    assert ranking.marks(values, Cost("memory", "MB", None, 0)) == [None] * len(values)


@given(VALUES, BETTER, st.floats(-100, 100))
def test_laws(values, better, real):
    found = marks(values, better, 2, real)
    assert len(found) == len(values)
    assert all(mark is None for value, mark in zip(values, found) if value is None)
    assert found.count("best") >= 1 or not any(found)  # no second without a first
    assert found.count("best") <= 1 or "second" not in found
    by_value = {}
    for value, mark in zip(values, found):
        assert by_value.setdefault(value, mark) == mark  # equal values, equal marks
    assert marks(values[::-1], better, 2, real) == found[::-1]  # the order does not count


@given(VALUES)
def test_higher_and_lower_mirror_each_other(values):
    turned = [None if value is None else -value for value in values]
    assert marks(values, "higher", 2) == marks(turned, "lower", 2)
