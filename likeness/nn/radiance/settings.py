"""Settings of a radiance field on grids. Lengths are UNIT = 0.25 m, the published unit, in the head frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from likeness.kernels import geometric

SIZES = (256, 512)
PUBLISHED: dict[str, Any] = {
    "space": "grid",
    "speech": "ambient",
    "warped": False,
    "upper": False,
    "seeded": False,
    "culled": False,
    "step": 0.02706,
    "most": 16,
    "steps": 200_000,
    "lip_steps": 50_000,
    "coarse_steps": 0,
    "rays": 65536,
    "samples": 2**31,
    "batch": 1,
    "weighted": False,
    "grid_rate": 5e-3,
    "network_rate": 5e-4,
    "averaged": 0.95,
    "average_every": 1000,
    "alpha_weight": 0.0,
    "outside_weight": 0.1,
    "outside_every": 1,
    "noise": 0.0,
}
"""What RAD-NeRF's published settings say of the head, and GeneFace's alike."""


@dataclass(frozen=True)
class Settings:
    """What the modules of this folder read; the defaults are those of half an hour at 256² on two cores. A method's own
    settings are one of these and say, as `likeness.nn.lesson.Settings`, what moves the face."""

    size: int = 256
    """Side of the training pictures in pixels: 256 or 512."""
    seed: int = 0
    """Of every random choice."""

    space: Literal["planes", "grid"] = "planes"
    """Where features of a place come from: three planes (ER-NeRF), or one 3D grid (RAD-NeRF)."""
    speech: Literal["attention", "ambient"] = "attention"
    """How speech enters: weighed by the place (ER-NeRF), or as a coordinate of few numbers in a grid of its own (RAD-NeRF)."""
    ambient: int = 2
    """Numbers of that coordinate: 1 to 3."""
    warped: bool = True
    """Where the rig moves the face, places are looked up where they were before it did."""
    upper: bool = True
    """Seven values of the upper face move it; otherwise the opening of the eyes alone."""
    appearance: int = 4
    """Numbers of the code of each frame's own light."""
    seeded: bool = True
    """Only space near the tracked head can be occupied; otherwise all that a camera saw."""
    culled: bool = True
    """Space that no ray has seen for long is passed over while training, too."""
    hidden: int = 64
    """Width of the networks of density and colour."""
    plane_sizes: tuple[float, ...] = geometric(64.0, 12, finest=512.0)
    plane_log2_rows: int = 14
    grid_sizes: tuple[float, ...] = geometric(16.0, 16, finest=2048.0)
    grid_log2_rows: int = 16

    step: float = 0.032
    """Between samples of a ray. Published: 0.027."""
    most: int = 16
    """Samples of a ray."""

    steps: int = 10000
    """Of the head."""
    coarse_steps: int = 300
    """The first of them, which look at pictures of half the size."""
    lip_steps: int = 1500
    """After them, with patches of the lips in every second step."""
    rays: int = 8192
    """Of a step, at most."""
    samples: int = 32768
    """Of a step, about: while much of space is still occupied a step has fewer rays."""
    batch: int = 4
    """Frames that they are drawn from."""
    weighted: bool = True
    """More rays to lips, eyes and face."""
    occupancy_every: int = 16
    """Steps between updates of what is occupied."""

    grid_rate: float = 1e-2
    network_rate: float = 4e-3
    attention_rate: float = 2.5e-3
    """Of the attention over neighbouring frames, where a code of what is said has one."""
    rate_end: float = 0.05
    """Share of the rates at the end of the head's steps."""
    lip_rate_end: float = 0.05
    """The same over head and lips together, while the lips are learned."""
    averaged: float = 0.97
    """Decay of the running mean of the parameters, of which the portrait is made."""
    average_every: int = 10
    """Steps between two of its updates."""
    alpha_weight: float = 1e-2
    """Of alpha against the mask of the head."""
    entropy_weight: float = 1e-4
    """Of doubt about what can be seen through."""
    outside_weight: float = 1e-4
    """Of speech outside the lower face, rising over the steps."""
    outside_every: int = 4
    """Steps between looks at it, which cost a tenth of a step; its weight is multiplied by as much."""
    lpips_weight: float = 0.01
    """Of the perceptual loss on patches of the lips where LPIPS's weights are in place. Not tried: they were never at hand."""
    laplacian_weight: float = 0.02
    """Of the perceptual loss where they are not."""
    noise: float = 0.1
    """Standard deviation of noise on the conditioning, where the rig moves the face."""

    def __post_init__(self) -> None:
        if self.ambient not in (1, 2, 3):
            raise ValueError(f"ambient is {self.ambient}; the coordinate of speech has 1 to 3 numbers")
        counts = (self.batch, self.rays, self.most, self.occupancy_every, self.outside_every, self.average_every, self.hidden)
        if min(counts) < 1 or not 0 < self.step < 1:
            raise ValueError(
                "batch, rays, most, hidden and what is done every so many steps count from 1; step is between 0 and 1"
            )
        if self.space not in ("planes", "grid"):
            raise ValueError(f"space is {self.space!r}; there are planes and grid")
        if self.speech not in ("attention", "ambient"):
            raise ValueError(f"speech is {self.speech!r}; there are attention and ambient")

    @property
    def conditioning(self) -> str:
        """What moves the face: the rig's lips, unless a method knows another way."""
        return "motion"

    @property
    def features(self) -> tuple[str, ...]:
        """Speech features that move the face themselves."""
        return ()

    def must_train_at(self, size: int) -> None:
        """Raises ValueError for a size that no head is trained at."""
        if size not in SIZES:
            raise ValueError(f"size is {size}; this method trains at {' or '.join(map(str, SIZES))}")
