"""From a raw video to a portrait that speaks: seconds, memory, and how good it is.

    python -m benchmarks.portrait VIDEO SPEECH [--method rigged-gaussians] [--size 256] [--preset fast] [--work FOLDER]

Runs the ordinary commands one after the other, each in a process of its own, and writes
benchmarks/results/portrait-NAME-SIZE-PRESET.json (the method's name in front of NAME if it is not the default): wall and
processor seconds and peak memory (all processes together) of each step, and the table of `evaluate`. A clip that is in
FOLDER already is not prepared again; with --trained, nor is a.portrait there trained again. Nothing else should run on the
machine meanwhile; `load_before` tells.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from benchmarks.machine import machine
from likeness.files import write_atomically

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    video: Positional[Path]
    speech: Positional[Path]
    size: int = 256
    preset: str = "fast"
    method: str = "rigged-gaussians"
    work: Path | None = None
    """Where clip and portrait are made; a fresh temporary folder by default."""
    trained: bool = False
    """The portrait is in FOLDER already: only its speaking and its table are measured, and what the last result says of its
    training is kept."""


def main(settings: Settings) -> None:
    about = machine()
    work = settings.work or Path(tempfile.mkdtemp(prefix="likeness-benchmark-"))
    clip, portrait = str(work / "clip"), str(work / "a.portrait")
    shape = ["--method", settings.method, "--preset", settings.preset, "--size", str(settings.size)]
    steps = {
        "prepare": ["prepare", str(settings.video), clip],
        "train": ["train", clip, portrait, *shape],
        "speak": ["speak", portrait, str(settings.speech), str(work / "out.mp4")],
        "evaluate": ["evaluate", portrait, clip, "--sheet", str(work / "sheet.png")],
    }
    if settings.trained:
        del steps["train"]
    who = settings.video.stem if settings.method == "rigged-gaussians" else f"{settings.method}-{settings.video.stem}"
    place = RESULTS / f"portrait-{who}-{settings.size}-{settings.preset}.json"
    found = {name: timed([*words, "--json"]) for name, words in steps.items()}
    said, judged = found["speak"]["said"], found["evaluate"]["said"]
    result = {
        **about,
        "video": settings.video.name,
        "speech": settings.speech.name,
        "size": settings.size,
        "preset": settings.preset,
        "trained_earlier": trained_earlier(place) if settings.trained else None,
        "seconds": {name: {k: v for k, v in step.items() if k != "said"} for name, step in found.items()},
        "portrait_mb": round(Path(portrait).stat().st_size / 1e6, 1),
        "speak_fps": {
            "everything but features": round(said["frames"] / said["drawing_s"], 1),
            "everything": round(said["frames"] / (said["drawing_s"] + said["hearing_s"]), 1),
            "features_ms_a_frame": round(1000 * said["hearing_s"] / said["frames"], 2),
        },
        **{k: v for k, v in judged.items() if k not in ("boxes", "curves", "frames", "sheet")},
        "frames": [judged["frames"][0], judged["frames"][-1]],
    }
    write_atomically(place, json.dumps(result, indent=1).encode())
    print(json.dumps(result["seconds"], indent=1), json.dumps(result["speak_fps"]))
    print(f"{place}; sheet to look at: {work / 'sheet.png'}")


def trained_earlier(place: Path) -> dict | None:
    """What the result that is replaced tells of the training: at which commit, and the seconds."""
    before = json.loads(place.read_text()) if place.exists() else {}
    if "train" in before.get("seconds", {}):
        return {"commit": before["commit"], **before["seconds"]["train"]}
    return before.get("trained_earlier") or None


def timed(words: list[str]) -> dict:
    """Run `likeness` with these words: wall and processor seconds, peak memory of all its processes, what it said."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", "from likeness.cli import main; main()", *words],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)],
        )
        peak = Peak(pid)
        _, status, usage = os.wait4(pid, 0)
        seconds = time.monotonic() - began
        out.seek(0)
        text = out.read()
    if status:
        raise SystemExit(f"likeness {' '.join(words)}: failed, see above")
    return {
        "wall_s": round(seconds, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(peak.stop()),
        "said": json.loads(text.strip().splitlines()[-1]),
    }


class Peak:
    """The most memory (proportional set size) that a process and its children held together, sampled every 0.2 s, or less often
    where that would hold them up."""

    def __init__(self, pid: int) -> None:
        self._pid, self._most, self._running = pid, 0.0, True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while self._running:
            began = time.monotonic()
            self._most = max(self._most, sum(_memory_mb(p) for p in _family(self._pid)))
            # A look at 3 GB takes 30 ms, in which that process may wait for memory.
            time.sleep(max(0.2, 50 * (time.monotonic() - began)))

    def stop(self) -> float:
        self._running = False
        self._thread.join()
        return self._most


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(p for child in children for p in _family(int(child)))]


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)


if __name__ == "__main__":
    main(tyro.cli(Settings))
