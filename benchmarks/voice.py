"""How well sound drives lips: opening r and amplitude over 6 blocked folds with gaps of 12 frames, on prepared clips.

    python -m benchmarks.voice CLIP/ [CLIP/ ...] [--out benchmarks/results/voice.json]

Rows are kinds of features and windows; `voice` is the one that is shipped, with the amplitude that it sets for itself.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.machine import machine
from likeness.audio import ROWS_PER_FRAME, Hearing
from likeness.clip import Clip
from likeness.nn.voice import FAMILIES, HEARING, Family, Voice
from likeness.nn.voice_train import BLOCKS, GAP, Lesson, begin, correlation, fit, opening
from likeness.portrait import Heard
from likeness.rig import Rig
from likeness.speech import BANDS, Statistics, probabilities

WINDOWS = ((4, 0), (4, 1), (4, 2), (4, 4), (8, 8))
FEATURES = ("mel", "log phones", "phone probabilities", "mel + log phones")
TAPER, SHARPNESS, RIDGE = 1.5, 0.5, 0.3  # as the own voice has them
WIDE_TAPER = 4.0  # for windows of 8 frames and more


def groups(features: Tensor, name: str) -> list[Tensor]:
    """Frames of some features, each column normalised over the clip."""
    frames = features.unflatten(0, (-1, ROWS_PER_FRAME))
    kinds = {
        "mel": frames[..., :BANDS],
        "log phones": frames[..., BANDS:],
        "phone probabilities": probabilities(frames[..., BANDS:]),
    }
    chosen = ["mel", "log phones"] if name == "mel + log phones" else [name]
    out = []
    for kind in chosen:
        rows = kinds[kind].flatten(0, 1)
        mean = kinds[kind].mean(1)
        out.append((mean - rows.mean(0)) / rows.std(0).clamp_min(0.02) / rows.shape[1] ** 0.5)
    return out


def windows(features: Tensor, name: str, past: int, future: int) -> Tensor:
    """Weighted windows, one a frame."""
    frames = torch.cat(groups(features, name), dim=1)
    place = torch.arange(-past, future + 1)
    weight = torch.exp(-0.5 * (place / (WIDE_TAPER if past >= 8 else TAPER)) ** 2)
    stretch = Hearing(past=past, future=future, rows_per_frame=1).window(frames, 0, len(frames))
    return (stretch.unfold(0, len(place), 1) * (weight / weight.sum()).sqrt()).flatten(1)


def folds(lesson: Lesson) -> list[tuple[np.ndarray, np.ndarray]]:
    """(frames learned from, frames left out) of each block."""
    usable = np.flatnonzero(lesson.usable)
    out = []
    for block in np.array_split(np.flatnonzero(lesson.judged), BLOCKS):
        near = (usable >= block[0] - GAP) & (usable <= block[-1] + GAP)
        out.append((usable[~near], block))
    return out


def by_ridge(inputs: Tensor, lesson: Lesson) -> list[tuple[np.ndarray, Tensor]]:
    """Predictions of each left-out block by exact kernel ridge regression on the rest of the clip."""
    found = []
    for learned, block in folds(lesson):
        x, y = inputs[learned].double(), lesson.lips[learned].double()
        sharpness = SHARPNESS / torch.cdist(x[::7], x[::7]).square().median()
        alike = (-sharpness * torch.cdist(x, x).square()).exp() + RIDGE * torch.eye(len(x), dtype=torch.float64)
        weights = torch.linalg.solve(alike, y - y.mean(0))
        guess = (-sharpness * torch.cdist(inputs[block].double(), x).square()).exp() @ weights + y.mean(0)
        found.append((block, guess.float()))
    return found


def by_voice(lesson: Lesson, rig: Rig, family: Family) -> list[tuple[np.ndarray, Tensor]]:
    """Predictions of each left-out block by a whole Voice, amplitude included, that never saw it."""
    found = []
    for learned, block in folds(lesson):
        usable = np.zeros_like(lesson.usable)
        usable[learned] = True
        part = Lesson(lesson.features, lesson.lips, usable, usable & lesson.judged)
        voice = begin(part, rig)
        fit(voice, part, rig, family)
        found.append((block, hear(voice, lesson, family)[block]))
    return found


def hear(voice: Voice, lesson: Lesson, family: Family) -> Tensor:
    """What a voice makes of the whole clip."""
    statistics = Statistics.of(lesson.features)
    time_ = len(lesson.lips)
    stretch = HEARING.window(lesson.features, 0, time_)
    return voice(Heard(stretch, statistics.mean, statistics.std, torch.ones(time_), family))


def judge(found: list[tuple[np.ndarray, Tensor]], lesson: Lesson, rig: Rig) -> dict[str, float | list[float]]:
    """Opening r (mean, standard error, each fold) and ratio of standard deviations."""
    r, ratio = [], []
    for block, guess in found:
        real, moved = opening(rig, lesson.lips[block]), opening(rig, guess)
        r.append(float(correlation(real, moved)))
        ratio.append(float(moved.std() / real.std()))
    return {
        "r": round(float(np.mean(r)), 4),
        "error": round(float(np.std(r, ddof=1) / len(r) ** 0.5), 4),
        "amplitude": round(float(np.mean(ratio)), 3),
        "folds": [round(x, 4) for x in r],
    }


def measure(folder: Path) -> dict[str, dict]:
    """All rows of a clip."""
    clip = Clip.open(folder)
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    lesson = Lesson.of(clip, rig, clip.train)
    alone = Lesson(lesson.features, lesson.lips, lesson.judged, lesson.judged)
    rows = {f"{name}, 4/2": judge(by_ridge(windows(lesson.features, name, 4, 2), alone), alone, rig) for name in FEATURES}
    for past, future in WINDOWS:
        inputs = windows(lesson.features, FEATURES[-1], past, future)
        rows[f"{FEATURES[-1]}, {past}/{future}"] = judge(by_ridge(inputs, alone), alone, rig)
    for family in FAMILIES:
        began, cpu = time.perf_counter(), time.process_time()
        fit(begin(lesson, rig), lesson, rig, family)
        cost = {"seconds": round(time.perf_counter() - began, 2), "cpu_seconds": round(time.process_time() - cpu, 2)}
        rows[f"voice {family}"] = judge(by_voice(lesson, rig, family), lesson, rig) | cost
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "voice.json")
    arguments = parser.parse_args()
    clips = {}
    for folder in arguments.clips:
        clips[folder.name] = measure(folder)
        print(f"{folder.name:32s} r      ±      amplitude")
        for name, row in clips[folder.name].items():
            print(f"  {name:30s} {row['r']:.3f}  {row['error']:.3f}  {row['amplitude']:.2f}", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({**machine(), "clips": clips}, indent=1) + "\n")


if __name__ == "__main__":
    main()
