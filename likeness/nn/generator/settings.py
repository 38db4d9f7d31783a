"""Settings of the motion generator: the network, what it learns for and how; two presets."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from likeness.errors import BadInput
from likeness.speech import RECIPES


@dataclass(frozen=True)
class Training:
    """What the generator learns for, and how."""

    steps: int = 1500
    """Optimiser steps."""
    rate: float = 1e-3
    """Adam's learning rate."""
    warm_up: int = 50
    """Steps over which the rate rises from 0."""
    decay: Literal["cosine", "exponential"] = "cosine"
    """cosine: to 0 at the last step; exponential: a tenth every 250 000 steps, as GeneFace has it."""
    lanes: int = 8
    """Readers of the corpus. Each has its own samples and random numbers, so that the result does not depend on how many
    processes share them: their number must divide this."""
    slots: int = 2
    """Crops of each lane in a step."""
    crop: int = 64
    """Frames of a crop."""
    held: int = 16
    """Samples that a lane draws its crops from; each step brings a new one."""
    kl_weight: float = 0.003
    """Of the Kullback-Leibler term."""
    average: float = 0.995
    """Decay of the running mean of weights that is judged and kept, 0: the weights themselves."""
    continuity_weight: float = 3.0
    """Of the error of differences between frames."""
    mouth_weight: float = 2.0
    """Of the mouth's points in both errors; eyes and brows, which sound hardly tells, have 1 / this."""
    sync_weight: float = 0.0
    """Of a sync expert's loss. Measured: with it the expert is more and more sure while lips get worse."""
    sync_threshold: float = 0.75
    """The sync loss counts once it has fallen to this in validation."""
    mirrored: float = 0.5
    """Share of crops in which the face is mirrored."""
    silent: float = 0.2
    """Share of crops in which a stretch is silent and the mouth at rest."""
    dulled: float = 0.1
    """Share of feature columns that a crop does not hear."""
    balance: float = 0.5
    """Crops of a person with n frames in the corpus count n^-balance each, 0: all frames alike, 1: all persons alike."""
    validate_every: int = 100
    """Steps between looks at the validation speakers."""


@dataclass(frozen=True)
class Settings:
    """The network; frames ahead are what one part sees beyond its own frame, None: as many as behind."""

    features: tuple[str, ...] = ("phones",)
    """Speech features that it hears: phones (what is said, whoever says it), mel, pitch, or those of a network in place."""
    ears: tuple[str, ...] = ()
    """Those of them that the network hears; none named: all. With mel it learns voices by heart: r .412 against .490 of seven
    people left out."""
    keys: int = 0
    """Windows of sound that a recall beside the network remembers (`recall`), which hears mel and phones; 0: no recall."""
    pitch: Literal["relative", "bins"] = "relative"
    """Form of the feature pitch: octaves from the speaker's own level; or an embedding of 255 steps (GeneFace)."""
    stride: int = 1
    """Frames of one latent."""
    latent: int = 8
    """Numbers of a latent."""
    condition: int = 64
    """Channels of what is heard."""
    norm: Literal["none", "layer", "batch"] = "layer"
    """In the condition encoder. batch: of all frames (GeneFace)."""
    condition_ahead: int | None = 1
    width: int = 64
    """Channels of posterior and decoder."""
    kernel: int = 3
    posterior_layers: int = 3
    decoder_layers: int = 3
    dilation_base: int = 2
    """Layer i of a stack has dilation base^i; 1: none, as GeneFace's released configuration has it."""
    decoder_ahead: int | None = 2
    flows: int = 4
    """Couplings of the prior."""
    flow_width: int = 32
    flow_layers: int = 1
    flow_kernel: int = 3
    flow_ahead: int | None = 0
    """In latents."""
    training: Training = field(default_factory=Training)

    @property
    def dim(self) -> int:
        """Columns of the features."""
        return sum(RECIPES[name].dim for name in self.features)

    def check(self) -> None:
        """Raise BadInput for settings that make no network."""
        unknown = [name for name in self.features if name not in RECIPES]
        if unknown or not self.features or len(set(self.features)) != len(self.features):
            raise BadInput(
                f"features are {', '.join(self.features) or 'none'}; choose some of {', '.join(RECIPES)}, each once."
            )
        if set(self.ears) - set(self.features) or (self.keys and not {"mel", "phones"} <= set(self.features)):
            raise BadInput(
                f"features are {', '.join(self.features)}: the network can hear no others, and a recall needs mel and phones."
            )
        least = {"stride": 1, "latent": 2, "condition": 1, "width": 1, "kernel": 1, "posterior_layers": 1, "decoder_layers": 1}
        least |= {"dilation_base": 1, "flows": 0, "flow_width": 1, "flow_layers": 1, "flow_kernel": 1, "keys": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be at least {low}.")
        if self.latent % 2 or (self.stride > 1 and self.stride % 2):
            raise BadInput(f"latent is {self.latent} and stride {self.stride}; latent must be even, stride 1 or even.")
        lesson = self.training
        if lesson.crop % self.stride or min(lesson.steps, lesson.lanes, lesson.slots, lesson.crop, lesson.held) < 1:
            raise BadInput("steps, lanes, slots, crop and held must be at least 1, and crop a multiple of stride.")


PRESETS = {
    "fast": Settings(features=("phones", "mel"), ears=("phones",), keys=1600, training=Training(steps=600)),
    "paper": Settings(
        features=("mel", "phones", "pitch"),
        pitch="bins",
        stride=4,
        latent=16,
        condition=64,
        norm="batch",
        condition_ahead=None,
        width=256,
        kernel=5,
        posterior_layers=8,
        decoder_layers=4,
        dilation_base=1,
        decoder_ahead=None,
        flow_width=64,
        flow_layers=4,
        flow_ahead=None,
        training=Training(
            steps=40_000,
            rate=5e-4,
            warm_up=1000,
            decay="exponential",
            slots=16,
            crop=160,
            kl_weight=0.4,
            average=0.0,
            mouth_weight=1.0,
            sync_weight=0.01,
            mirrored=0.0,
            silent=0.0,
            dulled=0.0,
            balance=0.0,
            validate_every=2000,
        ),
    ),
}


def preset(name: str) -> Settings:
    """`fast`, ours, for minutes to hours of corpus; `paper`, GeneFace's sizes (Ye et al. 2023). Raises BadInput for others."""
    if name not in PRESETS:
        raise BadInput(f"there is no preset {name!r} of the motion generator; there are {', '.join(PRESETS)}.")
    return PRESETS[name]


def from_dictionary(held: dict[str, Any]) -> Settings:
    """What `dataclasses.asdict` made of Settings. Raises BadInput for fields that do not exist."""
    wanted, inner = {f.name for f in fields(Settings)}, {f.name for f in fields(Training)}
    training = held.get("training")
    if set(held) != wanted or not isinstance(training, dict) or set(training) != inner:
        raise BadInput("its settings are not those of this likeness' motion generator. Pretrain it again.")
    try:
        settings = Settings(
            **held | {"training": Training(**training), "features": tuple(held["features"]), "ears": tuple(held["ears"])}
        )
        settings.check()
    except TypeError as error:
        raise BadInput(f"its settings cannot be read ({error}). Pretrain it again.") from error
    return settings
