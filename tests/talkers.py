"""People who do not exist: mouths that follow the phones by a law, as tracks, and as a corpus packed as workers pack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from likeness.clip import Clip
from likeness.corpus import FORMAT, VERSION, shards, split_of
from likeness.displacement import MOUTH, displacement
from likeness.gather import _commit, work
from likeness.gather.sources import Source
from likeness.gather.takes import RECIPES, Take
from likeness.gather.work import Batch, pack, staged
from likeness.nn.sync import asset
from likeness.nn.sync.expert import heard, preset
from likeness.nn.sync.material import Track
from likeness.nn.sync.pretrain import train
from likeness.phones import PHONES
from likeness.prepare.sound import OPENING, Offset
from likeness.run import Run
from likeness.speech import PROBABILITY_FLOOR

PEOPLE = ("ann", "ben", "zoe", "eve", "fay", "gus", "noa")  # zoe and noa are in val, nobody in test


def said(frames: int, seed: int) -> np.ndarray:
    """Log posteriors [4 frames, 42] of random phones of 50 to 150 ms."""
    random = np.random.default_rng(seed)
    names = np.repeat(random.integers(0, 42, 4 * frames), random.integers(5, 16, 4 * frames))[: 4 * frames]
    return np.log(np.eye(42)[names] * 0.9 + 0.1 / 42 + PROBABILITY_FLOOR).astype(np.float32)


def mouths(phones: np.ndarray, seed: int, late: int = 0) -> np.ndarray:
    """Displacement [T 68 3] of a mouth that opens and rounds `late` frames after the phones, and trembles."""
    random = np.random.default_rng([seed, 1])
    weights = np.stack([[OPENING[p] for p in PHONES], [p in ("UW", "OW", "W", "SH", "CH") for p in PHONES]], 1)
    frames = len(phones) // 4
    rows = (np.exp(phones) @ weights).reshape(frames, 4, 2).mean(1)
    rows = np.stack([np.convolve(row, [0.25, 0.5, 0.25], "same") for row in rows.T], 1)
    rows = np.roll(rows - rows.mean(0), late, axis=0)
    shapes = np.random.default_rng(0).normal(0, 0.4, (2, 20, 3))
    moves = np.zeros((frames, 68, 3), np.float32)
    moves[:, MOUTH] = np.einsum("tk,kpx->tpx", rows, shapes) + random.normal(0, 0.02, (frames, 20, 3))
    return moves


def mel(phones: np.ndarray) -> np.ndarray:
    """80 bands that say the same by a fixed mixture."""
    return (np.exp(phones) @ np.random.default_rng(3).normal(0, 1, (42, 80))).astype(np.float32)


def corpus(folder: Path, frames: int = 250, clips: int = 2, doubtful: tuple[str, ...] = ()) -> Path:
    """A corpus of PEOPLE with `clips` samples each of `frames` frames; offsets are clear but of the `doubtful`."""
    (folder / "shards").mkdir(parents=True)
    (folder / "staged").mkdir()
    (folder / "corpus.json").write_text(json.dumps({"format": FORMAT, "version": VERSION, "points": 68, "recipes": RECIPES}))
    for n, person in enumerate(PEOPLE):
        sources = [Source(f"/videos/{person}/{clip}.mp4", person) for clip in range(clips)]
        for clip, source in enumerate(sources):
            take = _take(frames, 100 * n + clip, person not in doubtful)
            key = f"{source.id}-0000000"
            its = {"id": source.id, "video": source.video, "speaker": person, "skipped": "", "samples": [(key, frames)]}
            head = {"points": 68, "recipes": RECIPES, "clips": [its]}
            shards.write_shard(staged(folder, source.id), head, [take.arrays["shape"]], [(key, *work._members(source, take))])
        batch = Batch(person, split_of(person), tuple(sources))
        pack(folder, batch, 68)
        _commit(folder, batch)
    return folder


def _take(frames: int, seed: int, clear: bool) -> Take:
    phones = said(frames, seed)
    arrays = {"moves": mouths(phones, seed).astype(np.float16), "shape": np.zeros((68, 3), np.float32)}
    arrays |= {"pose": np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), "eyes": np.ones(frames, np.float16)}
    arrays |= {"f0": np.zeros(4 * frames, np.float32), "mel": mel(phones).astype(np.float16)}
    arrays |= {"phones": phones.astype(np.float16)}
    return Take(0, arrays, Offset(0.0, 0.3 if clear else 0.1, 0.5, np.zeros(1), 0.2))


def expert_of(clip: Clip, path: Path) -> Path:
    """The file of a sync expert that knows a clip by heart: what it says of that clip, shifted or not, is certain."""
    settings = preset("small", steps=120, width=48, dim=24, stretches=4, dropout=0.0)
    moves = displacement(clip.motion.landmarks.numpy()).of_68().moves
    sound = heard({"phones": np.array(clip.features("phones"))}, settings)
    half = len(moves) // 2
    mouth = torch.from_numpy(moves[:, MOUTH].copy())
    held = [Track("first", mouth[: half + 20], sound[: half + 20]), Track("last", mouth[half - 20 :], sound[half - 20 :])]
    with Run(path.with_name(path.name + ".run"), {}) as run:
        expert = train(held, settings, run)
    expert.chance = {"margin": 1.0, "confidence": 2.0}
    asset.write(path, expert, {"people": 2}, 0, {})
    return path
