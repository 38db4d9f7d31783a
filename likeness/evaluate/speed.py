"""How fast a portrait is drawn and how much memory that takes, on this machine."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likeness.clip import Clip
from likeness.evaluate.rows import following, listen
from likeness.portrait import Portrait
from likeness.scenery import Scenery

FRAMES = 100
WARM_UP = 10


def speed(portrait: Portrait, clip: Clip) -> dict[str, float]:
    """Over the training frames' motion, one frame at a time, features given; nothing is encoded.

    `render_fps`: frames a second of the head alone; `picture_fps`: with torso and background; `median_ms` and `p99_ms` of a
    picture; `peak_mb`: the most memory (2^20 bytes) that the process held while drawing, all that was loaded before included,
    where the system tells it.
    """
    take = torch.from_numpy(clip.train[: FRAMES + WARM_UP])
    motion = following(portrait, clip)[take]
    cond = portrait.follow(motion)
    if cond is None:
        cond = listen(portrait, clip, int(take[0]), int(take[-1]) + 1)[take - take[0]]
    scenery = Scenery(portrait, "clip")
    spent, state = [], None
    forgotten = _forget_peak()
    for t in range(len(take)):
        began = time.perf_counter()
        layer, state = portrait.render(cond[t : t + 1], motion[t : t + 1], state)
        drawn = time.perf_counter()
        scenery.compose(layer, motion[t : t + 1])
        spent.append((drawn - began, time.perf_counter() - drawn))
    seconds = np.array(spent[WARM_UP:])
    whole = seconds.sum(1)
    return {
        "render_fps": float(1 / seconds[:, 0].mean()),
        "picture_fps": float(1 / whole.mean()),
        "median_ms": float(1000 * np.median(whole)),
        "p99_ms": float(1000 * np.percentile(whole, 99)),
    } | ({"peak_mb": _peak_mb()} if forgotten else {})


def machine() -> dict[str, Any]:
    """What the figures of speed were taken on."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {"processor": name, "cores": os.cpu_count(), "threads": torch.get_num_threads(), "system": platform.system()}


def _forget_peak() -> bool:
    """Let the system measure the peak of this process anew; False where it cannot (anything but Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _peak_mb() > 0
    except (OSError, StopIteration):
        return False


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
