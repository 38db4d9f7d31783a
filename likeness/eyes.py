"""How far the eyes are open while a portrait speaks: constant, blinking at random, along a curve, or blinking when told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.clip import ping_pong
from likeness.curves import Curve, read_curve
from likeness.errors import BadInput
from likeness.video import FPS

LIDS = (0.75, 0.25, 0.0, 0.1, 0.45, 0.8)  # of a blink, frame by frame
Eyes = Callable[[int, int], Float[Tensor, " time"]]
"""Opening in frames start .. stop-1, the same however a speech is cut into stretches."""


def eyes(wanted: str | float | Path, seed: int = 0) -> Eyes | None:
    """What `likeness.delivery.Delivery.eyes` asks for; None where they are the clip's. Raises BadInput for a file that is none,
    or that says something else."""
    if wanted == "clip":
        return None
    if wanted == "blinks":
        return lambda start, stop: blinks(start, stop, seed)
    if isinstance(wanted, float | int):
        return lambda start, stop: torch.full((stop - start,), float(wanted))
    path = Path(wanted)
    if not path.is_file():
        raise BadInput(f"{path}: no such eyes. Use clip, blinks, a number from 0 to 1, or a .csv file.")
    curve, names = read_curve(path, {"eyes": (0.0, 1.0)}, FPS)
    if names:
        return lambda start, stop: along(curve, start, stop)
    times = [round(frame) for frame in curve.frames]
    return lambda start, stop: blinking(times, start, stop)


def blinks(start: int, stop: int, seed: int) -> Float[Tensor, " time"]:
    """Eyes that blink every 2 to 6 seconds, closed for a frame or two; any chunking gives the same."""
    blocks = range(max(0, start // 100 - 1), stop // 100 + 1)  # one blink in each 4 s
    return blinking((100 * b + int(np.random.default_rng([seed, b]).integers(25, 76)) for b in blocks), start, stop)


def blinking(times: Iterable[int], start: int, stop: int) -> Float[Tensor, " time"]:
    """Open eyes that begin to blink at some frames."""
    opening = torch.ones(stop - start)
    for first in times:
        for t, lid in enumerate(LIDS, first):
            if start <= t < stop:
                opening[t - start] = lid
    return opening


def along(curve: Curve, start: int, stop: int) -> Float[Tensor, " time"]:
    """A curve of one column, played forwards and backwards."""
    at = ping_pong(len(curve), stop - start, start)
    return torch.from_numpy(curve.at(at.double().numpy())[:, 0]).float()
