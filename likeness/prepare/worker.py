"""Work in another process: `python -m likeness.prepare.worker`, one task from standard input, lines of JSON out.

Not multiprocessing: that would run the caller's script again unless it is guarded, and leave orphans after `kill -9`.
A worker ends itself when its input closes, which happens whenever its parent is gone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from likeness.errors import BadInput, Exhausted, LikenessError, MissingAsset, Refused

KINDS = {kind.__name__: kind for kind in (BadInput, MissingAsset, Refused, Exhausted)}
Advance = Callable[[int], None]


class Worker:
    """A running task. `result()` waits for it and returns what it found, or raises what it raised."""

    def __init__(self, task: str, arguments: dict[str, Any], advance: Advance | None = None, threads: int = 1) -> None:
        """`task` is a key of TASKS; `advance` is called from another thread with what is newly done."""
        self._advance = advance
        self._found: dict[str, Any] | None = None
        self.cpu_s = 0.0
        """CPU time that it took, known with the result."""
        self._error: LikenessError | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)}
        self._task = task
        self._process = subprocess.Popen(
            [sys.executable, "-m", "likeness.prepare.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment,
        )  # fmt: skip
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"task": task, "arguments": arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once: `result` says why
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if "advance" in message and self._advance is not None:
                self._advance(message["advance"])
            elif "found" in message:
                self._found, self.cpu_s = message["found"], message["cpu_s"]
            elif "error" in message:
                self._error = KINDS.get(message["error"], LikenessError)(message["message"])

    def check(self) -> None:
        """Raise the task's error if it has failed already: no need to go on elsewhere. Does not wait."""
        if self._error is not None or self._process.poll() not in (None, 0):
            self.result()

    def result(self) -> dict[str, Any]:
        """Wait. Raises the task's own error; Exhausted when the system killed it; LikenessError when it crashed."""
        self._process.wait()
        self._reader.join()
        if self._error is not None:
            raise self._error
        if self._found is not None:
            return self._found
        if self._process.returncode == -9:
            raise Exhausted(f"the {self._task} step was killed, most likely for want of memory. Close other programs.")
        self._log.seek(0)
        tail = self._log.read().decode(errors="replace").strip().splitlines()[-5:]
        raise LikenessError(f"the {self._task} step ended with code {self._process.returncode}: {' | '.join(tail)}")

    def stop(self) -> None:
        """End it, finished or not."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._log.close()


def main() -> None:
    """Read one task, do it, write what it found."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to the log, not between our lines
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        found = _tasks()[order["task"]](order["arguments"], lambda n: print(json.dumps({"advance": n}), file=out))
        print(json.dumps({"found": found, "cpu_s": time.process_time()}), file=out)
    except LikenessError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), file=out)
    out.flush()
    os._exit(0)  # mediapipe's threads may take seconds to end


def _end_with_parent(stdin: IO[bytes]) -> None:
    stdin.read()
    os._exit(1)


def _tasks() -> dict[str, Callable[[dict[str, Any], Advance], dict[str, Any]]]:
    from likeness.prepare import tasks

    # "sleep" is there for the test that a worker ends with its parent
    return {"parsing": tasks.parse_share, "sound": tasks.make_sound, "sleep": lambda *_: time.sleep(600) or {}}


if __name__ == "__main__":
    main()
