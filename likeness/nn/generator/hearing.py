"""What the motion generator hears: columns of speech features, one row a frame, and the condition that it makes of them.

A frame hears all of its four rows (in GeneFace every other row had no influence). Phones are probabilities, which carry
across voices; mel is normalised by the sound's own statistics, as everything else; pitch is relative to the speaker's level.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME
from likeness.corpus import Sample
from likeness.errors import BadInput
from likeness.nn.generator.layers import Reach, normaliser, spread, total
from likeness.nn.generator.settings import Settings
from likeness.speech import RECIPES, probabilities

BINS, LOWEST, HIGHEST = 255, 50.0, 1100.0  # Hz: GeneFace's steps of pitch
EMBEDDED = 64
KERNEL = 3


def columns(
    features: Float[Tensor, "*batch rows dim"],
    mean: Float[Tensor, " dim"],
    std: Float[Tensor, " dim"],
    settings: Settings,
) -> Float[Tensor, "*batch frames columns"]:
    """Speech features (not normalised, whole frames) as the network takes them. mean, std: of the whole sound."""
    frames = features.float().unflatten(-2, (-1, ROWS_PER_FRAME))
    parts, at = [], 0
    for name in settings.features:
        dim = RECIPES[name].dim
        own = slice(at, at + dim)
        at += dim
        if name == "phones":
            parts.append(probabilities(frames[..., own]).mean(-2))
        elif name != "pitch":
            parts.append(((frames[..., own] - mean[own]) / std[own].clamp_min(1e-3)).mean(-2))
        elif settings.pitch == "bins":
            parts.append(bins(frames[..., at - 1]))
        else:
            parts.append(relative(frames[..., at - 1], mean[at - 1], std[at - 1]))
    return torch.cat(parts, -1)


def sample_rows(sample: Sample, features: tuple[str, ...]) -> Float[np.ndarray, "rows dim"]:
    """Speech features of a sample, side by side. Raises BadInput for one that a corpus does not hold."""
    held = {"pitch": "f0"}
    for name in features:
        if held.get(name, name) not in sample:
            raise BadInput(f"a corpus holds no feature {name!r}; settings may name mel, phones and pitch.")
    parts = [sample[held.get(name, name)] for name in features]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], 1)


def column_slices(settings: Settings) -> dict[str, slice]:
    """Where each feature stands in `columns`."""
    found, at = {}, 0
    for name in settings.features:
        found[name] = slice(at, at + _width(name, settings))
        at = found[name].stop
    return found


def relative(
    hertz: Float[Tensor, "*batch frames 4"], mean: Float[Tensor, ""], std: Float[Tensor, ""]
) -> Float[Tensor, "*batch frames 2"]:
    """Share of voiced rows; and octaves above the speaker's level, 0 where unvoiced.

    The level follows from mean and spread of all rows, unvoiced ones (0) among them: their second moment over their mean is
    the voiced rows' mean, times 1 + the square of their relative spread.
    """
    voiced = (hertz > 0).float()
    level = ((mean.square() + std.square()) / mean.clamp_min(1e-6)).clamp_min(1.0)
    octaves = (hertz.clamp_min(1.0) / level).log2().clamp(-1.5, 1.5) * voiced
    return torch.stack([voiced.mean(-1), octaves.mean(-1)], -1)


def bins(hertz: Float[Tensor, "*batch frames 4"]) -> Float[Tensor, "*batch frames 4"]:
    """Steps of pitch, evenly spaced on the mel scale: 1 (unvoiced or lowest) to 255."""

    def height(frequency: Tensor | float) -> Tensor:
        return 1127 * torch.log1p(torch.as_tensor(frequency) / 700)

    low, high = height(LOWEST), height(HIGHEST)
    step = 1 + (height(hertz) - low) * (BINS - 1) / (high - low)
    return step.clamp(1, BINS).round()


def column_count(settings: Settings) -> int:
    """Of `columns`."""
    return sum(_width(name, settings) for name in settings.features)


def _width(name: str, settings: Settings) -> int:
    if name != "pitch":
        return RECIPES[name].dim
    return ROWS_PER_FRAME if settings.pitch == "bins" else 2


class Ears(nn.Module):
    """Columns to the condition, at 25 frames a second, and at the latents' rate; of the features that the network hears."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        whole = column_slices(settings)
        self.slices = [whole[name] for name in settings.ears or settings.features]
        settings = replace(settings, features=settings.ears or settings.features, ears=(), keys=0)
        self.embeds = "pitch" in settings.features and settings.pitch == "bins"
        plain, width = column_count(settings), settings.condition
        if self.embeds:
            self.at = sum(_width(name, settings) for name in settings.features[: settings.features.index("pitch")])
            plain -= ROWS_PER_FRAME
            self.embedding = nn.Embedding(BINS + 1, EMBEDDED)
            self.pitch = _encoder(EMBEDDED, width, width // 2, settings)
        self.speech = _encoder(plain, width, width, settings) if plain else None
        self.width = (width if plain else 0) + (width // 2 if self.embeds else 0)
        self.reaches = spread(KERNEL, [1, 1], settings.condition_ahead)
        self.stride = settings.stride
        pad = self.stride // 2
        self.latent_reach = Reach(pad, pad) if self.stride > 1 else Reach(0, 0)
        self.slow = nn.Conv1d(self.width, self.width, 2 * self.stride if self.stride > 1 else 1, stride=self.stride)

    @property
    def reach(self) -> Reach:
        return total(self.reaches)

    def forward(self, heard: Float[Tensor, "batch frames columns"]) -> Float[Tensor, "batch cond short"]:
        """The condition of each frame."""
        x = torch.cat([heard[..., own] for own in self.slices], -1).transpose(1, 2)
        if self.speech is not None and not self.embeds:
            return self.speech(x)
        own = x[:, self.at : self.at + ROWS_PER_FRAME]
        embedded = self.embedding(own.long()).mean(1).transpose(1, 2)
        pitch = self.pitch(embedded)
        others = torch.cat([x[:, : self.at], x[:, self.at + ROWS_PER_FRAME :]], 1)
        return torch.cat([self.speech(others), pitch], 1) if self.speech is not None else pitch


def _encoder(columns: int, width: int, out: int, settings: Settings) -> nn.Sequential:
    biased = settings.norm != "batch"
    return nn.Sequential(
        nn.Conv1d(columns, width, KERNEL, bias=biased),
        normaliser(settings.norm, width),
        nn.GELU(),
        nn.Conv1d(width, out, KERNEL, bias=biased),
    )
