"""What else could speak for a portrait: every source of its speaker on the held-out frames, as lips alone, without pictures."""

from __future__ import annotations

import numpy as np
import torch

from likeness.clip import Clip
from likeness.evaluate.rows import judged
from likeness.nn.adaptation.distances import distances
from likeness.nn.adaptation.person import Person, shown
from likeness.nn.adaptation.speaker import Speaker
from likeness.nn.performing import Performer
from likeness.nn.voice_train import correlation, opening
from likeness.portrait import Heard, Portrait
from likeness.rig import LIP_COEFFICIENTS
from likeness.speech import Statistics


def sources(portrait: Portrait, clip: Clip) -> dict[str, dict[str, float]]:
    """By source: r and ratio of the lips' opening, their error (z-scores, weighted by what they move), and distances to what
    the person was seen to do; `chosen` is 1 for what speaks the own voice. Empty for portraits with one voice."""
    speaker = portrait.voice if isinstance(portrait, Performer) else None
    if not isinstance(speaker, Speaker) or not isinstance(portrait, Performer):
        return {}
    rig, hearing = portrait.rig, speaker.widest
    lips = rig.encode(clip.motion)[:, :LIP_COEFFICIENTS]
    learned = np.zeros(len(clip), bool)
    learned[clip.train] = True
    person = Person.of(clip, learned, lips)
    rows = [torch.from_numpy(np.array(clip.features(name), np.float32)) for name in hearing.features]
    heard = torch.cat(rows, dim=1)
    usual, frames = Statistics.of(heard), torch.from_numpy(judged(clip))
    first, last = int(frames[0]), int(frames[-1]) + 1
    stretch = Heard(hearing.window(heard, first, last), usual.mean, usual.std, torch.ones(last - first), start=first)
    real, found = lips[frames], {}
    truth = opening(rig, real)
    for source in speaker.sources:
        said = speaker.said(source, stretch, hearing)[frames - first]
        moved = opening(rig, said)
        found[source] = {
            "r": float(correlation(moved, truth)),
            "ratio": float(moved.std() / truth.std()),
            "error": float((rig.lip_weight * (said - real).square()).sum(1).mean().sqrt()),
            **distances(rig, person, shown(rig, said), said),
            "chosen": float(source == speaker.chosen["own"]),
        }
    return found
