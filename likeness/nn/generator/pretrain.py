"""Learning a motion generator from a corpus, on one process or several under `torchrun`.

    likeness pretrain geneface CORPUS/ motion.safetensors
    torchrun --nproc_per_node 4 --no-python likeness pretrain geneface CORPUS/ motion.safetensors

Every step's crops come from a fixed number of lanes (`likeness.nn.generator.batches`) that the processes share, and its loss is
a mean over all their frames: the result does not depend on the number of processes but for rounding. The first process
writes; what it keeps is whole, so that a run that was killed goes on from there, on any number of processes.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from likeness import speech
from likeness.corpus import Corpus
from likeness.errors import BadInput, Refused
from likeness.files import must_be_ours
from likeness.nn.generator import asset
from likeness.nn.generator.batches import Batch, Course, Lane
from likeness.nn.generator.model import Generator
from likeness.nn.generator.objective import Expert, Objective, Sums, loss_of, sync_loss
from likeness.nn.generator.ranks import Ranks, joined
from likeness.nn.generator.recall import solved
from likeness.nn.generator.settings import PRESETS, Settings, Training
from likeness.nn.generator.validation import Judged, figures, sync_figure
from likeness.pitch import RECIPE as PITCH_RECIPE
from likeness.run import Run, optimiser_state

STAGE = "motion"
CLIP_NORM = 1.0
SLOWING = 250_000  # steps in which the rate falls to a tenth under `exponential`
USUAL = 0.2
"""The temperature that figures are given for besides 0."""
LOG_EVERY = 20


@dataclass
class Learner:
    """Everything that the next step depends on."""

    objective: Objective
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    """Of the weights; what is judged and kept."""
    best: dict[str, Tensor]
    """The average at its best validation."""
    score: Tensor
    """Of that validation: the mouth's error."""
    syncs: Tensor
    """Whether the sync loss counts: 1 once it has fallen to its threshold."""
    step: Tensor
    """The next one."""

    @staticmethod
    def begun(generator: Generator) -> Learner:
        """The optimiser's moments are made at once, so that every process has them to be filled."""
        objective = Objective(generator)
        optimiser = torch.optim.Adam(objective.parameters(), lr=0.0)
        for parameter in objective.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        for entry in optimiser.state.values():
            entry["step"].zero_()
        optimiser.zero_grad()
        state = {name: value.detach().clone() for name, value in generator.state_dict().items()}
        best = {name: value.clone() for name, value in state.items()}
        return Learner(objective, optimiser, state, best, torch.full((1,), 1e9), torch.zeros(1), torch.zeros(1))

    @property
    def generator(self) -> Generator:
        return self.objective.generator

    def state(self) -> dict[str, Tensor]:
        """Views of all of it, by name."""
        tensors = {f"weights.{name}": value for name, value in self.generator.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        tensors |= {"score": self.score, "syncs": self.syncs, "step": self.step}
        return tensors | optimiser_state(self.optimiser, "adam.")

    def restore(self, held: dict[str, Tensor]) -> None:
        """Put what `state` gave back; nothing where there is nothing."""
        for name, value in self.state().items():
            if held:
                value.detach().copy_(held[name])

    def averaged(self, decay: float) -> None:
        """After a step."""
        for name, value in self.generator.state_dict().items():
            old = self.average[name]
            old.copy_(value if not value.is_floating_point() else old + (1 - decay) * (value - old))


def pretrain(
    corpus: Corpus | str | os.PathLike,
    out: str | os.PathLike,
    settings: Settings = PRESETS["fast"],
    seed: int = 0,
    validation: tuple[str, ...] = (),
    expert: Expert | None = None,
) -> Generator:
    """Learn a motion generator and write it to `out`; the run lives in `out`.run and goes on where it was when it was killed.

    validation: people to judge it by, who are not learned from; nobody: the corpus' own `val` or, where that is empty, `test`.
    Under `torchrun` every process calls this with the same arguments; all return the same generator, when the file is there.
    Raises BadInput for a corpus with too little in it, a number of processes that does not divide the lanes, and a place that
    cannot be written; Refused where a run with other settings or another seed lies there, or a file of another kind.
    """
    settings.check()
    corpus, out, lesson = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus), Path(out), settings.training
    _check(corpus, settings, expert, frozenset(validation))
    must_be_ours(out, asset.read_header, "a motion generator")
    with joined() as ranks:
        if lesson.lanes % ranks.count:
            raise BadInput(f"{ranks.count} processes cannot share {lesson.lanes} lanes evenly: take a number that divides it.")
        judged = Judged.of(corpus, settings.features, frozenset(validation)) if ranks.first else None
        torch.manual_seed(seed)  # the first weights; every process has the same
        generator, recalls = Generator(settings), None
        if settings.keys:
            generator.recall, recalls = solved(corpus, settings, seed, frozenset(validation))
        learner = Learner.begun(generator)
        hears = expert.features if expert else ()
        course = Course(settings, generator.hearing, seed, frozenset(validation), hears, recalls)
        lanes = [Lane(corpus, course, number) for number in range(ranks.rank, lesson.lanes, ranks.count)]
        if judged is None:
            _learn(learner, lanes, ranks, None, None, expert)
            ranks.meet()  # the first one is still measuring and writing
            return _with(learner.best, learner)
        identity = _identity(corpus, settings, seed, judged, expert)
        with Run(out.with_name(out.name + ".run"), identity, seed) as run:
            learner.restore(run.resumed)
            _learn(learner, lanes, ranks, run, judged, expert)
            generator = _with(learner.best, learner)
            asset.save(out, generator, identity["corpus"] | {"validation": _told(generator, judged)})
        ranks.meet()
        return generator


