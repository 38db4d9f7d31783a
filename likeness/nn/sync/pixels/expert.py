"""The network: pictures of lips and their sound, five frames each, as unit vectors that are alike where both belong together.

Two of them. `small` is ours, for a quarter of an hour of video: every picture by itself to a code, five codes to a vector,
and the sound as phone probabilities, which carry from voice to voice. `paper` is the one that HyperLips trains with (Chen et
al. 2023): the SyncNet of Wav2Lip (Prajwal et al. 2020) enlarged, with five pictures stacked as 15 channels and mel as a
picture; 23.0 million parameters. The original mirrors every training window and never a generator's: here half of the
stretches are mirrored, as wholes, and none in use.

A square's rows from TOP on are looked at, wherever it comes from: in the squares of `dub` and of an album the nose's base is
at .4 of the side. What is looked at is worked out of crops of 128 pixels in training and in use alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from likeness.audio import ROWS_PER_FRAME
from likeness.errors import BadInput
from likeness.nn.hyper.hearing import HEARABLE, normalised, picture
from likeness.nn.sync.judge import Judge
from likeness.nn.sync.pixels.towers import FRAMES, lip_tower_128, sound_tower
from likeness.speech import RECIPES

SIDE = 128
"""Of the crops that it is given."""
TOP = 52
"""Their first row that it looks at: from just below the nose down."""
CONTRAST_FLOOR = 0.02  # of a picture: what is plain must not be blown up
CHUNK = 64  # pictures that are looked at at a time where nothing is learned


@dataclass(frozen=True)
class Settings:
    """Of the network and its training."""

    preset: Literal["small", "paper"] = "small"
    features: tuple[str, ...] = ("phones",)
    """What of the sound: phones (probabilities), mel (on a fixed scale), or both."""
    rows: int = 2
    """Rows of sound in a frame."""
    columns: int = 80
    """Of a crop's 128, those in the middle: mouth and chin."""
    height: int = 38
    """Of what is looked at, pixels: half of what 128 pixels show."""
    width: int = 40
    channels: int = 16
    """Of the first convolution; the others have two, four and four times as many."""
    code: int = 32
    """Numbers of a picture."""
    hidden: int = 128
    dim: int = 48
    """Of the unit vectors."""
    dropout: float = 0.2
    shapes: float = 1.0
    """Weight of a second task in training: the outline of the lips, from a picture's code. Not in the published one."""
    steps: int = 500
    """0.16 s of one core each. After 250 people who were seen and others are nearly alike (AUC of a window .79 and .75)."""
    rate: float = 2e-3
    """Learning rate at its highest."""
    decay: float = 1e-2
    """Of the weights, decoupled (AdamW)."""
    stretches: int = 12
    """Taken in a step, each of `stretch` frames, as short as a page may be; every window in them meets every other."""
    stretch: int = 32
    moved: float = 1.0
    """How much squares and light are moved in training, see `likeness.nn.sync.pixels.material`."""
    held: bool = True
    """Whether pictures are held in memory, 410 MB an hour, or decoded at every step."""
    hours: float = 2.0
    """Of an album that are learned from at most, of each person an equal share."""
    clear_only: bool = False
    """Leave out videos' parts whose offset between lips and sound is not clear (of 16 s and more)."""

    def __post_init__(self) -> None:
        if not self.features or set(self.features) - set(HEARABLE):
            raise BadInput(f"a sync expert hears {' and '.join(HEARABLE)}, not {', '.join(self.features) or 'nothing'}.")
        if self.preset == "paper" and (self.features, self.rows, *self.size) != (("mel",), 4, 64, 128):
            raise BadInput("the paper's sync expert on pixels hears mel alone, 4 rows a frame, and looks at 64 x 128 pixels.")
        if ROWS_PER_FRAME % self.rows or self.stretch < FRAMES:
            raise BadInput(f"rows {self.rows}, stretch {self.stretch}: 1, 2 or 4 rows a frame, and {FRAMES} frames or more.")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is looked at."""
        return self.height, self.width

    @property
    def sound_dim(self) -> int:
        """Numbers in a row of sound."""
        return sum(RECIPES[name].dim for name in self.features)


PRESETS = {
    "small": Settings(),
    "paper": Settings(
        "paper", ("mel",), rows=4, columns=SIDE, height=64, width=128, dim=512, dropout=0.0, shapes=0.0,
        steps=200_000, rate=1e-4, decay=0.0, stretches=8, stretch=12, held=False, hours=1000.0,
    ),
}  # fmt: skip


def preset(name: str, **changes: object) -> Settings:
    """Settings by name, some of them changed. Raises BadInput for a name that there is not."""
    if name not in PRESETS:
        raise BadInput(f"there is no sync expert {name!r}; there are {', '.join(PRESETS)}.")
    return replace(PRESETS[name], **changes)  # pyright: ignore[reportArgumentType]


class Expert(Judge):
    """Pictures and sound to unit vectors, a window beginning with every frame that has four more behind it."""

    def __init__(self, settings: Settings, outline: int = 0) -> None:
        """`outline`: numbers of the second task, in training alone."""
        super().__init__(FRAMES, settings.preset == "paper")
        self.settings = settings
        if settings.preset == "paper":
            self.of_lips, self.of_sound = lip_tower_128(), sound_tower()
        else:
            self.of_picture = _pictures(settings)
            self.of_lips = _perceptron(FRAMES * settings.code, settings)
            self.of_sound = _perceptron(FRAMES * settings.rows * settings.sound_dim, settings)
        self.outline = nn.Linear(settings.code, outline) if outline else None

    def look(self, crops: Float[Tensor, "*n 3 128 128"]) -> Float[Tensor, "*n 3 height width"]:
        """What it looks at of square crops, RGB 0 .. 1."""
        its = self.settings
        beside = (SIDE - its.columns) // 2
        part = crops[..., TOP:, beside : SIDE - beside].flatten(0, -4)
        return F.interpolate(part, its.size, mode="bilinear", antialias=True).unflatten(0, crops.shape[:-3])

    def codes(self, looks: Float[Tensor, "*n 3 height width"]) -> Float[Tensor, "*n code"]:
        """Of pictures, each by itself; brightness and contrast do not matter. Of `small` alone."""
        spread, mean = torch.std_mean(looks, (-3, -2, -1), keepdim=True)
        even = (looks - mean) / (spread + CONTRAST_FLOOR)
        return self.of_picture(even.flatten(0, -4)).unflatten(0, looks.shape[:-3])

    def of_codes(self, codes: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch windows dim"]:
        """Unit vectors of stretches of codes."""
        return F.normalize(self.of_lips(codes.unfold(1, FRAMES, 1).transpose(2, 3).flatten(2)), dim=-1)

    def lips(self, looks: Float[Tensor, "batch time 3 height width"]) -> Float[Tensor, "batch windows dim"]:
        """Unit vectors of stretches of what `look` gives."""
        if self.settings.preset == "small":
            return self.of_codes(self.codes(looks))
        stacked = looks.unfold(1, FRAMES, 1).movedim(-1, 2)  # [batch windows 5 3 height width]
        return F.normalize(self.of_lips(stacked.flatten(0, 1).flatten(1, 2)), dim=-1).unflatten(0, stacked.shape[:2])

    def hear(self, rows: Float[Tensor, "*n rows speech"]) -> Float[Tensor, "*n time rows_a_frame sound"]:
        """Speech features side by side in the order of `settings.features`, 100 rows a second as `likeness.speech` makes
        them, as the expert hears them: on a fixed scale, so that a part sounds as the whole."""
        found = normalised(rows, self.settings.features).transpose(-1, -2)
        if self.settings.preset == "small" and "mel" in self.settings.features:  # 80 bands say together what 42 phones do
            part = RECIPES["mel"].dim ** -0.5
            found = found * torch.tensor([part if name == "mel" else 1.0 for name in self.settings.features]).repeat_interleave(
                torch.tensor([RECIPES[name].dim for name in self.settings.features])
            )
        its = self.settings.rows
        frames = rows.shape[-2] // ROWS_PER_FRAME
        return found[..., : frames * ROWS_PER_FRAME, :].unflatten(-2, (frames, its, ROWS_PER_FRAME // its)).mean(-2)

    def sound(self, heard: Float[Tensor, "batch time rows_a_frame sound"]) -> Float[Tensor, "batch windows dim"]:
        """Unit vectors of stretches of what `hear` gives."""
        windows = heard.unfold(1, FRAMES, 1).movedim(-1, 2)  # [batch windows 5 rows sound]
        flat = windows.flatten(0, 1).flatten(1, 2)
        vectors = self.of_sound(picture(flat.transpose(1, 2)) if self.settings.preset == "paper" else flat.flatten(1))
        return F.normalize(vectors, dim=-1).unflatten(0, windows.shape[:2])

    @torch.no_grad()
    def seen(self, track: Any) -> Float[Tensor, "windows dim"]:
        """Of a `likeness.nn.sync.pixels.material.Track`."""
        return self.of_pictures(track.looks(self, start, CHUNK + FRAMES - 1) for start in range(0, len(track), CHUNK))

    @torch.no_grad()
    def of_pictures(self, parts: Any) -> Float[Tensor, "windows dim"]:
        """Of stretches of what `look` gives, each with the beginning of the next."""
        return torch.cat([self.lips(looks[None])[0] for looks in parts if len(looks) >= FRAMES])

    @torch.no_grad()
    def heard(self, track: Any) -> Float[Tensor, "windows dim"]:
        """Likewise."""
        return self.sound(track.sound[None])[0]


def _pictures(settings: Settings) -> nn.Sequential:
    """38 x 40 → 19 x 20 → 10 x 10 → 5 x 5 → 3 x 3."""
    c = settings.channels
    sizes, height, width = (3, c, 2 * c, 4 * c, 4 * c), settings.height, settings.width
    layers: list[nn.Module] = []
    for n, (inputs, outputs) in enumerate(pairwise(sizes)):
        kernel = 3 if n else 5
        layers += [nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2), nn.GroupNorm(4, outputs), nn.ReLU(inplace=True)]
        height, width = (height + 1) // 2, (width + 1) // 2
    last = nn.Linear(4 * c * height * width, settings.code)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(settings.dropout), last)


def _perceptron(inputs: int, settings: Settings) -> nn.Sequential:
    width, drop = settings.hidden, settings.dropout
    return nn.Sequential(
        nn.Linear(inputs, width), nn.GELU(), nn.Dropout(drop),
        nn.Linear(width, width), nn.GELU(), nn.Dropout(drop), nn.Linear(width, settings.dim),
    )  # fmt: skip
