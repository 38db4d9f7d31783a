"""likeness: a video of one person becomes a portrait that says anything.

import likeness
clip = likeness.prepare("video.mp4", "clip/")
portrait = likeness.train(clip, "a.portrait")
likeness.speak(likeness.load("a.portrait"), "speech.wav").save("out.mp4")
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# libgomp's threads spin while they wait, by default for so long that two programs on two cores take four times as long
# each (128 instead of 32 ms a picture, measured). At 30000 they still spin from one operation to the next and need not
# be woken (1000 took 1.1 times as long for a step of RAD-NeRF alone, more beside other programs). It reads this when torch
# loads it.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
# NumPy's OpenBLAS wakes its threads for the smallest systems: one of 122 equations takes .12 ms on two idle cores, .10 with
# one thread; beside other programs 8 to 11, and .14 with one. What is large here is torch's and Numba's. It reads this when
# NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__all__ = ["Clip", "Portrait", "compare", "load", "prepare", "speak", "train"]

if TYPE_CHECKING:
    from likeness.clip import Clip
    from likeness.compare import compare
    from likeness.methods import load, train
    from likeness.portrait import Portrait
    from likeness.prepare import prepare
    from likeness.speak import speak

HOMES = {
    "Clip": "likeness.clip",
    "Portrait": "likeness.portrait",
    "compare": "likeness.compare",
    "load": "likeness.methods",
    "prepare": "likeness.prepare",
    "speak": "likeness.speak",
    "train": "likeness.methods",
}


def __getattr__(name: str) -> Any:
    """Public names load on first use: torch and mediapipe take seconds to import."""
    if name not in HOMES:
        raise AttributeError(f"module 'likeness' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(HOMES[name]), name)
