"""Laws of the order: everything once, balanced over participants, the same for the same seed."""

import os
import subprocess
import sys
from collections import Counter
from itertools import combinations, pairwise, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.study.design import ratings, votes

METHODS, VIDEOS = st.integers(2, 9), st.integers(1, 7)
SEEDS, PEOPLE = st.integers(0, 2**31), st.integers(0, 60)


@settings(deadline=None)
@given(METHODS, VIDEOS, PEOPLE, SEEDS)
def test_every_video_is_rated_once_and_every_method_once_a_turn(methods, videos, participant, seed):
    order = ratings(methods, videos, participant, seed)
    assert sorted(order) == [(m, v) for m in range(methods) for v in range(videos)]
    for turn in range(videos):
        assert sorted(m for m, _ in order[turn * methods : (turn + 1) * methods]) == list(range(methods))


@settings(deadline=None)
@given(METHODS, VIDEOS, st.integers(0, 5), SEEDS)
def test_each_method_stands_at_each_place_equally_often(methods, videos, square, seed):
    orders = [ratings(methods, videos, square * methods + row, seed) for row in range(methods)]
    for place in range(methods * videos):
        assert sorted(order[place][0] for order in orders) == list(range(methods))


@settings(deadline=None)
@given(METHODS, VIDEOS, st.integers(0, 5), SEEDS)
def test_each_method_follows_each_other_equally_often(methods, videos, square, seed):
    people = methods * (1 + methods % 2)  # an odd number needs two squares
    orders = [[m for m, _ in ratings(methods, videos, square * people + row, seed)] for row in range(people)]
    for turn in range(videos):
        follows = Counter(pair for order in orders for pair in pairwise(order[turn * methods : (turn + 1) * methods]))
        assert follows == {pair: people // methods for pair in permutations(range(methods), 2)}


@settings(deadline=None)
@given(METHODS, VIDEOS, PEOPLE, SEEDS)
def test_every_two_methods_meet_once(methods, videos, participant, seed):
    order = votes(methods, videos, participant, seed)
    assert sorted(tuple(sorted(vote[:2])) for vote in order) == list(combinations(range(methods), 2))
    assert all(0 <= video < videos for _, _, video in order)


@settings(deadline=None)
@given(METHODS, VIDEOS, st.integers(0, 5), SEEDS)
def test_meetings_are_spread_over_videos_and_sides(methods, videos, turn, seed):
    people = [votes(methods, videos, turn * 2 * videos + p, seed) for p in range(2 * videos)]
    seen = Counter(vote for order in people for vote in order)
    assert seen == {(a, b, v): 1 for a, b in permutations(range(methods), 2) for v in range(videos)}
    for first, second in combinations(range(methods), 2):
        on_left = sum((first, second, v) in order for order in people[:videos] for v in range(videos))
        assert abs(2 * on_left - videos) <= 1


def test_the_seed_decides_and_not_how_a_process_hashes():
    asked = [(methods, videos, person, seed) for methods in (2, 5) for videos in (1, 4) for person in (0, 7) for seed in (0, 9)]
    code = f"from likeness.study.design import *; print([[f(*each) for f in (ratings, votes)] for each in {asked}])"
    told = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
        ).stdout
        for salt in ("1", "2")
    ]
    assert told[0] == told[1] == f"{[[f(*each) for f in (ratings, votes)] for each in asked]}\n"


def test_another_seed_and_another_participant_give_another_order():
    assert len({tuple(ratings(8, 4, p, seed)) for p in range(16) for seed in range(4)}) == 64
    assert len({tuple(votes(8, 4, p, seed)) for p in range(16) for seed in range(4)}) == 64


def test_orders_are_the_same_on_every_machine_and_with_every_later_version():
    assert ratings(2, 2, 0, 0) == [(0, 1), (1, 0), (1, 1), (0, 0)]
    assert votes(3, 2, 0, 0) == [(0, 1, 1), (1, 2, 1), (0, 2, 0)]


def test_neighbours_seldom_show_the_same_video():
    same = [before[1] == after[1] for p in range(32) for before, after in pairwise(ratings(8, 4, p, 0))]
    assert sum(same) / len(same) < 0.06  # 0.14 where nothing is done about it
