"""Learning the shape of a mouth from sound, over many people: seconds, before the pictures."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.methods.hyperlips.material import Part
from likeness.nn.hyper.articulation import EARS, FEATURES, Articulation, spoken_mean
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.mouth import Mouth
from likeness.nn.hyper.settings import SHAPE

MOST = 20_000  # frames that are learned from
KNOWN = 0.3
"""Correlation from which a number of the shape counts as foretold at all; others are not enlarged."""
FORETOLD = 3  # numbers of the shape whose figures are told: those behind them sound hardly knows
LARGEST = 2.0  # gain: beyond, noise is what grows
FOLDS = 3
Heard = tuple[Float[Tensor, "_ rows dim"], Float[Tensor, " dim"]]
"""Windows of a page, and the mean of its sound while somebody speaks."""


def learn_articulation(net: LipNet, groups: list[list[Part]], judged: list[list[Part]]) -> dict[str, float]:
    """Fill `net.articulation`. Its gains are set by what it has not met: each of `folds` is foretold from the others. Returns
    correlations of what is foretold with the mouths of `judged`, who are not learned from (where there is nobody, of those
    who are)."""
    pairs = []
    for inside, others in folds(groups):
        pairs += _foretold(net.mouth, _solved(others), inside)
    found, real = (torch.cat(values) for values in zip(*pairs))
    gain = (real.std(0) / found.std(0).clamp_min(1e-6)).clamp(1, LARGEST)
    gain = torch.where(_correlation(found, real) > KNOWN, gain, torch.ones(SHAPE))
    opened = (real @ net.mouth.opens).std() / (found * gain @ net.mouth.opens).std().clamp_min(1e-9)
    solved = _solved(groups)
    # What goes wrong in several numbers goes wrong together; but nothing is made less than it is expected to be.
    solved.gain.copy_((gain * opened).clamp_min(1).minimum(gain))
    net.articulation.load_state_dict(solved.state_dict())
    found, real = (torch.cat(values) for values in zip(*_foretold(net.mouth, solved, judged or groups)))
    return {f"shape_{i}_r": round(float(x), 3) for i, x in enumerate(_correlation(found, real)[:FORETOLD], 1)}


def folds(groups: list[list[Part]]) -> list[tuple[list[list[Part]], list[list[Part]]]]:
    """(those inside, all others), by people; of one person by pages, and of a single page itself."""
    several = len({group[0].page.speaker for group in groups}) > 1
    names = sorted({_name(part, several) for group in groups for part in group})
    made = []
    for number in range(min(FOLDS, len(names))):
        fold = set(names[number::FOLDS])
        split = ([[p for p in g if (_name(p, several) in fold) == within] for g in groups] for within in (True, False))
        inside, others = ([group for group in side if group] for side in split)
        made.append((inside, others or inside))
    return made


def _name(part: Part, several: bool) -> str:
    return part.page.speaker if several else part.page.key


def _solved(groups: list[list[Part]]) -> Articulation:
    """Of these people, without gains."""
    every = -(-sum(len(p.shape) for group in groups for p in group if not p.flip) // MOST)
    pages = even([part for group in groups for part in group])
    made = Articulation()
    made.learn([heard(part, every) for part, _ in pages], torch.cat([shape[::every] for _, shape in pages]))
    return made


def even(parts: list[Part]) -> list[tuple[Part, Float[Tensor, "time shape"]]]:
    """Each page once, with the mean of its shapes as they are and as in a mirror: sound does not know left from right."""
    shapes: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        shapes[part.page.key].append(part)
    return [(same[0], torch.stack([part.shape for part in same]).mean(0)) for same in shapes.values()]


def heard(part: Part, every: int = 1) -> Heard:
    """What the articulation hears of every so manyth frame of a page."""
    rows = torch.from_numpy(np.concatenate([part.page.features(name) for name in FEATURES], 1))
    windows = EARS.windows(EARS.window(rows, 0, len(part.shape)))
    return windows[::every], spoken_mean(rows)


Shapes = Float[Tensor, "n shape"]


def _foretold(mouth: Mouth, articulation: Articulation, groups: list[list[Part]]) -> list[tuple[Shapes, Shapes]]:
    """Expected and real shapes of whole videos, as lively as their people, each without its mean: what a person's usual mouth
    is, sound cannot tell."""
    pairs = []
    for group in groups:
        if not group[0].flip:
            pages = even(group)
            person = mouth.person(torch.from_numpy(np.concatenate([part.page.points for part, _ in pages])))
            guess, shapes = torch.cat([articulation(*heard(part)) for part, _ in pages]), torch.cat([s for _, s in pages])
            pairs.append((person.lively * (guess - guess.mean(0)), shapes - shapes.mean(0)))
    return pairs


def _correlation(a: Float[Tensor, "n shape"], b: Float[Tensor, "n shape"]) -> Float[Tensor, " shape"]:
    return (a * b).mean(0) / (a.square().mean(0) * b.square().mean(0)).sqrt().clamp_min(1e-9)
