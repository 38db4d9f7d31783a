"""Lips in silence: what a portrait does when nobody speaks."""

from __future__ import annotations

import numpy as np
import torch

from likeness import speech
from likeness.audio import HOP
from likeness.clip import Clip
from likeness.evaluate import metrics
from likeness.evaluate.judge import Judge
from likeness.evaluate.rows import DELIVERY, Row, features, following
from likeness.portrait import Heard, Portrait
from likeness.scenery import Scenery

FRAMES = 50
SETTLING = 5  # frames until the tracker holds still


def silence(portrait: Portrait, clip: Clip, judge: Judge) -> dict[str, float]:
    """Two seconds of digital silence, the head still: how far open the mouth is, and whether it moves; as served, and
    with the gate open, which shows what the voice itself makes of silence; `real_mean` of the held-out frames. Pixels."""
    waveform = np.zeros(FRAMES * HOP, np.float32)
    heard = torch.from_numpy(np.concatenate([speech.extract(n, waveform) for n in portrait.hearing.features], axis=1))
    usual = speech.Statistics.of(features(portrait, clip))
    stretch = portrait.hearing.window(heard, 0, FRAMES)
    motion = following(portrait, clip)[torch.from_numpy(clip.test[:1]).expand(FRAMES)]
    scenery, found = Scenery(portrait, "clip"), {"real_mean": float(metrics.opening(judge.real_pixels).mean())}
    for name, gate in (("", torch.zeros(FRAMES)), ("ungated_", torch.ones(FRAMES))):
        row = Row(
            "silence",
            portrait.listen(Heard(stretch, usual.mean, usual.std, gate, DELIVERY["voice"], DELIVERY["amplitude"])),
            motion,
        )
        pictures = [scenery.compose(layer, motion[:1]) for layer in row.layers(portrait)]
        opening = metrics.opening(judge.detect(f"{name}silence", pictures).pixels)[SETTLING:]
        found |= {f"{name}mean": float(opening.mean()), f"{name}std": float(opening.std())}
    return found
