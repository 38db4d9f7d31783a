"""The one door to parallel Numba code: how many threads it may use, and what its threading layer forbids.

Layers: `omp` and `tbb` serve several Python threads at once; `workqueue` (where neither libgomp nor tbb is installed)
aborts the process when two of them call, so calls take turns. A forked child of a process that has run OpenMP code would
be killed by libgomp; here it gets an error instead.

Torch comes first: then Numba's `omp` binds to the libgomp that torch brings, and both use one pool of threads. That
library reads its environment when torch is imported. On a machine that others use too, GOMP_SPINCOUNT=30000, set before
that, makes threads sleep that wait long (measured on 2 busy cores: 32 ms instead of 128 for the same picture).
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numba
import torch
from numba import prange

from likeness.kernels.compiled import compiled


@compiled(parallel=True)
def _wake(n):
    """Starts the thread pool: only then does Numba say which layer it took."""
    total = 0
    for i in prange(n):
        total += i
    return total


class _Pool:
    """Numba's threads: the layer they run on (None before the first call), and the lock where callers take turns."""

    def __init__(self) -> None:
        self.layer: str | None = None
        self.lock = threading.Lock()
        self.forked = False

    def start(self) -> str:
        with self.lock:
            if self.layer is None:
                _wake(numba.config.NUMBA_NUM_THREADS)
                self.layer = numba.threading_layer()
            return self.layer

    def mark_forked(self) -> None:
        self.forked = self.layer == "omp"
        self.lock = threading.Lock()


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.mark_forked)


@contextmanager
def parallel() -> Iterator[int]:
    """Held around every call of a parallel kernel; gives the number of threads, which follows `torch.set_num_threads`.

    Raises RuntimeError in a forked child that may not use OpenMP: start workers with `spawn`.
    """
    if _pool.forked:
        raise RuntimeError(
            "likeness.kernels: this process was forked after its parent had used OpenMP, which would kill it. "
            "Start worker processes with multiprocessing's 'spawn' method."
        )
    layer = _pool.layer or _pool.start()
    threads = max(1, min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
    with _pool.lock if layer == "workqueue" else nullcontext():
        numba.set_num_threads(threads)
        yield threads
