"""Pretraining of the sync expert, once, over many people: corpus in, one file out.

Every step takes stretches of a few people and tells, for each pair of their windows, whether mouth and sound belong together.
Against contrasting each window with all others (softmax) the plain question per pair is as good or better (AUC of one second
.964 against .954 to .959, of people left out) and gives a probability.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness import speech
from likeness.corpus import Corpus
from likeness.errors import Refused
from likeness.files import must_be_ours
from likeness.nn.sync import asset
from likeness.nn.sync.expert import Expert, Settings
from likeness.nn.sync.judge import Judge
from likeness.nn.sync.material import MATCHED, OTHER_SPEAKER, OTHER_TIME, SHIFTED, Draw, Track, must_suffice, tracks, wanted
from likeness.nn.sync.trial import chance, trial
from likeness.run import Run, optimiser_state, restore_optimiser
from likeness.video import FPS

STAGE = "sync"
SHARES = {SHIFTED: 0.375, OTHER_TIME: 0.375, OTHER_SPEAKER: 0.25}
"""Of the negatives, which together count as much as the matched pairs: the paper's."""
WARM_UP = 0.1  # of the steps in which the rate rises; then it falls by a cosine to 0
CLIP_NORM = 1.0
MOUTHS = 4000  # that the components are chosen by, spread over all people evenly
LOG_EVERY = 20
RULE = 1  # of what else decides a run's steps; another one does not go on with it


def pretrain(
    corpus: Corpus, out: Path, settings: Settings = Settings(), seed: int = 0, keep_every_s: float = 20.0
) -> dict[str, Any]:
    """Train an expert on the corpus' `train` people and write it to `out`; returns its `trial` on the `val` people.

    A run that was killed goes on (OUT.run/). The components are chosen, and the chance that a wrong sound has measured, on
    the people that it learns from; with fewer than two others in `val` the trial has no detection.
    Raises BadInput for too small a corpus, Refused for one whose features are made in another way, or where `out` is a file
    that is no sync expert.
    """
    out = Path(out)
    must_be_ours(out, asset.read_header, "a sync expert")
    other = [name for name in settings.features if corpus.recipes.get(name) != speech.recipe_id(name)]
    if other:
        raise Refused(f"{corpus.folder}: {', '.join(other)} made by another recipe than this likeness has. Make it again.")
    held = tracks(corpus, "train", settings, seed)
    must_suffice(held, str(corpus.folder))
    about = provenance(corpus, settings, held)
    identity = {"rule": RULE, "seed": seed, **asdict(settings), "corpus": about}
    with Run(out.with_name(out.name + ".run"), identity, seed, keep_every_s) as run:
        expert = train(held, settings, run)
        expert.chance = chance(expert, held, seed)
        judged = trial([(expert, track) for track in tracks(corpus, "val", settings, seed)])
        asset.write(out, expert, about, seed, judged)
    return judged


def provenance(corpus: Corpus, settings: Settings, held: Sequence[Track]) -> dict[str, Any]:
    """What an expert was made of, without anybody's name: how much was held, and a hash of all that could have been."""
    keys = hashlib.sha256()
    for sample in corpus.stream("train", seed=None):
        if wanted(sample, settings):
            keys.update(f"{sample['key']}\n".encode())
    found = {"people": len({track.speaker for track in held}), "samples": len(held), "keys": keys.hexdigest()[:16]}
    return found | {"hours": round(sum(map(len, held)) / FPS / 3600, 4), "recipes": corpus.recipes}


def train(held: Sequence[Track], settings: Settings, run: Run) -> Expert:
    """The training loop: an expert of these tracks, frozen."""
    expert = Expert(settings)
    _begin(expert, held, run.seed)
    optimiser = torch.optim.AdamW(expert.parameters(), settings.rate, (0.9, 0.999), weight_decay=settings.decay)
    if run.resumed:
        expert.load_state_dict({k.removeprefix("expert."): v for k, v in run.resumed.items() if k.startswith("expert.")})
        restore_optimiser(optimiser, run.resumed, "optimiser.")
    if run.done(STAGE):
        return expert.freeze()

    def state() -> dict[str, Tensor]:
        return {f"expert.{k}": v for k, v in expert.state_dict().items()} | optimiser_state(optimiser, "optimiser.")

    draw = Draw(held, settings)
    for step in run.steps(STAGE, settings.steps):
        random = run.generator(step)
        batch = draw.batch(expert, random)
        for group in optimiser.param_groups:
            group["lr"] = rate(settings, step)
        with torch.random.fork_rng(devices=[]):  # dropout knows no generator
            torch.manual_seed(int(random.integers(2**31)))
            alike = expert.lips(batch.mouths) @ expert.sound(batch.sounds).T
        loss = contrast(expert, alike, batch.kinds())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(expert.parameters(), CLIP_NORM)
        optimiser.step()
        if step % LOG_EVERY == 0 or step == settings.steps - 1:
            run.log(loss=loss.detach())
        run.keep(state)
    run.finish(state())
    return expert.freeze()


def contrast(expert: Judge, alike: Float[Tensor, "n n"], kinds: Int[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Cross-entropy of all pairs: half matched, half negatives by SHARES; a kind that there is none of counts nothing."""
    matched = kinds == MATCHED
    places = {kind: kinds == kind for kind in SHARES}
    counts = {kind: count for kind, where in places.items() if (count := int(where.sum()))}
    weight = matched.to(alike) / matched.sum()
    for kind, count in counts.items():
        weight += places[kind] * (SHARES[kind] / sum(SHARES[k] for k in counts) / count)
    return (weight * expert.surprise(alike, matched.to(alike))).sum() / 2


@runtime_checkable
class Schedule(Protocol):
    """What `rate` asks settings for."""

    @property
    def preset(self) -> str: ...

    @property
    def steps(self) -> int: ...

    @property
    def rate(self) -> float: ...


def rate(settings: Schedule, step: int) -> float:
    """Learning rate of a step. The paper's falls from the first step on."""
    warm = 0.0 if settings.preset == "paper" else WARM_UP * settings.steps
    if step < warm:
        return settings.rate * (step + 1) / warm
    return settings.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (settings.steps - warm)))


def _begin(expert: Expert, held: Sequence[Track], seed: int) -> None:
    """First weights by the seed, components by the mouths of everybody."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in expert.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv1d | torch.nn.BatchNorm1d):
                module.reset_parameters()
    of: dict[str, list[Tensor]] = {}
    for track in held:
        of.setdefault(track.speaker, []).append(track.mouth)
    each = max(1, MOUTHS // len(of))
    chosen = []
    for mouths in of.values():
        rows = torch.cat(mouths)
        chosen.append(rows[torch.linspace(0, len(rows) - 1, min(each, len(rows))).long()])
    expert.describe(torch.cat(chosen))
