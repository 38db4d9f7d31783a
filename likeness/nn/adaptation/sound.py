"""A clip's sound as a generic generator hears it, and the generic motion to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import ROWS_PER_FRAME, Hearing
from likeness.clip import Clip
from likeness.corpus import Corpus
from likeness.nn.adaptation.person import flat
from likeness.nn.generator.hearing import sample_rows
from likeness.nn.generator.model import Generator
from likeness.nn.voice import HEARING
from likeness.nn.voice_train import silences
from likeness.speech import RECIPES, Statistics


@dataclass(frozen=True)
class Sound:
    """A clip's speech features by name, not normalised: [4 frames, dim] each."""

    features: dict[str, Float[Tensor, "rows dim"]]

    @staticmethod
    def of(clip: Clip, names: Sequence[str]) -> Sound:
        rows = len(clip) * ROWS_PER_FRAME
        return Sound({name: torch.from_numpy(np.array(clip.features(name)[:rows], np.float32)) for name in names})

    def moves(self, generator: Generator, more: int, temperature: float = 0.0) -> Float[Tensor, "stretch width"]:
        """Generic motion of mouth and jaw to all of it, `more` frames longer on both sides."""
        heard = torch.cat([self.features[name] for name in generator.hearing.features], dim=1)
        return _moves(generator, heard, Statistics.of(heard), more, temperature)

    def silent(self, generator: Generator, more: int) -> Float[Tensor, "stretch width"]:
        """Likewise to silence as it would be in this recording."""
        order = dict.fromkeys([*HEARING.features, *generator.hearing.features])
        held = torch.cat([self.features[name] for name in order], dim=1)
        hearing = _wider(generator.hearing, more)
        quiet = silences(held, hearing)
        at, chosen = 0, {}
        for name in order:
            chosen[name] = slice(at, at + RECIPES[name].dim)
            at += RECIPES[name].dim
        heard = torch.cat([held[:, chosen[name]] for name in generator.hearing.features], dim=1)
        stretch = torch.cat([quiet[:, chosen[name]] for name in generator.hearing.features], dim=1)
        statistics = Statistics.of(heard)
        return flat(generator.moves(stretch, statistics.mean, statistics.std))


def _wider(hearing: Hearing, more: int) -> Hearing:
    return Hearing(hearing.features, hearing.past + more, hearing.future + more)


def _moves(
    generator: Generator, heard: Float[Tensor, "rows dim"], statistics: Statistics, more: int, temperature: float
) -> Float[Tensor, "stretch width"]:
    hearing = _wider(generator.hearing, more)
    stretch = hearing.window(heard, 0, len(heard) // ROWS_PER_FRAME)
    return flat(generator.moves(stretch, statistics.mean, statistics.std, -more, temperature))


def generic_sounds(
    corpus: Corpus, generator: Generator, more: int, frames: int, temperature: float = 0.0, seed: int = 0
) -> list[Float[Tensor, "_ width"]]:
    """Generic motion to what people of a corpus' `train` said, about `frames` frames, each sample by itself and `more` frames
    longer on both sides."""
    found: list[Tensor] = []
    for sample in corpus.stream("train", points=68, seed=seed, epochs=1):
        heard = torch.from_numpy(sample_rows(sample, generator.hearing.features))
        found.append(_moves(generator, heard, Statistics.of(heard), more, temperature))
        if sum(len(moves) - 2 * more for moves in found) >= frames:
            break
    return found
