"""All that makes new lips, in one module: shape from sound, base face, detail. What is pretrained, fine-tuned and kept."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import Hearing
from likeness.nn.hyper.articulation import EARS, Articulation
from likeness.nn.hyper.cues import Cues
from likeness.nn.hyper.decoder import State
from likeness.nn.hyper.generator import BaseGenerator
from likeness.nn.hyper.hearing import FUTURE as NEAR_FUTURE
from likeness.nn.hyper.hearing import hearing, normalised
from likeness.nn.hyper.mouth import Mouth
from likeness.nn.hyper.refiner import Refiner, shrunk
from likeness.nn.hyper.settings import MADE, SIDE, Settings
from likeness.nn.hyper.sketch import drawn, lined
from likeness.speech import RECIPES

HEARD = Hearing(EARS.features, EARS.past, max(EARS.future, NEAR_FUTURE))
"""All that is heard; it begins where the articulation's window does."""


class Heads(NamedTuple):
    """Heads of some frames, and what their mouths are to be."""

    crops: Float[Tensor, "batch time 3 size size"]
    """As large as what is made: 128 pixels times the refiner's scale, or 128 for the base face alone."""
    references: Float[Tensor, "batch time 3 size size"]
    """Brought to where skull and mouth are to be (`warp`), where the settings say so."""
    sound: Float[Tensor, "batch time columns 20"]
    """As `LipNet.hear` or `near` give it; zeros where nothing is known of it."""
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
        self.articulation = Articulation()
        self.base = BaseGenerator(settings)
        self.refiner = Refiner(settings.refining)

    @property
    def size(self) -> int:
        """Side of the finished pictures, pixels."""
        return SIDE * self.settings.refining.scale

    @property
    def hearing(self) -> Hearing:
        """What it has to be given of a sound where it is told nothing else: all that the articulation and the ear hear."""
        return HEARD

    def hear(self, windows: Float[Tensor, "*batch rows columns"]) -> Float[Tensor, "*batch columns rows"]:
        """Windows of raw features, those of the settings, as the ear takes them."""
        return normalised(windows, self.settings.features)

    def near(self, windows: Float[Tensor, "n rows dim"]) -> Float[Tensor, "n columns 20"]:
        """Of windows of `hearing`, what the ear hears."""
        ears = hearing(self.settings.features)
        first = (HEARD.past - ears.past) * ears.rows_per_frame
        parts = dict(
            zip(HEARD.features, windows[:, first : first + ears.rows].split([RECIPES[n].dim for n in HEARD.features], -1))
        )
        return self.hear(torch.cat([parts[name] for name in ears.features], -1))

    def foretold(self, windows: Float[Tensor, "n rows dim"], mean: Float[Tensor, " dim"]) -> Float[Tensor, "n shape"]:
        """The shapes of anybody's mouth at these sounds, as large as life; windows of `hearing`, `mean` of the whole sound."""
        return self.articulation.spoken(windows[:, : EARS.rows], mean)

    def forward(self, heads: Heads, state: State = (), refined: bool = True) -> Made:
        """New faces; `refined` says whether the second stage is asked for, of whose pictures the rows above `MADE` are the
        crops' own."""
        flat = {name: value.flatten(0, 1) for name, value in heads._asdict().items()}
        time, scale = heads.crops.shape[1], heads.crops.shape[-1] // SIDE
        mouths = flat["mouths"].detach()
        sketch = drawn(mouths)
        guides = (heads.shape, sketch.unflatten(0, (-1, time))) if self.settings.shaped else (None, None)
        small, smaller = (shrunk(flat[name], scale).unflatten(0, (-1, time)) for name in ("crops", "references"))
        base, state = self.base(small, smaller, Cues(heads.sound, *guides), state)
        if not refined:
            return Made(base, None, state)
        sketch = self.sketch(heads) if self.settings.refining.lines == "face" else sketch
        pictures = self.refine(base.flatten(0, 1), sketch, flat["references"], flat["crops"])
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
