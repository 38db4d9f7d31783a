"""Many short trainings on one prepared clip: how quality depends on a method's parts, and on the time spent.

    python -m benchmarks.studies ablations CLIP/ [--work FOLDER]     TalkingGaussian's `fast`, each part left out in turn
    python -m benchmarks.studies time CLIP/ [--work FOLDER]          both methods' `fast` with a share of their steps

What they are to be compared with, the whole method with all steps, is in `benchmarks.portrait`'s results. Each trains from
nothing, evaluates over the clip's held-out frames and writes benchmarks/results/STUDY-VIDEO-SIZE.json after
each: seconds of training and the rows `tracked`, `sound` and `static` of `evaluate`. Trainings whose portrait is in FOLDER
already are only evaluated, without a time.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import tyro
from tyro.conf import Positional

from benchmarks.machine import machine
from likeness import methods
from likeness.clip import Clip
from likeness.evaluate import evaluate
from likeness.files import write_atomically

RESULTS = Path(__file__).parent / "results"
ROWS = ("tracked", "sound", "static")
ABLATIONS: dict[str, dict[str, Any]] = {
    "mouth and face as one": {"decompose": False},
    "every frame from the start": {"incremental": False},
    "speech changes colour": {"speaks_in_color": True},
    "motion not distilled": {"distil_steps": 0},
    "no hook": {"hook": False},
}
SHARES = (0.12, 0.25, 0.5)


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    study: Positional[Literal["ablations", "time"]]
    clip: Positional[Path]
    size: int = 256
    work: Path | None = None


def main(settings: Settings) -> None:
    about = machine()
    work = settings.work or Path(tempfile.mkdtemp(prefix="likeness-study-"))
    clip = Clip.open(settings.clip)
    video = Path(clip.header["source"]["name"])
    found = []
    for method, label, config in variants(settings):
        name = f"{method}-{label}".replace(" ", "-")
        found.append({"method": method, "variant": label, **judged(clip, work / f"{name}.portrait", method, config)})
        print(method, label, {k: round(row["mouth"], 2) for k, row in found[-1]["rows"].items()}, flush=True)
        result = {**about, "video": video.name, "size": settings.size, "preset": "fast", "found": found}
        path = RESULTS / f"{settings.study}-{video.stem}-{settings.size}.json"
        write_atomically(path, json.dumps(result, indent=1).encode())


def variants(settings: Settings) -> Iterator[tuple[str, str, Any]]:
    """(method, label, config) of each training of a study."""
    if settings.study == "ablations":
        whole = methods.get("talking_gaussian").preset("fast", settings.size)
        for label, changes in ABLATIONS.items():
            yield "talking-gaussian", label, replace(whole, **changes)
        return
    for share in SHARES:
        for method in ("rigged-gaussians", "talking-gaussian"):
            whole = methods.get(method).preset("fast", settings.size)
            counts = [f.name for f in fields(whole) if f.name == "steps" or f.name.endswith("_steps")]
            yield method, f"{share:g}", replace(whole, **{n: max(1, round(share * getattr(whole, n))) for n in counts})


def judged(clip: Clip, out: Path, method: str, config: Any) -> dict[str, Any]:
    """Train (unless it is there) and evaluate one portrait."""
    spent = {}
    if not out.is_file():
        began = time.monotonic()
        methods.get(method).train(clip, out, config)
        spent = {"train_s": round(time.monotonic() - began, 1)}
    portrait = methods.load(out)
    table = evaluate(portrait, clip).as_json()["table"]
    return {**spent, "sizes": portrait.sizes(), "rows": {row["row"]: row for row in table if row["row"] in ROWS}}


if __name__ == "__main__":
    main(tyro.cli(Settings))
