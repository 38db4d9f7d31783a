"""What the generator learns for: one-sample Monte-Carlo ELBO, continuity, and, where asked for, a sync expert (GeneFace)."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.displacement import BROWS, EYES, MOUTH
from likeness.nn.generator.batches import Batch
from likeness.nn.generator.model import OUT, POINTS, Generator
from likeness.nn.generator.settings import Training


@runtime_checkable
class Expert(Protocol):
    """A sync expert, which does not learn here."""

    features: tuple[str, ...]
    """What it hears."""
    id: str
    """Stands for its weights in the settings of a run."""

    def __call__(
        self,
        moves: Float[Tensor, "batch time 68 3"],
        rows: Float[Tensor, "batch rows speech"],
        mean: Float[Tensor, "batch speech"],
        std: Float[Tensor, "batch speech"],
    ) -> Float[Tensor, "*windows"]:
        """One loss for each window of motion and its sound, 4 rows a frame, not normalised; mean, std: of the whole sound."""
        ...


class Sums(NamedTuple):
    """Weighted sums over the crops of one process, and what to divide them by for the mean over all frames."""

    error: Float[Tensor, ""]
    continuity: Float[Tensor, ""]
    kl: Float[Tensor, ""]
    frames: Float[Tensor, ""]
    latents: Float[Tensor, ""]


def point_weights(lesson: Training) -> Float[Tensor, "68 1"]:
    """What each landmark counts, 1 on average."""
    weight = torch.ones(POINTS, 1)
    weight[MOUTH] = lesson.mouth_weight
    weight[EYES] = weight[BROWS] = 1 / lesson.mouth_weight
    return weight / weight.mean()


class Objective(nn.Module):
    """A generator with what it learns for: one module, so that distributed training sees one forward pass."""

    points: Tensor

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("points", point_weights(generator.settings.training), persistent=False)

    def forward(self, batch: Batch) -> tuple[Sums, Float[Tensor, "batch time 68 3"]]:
        """Sums, and the motion they are of."""
        draft = self.generator(batch.heard, batch.moves, batch.white)
        past, stride = self.generator.hearing.past, self.generator.settings.stride
        real = batch.moves[:, past : past + draft.moves.shape[1]]
        wrong = (draft.moves - real) * self.points.sqrt()
        error = wrong.square().sum((2, 3)) / OUT
        change = torch.cat([wrong[:, :1], wrong[:, 1:] - wrong[:, :-1]], 1).square().sum((2, 3)) / OUT
        both = torch.cat([batch.weight[:, :1], torch.minimum(batch.weight[:, 1:], batch.weight[:, :-1])], 1)
        counted = batch.weight[:, ::stride][:, draft.latents.first : draft.latents.last]
        sums = Sums(
            (error * batch.weight).sum(),
            (change * both).sum(),
            (draft.kl * counted).sum(),
            batch.weight.sum(),
            counted.sum(),
        )
        return sums, draft.moves + batch.recalled[:, past : past + draft.moves.shape[1]]


def loss_of(sums: Sums, frames: Tensor, latents: Tensor, lesson: Training) -> Float[Tensor, ""]:
    """One process' share of the loss, a mean over everybody's `frames` and `latents`."""
    errors = sums.error + lesson.continuity_weight * sums.continuity
    return errors / frames + lesson.kl_weight * sums.kl / latents


def sync_loss(expert: Expert, moves: Float[Tensor, "batch time 68 3"], batch: Batch) -> Float[Tensor, ""]:
    """The mean over all windows of the crops of one process. The only place that knows a sync expert."""
    return expert(moves, batch.rows, batch.mean, batch.std).mean()
