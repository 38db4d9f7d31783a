"""Settings of HyperLips' networks: the base generator, the refiner, the discriminators; two presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from likeness.errors import BadInput
from likeness.nn.hyper.hearing import HEARABLE
from likeness.speech import RECIPES

SIDE = 128
"""Pixels to a side of every face crop that goes in, and of the base face that comes out."""
KEPT = 52
"""Rows of the crop, from above, that the generator sees; those below, where the lips are, it has to make."""
MADE = 40
"""The first row that it makes where it does not make all: some above, so that both halves meet within what it made."""
CODE = 64
"""Numbers that a hypernet gives for a frame's sound."""
SHAPE = 12
"""Numbers that say how a mouth is shaped (`likeness.nn.hyper.mouth`). Of people left out the points of the lips lie within .21
pixels of 128 of where these put them (root mean square over seven videos), the lips' height within .21 and their opening
within .15. Eight numbers: .42, .86 and .55, so that lips are pursed and shut too little. Sixteen: .13, .15 and .11."""
GUIDES = 3
"""Channels of a sketch (`likeness.nn.hyper.sketch`)."""
Norm = Literal["batch", "group", "none"]


@dataclass(frozen=True)
class Refining:
    """Of the refiner."""

    scale: Literal[1, 2, 4] = 2
    """How many times as many pixels to a side come out as go in."""
    width: int = 32
    depth: int = 4
    """Residual blocks. The transposed form has 2 more behind each doubling, or behind these where nothing is doubled."""
    guides: int = GUIDES
    """Channels of what is drawn beside the base face: its sketch."""
    lines: Literal["mouth", "face"] = "mouth"
    """What is drawn: lips, mouth and jaw; or the paper's white lines, of eyes, brows and nose, too."""
    referred: bool = True
    """Whether it sees the reference at the output's size, too: what a person's skin and teeth are like, which 128 pixels do not
    hold (the paper's does not)."""
    residual: bool = True
    """Whether only what is lacking is learned: beyond the base face, bilinearly enlarged, or beyond the reference with what the
    base face changed in it."""
    enlarging: Literal["shuffle", "transposed"] = "shuffle"
    """shuffle: everything is worked out at `SIDE` and the channels laid out as pixels at the end; transposed: transposed
    convolutions, and full width at every size."""
    norm: Norm = "none"
    """Super-resolution is better without (Lim et al. 2017)."""


@dataclass(frozen=True)
class Judging:
    """Of the discriminators, which never speak: they cost only in training."""

    base_width: float = 0.25
    """Channels of the base discriminator, times the paper's: .9 of 14.1 million parameters are left."""
    detail_width: float = 0.5
    """Likewise of the discriminator of refined pictures."""
    detail_look: Literal["mouth", "whole"] = "mouth"
    """mouth: patches of a square round the mouth; whole: one verdict on the picture."""


@dataclass(frozen=True)
class Settings:
    """The base generator, and the settings of what works beside it."""

    features: tuple[str, ...] = ("phones",)
    """Speech features that it hears: mel, phones or both. Phones carry from voice to voice, a timbre does not."""
    shaped: bool = True
    """Whether it is also told how the mouth is to be shaped, as numbers and as a sketch: what sound leaves open is then decided
    before there are pixels, and not by their mean, which is a blur. The paper's is told by sound alone."""
    warped: bool = True
    """Whether references are brought to where skull and mouth are to be (`warp`), and only what such a picture lacks is made;
    the paper's generator gets them as they are and makes all."""
    ear: Literal["small", "picture"] = "small"
    """What hears: convolutions along time; or the paper's second trunk on the mel as a picture of 80 x 16."""
    trunk_width: float = 0.5
    """Channels of the trunk, times MobileNetV3-Large's."""
    decoder_width: float = 0.5
    """Channels of the decoder and the head, times the paper's. CPU time of a frame on one busy core, both widths alike: .25 17,
    .5 46 (38 in chunks of 4), .75 78 ms; the paper's preset 126 ms."""
    form: Literal["residual", "replacing"] = "residual"
    """residual: f + gain * HyperConv(f); replacing: sigmoid(HyperConv(f)), through which fine texture must pass (paper)."""
    rank: int = 8
    """Of the kernels at the coarsest scale; 0: full, and 18 million parameters more at the paper's width."""
    norm: Literal["batch", "group"] = "group"
    """Of all layers. batch: samples of a batch are not independent in training, nor the result of how many processes share
    it (paper)."""
    finest: Literal["shuffle", "full"] = "shuffle"
    """shuffle: the last layers work at half of the size, on the rows from `MADE` on alone, and lay their channels out as
    pixels; full: at full size, on all of it (paper), which makes the whole cost three times as much."""
    carried: bool = True
    """Whether what the decoder remembers goes on from frame to frame; the paper begins with nothing at every frame."""
    refining: Refining = field(default_factory=Refining)
    judging: Judging = field(default_factory=Judging)

    def __post_init__(self) -> None:
        if not self.features or set(self.features) - set(HEARABLE) or len(set(self.features)) != len(self.features):
            raise BadInput(
                f"the lip generator hears {' or '.join(HEARABLE)} or both, each once, "
                f"not {', '.join(self.features) or 'nothing'}."
            )
        if self.ear == "picture" and self.features != ("mel",):
            raise BadInput(f"the ear that takes sound as a picture hears mel alone, not {', '.join(self.features)}.")
        if min(self.trunk_width, self.decoder_width, self.judging.base_width, self.judging.detail_width) <= 0:
            raise BadInput("widths of the lip generator and its discriminators must be above 0.")
        if self.rank < 0 or self.refining.scale not in (1, 2, 4) or min(self.refining.width, self.refining.guides) < 1:
            raise BadInput("rank must be at least 0, a refiner's width and guides at least 1, its scale 1, 2 or 4.")

    @property
    def columns(self) -> int:
        """Numbers in a row of sound."""
        return sum(RECIPES[name].dim for name in self.features)


PRESETS = {
    "fast": Settings(),
    "paper": Settings(
        features=("mel",), shaped=False, warped=False, ear="picture", trunk_width=1.0, decoder_width=1.0, form="replacing",
        rank=0, norm="batch", finest="full", carried=False,
        refining=Refining(
            1, width=64, depth=1, lines="face", referred=False, residual=False, enlarging="transposed", norm="batch"
        ),
        judging=Judging(1.0, 1.0, "whole"),
    ),
}  # fmt: skip


def preset(name: str, **changes: object) -> Settings:
    """`fast`, ours, for two CPU cores; `paper`, HyperLips' sizes (Chen et al. 2023). Raises BadInput for others."""
    if name not in PRESETS:
        raise BadInput(f"there is no preset {name!r} of the lip generator; there are {', '.join(PRESETS)}.")
    return replace(PRESETS[name], **changes)  # pyright: ignore[reportArgumentType]
