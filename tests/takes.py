"""One drawn performance that the tests share, and how to make the smallest portrait of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from likeness.kernels import geometric
from likeness.video import Writer

if TYPE_CHECKING:
    from likeness.actor import Performance

SIZE = 256
SECONDS = 5.6
STEPS = {"steps": 60, "coarse_steps": 60, "lip_steps": 150}  # of what else there is: 20


@dataclass(frozen=True)
class Take:
    """One performance of the actor, drawn once."""

    performance: Performance
    images: list[np.ndarray]

    @property
    def sound(self) -> tuple[np.ndarray, int]:
        return self.performance.waveform[:, None], self.performance.rate


def write(path: Path, images: list[np.ndarray], sound: tuple[np.ndarray, int] | None) -> Path:
    """A video of these pictures; its size is theirs."""
    with Writer(path, (images[0].shape[1], images[0].shape[0]), sound=sound) as video:
        for image in images:
            video.write(image)
    return path


def tiny(method: ModuleType) -> Any:
    """The fast preset of any method with as little work as possible: few steps, few rays and a tenth of the usual
    density."""
    config = method.preset("fast", size=256)
    steps = {f.name: min(STEPS.get(f.name, 20), getattr(config, f.name)) for f in fields(config) if f.name.endswith("steps")}
    less: dict[str, Any] = {"density": 0.1, "samples": 4096, "rays": 1024, "average_every": 2}
    less["plane_sizes"] = geometric(16.0, 4, finest=64.0)
    if hasattr(config, "networks"):
        less["networks"] = little(config.networks)
        less["training"] = replace(config.training, base_steps=2, refine_steps=1, lanes=2)
    return replace(config, **steps, **{name: value for name, value in less.items() if hasattr(config, name)})


def little(networks: Any) -> Any:
    """HyperLips' networks, as narrow as they go."""
    refining = replace(networks.refining, width=8, depth=1)
    judging = replace(networks.judging, base_width=0.05, detail_width=0.1)
    return replace(networks, trunk_width=0.25, decoder_width=0.2, refining=refining, judging=judging)
