"""How quality falls with the length of the footage: the last seconds before the held-out tenth, for each method.

    python -m benchmarks.lengths CLIP/ [--methods rigged-gaussians talking-gaussian] [--seconds 5 10 20 45] [--work FOLDER]

Trains each method's `fast` on so much of the prepared clip and writes benchmarks/results/lengths-VIDEO-SIZE.json after each:
the rows `tracked`, `sound` and `static` of `evaluate`, always over the same held-out frames.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tyro.conf import Positional

from benchmarks.machine import machine
from likeness import methods
from likeness.clip import Clip
from likeness.evaluate import evaluate
from likeness.files import write_atomically
from likeness.video import FPS

RESULTS = Path(__file__).parent / "results"
ROWS = ("tracked", "sound", "static")


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    clip: Positional[Path]
    methods: tuple[str, ...] = ("rigged-gaussians", "talking-gaussian")
    seconds: tuple[int, ...] = (5, 10, 20, 45)
    size: int = 256
    work: Path | None = None


class Short(Clip):
    """A clip of which only the last `kept` training frames may be learned from, and no other scene. (Tracking and the
    background plate still come from the whole video.)"""

    def __init__(self, whole: Clip, seconds: int) -> None:
        super().__init__(whole.folder, whole.header)
        self.kept = round(seconds * FPS)
        self.scenes = [self.longest_scene]

    @property
    def train(self) -> np.ndarray:
        return super().train[-self.kept :]


def main(settings: Settings) -> None:
    about = machine()
    work = settings.work or Path(tempfile.mkdtemp(prefix="likeness-lengths-"))
    whole = Clip.open(settings.clip)
    video = Path(whole.header["source"]["name"])
    found = []
    for seconds in settings.seconds:
        for method in settings.methods:
            clip = Short(whole, seconds)
            began = time.monotonic()
            portrait = methods.train(clip, work / f"{method}-{seconds}.portrait", method, size=settings.size)
            spent = time.monotonic() - began
            table = evaluate(portrait, clip).as_json()["table"]
            rows = {row["row"]: row for row in table if row["row"] in ROWS}
            found.append({"method": method, "seconds": len(clip.train) / FPS, "train_s": round(spent, 1), "rows": rows})
            print(method, seconds, {name: round(row["mouth"], 2) for name, row in rows.items()}, flush=True)
            result = {**about, "video": video.name, "size": settings.size, "preset": "fast", "found": found}
            write_atomically(RESULTS / f"lengths-{video.stem}-{settings.size}.json", json.dumps(result, indent=1).encode())


if __name__ == "__main__":
    main(tyro.cli(Settings))
