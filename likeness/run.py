"""A training run: steps, log, checkpoint, resume, seed. It helps a training loop and never calls it.

A run folder holds log.jsonl, TensorBoard events, preview.png, a lock, and checkpoint.safetensors with everything that the
next step depends on. Random numbers come from `run.generator(step)`, a function of seed, stage and step alone, so that a run
that was killed goes on exactly as it would have.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from likeness.allocation import keep_freed_memory
from likeness.errors import BadInput, Refused
from likeness.files import lock, unwritable, write_atomically

CHECKPOINT = "checkpoint.safetensors"


class Diverged(BadInput):
    """Training produced a number that is none: this clip cannot be trained with these settings."""


class Run:
    """One training run in a folder. Use as a context manager."""

    def __init__(self, folder: Path, settings: dict[str, Any], seed: int = 0, keep_every_s: float = 20.0) -> None:
        """`settings` must be the same when a run resumes: a checkpoint made with others raises Refused.

        So does a run in the same folder that another process is at.
        """
        self.folder = folder
        self.seed = seed
        self.keep_every_s = keep_every_s
        keep_freed_memory()
        self._settings = json.dumps(settings, sort_keys=True, default=str)
        with ExitStack() as opened:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                opened.enter_context(lock(folder / "lock", folder, "training"))
                self._state, self._meta = self._load()
                self._log = opened.enter_context(open(folder / "log.jsonl", "a", buffering=1))
            except OSError as error:
                raise unwritable(folder, error) from error
            self._opened = opened.pop_all()
        self._board: Any = None
        self._stage, self._step, self._steps = "", 0, 0
        self._kept_at = self._said_at = time.monotonic()
        self._stage_began = time.monotonic()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._opened.close()
        if self._board is not None:
            self._board.close()

    def _load(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return {}, {"stage": None, "step": 0, "done": []}
        try:
            with safe_open(path, framework="pt") as file:
                meta = json.loads((file.metadata() or {})["run"])
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not iterable
            other = meta["settings"] != self._settings
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{path}: damaged checkpoint ({error}). Delete {self.folder} to start anew.") from error
        if other:
            raise Refused(f"{self.folder}: a run with other settings was left here. Delete it, or use its settings.")
        return state, meta

    def done(self, stage: str) -> bool:
        """Whether a stage was finished by an earlier process."""
        return stage in self._meta["done"]

    @property
    def resumed(self) -> dict[str, Tensor]:
        """The state that `keep` or `finish` stored last; empty on a fresh start."""
        return self._state

    def steps(self, stage: str, steps: int) -> Iterator[int]:
        """The steps of a stage that are still to be done."""
        first = self._meta["step"] if self._meta["stage"] == stage else 0
        self._stage, self._steps, self._stage_began = stage, steps, time.monotonic()
        self._first = first
        for step in range(first, steps):
            self._step = step
            yield step

    def generator(self, step: int) -> np.random.Generator:
        """Random numbers of a step."""
        return np.random.default_rng([self.seed, sum(self._stage.encode()), step])

    def log(self, **values: float | int | Tensor) -> None:
        """Write numbers of the current step to log.jsonl, TensorBoard and, now and then, the terminal."""
        numbers = {key: float(value) for key, value in values.items()}
        bad = [key for key, value in numbers.items() if not math.isfinite(value)]
        if bad:
            raise self._diverged(bad)
        elapsed = time.monotonic() - self._stage_began
        row = {"stage": self._stage, "step": self._step, "seconds": round(elapsed, 2), **numbers}
        self._log.write(json.dumps(row) + "\n")
        for key, value in numbers.items():
            self._tensorboard().add_scalar(f"{self._stage}/{key}", value, self._step)
        self._say(elapsed, numbers)

    def _diverged(self, names: list[str]) -> Diverged:
        return Diverged(
            f"{self._stage}, step {self._step}: {', '.join(names)} is not a number. Delete {self.folder} and train with "
            "another --seed; if that fails too, the clip's report.html says what is wrong with the footage. (The same "
            "command goes on from the last sound checkpoint, most likely to the same end.)"
        )

    def _say(self, elapsed: float, numbers: dict[str, float]) -> None:
        terminal = sys.stderr.isatty()
        now = time.monotonic()
        if now - self._said_at < (0.5 if terminal else 10.0):
            return
        self._said_at = now
        done = self._step + 1 - self._first
        left = elapsed / max(done, 1) * (self._steps - self._step - 1)
        text = "  ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        line = f"{self._stage}  {self._step + 1}/{self._steps}  {text}  {left:.0f} s left"
        print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)

    def _tensorboard(self) -> Any:
        if self._board is None:
            from torch.utils.tensorboard.writer import SummaryWriter  # takes a second to import

            self._board = SummaryWriter(str(self.folder))
        return self._board

    def keep(self, state: Callable[[], dict[str, Tensor]], preview: Callable[[], np.ndarray] | None = None) -> None:
        """After a step: every `keep_every_s` seconds store the state that the next step starts from, and a picture."""
        if time.monotonic() - self._kept_at < self.keep_every_s:
            return
        self._store(state(), self._stage, self._step + 1, self._meta["done"])
        if preview is not None:
            self.picture(preview())
        self._kept_at = time.monotonic()

    def finish(self, state: dict[str, Tensor]) -> None:
        """After the last step of a stage."""
        self._store(state, None, 0, [*self._meta["done"], self._stage])
        if sys.stderr.isatty():
            print(file=sys.stderr)

    def clear(self, pattern: str) -> None:
        """Remove working files that a finished run needs no more."""
        for path in self.folder.glob(pattern):
            path.unlink()

    def picture(self, image: np.ndarray) -> None:
        """Replace preview.png; `image` is RGB uint8."""
        import cv2

        _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        write_atomically(self.folder / "preview.png", png.tobytes())

    def _store(self, state: dict[str, Tensor], stage: str | None, step: int, done: list[str]) -> None:
        bad = [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
        if bad:  # between two logged steps: must not replace a sound checkpoint
            raise self._diverged(bad[:4])
        meta = {"settings": self._settings, "stage": stage, "step": step, "done": done}
        tensors = {key: value.detach().clone().contiguous() for key, value in state.items()}
        write_atomically(self.folder / CHECKPOINT, save(tensors, {"run": json.dumps(meta)}))
        self._state, self._meta = tensors, meta


def optimiser_state(optimiser: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """An optimiser's moments as named tensors."""
    tensors = {}
    for i, entry in optimiser.state_dict()["state"].items():
        for key, value in entry.items():
            tensors[f"{prefix}{i}.{key}"] = torch.as_tensor(value)
    return tensors


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], prefix: str) -> None:
    """Put the moments of `optimiser_state` back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, name = key[len(prefix) :].split(".", 1)
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
