"""Progress of long work: bars with the time left on a terminal, one line per interval elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class _Task:
    """One step under way."""

    bar: Any
    total: int
    done: int = 0
    began_s: float = field(default_factory=time.monotonic)
    said_s: float = field(default_factory=time.monotonic)
    first: tuple[float, int] | None = None
    """When the first part was done, and how many there were then."""


class Progress:
    """How far some work is: a bar with the time left on a terminal, one line per interval elsewhere.

    `plain` takes a finished line; None prints to stderr. Several steps may run at once.
    """

    def __init__(self, every_s: float = 10.0, plain: Callable[[str], None] | None = None) -> None:
        self.every_s = every_s
        self._plain = plain
        self._bars: Any = None
        self._tasks: dict[str, _Task] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Progress:
        if self._plain is None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bars = Progress(*columns, console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def say(self, line: str) -> None:
        """One line for the user."""
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False)
        elif self._plain is not None:
            self._plain(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def begin(self, name: str, total: int) -> None:
        bar = self._bars.add_task(name, total=total) if self._bars is not None else None
        with self._lock:
            self._tasks[name] = _Task(bar, total)

    def advance(self, name: str, by: int = 1) -> None:
        with self._lock:
            task = self._tasks[name]
            task.done = min(task.total, task.done + by)
            if task.bar is not None:
                self._bars.advance(task.bar, by)
                return
            now = time.monotonic()
            if task.first is None:  # what a step does before it counts would spoil the estimate
                task.first = (now, task.done)
            if now - task.said_s < self.every_s:
                return
            task.said_s = now
            since_s, done = now - task.first[0], task.done - task.first[1]
            left = f", about {since_s * (task.total - task.done) / done:.0f} s left" if done and since_s > 1 else ""
        self.say(f"{name}: {task.done} of {task.total}{left}")

    def end(self, name: str) -> None:
        with self._lock:
            task = self._tasks.pop(name)
        if task.bar is not None:
            self._bars.update(task.bar, completed=task.total)
        self.say(f"{name}: done in {time.monotonic() - task.began_s:.1f} s")
