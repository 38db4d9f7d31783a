"""Work on several cores: nothing is lost when a process dies."""

from __future__ import annotations

from likeness.spreading import spread
from tests.crashing import BAD, square


def test_one_that_ends_its_process_does_not_end_the_rest():
    jobs = range(5)
    assert dict(spread(square, jobs, 2)) == {n: None if n == BAD else n**2 for n in jobs}


def test_with_one_worker_nothing_is_started():
    seen: list[int] = []
    assert [answer for _, answer in spread(lambda n: seen.append(n), range(3), 1)] == [None] * 3 and seen == [0, 1, 2]
