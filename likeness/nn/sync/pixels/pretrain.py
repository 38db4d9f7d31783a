"""Pretraining of the sync expert on pixels, once, over the faces of many people: an album in, one file out.

The question is the one of `likeness.nn.sync.pretrain`: of all pairs of windows of a step, which belong together. LatentSync
(Li et al. 2024) says what matters: lips and sound in step to begin with, and who is not, left out (`Settings.clear_only`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from likeness import speech
from likeness.corpus import Corpus
from likeness.errors import Refused
from likeness.files import must_be_ours
from likeness.mesh import LIPS
from likeness.nn.sync.material import must_suffice
from likeness.nn.sync.pixels import asset
from likeness.nn.sync.pixels.expert import Expert, Settings
from likeness.nn.sync.pixels.material import Batch, Draw, Page, Track, doubtful, tracks
from likeness.nn.sync.pretrain import CLIP_NORM, LOG_EVERY, contrast, rate
from likeness.nn.sync.trial import chance, trial
from likeness.run import Run, optimiser_state, restore_optimiser
from likeness.video import FPS

STAGE = "sync-pixels"
OUTLINE_SIZE = 0.02  # of a square's side: about the spread of a lip's point
RULE = 1  # of what else decides a run's steps; another one does not go on with it
Pages = Callable[[Path], Sequence[Page]]


def pretrain(
    corpus: Corpus,
    pages: Pages,
    square: str,
    out: Path,
    settings: Settings = Settings(),
    seed: int = 0,
    keep_every_s: float = 20.0,
) -> dict[str, Any]:
    """Train an expert on the corpus' `train` people and write it to `out`; returns its `trial` on the `val` people.

    `pages` gives the album's pages, made in the folder that it is told (OUT.run/album) unless they are there; `square` says
    how their squares were laid. A run that was killed goes on.
    Raises BadInput for too little to learn from, Refused for a corpus whose features are made in another way, or where `out`
    is a file that is no sync expert on pixels.
    """
    out = Path(out)
    must_be_ours(out, asset.KIND.read_header, asset.KIND.what)
    other = [name for name in settings.features if corpus.recipes.get(name) != speech.recipe_id(name)]
    if other:
        raise Refused(f"{corpus.folder}: {', '.join(other)} made by another recipe than this likeness has. Make it again.")
    folder = out.with_name(out.name + ".run")
    own = pages(folder / "album")
    ear = Expert(settings)
    without = doubtful(corpus, "train") if settings.clear_only else None
    held = tracks(own, "train", ear, seed, without)
    must_suffice(held, str(corpus.folder))
    about = provenance(held)
    with Run(folder, {"rule": RULE, "seed": seed, **asdict(settings), "learned": about}, seed, keep_every_s) as run:
        expert = train(held, settings, run)
        expert.chance = chance(expert, held, seed)
        judged = trial([(expert, track) for track in tracks(own, "val", ear, seed)])
        asset.write(out, expert, square, {"learned": about, "seed": seed, "trial": judged})
    return judged


def provenance(held: Sequence[Track]) -> dict[str, Any]:
    """What an expert was made of, without anybody's name."""
    people, hours = len({track.speaker for track in held}), round(sum(map(len, held)) / FPS / 3600, 4)
    return {"people": people, "pages": len(held), "hours": hours}


def train(held: Sequence[Track], settings: Settings, run: Run) -> Expert:
    """The training loop: an expert of these tracks, frozen, without the second task."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        expert = Expert(settings, 2 * len(LIPS) if settings.shapes else 0)
    if expert.outline is not None:
        with torch.no_grad():
            expert.outline.bias.copy_(torch.cat([track.outline for track in held]).mean(0).flatten() / OUTLINE_SIZE)
    optimiser = torch.optim.AdamW(expert.parameters(), settings.rate, (0.9, 0.999), weight_decay=settings.decay)
    if run.resumed:
        expert.load_state_dict({k.removeprefix("expert."): v for k, v in run.resumed.items() if k.startswith("expert.")})
        restore_optimiser(optimiser, run.resumed, "optimiser.")
    if run.done(STAGE):
        return _finished(expert)

    def state() -> dict[str, Tensor]:
        return {f"expert.{k}": v for k, v in expert.state_dict().items()} | optimiser_state(optimiser, "optimiser.")

    draw = Draw(held, expert)
    for step in run.steps(STAGE, settings.steps):
        random = run.generator(step)
        batch = draw.batch(random)
        for group in optimiser.param_groups:
            group["lr"] = rate(settings, step)
        with torch.random.fork_rng(devices=[]):  # dropout knows no generator
            torch.manual_seed(int(random.integers(2**31)))
            losses = losses_of(expert, batch)
        optimiser.zero_grad()
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(expert.parameters(), CLIP_NORM)
        optimiser.step()
        if step % LOG_EVERY == 0 or step == settings.steps - 1:
            run.log(**{name: value.detach() for name, value in losses.items()})
        run.keep(state)
    run.finish(state())
    return _finished(expert)


def losses_of(expert: Expert, batch: Batch) -> dict[str, Tensor]:
    """By name; `loss` is what is learned by."""
    codes = expert.codes(batch.looks) if expert.outline is not None else None
    lips = expert.lips(batch.looks) if codes is None else expert.of_codes(codes)
    alike = lips.flatten(0, 1) @ expert.sound(batch.sounds).flatten(0, 1).T
    found = {"sync": contrast(expert, alike, batch.kinds)}
    if codes is None or expert.outline is None:
        return found | {"loss": found["sync"]}
    drawn = batch.outlines.flatten(2) / OUTLINE_SIZE
    found["outline"] = F.smooth_l1_loss(expert.outline(codes), drawn)
    return found | {"loss": found["sync"] + expert.settings.shapes * found["outline"]}


def _finished(expert: Expert) -> Expert:
    expert.outline = None
    return expert.freeze()
