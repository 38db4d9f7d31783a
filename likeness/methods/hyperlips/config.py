"""Settings of HyperLips. Frames of a step are `lanes` x `time`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from likeness.nn.hyper.asset import from_dictionary
from likeness.nn.hyper.settings import Settings
from likeness.nn.hyper.settings import preset as networks
from likeness.nn.sync.pixels.towers import FRAMES


@dataclass(frozen=True)
class Training:
    """How the networks learn, from many people or from one clip."""

    base_steps: int = 1500
    refine_steps: int = 450
    lanes: int = 8
    """Stretches that a step looks at; processes share them, so their number must divide it."""
    time: int = 3
    """Frames of a stretch; the memory is learned over so many."""
    rate: float = 6e-4
    """Adam's; falls to a twentieth along a cosine."""
    betas: tuple[float, float] = (0.9, 0.99)
    """The original's first is .5 (with its discriminator)."""
    unheard: float = 0.3
    """Share of the stretches whose sound is kept back, so that the shape alone must do: where motion is followed there is no
    sound."""
    perceptual_weight: float = 0.5
    """Of LPIPS, or of the Laplacian pyramid where its weights are not in place; L1 counts 1."""
    mouth_weight: float = 3.0
    """Of L1 round the mouth, over the rest."""
    steady_weight: float = 0.5
    """Of the difference from frame to frame, against trembling."""
    texture_weight: float = 0.3
    """Of the difference in how much fine detail there is, in the second stage. In the first it keeps pictures from coming near
    to the real ones; 1 does so in the second."""
    adversarial_weight: float = 0.0
    """Of the discriminators."""
    sync_weight: float = 0.0
    """Of the sync expert's loss; as a loss it misleads (it rates what it knows above life), so only `paper` has it."""
    sync_expert: Literal["own", "published"] = "own"
    """own: the one that the user pretrained, on pixels; published: Wav2Lip's, whose weights the user puts in place (not for
    commercial use)."""

    def __post_init__(self) -> None:
        if self.sync_expert not in ("own", "published"):
            raise ValueError(f"sync_expert is {self.sync_expert!r}; it is own or published")
        if self.sync_weight and self.time < FRAMES:
            raise ValueError(f"a sync expert looks at {FRAMES} frames: time is {self.time} and must be as many at least")

    @property
    def sounding(self) -> bool:
        """Whether the album has to hold the sound itself: the published expert hears by another recipe."""
        return bool(self.sync_weight) and self.sync_expert == "published"


@dataclass(frozen=True)
class Config:
    """Settings of HyperLips."""

    preset: Literal["fast", "standard", "paper"] = "fast"
    """fast: a portrait of a clip in under 20 minutes on two cores. standard: three times the steps. paper: the published
    networks, losses and steps, meant for a GPU."""
    size: int = 256
    """Side of the portrait's picture in pixels: 256 or 512."""
    seed: int = 0
    """Of every random choice."""
    networks: Settings = field(default_factory=Settings)
    training: Training = field(default_factory=lambda: TUNING)

    def __post_init__(self) -> None:
        if self.size not in (256, 512):
            raise ValueError(f"size is {self.size}; this method renders at 256 or 512")


TUNING = Training(base_steps=600, refine_steps=200, rate=4e-4)
"""On one clip, from what was learned over many people."""
PRESETS = ("fast", "standard", "paper")
PAPER = Training(
    base_steps=169_000, refine_steps=50_000, lanes=28, time=5, rate=1e-4, betas=(0.5, 0.999), unheard=0.0, steady_weight=0.0,
    mouth_weight=0.0, texture_weight=0.0, adversarial_weight=0.2, sync_weight=0.03,
)  # fmt: skip


def preset(name: Literal["fast", "standard", "paper"], size: int = 256, seed: int = 0) -> Config:
    """The settings of a preset for a portrait at a size. Raises ValueError for an unknown one."""
    if name not in PRESETS:
        raise ValueError(f"hyperlips has no preset {name!r}, only {', '.join(PRESETS)}")
    if name == "paper":
        return Config(name, size, seed, _networks("paper", size), PAPER)
    tuning = (
        TUNING if name == "fast" else replace(TUNING, base_steps=3 * TUNING.base_steps, refine_steps=3 * TUNING.refine_steps)
    )
    return Config(name, size, seed, _networks("fast", size), tuning)


def pretraining(name: str) -> tuple[Settings, Training]:
    """Networks and steps over many people, by preset. Raises ValueError for an unknown one."""
    if name not in PRESETS:
        raise ValueError(f"hyperlips has no preset {name!r}, only {', '.join(PRESETS)}")
    if name == "paper":
        return networks("paper"), PAPER
    usual = Training()
    steps = usual if name == "fast" else replace(usual, base_steps=40_000, refine_steps=15_000)
    return networks("fast"), steps


def _networks(name: str, size: int) -> Settings:
    """The face's square is three fifths of a portrait's picture: 154 pixels at 256², 307 at 512²."""
    settings = networks(name)
    refining = replace(settings.refining, scale=2 if size == 256 else 4) if name == "paper" else settings.refining
    return replace(settings, refining=refining)


def restored(held: Mapping[str, Any]) -> Config:
    """What `dataclasses.asdict` made of a Config. Raises BadInput for other networks, TypeError for other fields."""
    training = Training(**held["training"] | {"betas": tuple(held["training"]["betas"])})
    return Config(**dict(held) | {"networks": from_dictionary(held["networks"]), "training": training})
