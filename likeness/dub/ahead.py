"""Work that goes on beside other work: the items of an iterator, made in a thread a few ahead of who takes them.

Reading, drawing and encoding a video leave Python for most of their time, so that each can have a core.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

Item = TypeVar("Item")
FEW = 3  # items that wait: enough for one that takes long
WAKE_S = 0.05


def ahead(items: Iterator[Item], few: int = FEW) -> Generator[Item, None, None]:
    """The same items, and the same exception at the end; at most `few` wait. Closing it ends the thread, and `items`."""
    waiting: Queue[tuple[str, Any]] = Queue(few)
    ended = Event()
    thread = Thread(target=_make, args=(items, waiting, ended), daemon=True)
    thread.start()
    try:
        while True:
            try:
                what, value = waiting.get(timeout=60 * WAKE_S)
            except Empty:  # so that Ctrl-C is heard
                continue
            if what == "error":
                raise value
            if what == "end":
                return
            yield value
            del value  # held no longer than by who took it
    finally:
        ended.set()
        thread.join()


def _make(items: Iterator[Any], waiting: Queue[tuple[str, Any]], ended: Event) -> None:
    try:
        for item in items:
            if not _put(waiting, ("item", item), ended):
                break
            del item
        _put(waiting, ("end", None), ended)
    except BaseException as error:  # whatever it is, it belongs to who takes the items
        _put(waiting, ("error", error), ended)
    finally:
        if (close := getattr(items, "close", None)) is not None:
            close()


def _put(waiting: Queue[tuple[str, Any]], entry: tuple[str, Any], ended: Event) -> bool:
    """Wait for a place. False when nobody takes any more."""
    while not ended.is_set():
        try:
            waiting.put(entry, timeout=WAKE_S)
            return True
        except Full:
            continue
    return False
