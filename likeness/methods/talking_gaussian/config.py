"""Settings of TalkingGaussian."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from likeness.kernels import geometric


@dataclass(frozen=True)
class Config:
    """Settings of TalkingGaussian; the defaults are those of `fast` at 256²."""

    preset: Literal["fast", "standard", "paper"] = "fast"
    """fast: minutes on a CPU. standard: more Gaussians and three times the steps. paper: schedule and conditioning as
    published."""
    size: int = 256
    """Side of the picture in pixels: 256 or 512."""
    seed: int = 0
    """Of every random choice."""

    conditioning: Literal["motion", "sound"] = "motion"
    """motion: the rig's lip coefficients move the Gaussians and a voice speaks them. sound: speech features do, directly."""
    features: tuple[str, ...] = ("mel", "phones")
    """Speech features under `sound`; names as in `speech.extract`."""
    placement: Literal["mesh", "random"] = "mesh"
    """Where Gaussians start: on the tracked face, or 2000 and 10000 of them anywhere."""
    density: float = 0.5
    """Number of Gaussians on the mesh: 1 is about 16000 before they are multiplied."""
    most: int = 14000
    """Gaussians of a branch beyond which none is added."""
    decompose: bool = True
    """The inside of the mouth is a branch of its own."""
    hook: bool = True
    """The mouth's branch knows how far the face moves (InsTaG)."""
    incremental: bool = True
    """Mouth openings and blinks are visited from easy to hard."""
    speaks_in_color: bool = False
    """Ablation: sound changes colours instead of moving the face."""

    face_sizes: tuple[float, ...] = geometric(16.0, 5, finest=80.0)
    """Nodes a side of the levels of the face's planes."""
    mouth_sizes: tuple[float, ...] = geometric(16.0, 5, finest=80.0)

    distil_steps: int = 500
    """In which the motion fields learn the rig's tracked motion before any picture; 0 for none."""
    face_static_steps: int = 300
    face_steps: int = 2200
    """Of the face's branch with motion."""
    mouth_static_steps: int = 200
    mouth_steps: int = 1500
    polish: tuple[float, float] = (0.06, 0.06)
    """Share of the steps of face and mouth, their last, that see a perceptual loss."""
    polish_paints: bool = False
    """In the mouth's polish only colours learn."""
    fusion_steps: int = 2600
    fusion_moves: bool = True
    """In fusion everything learns, not only colours and the face's opacity."""
    batch: int = 2
    """Frames of a step of the moving face and of fusion; they share the planes' work."""
    hair_apart: int = 1
    """Of so many steps one shows the hair; in the others the face is alone."""
    attention_every: int = 4
    """Steps between those in which the attention maps are drawn and held back."""

    xyz_rate: float = 4e-3
    """In 0.1 m."""
    xyz_end: float = 0.02
    """Share of `xyz_rate` at the end; so for scale and quats."""
    base_rate: float = 1e-2
    views_rate: float = 1e-3
    opacity_rate: float = 3e-2
    scale_rate: float = 5e-3
    quats_rate: float = 2e-3
    grid_rate: float = 5e-3
    network_rate: float = 1e-3
    attention_rate: float = 2.5e-3
    """Of the audio attention, under `sound`."""
    fusion_rate: float = 0.4
    """Factor on all rates in fusion, where it moves everything."""

    published_rates: bool = False
    """Rates fall as published: networks by half until the rules of choice end, then to a tenth; colours, opacities and shapes
    not at all. Otherwise all fall exponentially."""

    ssim_weight: float = 0.2
    lip_weight: float = 3.0
    """Weight of the lip box in the colour loss; 2 round the eyes. 1 turns both off."""
    alpha_weight: float = 0.02
    motion_weight: float = 1e-5
    attention_weight: float = 1e-4
    lpips_weight: float = 0.02
    """Of the perceptual loss where LPIPS's weights are in place. Not tried: they were never at hand."""
    laplacian_weight: float = 0.05
    """Of the perceptual loss where they are not."""
    noise: float = 0.05
    """Standard deviation of noise on the conditioning under `motion`."""

    grow_every: int = 100
    grow_at: float = 1.5e-4
    """Mean screen gradient (of the mean loss over the picture, half picture widths) from which a Gaussian is multiplied."""
    grow_until: tuple[float, float] = (0.5, 0.5)
    """Share of the steps of face and mouth."""
    faint: tuple[float, float] = (0.03, 0.03)
    """Opacity below which Gaussians are removed, at the start and at the end of growing."""

    def __post_init__(self) -> None:
        if self.size not in (256, 512):
            raise ValueError(f"size is {self.size}; this method renders at 256 or 512")
        if min(self.hair_apart, self.batch, self.attention_every, self.grow_every) < 1:
            raise ValueError("batch, hair_apart, attention_every and grow_every count from 1")
        if self.conditioning not in ("motion", "sound") or self.placement not in ("mesh", "random"):
            raise ValueError(
                f"conditioning {self.conditioning!r}, placement {self.placement!r}: motion or sound, mesh or random"
            )
        if min(self.grow_until) <= 0:
            raise ValueError("grow_until is a share of the steps above 0")


def preset(name: Literal["fast", "standard", "paper"], size: int = 256, seed: int = 0) -> Config:
    """The settings of a preset at a size. Raises ValueError for an unknown one."""
    config = Config(preset=name, size=size, seed=seed)
    if size == 512:
        config = replace(config, density=1.0, most=30000)
    if name == "fast":
        return config
    if name == "standard":
        return replace(config, face_steps=6000, mouth_steps=4000, fusion_steps=8000, density=1.0, most=30000)
    if name != "paper":
        raise ValueError(f"there is no preset {name!r}: fast, standard or paper")
    return replace(
        config,
        conditioning="sound",
        placement="random",
        hook=False,
        most=10**9,
        face_sizes=geometric(16.0, 12, finest=38.4),
        mouth_sizes=geometric(64.0, 12, finest=57.6),
        distil_steps=0,
        face_static_steps=3000,
        face_steps=47000,
        mouth_static_steps=3000,
        mouth_steps=47000,
        fusion_steps=10000,
        fusion_moves=False,
        batch=1,
        hair_apart=7,
        attention_every=1,
        xyz_rate=1.6e-4,
        xyz_end=0.01,
        base_rate=2.5e-3,
        views_rate=1.25e-4,
        opacity_rate=0.05,
        scale_rate=3e-3,
        quats_rate=1e-3,
        network_rate=5e-4,
        lip_weight=1.0,
        alpha_weight=1e-3,
        lpips_weight=0.5,
        noise=0.0,
        grow_at=5e-4,
        grow_until=(0.98, 0.9),
        polish=(0.06, 0.02),
        polish_paints=True,
        published_rates=True,
        faint=(0.05, 0.30),
    )
