"""How well a generator does on people it did not learn from: r and size of the lips' opening, error of each part."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.corpus import Corpus, Sample, Split
from likeness.displacement import BROWS, EYES, JAW, MOUTH, lip_opening
from likeness.errors import BadInput
from likeness.nn.generator.hearing import sample_rows
from likeness.nn.generator.model import Generator
from likeness.nn.generator.objective import Expert
from likeness.speech import Statistics

PARTS = {"mouth": MOUTH, "jaw": JAW, "eyes": EYES, "brows": BROWS}
MOST_FRAMES = 15_000
"""Held in memory: ten minutes, 12 MB of motion and 29 MB of mel and phones."""


@dataclass(frozen=True)
class Judged:
    """People to validate on, and what they are of the corpus."""

    split: str
    samples: list[Sample]

    @staticmethod
    def of(corpus: Corpus, features: tuple[str, ...], people: frozenset[str] = frozenset()) -> Judged:
        """The samples of `people`, wherever they are; of nobody in particular, those of `val`, or where it is empty of `test`.

        Raises BadInput for somebody who is not in the corpus.
        """
        if missing := people - set(corpus.speakers):
            raise BadInput(f"{corpus.folder}: validation on {', '.join(sorted(missing))}, who are not in it.")
        where = {corpus.speakers[name].split for name in people}
        splits: list[Split] = ["val" if corpus.samples("val") else "test"]
        if people:
            splits = [split for split in get_args(Split) if split in where]
        strangers = frozenset(set(corpus.speakers) - people) if people else frozenset()
        kept = ("speaker", "moves", "shape")
        samples: list[Sample] = []
        frames = 0
        for split in splits:
            for sample in corpus.stream(split, seed=None, without=strangers):
                if frames >= MOST_FRAMES:
                    break
                samples.append({key: sample[key] for key in kept} | {"rows": sample_rows(sample, features)})
                frames += len(sample["moves"])
        return Judged("chosen" if people else splits[0], samples)

    def __len__(self) -> int:
        return len(self.samples)


def figures(generator: Generator, judged: Judged, temperature: float = 0.0, seed: int = 0) -> dict[str, float]:
    """opening_r and opening_ratio (spread made over real), a mean over people; mse of each part in cm², over frames."""
    made, real = defaultdict(list), defaultdict(list)
    for sample in judged.samples:
        made[sample["speaker"]].append(performed(generator, sample, temperature, seed).numpy() + sample["shape"])
        real[sample["speaker"]].append(sample["moves"] + sample["shape"])
    r, ratio, error = [], [], []
    for name in made:
        ours, theirs = np.concatenate(made[name]), np.concatenate(real[name])
        a, b = lip_opening(ours), lip_opening(theirs)
        r.append(float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-6 else 0.0)
        ratio.append(float(a.std() / max(b.std(), 1e-6)))
        error.append(np.square(ours - theirs))
    squared = np.concatenate(error)
    told = {"opening_r": float(np.mean(r)), "opening_ratio": float(np.mean(ratio))}
    return told | {f"{part}_mse": float(squared[:, points].mean()) for part, points in PARTS.items()}


def performed(generator: Generator, sample: Sample, temperature: float, seed: int) -> Float[Tensor, "time 68 3"]:
    """What the generator makes of a whole sample."""
    rows = torch.from_numpy(sample["rows"])
    statistics = Statistics.of(rows)
    stretch = generator.hearing.window(rows, 0, len(sample["moves"]))
    return generator.moves(stretch, statistics.mean, statistics.std, temperature=temperature, seed=seed)


def sync_figure(generator: Generator, expert: Expert, corpus: Corpus, judged: Judged) -> float:
    """The expert's mean loss for what the generator makes of the validation people."""
    own = Judged.of(corpus, expert.features, frozenset(s["speaker"] for s in judged.samples))
    losses = []
    for sample, heard in zip(judged.samples, own.samples):
        rows = torch.from_numpy(heard["rows"])
        statistics = Statistics.of(rows)
        moves = performed(generator, sample, 0.0, 0)
        with torch.no_grad():
            losses.append(expert(moves[None], rows[None], statistics.mean[None], statistics.std[None]).mean())
    return float(torch.stack(losses).mean())
