"""How far a sync expert may be trusted: true against shifted sound, right against wrong sound, on people it never heard.

All over runs of windows, since that is how it is used. A *shifted* sound is that of 3 to 15 frames before or after. `auc` is
over all true and shifted runs together (one threshold for everybody); `accuracy` how often a true run beats a shifted one of
the same place, mean over people. `detected`: how often the right sound rises above what 5 % of wrong ones (somebody
else's) reach, by confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata

from likeness.nn.sync.judge import Judge, Spoken
from likeness.nn.sync.measure import REACH, around, confidence, margin, mean_curve
from likeness.video import FPS

LENGTHS = (1, 5, 25, 50, 75)
"""Windows."""
SHIFTED = np.abs(np.arange(-REACH, REACH + 1)) >= 3
STARTS = 5  # runs of n windows begin every n / 5
STRANGERS = 4  # wrong sounds for every right one
FALSE_ALARMS = 5.0  # per cent
CHANCE_FRAMES = (75, 125, 200)
Judged = tuple[Judge, Spoken]


@torch.no_grad()
def table(expert: Judge, mouth: Spoken, sound: Spoken | None = None) -> Float[np.ndarray, "windows shifts"]:
    """Cosines of every window of a track with its own or another's sound at every shift; NaN beyond its ends."""
    return around(expert.seen(mouth), expert.heard(sound or mouth))


def trial(judged: Sequence[Judged], seed: int = 0) -> dict[str, Any]:
    """All figures over tracks, each with an expert that never heard its speaker: {"shifted": {windows: {auc, accuracy, runs}},
    "detected": {seconds: {share, pieces}}, "people", "seconds"}. Figures that nothing is there for are left out."""
    tables = [(track.speaker, table(expert, track)) for expert, track in judged]
    shifted = {}
    for length in LENGTHS:
        if found := _shifted(tables, length):
            shifted[str(length)] = found
    detected = {}
    for seconds in (2, 3):
        if found := _detected(judged, round(FPS * seconds), np.random.default_rng([seed, seconds])):
            detected[str(seconds)] = found
    seconds = sum(len(track) for _, track in judged) / FPS
    people = len({track.speaker for _, track in judged})
    return {"shifted": shifted, "detected": detected, "people": people, "seconds": round(seconds, 1)}


def _shifted(tables: list[tuple[str, np.ndarray]], length: int) -> dict[str, float]:
    true, false, wins = [], [], {}
    for speaker, rows in tables:
        if len(rows) < length:
            continue
        runs = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0)[:: max(1, length // STARTS)].mean(-1)
        right, wrong = runs[:, REACH], runs[:, SHIFTED]
        known = np.isfinite(wrong)
        true.append(right)
        false.append(wrong[known])
        wins.setdefault(speaker, []).append((right[:, None] > wrong)[known])
    if not true or not sum(map(len, false)):
        return {}
    each = [float(np.concatenate(won).mean()) for won in wins.values() if sum(map(len, won))]
    found = {"auc": auc(np.concatenate(true), np.concatenate(false)), "accuracy": float(np.mean(each))}
    return {name: round(value, 4) for name, value in found.items()} | {"runs": sum(map(len, true))}


def auc(true: Float[np.ndarray, " n"], false: Float[np.ndarray, " m"]) -> float:
    """How often a true value is above a false one; ties count half."""
    ranks = rankdata(np.concatenate([true, false]))[: len(true)]
    return float((ranks.sum() - len(true) * (len(true) + 1) / 2) / (len(true) * len(false)))


def _detected(judged: Sequence[Judged], frames: int, random: np.random.Generator) -> dict[str, float]:
    right, wrong = [], []
    for expert, track in judged:
        for piece in pieces(track, frames):
            right.append(confidence(mean_curve(table(expert, piece))))
            strange = strangers(piece, [other for _, other in judged], STRANGERS, random)
            wrong += [confidence(mean_curve(table(expert, piece, other))) for other in strange]
    if not right or not wrong:
        return {}
    limit = np.percentile(wrong, 100 - FALSE_ALARMS)
    return {"share": round(float((np.array(right) > limit).mean()), 4), "limit": round(float(limit), 4), "pieces": len(right)}


def pieces(track: Spoken, frames: int) -> list[Spoken]:
    """A track in pieces of `frames` windows' beginnings, without what is left over."""
    return [track.part(start, frames) for start in range(0, len(track) - frames + 1, frames)]


def strangers(piece: Spoken, others: Sequence[Spoken], count: int, random: np.random.Generator) -> list[Spoken]:
    """Pieces as long of what other people say; none where nobody else says so much."""
    long = [other for other in others if other.speaker != piece.speaker and len(other) >= len(piece)]
    found = []
    for _ in range(count if long else 0):
        other = long[int(random.integers(len(long)))]
        start = int(random.integers(len(other) - len(piece) + 1))
        found.append(other.part(start, len(piece)))
    return found


@torch.no_grad()
def chance(expert: Judge, held: Sequence[Spoken], seed: int, most: int = 300) -> dict[str, float]:
    """What margin and confidence somebody else's sound reaches in 5 % of cases, times the root of the windows.

    Of pieces of 3, 5 and 8 s (whichever there are), `most` of each; the highest of the three. Empty where no two people
    say so much.
    """
    found: dict[str, list[float]] = {"margin": [], "confidence": []}
    for frames in CHANCE_FRAMES:
        random = np.random.default_rng([seed, frames])
        cut = [piece for track in held for piece in pieces(track, frames)]
        chosen = [cut[i] for i in random.permutation(len(cut))[: most // STRANGERS]]
        curves = []
        for piece in chosen:
            lips = expert.seen(piece)
            curves += [mean_curve(around(lips, expert.heard(other))) for other in strangers(piece, held, STRANGERS, random)]
        if not curves:
            continue
        root = np.sqrt(frames - expert.frames + 1)
        for name, of in (("margin", margin), ("confidence", confidence)):
            found[name].append(float(np.percentile([of(curve) for curve in curves], 100 - FALSE_ALARMS) * root))
    return {name: round(max(values), 4) for name, values in found.items() if values}
