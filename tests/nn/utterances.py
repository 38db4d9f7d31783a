"""Made-up speech whose lips are known: its features, a face, a clip folder without pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from likeness.clip import Clip, Motion
from likeness.phones import PHONES
from likeness.speech import BANDS, PROBABILITY_FLOOR

TIME = 400
OPEN = PHONES.index("AA")
SHUT = PHONES.index("M")


def sound(time: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """Features of a made-up speech, and how open the mouth is: smooth, 0 to 1. Loudness and phones both tell."""
    rng = np.random.default_rng(seed)
    slow = np.convolve(rng.standard_normal(time * 4 + 60), np.hanning(25), "valid")[: time * 4]
    wide = 1 / (1 + np.exp(-3 * slow / slow.std()))
    shape = np.sin(np.arange(BANDS) / 9)
    mel = -9 + 4 * wide[:, None] * shape + 0.5 * rng.standard_normal((time * 4, BANDS))
    p = np.full((time * 4, len(PHONES)), 1e-4)
    p[:, OPEN], p[:, SHUT] = wide, 1 - wide
    phones = np.log(p / p.sum(1, keepdims=True) + PROBABILITY_FLOOR)
    features = torch.from_numpy(np.concatenate([mel, phones], 1).astype(np.float32))
    return features, wide.reshape(time, 4).mean(1)


def face(wide: np.ndarray, seed: int = 0) -> Motion:
    """A made-up face whose lower lip and jaw go down as the mouth opens, with a little tracking noise; metres."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(-0.08, 0.08, (478, 3))
    mean[13], mean[14] = (0, 0.03, 0), (0, 0.031, 0)
    direction = np.zeros((478, 3))
    direction[[14, 17, 84, 314, 87, 317, 152, 148, 377], 1] = 1
    landmarks = mean + 0.008 * wide[:, None, None] * direction + 2e-4 * rng.standard_normal((len(wide), 478, 3))
    eyes = torch.from_numpy(rng.uniform(0.5, 1, len(wide)).astype(np.float32))
    pose = torch.eye(4).expand(len(wide), 4, 4).clone()
    return Motion(pose, torch.zeros(len(wide), 1), eyes, torch.from_numpy(landmarks.astype(np.float32)))


def made_clip(folder: Path, scenes: list[tuple[int, int]], breaks: list[int]) -> Clip:
    """A clip folder without pictures."""
    time = scenes[-1][1]
    features, wide = sound(time, 3)
    motion = face(wide)
    (folder / "features").mkdir(parents=True)
    np.save(folder / "features/mel.npy", features[:, :BANDS].numpy())
    np.save(folder / "features/phones.npy", features[:, BANDS:].numpy())
    seen = np.ones(time, bool)
    seen[120:124] = False
    np.savez(
        folder / "motion.npz",
        seen=seen,
        **{k: getattr(motion, k).numpy() for k in ("pose", "expression", "eyes", "landmarks")},
    )
    header = {
        "format": "likeness-clip", "version": 1, "fps": 25.0, "frames": time, "size": [64, 64],
        "camera": {"focal": 80.0, "centre": [32.0, 32.0], "size": [64, 64]}, "scenes": scenes, "breaks": breaks,
    }  # fmt: skip
    (folder / "clip.json").write_text(json.dumps(header))
    return Clip.open(folder)
