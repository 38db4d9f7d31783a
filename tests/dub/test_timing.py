"""Pictures against sound at any rate: how many frames, in which order, and which sound each hears."""

from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.dub.timing import Timing

RATES = [24.0, 25.0, 30000 / 1001, 30.0, 50.0]


def order(timing: Timing) -> list[int]:
    return list(chain.from_iterable(timing.runs()))


@given(
    st.integers(1, 40), st.sampled_from(RATES), st.floats(0.001, 8),
    st.sampled_from(["pingpong", "freeze", "cut"]), st.sampled_from(["cut", "keep", "rest"]),
)  # fmt: skip
def test_every_frame_shows_a_picture_that_there_is(pictures, fps, sound_s, longer, shorter):
    timing = Timing(pictures, fps, sound_s, longer, shorter)
    shown = order(timing)
    assert len(shown) == timing.frames >= 1
    assert all(0 <= source < pictures for source in shown)
    assert shown[: min(pictures, timing.frames)] == list(range(min(pictures, timing.frames)))
    if longer == "pingpong" and pictures > 1:
        assert all(abs(a - b) == 1 for a, b in pairwise(shown))
    if pictures > 1 and (longer != "cut" or timing.spoken <= pictures):
        assert timing.frames / fps >= sound_s - 1e-4  # no sound is lost
    assert all(timing.dubbed(t) for t in range(min(timing.spoken, timing.frames)))


def test_longer_sounds_turn_the_video_round_or_hold_it_or_end_with_it():
    assert order(Timing(4, 25, 0.44)) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert order(Timing(4, 25, 0.28, "freeze")) == [0, 1, 2, 3, 3, 3, 3]
    assert order(Timing(4, 25, 0.28, "cut")) == [0, 1, 2, 3]
    assert order(Timing(1, 25, 0.12, "cut")) == [0, 0, 0]  # a picture has no length to cut to


def test_shorter_sounds_cut_the_video_or_leave_its_rest():
    assert order(Timing(5, 25, 0.08)) == [0, 1]
    kept, rest = (Timing(5, 25, 0.08, "pingpong", how) for how in ("keep", "rest"))
    assert order(kept) == order(rest) == [0, 1, 2, 3, 4]
    assert [kept.dubbed(t) for t in range(5)] == [True, True, False, False, False]
    assert all(rest.dubbed(t) for t in range(5))


@pytest.mark.parametrize("fps", RATES)
def test_sound_and_picture_do_not_drift(fps):
    timing = Timing(10, fps, 3600.0)
    assert [timing.row(t) for t in range(4)] == [round(100 * t / fps) for t in range(4)]
    late = timing.frames - 1
    assert timing.frames == pytest.approx(3600 * fps, abs=1)
    assert abs(timing.row(late) / 100 - late / fps) <= 0.005 + 1e-9
    assert Timing(10, fps, 7 / fps).frames == 7 and Timing(10, fps, 7 / fps + 0.001).frames == 8
