"""What making a corpus costs, and what it gives: `likeness corpus` on videos, as a user runs it.

    python -m benchmarks.corpus NAME VIDEOS... [--speakers TABLE.csv] [--workers N]

Writes benchmarks/results/corpus-NAME.json: clips, hours, people, what was skipped and why, seconds, and the memory of all its
processes together and of the largest of them; no name of a person or a file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from tyro.conf import Positional

from benchmarks.machine import machine
from likeness.corpus import Corpus, index
from likeness.files import write_atomically
from likeness.video import FPS

RESULTS = Path(__file__).parent / "results"
EVERY_S = 0.5


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    name: Positional[str]
    videos: Positional[tuple[Path, ...]]
    speakers: Path | None = None
    workers: int | None = None


def main(settings: Settings) -> None:
    about = machine()
    with tempfile.TemporaryDirectory(prefix="likeness-corpus-") as work:
        folder = Path(work) / "corpus"
        words = [sys.executable, "-c", "import sys; from likeness.cli import run; sys.exit(run(sys.argv[1:]))", "corpus"]
        words += [*map(str, settings.videos), str(folder), "--json"]
        words += ["--speakers", str(settings.speakers)] if settings.speakers else []
        words += ["--workers", str(settings.workers)] if settings.workers else []
        first, memory = watched(words)
        again, _ = watched(words)
        result = {**about, "name": settings.name, "workers": settings.workers, "first": first, "again": again}
        result |= {"memory_mb": memory, "corpus_mb": megabytes(folder), **contents(folder)}
    place = RESULTS / f"corpus-{settings.name}.json"
    write_atomically(place, json.dumps(result, indent=1).encode())
    print(place)


def watched(words: list[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """Run a command; what it said (without paths), and the most memory that its processes took, together and one alone."""
    most, largest = 0.0, 0.0
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        run = subprocess.Popen(words, stdout=out, stderr=subprocess.DEVNULL)
        while run.poll() is None:
            held = [proportional_mb(pid) for pid in family(run.pid)]
            most, largest = max(most, sum(held)), max([largest, *held])
            time.sleep(EVERY_S)
        seconds = time.monotonic() - began
        out.seek(0)
        said = json.loads(out.read())
    kept = {key: said[key] for key in ("new", "skipped", "known", "speakers", "clips", "samples", "hours", "seconds")}
    return kept | {"with_start_s": round(seconds, 1)}, {"all": round(most), "largest_process": round(largest)}


def family(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        parents.setdefault(int(after_name[1]), []).append(int(path.parent.name))
    found = [pid]
    for parent in found:
        found += parents.get(parent, [])
    return found


def proportional_mb(pid: int) -> float:
    """Memory of a process, in which what it shares counts by its share."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def megabytes(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1)


def contents(folder: Path) -> dict[str, Any]:
    """How long the clips are, and of how many lips and sound were clearly how far apart."""
    clips = list(index.clips(folder))
    offsets: list[float] = []
    corpus = Corpus.open(folder)
    for split in ("train", "val", "test"):
        offsets += [sample["offset"] for sample in corpus.stream(split, seed=None) if sample["clear"]]
    far = np.abs(offsets) if offsets else np.zeros(1)
    skipped = Counter(clip["skipped"].split(":")[0][:60] for clip in clips if clip["skipped"])
    return {
        "usable_s": round(sum(clip["seconds"] for clip in clips), 1),
        "clips_longer_than_20_s": sum(clip["seconds"] > 20 for clip in clips),
        "skipped_because": dict(skipped),
        "samples_with_a_clear_offset": len(offsets),
        "of_them_beyond_1_frame": int((far > 1).sum()),
        "largest_offset_frames": round(float(far.max()), 1),
        "fps": FPS,
    }


if __name__ == "__main__":
    main(tyro.cli(Settings))
