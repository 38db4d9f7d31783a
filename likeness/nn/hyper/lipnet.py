"""All that makes new lips, in one module: shape from sound, base face, detail. What is pretrained, fine-tuned and kept."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME, Hearing
from likeness.nn.hyper.articulation import PAST as WIDE_PAST
from likeness.nn.hyper.articulation import Articulation, wide
from likeness.nn.hyper.cues import Cues
from likeness.nn.hyper.decoder import State
from likeness.nn.hyper.generator import BaseGenerator
from likeness.nn.hyper.hearing import hearing, normalised
from likeness.nn.hyper.mouth import Mouth
from likeness.nn.hyper.refiner import Refiner, shrunk
from likeness.nn.hyper.settings import MADE, SIDE, Settings
from likeness.nn.hyper.sketch import drawn, lined


class Heads(NamedTuple):
    """Heads of some frames, and what their mouths are to be."""

    crops: Float[Tensor, "batch time 3 size size"]
    """As large as what is made: 128 pixels times the refiner's scale, or 128 for the base face alone."""
    references: Float[Tensor, "batch time 3 size size"]
    """Brought to where skull and mouth are to be (`warp`), where the settings say so."""
    sound: Float[Tensor, "batch time columns 20"]
    """As `near` cuts it out of what `LipNet.hear` gives; zeros where nothing is known of it."""
    shape: Float[Tensor, "batch time shape"]
    mouths: Float[Tensor, "batch time mouth 2"]
    """Where the points `mouth.MOUTH` are to lie, 0..1 across the square."""
    uppers: Float[Tensor, "batch time upper 2"]
    """Where the points `sketch.UPPER` lie in the frames that are seen."""


class Made(NamedTuple):
    """New faces."""

    base: Float[Tensor, "batch time 3 128 128"]
    pictures: Float[Tensor, "batch time 3 size size"] | None
    """Refined; not held in 0..1."""
    state: State


class LipNet(nn.Module):
    """Blank, of the sizes that the settings decide."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.mouth = Mouth()
        self.articulation = Articulation(settings.columns)
        self.base = BaseGenerator(settings)
        self.refiner = Refiner(settings.refining)

    @property
    def size(self) -> int:
        """Side of the finished pictures, pixels."""
        return SIDE * self.settings.refining.scale

    @property
    def hearing(self) -> Hearing:
        """What it has to be given of a sound: as wide as the articulation hears."""
        return wide(self.settings.features)

    def hear(self, windows: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch columns rows"]:
        """Windows of raw features, as `hearing` cuts them, as everything here takes them."""
        return normalised(windows, self.settings.features)

    def foretold(self, windows: Float[Tensor, "n columns rows"]) -> Float[Tensor, "n shape"]:
        """The shapes of anybody's mouth at these sounds, as large as life."""
        return self.articulation.spoken(windows)

    def forward(self, heads: Heads, state: State = (), refined: bool = True) -> Made:
        """New faces; `refined` says whether the second stage is asked for, of whose pictures the rows above `MADE` are the
        crops' own."""
        flat = {name: value.flatten(0, 1) for name, value in heads._asdict().items()}
        time, scale = heads.crops.shape[1], heads.crops.shape[-1] // SIDE
        mouths = flat["mouths"].detach()
        guides = (heads.shape, drawn(mouths).unflatten(0, (-1, time))) if self.settings.shaped else (None, None)
        small, smaller = (shrunk(flat[name], scale).unflatten(0, (-1, time)) for name in ("crops", "references"))
        base, state = self.base(small, smaller, Cues(heads.sound, *guides), state)
        if not refined:
            return Made(base, None, state)
        pictures = self.refine(base.flatten(0, 1), self.sketch(heads), flat["references"], flat["crops"])
        return Made(base, pictures.unflatten(0, (-1, time)), state)

    def sketch(self, heads: Heads) -> Float[Tensor, "n guides 128 128"]:
        """What the second stage is guided by, of all frames of all stretches one after the other."""
        mouths, uppers = heads.mouths.detach().flatten(0, 1), heads.uppers.flatten(0, 1)
        return lined(mouths, uppers) if self.settings.refining.lines == "face" else drawn(mouths)

    def refine(
        self,
        base: Float[Tensor, "n 3 128 128"],
        sketch: Float[Tensor, "n guides 128 128"],
        references: Float[Tensor, "n 3 size size"],
        crops: Float[Tensor, "n 3 size size"],
    ) -> Float[Tensor, "n 3 size size"]:
        """The second stage; the rows that are not made are the crops'."""
        fine = self.refiner(base, sketch, references if self.settings.refining.referred else None)
        top = MADE * self.settings.refining.scale
        return torch.cat([crops[..., :top, :], fine[..., top:, :]], -2)


def near(windows: Float[Tensor, "*batch columns rows"]) -> Float[Tensor, "*batch columns 20"]:
    """Of what the articulation hears, what the hypernets do."""
    narrow = hearing(("phones",))
    first = (WIDE_PAST - narrow.past) * ROWS_PER_FRAME
    return windows[..., first : first + narrow.rows]