def _check(corpus: Corpus, settings: Settings, expert: Expert | None, without: frozenset[str]) -> None:
    """What would stop the run is said before it begins."""
    lesson = settings.training
    if odd := [name for name in settings.features if name not in ("mel", "phones", "pitch")]:
        raise BadInput(f"a corpus holds no feature {odd[0]!r}; settings may name mel, phones and pitch.")
    held = {"mel": speech.recipe_id("mel"), "phones": speech.recipe_id("phones"), "pitch": PITCH_RECIPE}
    if other := [n for n in settings.features if corpus.recipes.get({"pitch": "f0"}.get(n, n)) != held[n]]:
        raise Refused(f"{corpus.folder}: its {', '.join(other)} was made by another recipe. Make the corpus again.")
    if lesson.sync_weight and expert is None:
        raise BadInput("sync_weight is set, but there is no sync expert. Give one, or leave the weight at 0.")
    if lesson.sync_weight and not without and all(s.split == "train" for s in corpus.speakers.values()):
        raise BadInput(
            f"{corpus.folder}: the sync loss sets in by people who are not learned from, and there are none. Add people, or "
            "name some for validation."
        )
    people = {name: s for name, s in corpus.speakers.items() if s.split == "train" and name not in without}
    samples, frames = sum(s.samples for s in people.values()), sum(s.frames for s in people.values())
    if samples < lesson.lanes:
        raise BadInput(
            f"{corpus.folder}: {samples} samples of {len(people)} people ({frames / 25:.0f} s) to learn from; at least "
            f"{lesson.lanes} samples are needed. Add videos with `likeness corpus`."
        )


def _identity(corpus: Corpus, settings: Settings, seed: int, judged: Judged, expert: Expert | None) -> dict[str, Any]:
    """What a run and its result are of."""
    people = sorted({sample["speaker"] for sample in judged.samples})
    hours = {split: round(corpus.hours(split), 4) for split in ("train", "val", "test")}
    of = {
        "recipes": corpus.recipes,
        "hours": hours,
        "people": len(corpus.speakers),
        "judged": judged.split,
        "judged_by": people,
    }
    return {"settings": asdict(settings), "seed": seed, "corpus": of, "expert": expert.id if expert else None}


