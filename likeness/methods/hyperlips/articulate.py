"""Learning the shape of a mouth from sound, over many people: seconds, before the pictures."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from likeness.methods.hyperlips.material import Part
from likeness.nn.hyper.articulation import wide
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.settings import SHAPE

STEPS, BATCH, RATE = 600, 512, 2e-3
DECAY = 1e-3
MOST = 100_000  # frames that are learned from
KNOWN = 0.3
"""Correlation from which a number of the shape counts as foretold at all; others are not enlarged."""
FORETOLD = 3  # numbers of the shape whose figures are told: those behind them sound hardly knows
LARGEST = 1.8  # gain: beyond, noise is what grows


def learn_articulation(net: LipNet, groups: list[list[Part]], judged: list[list[Part]], seed: int) -> dict[str, float]:
    """Fill `net.articulation`; `judged` are people who are not learned from, by whom the gains are set (where there is
    nobody, by those who are). Returns correlations of what is foretold with their own mouths."""
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    parts = [part for group in groups for part in group]
    heard, shapes = gathered(net, parts, max(1, sum(len(p.shape) for p in parts) // MOST))
    articulation = net.articulation.train().requires_grad_(True)
    optimiser = torch.optim.AdamW(articulation.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        rows = torch.from_numpy(draw.integers(len(shapes), size=BATCH))
        F.mse_loss(articulation(heard[rows]), shapes[rows]).backward()
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    articulation.eval().requires_grad_(False)
    found, real = _foretold(net, judged or groups)
    r = _correlation(found, real)
    gain = (real.std(0) / found.std(0).clamp_min(1e-6)).clamp(1, LARGEST)
    articulation.gain.copy_(torch.where(r > KNOWN, gain, torch.ones(SHAPE)))
    return {f"shape_{i}_r": round(float(x), 3) for i, x in enumerate(r[:FORETOLD], 1)}


def gathered(net: LipNet, parts: list[Part], every: int) -> tuple[Float[Tensor, "n columns rows"], Float[Tensor, "n shape"]]:
    """What is heard and how mouths are shaped, of every so manyth frame."""
    ears = wide(net.settings.features)
    heard, shapes = [], []
    for part in parts:
        frames = torch.arange(0, len(part.shape), every)
        heard.append(net.hear(ears.windows(ears.window(part.rows, 0, len(part.shape)))[frames]))
        shapes.append(part.shape[frames])
    return torch.cat(heard), torch.cat(shapes)


@torch.no_grad()
def _foretold(net: LipNet, groups: list[list[Part]]) -> tuple[Float[Tensor, "n shape"], Float[Tensor, "n shape"]]:
    """Expected and real shapes of whole videos, each without its mean: what a person's usual mouth is, sound cannot tell."""
    found, real = [], []
    for group in groups:
        heard, shapes = gathered(net, group, 1)
        guess = net.articulation(heard)
        found.append(guess - guess.mean(0))
        real.append(shapes - shapes.mean(0))
    return torch.cat(found), torch.cat(real)


def _correlation(a: Float[Tensor, "n shape"], b: Float[Tensor, "n shape"]) -> Float[Tensor, " shape"]:
    return (a * b).mean(0) / (a.square().mean(0) * b.square().mean(0)).sqrt().clamp_min(1e-9)
