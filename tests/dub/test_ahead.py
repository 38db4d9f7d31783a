"""Work beside work: the same items and errors, few of them early, and nothing left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.dub.ahead import ahead


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_the_same_items_in_order(items, few):
    assert list(ahead(iter(items), few)) == items


def test_an_error_comes_where_it_was_and_as_it_was():
    def failing() -> Iterator[int]:
        yield from range(5)
        raise OSError(28, "No space left on device")

    found = []
    with pytest.raises(OSError, match="No space") as caught:
        for item in ahead(failing()):
            found.append(item)
    assert found == list(range(5)) and caught.value.errno == 28


def test_few_are_made_early_and_closing_ends_it_all():
    made, ended, before = [], [], threading.active_count()

    def endless() -> Iterator[int]:
        try:
            while True:
                made.append(len(made))
                yield made[-1]
        finally:
            ended.append(True)

    items = ahead(endless(), 3)
    assert next(items) == 0
    until = time.monotonic() + 30
    while len(made) < 5 and time.monotonic() < until:  # one taken, three that wait, one in the hand: all while this one waits
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 5 and not ended
    items.close()
    assert ended == [True] and threading.active_count() == before
