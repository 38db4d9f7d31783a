"""The sync expert: mouth and sound, a third of a second each, as unit vectors that are alike where both belong together.

Two networks. `small` is ours, trained in a minute: perceptrons over a window of 9 frames, the mouth as 12 components, the
sound as phone probabilities. `paper` is GeneFace's (Ye et al. 2023, SyncNet of Chung and Zisserman 2016 on landmarks):
1-D convolutions over 5 frames of 20 points, and the features at hand in place of HuBERT.

On people who were left out (20 in 5 folds, true against shifted by 3 frames and more, one window): phone probabilities .84,
log phones .84, both with mel .84, mel alone .81. Phones alone know least of the voice, so they are the usual ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME
from likeness.displacement import MOUTH, pick_68
from likeness.errors import BadInput
from likeness.nn.sync.judge import Judge
from likeness.speech import RECIPES, Statistics, probabilities

POINTS = 20
"""Of the mouth."""
OFFLINE = ("phones", "mel")
"""Features that a corpus holds."""
VELOCITY = 2.0  # brings the change from frame to frame to about the size of the components
SPREAD_FLOOR = 0.02  # centimetres: the tracker's noise must not be blown up to movement


@dataclass(frozen=True)
class Settings:
    """Of the network and its training."""

    preset: Literal["small", "paper"] = "small"
    features: tuple[str, ...] = ("phones",)
    """What of the sound: phones (probabilities), mel (normalised by the sound's own statistics) or both."""
    frames: int = 9
    """Of a window."""
    rows: int = 2
    """Rows of sound in a frame."""
    components: int = 12
    """In which the mouth's 60 numbers are given; 60: as they are."""
    velocity: bool = False
    """Whether a mouth's change from frame to frame is given beside it."""
    width: int = 128
    dim: int = 48
    """Of the unit vectors."""
    dropout: float = 0.2
    steps: int = 400
    rate: float = 2e-3
    """Learning rate at its highest."""
    decay: float = 1e-2
    """Of the weights, decoupled (AdamW)."""
    stretches: int = 12
    """Taken in a step, each of `stretch` frames; every window in them meets every other."""
    stretch: int = 48
    hours: float = 10.0
    """Of a corpus that are learned from at most, of each person an equal share: all of it is held, 60 MB an hour."""
    clear_only: bool = False
    """Leave out people's clips whose offset between lips and sound is not clear (of 16 s and more)."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.features if name not in OFFLINE]
        if unknown or not self.features:
            raise BadInput(f"a sync expert hears {' and '.join(OFFLINE)}, not {', '.join(unknown) or 'nothing'}.")
        if self.preset == "paper" and (self.frames, self.rows, self.components, self.velocity) != (5, 2, 3 * POINTS, False):
            raise BadInput(
                "the paper's sync expert has windows of 5 frames of 60 numbers, no velocity, and 2 rows of sound a frame."
            )
        if ROWS_PER_FRAME % self.rows:
            raise BadInput(f"rows {self.rows}: a frame's sound has {ROWS_PER_FRAME} rows, so 1, 2 or 4 of them.")

    @property
    def sound_dim(self) -> int:
        """Numbers in a row of sound."""
        return sum(RECIPES[name].dim for name in self.features)


PRESETS = {
    "small": Settings(),
    "paper": Settings(
        "paper", frames=5, components=3 * POINTS, width=512, dim=512, dropout=0.0,
        steps=40_000, rate=5e-4, decay=0.0, stretches=24,
    ),
}  # fmt: skip


def preset(name: str, **changes: object) -> Settings:
    """Settings by name, some of them changed. Raises BadInput for a name that there is not."""
    if name not in PRESETS:
        raise BadInput(f"there is no sync expert {name!r}; there are {', '.join(PRESETS)}.")
    return replace(PRESETS[name], **changes)  # pyright: ignore[reportArgumentType]


class Expert(Judge):
    """Windows of mouth and sound to unit vectors."""

    mean: Tensor
    axes: Tensor
    spread: Tensor

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.frames, settings.preset == "paper")
        self.settings = settings
        components, points = settings.components, 3 * POINTS
        self.register_buffer("mean", torch.zeros(points))
        self.register_buffer("axes", torch.eye(points, components))
        self.register_buffer("spread", torch.ones(components))
        if settings.preset == "paper":
            self.of_lips, self.of_sound = _paper_lips(components), _paper_sound(settings.sound_dim)
        else:
            self.of_lips = _perceptron(settings.frames * components * (1 + settings.velocity), settings)
            self.of_sound = _perceptron(settings.frames * settings.rows * settings.sound_dim, settings)

    def describe(self, mouths: Float[Tensor, "n 20 3"]) -> None:
        """Choose the components by these mouths (principal axes, scaled to 1); the paper's takes them as they are."""
        if self.settings.preset == "paper":
            return
        rows = mouths.flatten(1).double()
        self.mean.copy_(rows.mean(0))
        axes = torch.linalg.eigh(torch.cov(rows.T))[1].flip(1)[:, : self.settings.components]
        axes = axes * axes.sum(0).sign().where(axes.sum(0) != 0, torch.ones(()))  # eigenvectors know no sign
        self.axes.copy_(axes)
        self.spread.copy_(((rows - rows.mean(0)) @ axes).std(0).clamp_min(SPREAD_FLOOR))

    def lips(self, windows: Float[Tensor, "n frames 20 3"]) -> Float[Tensor, "n dim"]:
        """Unit vectors of mouths: displacement in centimetres, `settings.frames` frames."""
        components = (windows.flatten(2) - self.mean) @ self.axes / self.spread
        if self.settings.velocity:
            components = torch.cat([components, VELOCITY * F.pad(components.diff(dim=1), (0, 0, 0, 1))], dim=2)
        return F.normalize(self.of_lips(components), dim=-1)

    def sound(self, windows: Float[Tensor, "n rows sound"]) -> Float[Tensor, "n dim"]:
        """Unit vectors of what `heard` gives, `settings.frames` frames of it."""
        return F.normalize(self.of_sound(windows), dim=-1)

    def log_probability(
        self, mouths: Float[Tensor, "n frames 20 3"], sounds: Float[Tensor, "n rows sound"]
    ) -> Float[Tensor, " n"]:
        """Log of the probability that mouth and sound belong together, where one in two does.

        Differentiable to both. The paper's is the cosine itself (its vectors have no negative numbers); ours is logistic.
        """
        alike = (self.lips(mouths) * self.sound(sounds)).sum(-1)
        return -self.surprise(alike, torch.ones_like(alike))

    def seen(self, track: Any) -> Float[Tensor, "windows dim"]:
        """Of a `likeness.nn.sync.material.Track`."""
        return self.lips(self.windows(track.mouth))

    def heard(self, track: Any) -> Float[Tensor, "windows dim"]:
        """Likewise."""
        return self.sound(self.windows(track.sound).flatten(1, 2))


def mouth_of(moves: Float[Tensor, "time points 3"]) -> Float[Tensor, "time 20 3"]:
    """The mouth's points of a displacement (20, 68 or 478 points)."""
    if moves.shape[1] == POINTS:
        return moves
    if moves.shape[1] == 68:
        return moves[:, MOUTH]
    return torch.as_tensor(pick_68(moves.numpy())[:, MOUTH])


def heard(features: Mapping[str, Float[np.ndarray, "_ _"]], settings: Settings) -> Float[Tensor, "time rows_a_frame sound"]:
    """Speech features (100 rows a second, as `likeness.speech` makes them) as the expert hears them, by whole frames.

    Mel is normalised by mean and spread of these rows: give all that is known of a sound, and cut afterwards.
    """
    rows = torch.cat([torch.as_tensor(np.asarray(features[name], np.float32)) for name in settings.features], dim=1)
    statistics = Statistics.of(rows)
    return columns(rows, statistics.mean, statistics.std, settings)


def columns(
    rows: Float[Tensor, "rows dim"], mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"], settings: Settings
) -> Float[Tensor, "time rows_a_frame sound"]:
    """`heard` of features side by side, where mean and spread of the whole sound are known."""
    found, at = [], 0
    for name in settings.features:
        part = slice(at, at + RECIPES[name].dim)
        at = part.stop
        if name == "mel":
            found.append((rows[:, part] - mean[part]) / std[part] * RECIPES[name].dim ** -0.5)
        else:
            found.append(2 * probabilities(rows[:, part]))
    rows = torch.cat(found, dim=1)
    frames = len(rows) // ROWS_PER_FRAME
    of = rows[: frames * ROWS_PER_FRAME].unflatten(0, (frames, settings.rows, ROWS_PER_FRAME // settings.rows))
    return of.mean(2)


def _perceptron(inputs: int, settings: Settings) -> nn.Sequential:
    width, drop = settings.width, settings.dropout
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, width), nn.GELU(), nn.Dropout(drop),
        nn.Linear(width, width), nn.GELU(), nn.Dropout(drop), nn.Linear(width, settings.dim),
    )  # fmt: skip


class Block(nn.Module):
    """Convolution over time, BatchNorm, the input added where it is residual, ReLU (as the original's)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int = 1, rest: bool = False
    ) -> None:
        super().__init__()
        self.convolve = nn.Conv1d(inputs, outputs, kernel, stride, padding)
        self.norm = nn.BatchNorm1d(outputs)
        self.rest = rest

    def forward(self, x: Float[Tensor, "n inputs time"]) -> Float[Tensor, "n outputs shorter"]:
        y = self.norm(self.convolve(x))
        return torch.relu(y + x if self.rest else y)


class _Turned(nn.Module):
    """[n time width] to [n width time]."""

    def forward(self, x: Float[Tensor, "n time width"]) -> Float[Tensor, "n width time"]:
        return x.transpose(1, 2)


def _rest(width: int) -> list[Block]:
    return [Block(width, width, rest=True) for _ in range(2)]


def _paper_sound(inputs: int) -> nn.Sequential:
    """10 rows → 5 → 3 → 1."""
    first = [Block(inputs, 128), Block(128, 128), *_rest(128), Block(128, 256, stride=2), *_rest(256)]
    last = [Block(256, 512, stride=2), *_rest(512), Block(512, 512), Block(512, 512, padding=0), Block(512, 512, 1, padding=0)]
    return nn.Sequential(_Turned(), *first, *last, nn.Flatten())


def _paper_lips(inputs: int) -> nn.Sequential:
    """5 frames → 3 → 1."""
    first = [Block(inputs, 96), Block(96, 128), *_rest(128), Block(128, 256, stride=2), *_rest(256)]
    last = [Block(256, 512), *_rest(512), Block(512, 512), Block(512, 512, padding=0), Block(512, 512, 1, padding=0)]
    return nn.Sequential(_Turned(), *first, *last, nn.Flatten())
