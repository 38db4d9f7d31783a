"""How far a sync expert may be trusted on people that it never heard: folds over the speakers of a corpus.

    python -m benchmarks.sync CORPUS/ [--folds 5] [--variants small,mel,...] [--together ANN,ANN_CLIP2 ...] [--clips]

Each person is judged by an expert that learned from the others. `--together` names speakers that are one person. `--clips`
prints a line for each video of 3 s and more: the offset by expected opening, and the expert's. Only figures over all people are
written.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.folds import aliases, dealt
from benchmarks.machine import machine
from likeness.corpus import Corpus
from likeness.nn.sync.expert import Expert, Settings, preset
from likeness.nn.sync.material import Track, wanted
from likeness.nn.sync.measure import SHORTEST, Synchrony, judged
from likeness.nn.sync.pretrain import train
from likeness.nn.sync.trial import chance, table, trial
from likeness.prepare.sound import ROWS, SMALL
from likeness.run import Run

VARIANTS = {
    "small": preset("small"),
    "mel": preset("small", features=("mel",)),
    "phones and mel": preset("small", features=("phones", "mel")),
    "clear only": preset("small", clear_only=True),
    "13 frames": preset("small", frames=13),
    "60 numbers": preset("small", components=60),
    "velocity": preset("small", velocity=True),
    "200 steps": preset("small", steps=200),
    "800 steps": preset("small", steps=800),
}
BUSY = 0.25  # of all frames: somebody who says more has a figure of his own, so that he does not stand for all


def read(folder: Path, together: dict[str, str]) -> list[dict]:
    """Every sample of a corpus, whatever its split."""
    corpus = Corpus.open(folder)
    samples = [sample for split in ("train", "val", "test") for sample in corpus.stream(split, seed=None)]
    return [sample | {"speaker": together.get(sample["speaker"], sample["speaker"])} for sample in samples]


def folds(samples: list[dict], count: int) -> dict[str, int]:
    """Which fold each person is left out in."""
    frames: dict[str, int] = {}
    for sample in samples:
        frames[sample["speaker"]] = frames.get(sample["speaker"], 0) + len(sample["moves"])
    return dealt(frames, count)


def leave_out(samples: list[dict], settings: Settings, count: int) -> tuple[list[tuple[Expert, Track]], list[dict], dict]:
    """Every sample with an expert that never heard its speaker, and what the training cost."""
    fold, found, order, cost = folds(samples, count), [], [], []
    for number in range(count):
        learned = [Track.of(s, settings) for s in samples if fold[s["speaker"]] != number and wanted(s, settings)]
        began, cpu = time.perf_counter(), time.process_time()
        with TemporaryDirectory() as folder, Run(Path(folder), {}) as run:
            expert = train(learned, settings, run)
        cost.append((time.perf_counter() - began, time.process_time() - cpu))
        expert.chance = chance(expert, learned, 0)
        left = [s for s in samples if fold[s["speaker"]] == number]
        found += [(expert, Track.of(sample, settings)) for sample in left]
        order += left
    seconds, cpu = (round(float(np.mean(column)), 1) for column in zip(*cost))
    size = sum(p.numel() for p in found[0][0].parameters())
    return found, order, {"seconds": seconds, "cpu_seconds": cpu, "parameters": size}


def by_clip(found: list[tuple[Expert, Track]], samples: list[dict]) -> dict[str, tuple[dict, Synchrony]]:
    """Of each video: a sample of it, and its synchrony with the sound as it was before the corpus moved it."""
    rows: dict[str, list] = {}
    for (expert, track), sample in zip(found, samples):
        rows.setdefault(sample["video"], []).append((expert, sample, table(expert, track)))
    clips = {}
    for video, its in rows.items():
        expert, sample, _ = its[0]
        if sum(len(part) for _, _, part in its) >= SHORTEST:
            clips[video] = (sample, judged(expert, np.concatenate([part for _, _, part in its])))
    return clips


def moved(sample: dict) -> float:
    """By how many frames the corpus moved the sound."""
    return round(sample["offset"] * ROWS) / ROWS if sample["clear"] and abs(sample["offset"]) > SMALL else 0.0


def agreement(clips: dict[str, tuple[dict, Synchrony]]) -> dict[str, float]:
    """How the expert's offsets stand to those by expected opening."""
    both = [moved(s) + f.frames - s["offset"] for s, f in clips.values() if s["clear"] and f.clear]
    return {
        "clips": len(clips),
        "clear by both": len(both),
        "clear by expected opening alone": sum(s["clear"] and not f.clear for s, f in clips.values()),
        "clear by the expert alone": sum(f.clear and not s["clear"] for s, f in clips.values()),
        "median difference": round(float(np.median(both)), 2) if both else 0.0,
        "median absolute difference": round(float(np.median(np.abs(both))), 2) if both else 0.0,
        "over 1.5 frames": int((np.abs(both) > 1.5).sum()),
    }


def tell(clips: dict[str, tuple[dict, Synchrony]]) -> None:
    """A line a clip, on the terminal alone."""
    for video, (sample, found) in sorted(clips.items()):
        opening = f"{sample['offset']:+.1f} margin {sample['margin']:.2f}{'' if sample['clear'] else ' not clear'}"
        ours = f"{moved(sample) + found.frames:+.1f} margin {found.margin:.2f} confidence {found.confidence:.2f}"
        print(f"  {Path(video).stem:30s} {opening:32s} {ours}{'' if found.clear else ' not clear'}")


def measure(samples: list[dict], settings: Settings, count: int, show: bool) -> dict:
    """Figures of one variant: of everybody but who says more than BUSY, and of those alone."""
    found, order, cost = leave_out(samples, settings, count)
    said: dict[str, int] = {}
    for _, track in found:
        said[track.speaker] = said.get(track.speaker, 0) + len(track)
    busy = {speaker for speaker, frames in said.items() if frames > BUSY * sum(said.values()) and len(said) > count}
    kept = [(pair, sample) for pair, sample in zip(found, order) if sample["speaker"] not in busy]
    clear = [pair for pair, sample in kept if sample["clear"]]
    clips = by_clip([pair for pair, _ in kept], [sample for _, sample in kept])
    if show:
        tell(clips)
    return {
        "people": trial([pair for pair, _ in kept]),
        "whose offset is clear": trial(clear),
        "busiest": trial([pair for pair, sample in zip(found, order) if sample["speaker"] in busy]),
        "offsets": agreement(clips),
        "chance": {n: round(float(np.mean([e.chance[n] for e, _ in found])), 3) for n in ("margin", "confidence")},
        "training": cost,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--together", nargs="*", default=[])
    parser.add_argument("--clips", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "sync.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    samples = read(arguments.corpus, aliases(arguments.together))
    variants = {}
    for name in arguments.variants.split(","):
        row = variants[name] = measure(samples, VARIANTS[name], arguments.folds, arguments.clips)
        runs = "  ".join(f"{n}: {its['auc']:.3f} {its['accuracy']:.3f}" for n, its in row["people"]["shifted"].items())
        share = "  ".join(f"{n} s {its['share']:.3f}" for n, its in row["people"]["detected"].items())
        print(f"{name:16s} {runs}  {share}  {row['training']}", flush=True)
        result = {**machine(), "folds": arguments.folds, "hours": round(sum(len(s["moves"]) for s in samples) / 90_000, 3)}
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(result | {"variants": variants}, indent=1) + "\n")


if __name__ == "__main__":
    main()
