"""Work spread over several processes: what ends one of them does not end the rest."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Answer = TypeVar("Answer")


def spread(work: Callable[[Job], Answer], jobs: Iterable[Job], workers: int) -> Iterator[tuple[Job, Answer | None]]:
    """(job, answer) of every job, in the order in which they end; None where a process died of it (media libraries do crash,
    and the system ends what takes all memory). With one worker everything happens in this process.

    Raises what `work` raises. A script that calls this with more than one worker guards what it does by
    `if __name__ == "__main__":`, as for everything in `multiprocessing`.
    """
    if workers <= 1:
        for job in jobs:
            yield job, work(job)
        return
    left = iter(jobs)
    suspects: list[Job] | None = []
    while suspects is not None:
        for job in suspects:  # one of them, or several, ended the processes: each alone
            yield job, _alone(work, job)
        suspects = yield from _until_broken(work, left, workers)


def _until_broken(
    work: Callable[[Job], Answer], jobs: Iterator[Job], workers: int
) -> Generator[tuple[Job, Answer], None, list[Job] | None]:
    """Yield (job, answer) until all is done, and return None; or return the jobs under way when a process died."""
    under_way: list[Job] = []
    futures: dict[Future[Answer], Job] = {}
    with _pool(workers) as pool:
        try:
            while True:
                while len(under_way) < workers and (job := next(jobs, None)) is not None:
                    under_way.append(job)
                    futures[pool.submit(work, job)] = job
                if not under_way:
                    return None
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    answer = future.result()
                    job = futures.pop(future)
                    under_way.remove(job)
                    yield job, answer
        except BrokenProcessPool:
            return under_way


def _alone(work: Callable[[Job], Answer], job: Job) -> Answer | None:
    with _pool(1) as pool:
        try:
            return pool.submit(work, job).result()
        except BrokenProcessPool:
            return None


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """In a new process: it ends with its parent, however that ends, and quietly with Ctrl-C. What Python has to say comes
    back with the answer; what media libraries write to stderr would run through the progress."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