def _learn(
    learner: Learner, lanes: list[Lane], ranks: Ranks, run: Run | None, judged: Judged | None, expert: Expert | None
) -> None:
    """All steps that are left. `run` and `judged` are the first process' alone."""
    lesson = learner.generator.settings.training
    ranks.share(learner.state())
    going = run is not None and not run.done(STAGE)
    steps = run.steps(STAGE, lesson.steps) if run and going else range(int(learner.step), lesson.steps)
    objective = DistributedDataParallel(learner.objective, broadcast_buffers=False) if ranks.count > 1 else learner.objective
    for step in steps:
        means = _step(learner, objective, Batch.joined([lane.crops(step) for lane in lanes]), step, ranks, expert)
        learner.step.fill_(step + 1)
        if run and step % LOG_EVERY == 0:
            run.log(**means)
        if (step + 1) % lesson.validate_every == 0 or step + 1 == lesson.steps:
            if run and judged:
                run.log(**_validate(learner, judged, lanes[0].corpus, expert))
            ranks.share({"syncs": learner.syncs})
        if run:
            run.keep(learner.state)
    if run and going:
        run.finish(learner.state())
    ranks.share({f"best.{name}": value for name, value in learner.best.items()})


def _step(
    learner: Learner, objective: nn.Module, batch: Batch, step: int, ranks: Ranks, expert: Expert | None
) -> dict[str, Tensor]:
    """One optimiser step; returns the means over everybody's frames."""
    lesson = learner.generator.settings.training
    for group in learner.optimiser.param_groups:
        group["lr"] = rate(step, lesson)
    learner.objective.train()
    sums, moves = objective(batch)
    totals = Sums(*ranks.total(torch.stack(sums)).unbind())
    loss = loss_of(sums, totals.frames, totals.latents, lesson)
    if expert is not None and learner.syncs:
        loss = loss + lesson.sync_weight * sync_loss(expert, moves, batch) / ranks.count
    (ranks.count * loss).backward()  # whose mean over processes is the gradient of the sum of their shares
    nn.utils.clip_grad_norm_(learner.objective.parameters(), CLIP_NORM)
    learner.optimiser.step()
    learner.optimiser.zero_grad()
    learner.averaged(min(lesson.average, (1 + step) / (10 + step)))
    told = {"error": totals.error / totals.frames, "continuity": totals.continuity / totals.frames}
    return told | {"kl": totals.kl / totals.latents, "loss": loss_of(totals, totals.frames, totals.latents, lesson)}


def rate(step: int, lesson: Training) -> float:
    """The learning rate of a step."""
    rise = min(1.0, (step + 1) / max(lesson.warm_up, 1))
    if lesson.decay == "cosine":
        return lesson.rate * rise * 0.5 * (1 + math.cos(math.pi * step / lesson.steps))
    return lesson.rate * rise * 0.1 ** (step / SLOWING)


def _validate(learner: Learner, judged: Judged, corpus: Corpus, expert: Expert | None) -> dict[str, float]:
    """Figures of the average; keeps it where the mouth's error is the least so far."""
    generator = _with(learner.average, learner)
    if not judged.samples:
        _keep(learner, 0.0)
        return {}
    told = figures(generator, judged)
    if told["mouth_mse"] < float(learner.score) or generator.recall is not None:  # whose likeliest motion does not change
        _keep(learner, told["mouth_mse"])
    if expert is not None and learner.generator.settings.training.sync_weight:
        told["sync"] = sync_figure(generator, expert, corpus, judged)
        if told["sync"] <= learner.generator.settings.training.sync_threshold:
            learner.syncs.fill_(1.0)
    return told


def _keep(learner: Learner, score: float) -> None:
    for name, value in learner.average.items():
        learner.best[name].copy_(value)
    learner.score.fill_(score)


def _with(weights: dict[str, Tensor], learner: Learner) -> Generator:
    generator = Generator(learner.generator.settings)
    generator.load_state_dict(weights)
    return generator.eval().requires_grad_(False)


def _told(generator: Generator, judged: Judged) -> dict[str, Any]:
    """Figures for the asset; none where there is nobody to judge by."""
    if not judged.samples:
        return {}
    return {f"temperature {t:g}": figures(generator, judged, t) for t in (0.0, USUAL)}
