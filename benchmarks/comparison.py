"""All methods on one clip in the settings of the papers: itself, other sounds, another head movement.

    python -m benchmarks.comparison CLIP/ OUT/ [--speech FILE ...] [--pose orbit:15] [--preset fast] [--size 256]
        [--motion motion.safetensors] [--methods ...] [--name NAME]

Runs `likeness compare` into OUT/ (portraits that are finished there are used again), lets each portrait say the held-out sound
with another head movement, too, and writes benchmarks/results/comparison-VIDEO-SIZE-PRESET.json (`-motion` behind it where a
generator speaks, `-NAME` where one is given): rows, how far lips open in them, intervals, checks, floor and costs; no pictures,
and no curves of single frames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from tyro.conf import Positional

from benchmarks.machine import machine
from likeness import methods
from likeness.clip import Clip
from likeness.compare import compare
from likeness.delivery import Delivery
from likeness.evaluate import Evaluation
from likeness.evaluate.speaking import evaluate_speech
from likeness.files import write_atomically

RESULTS = Path(__file__).parent / "results"
KEPT = ("intervals", "checks", "floor", "silence", "speed", "detector_missed", "missing", "real_jitter", "delivery", "recipes")


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    clip: Positional[Path]
    out: Positional[Path]
    speech: tuple[Path, ...] = ()
    """Cross-driven: another person, sex or language."""
    pose: str = "orbit:15"
    """The novel one."""
    preset: str = "fast"
    size: int = 256
    methods: tuple[str, ...] | None = None
    motion: Path | None = None
    """Generator of motion that shall speak for the person in every method."""
    name: str = ""
    """Behind the result's, so that it stands beside another of the same video, size and preset."""


def main(settings: Settings) -> None:
    about = machine()
    clip = Clip.open(settings.clip)
    video = Path(clip.header["source"]["name"])
    made = compare(
        clip, settings.out, settings.methods, preset=settings.preset, size=settings.size, speech=settings.speech,
        motion=settings.motion,
    )  # fmt: skip
    made.must_be_whole()
    entries = {}
    for entry in made.entries:
        file = settings.out / "portraits" / made.settings.file(entry.name)
        turned = evaluate_speech(methods.load(file), clip, [], Delivery(pose=settings.pose))
        entries[entry.name] = {
            "portrait_mb": round(file.stat().st_size / 1e6, 1),
            "training_steps_s": entry.training_s,
            "mean_error_by_region": entry.errors.regions,
            "self-reconstruction": plain(entry.found),
            "other sounds": None if entry.spoken is None else plain(entry.spoken),
            "novel pose": plain(turned),
        }
    result = {
        **about,
        "video": video.name,
        "frames": made.frames,
        "settings": asdict(made.settings) | {"pose": settings.pose, "speech": [file.name for file in settings.speech]},
        "seconds": round(made.seconds, 1),
        "marks": made.marks,
        "entries": entries,
    }
    more = ("-motion" if settings.motion else "") + (f"-{settings.name}" if settings.name else "")
    place = RESULTS / f"comparison-{video.stem}-{settings.size}-{settings.preset}{more}.json"
    write_atomically(place, json.dumps(result, indent=1).encode())
    print(place)


def plain(found: Evaluation) -> dict[str, Any]:
    """An evaluation, less what there is of single frames; figures that there are."""
    said = found.as_json()
    table = [{name: value for name, value in row.items() if value is not None} for row in said["table"]]
    return {"table": table, "opening_px": opened(found.openings)} | {name: said[name] for name in KEPT}


def opened(openings: Mapping[str, Sequence[float | None]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of lip opening by row, pixels."""
    seen = {row: np.array([value for value in values if value is not None]) for row, values in openings.items()}
    return {row: {"mean": round(float(v.mean()), 3), "std": round(float(v.std()), 3)} for row, v in seen.items() if len(v)}


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
