"""Offset and synchrony of a finished video by its pixels; terms and sign are those of `likeness.nn.sync.measure`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.nn.sync.measure import REACH, Synchrony, around, judged
from likeness.nn.sync.pixels.expert import CHUNK, FRAMES, Expert


@torch.no_grad()
def synchrony(
    expert: Expert, crops: Iterable[Float[np.ndarray, "128 128 3"]], features: Mapping[str, Float[np.ndarray, "_ _"]]
) -> Synchrony:
    """Of an uncut stretch: `frames` by which the lips come after their sound, `confidence`, and whether both are `clear`.

    crops: squares as `dub` cuts them, RGB 0 .. 1, one a frame; read as they are needed. features: speech features by name,
    100 rows a second, from the first frame on, of any length. Fewer than 75 frames are never clear.
    """
    rows = torch.from_numpy(np.concatenate([np.asarray(features[n], np.float32) for n in expert.settings.features], axis=1))
    heard = expert.hear(rows)
    lips = list(_lips(expert, crops))
    if not lips or len(heard) < FRAMES:
        return judged(expert, np.zeros((0, 2 * REACH + 1)))
    return judged(expert, around(torch.cat(lips), expert.sound(heard[None])[0]))


def _lips(expert: Expert, crops: Iterable[Float[np.ndarray, "128 128 3"]]) -> Iterator[Float[Tensor, "windows dim"]]:
    """Unit vectors of all windows, a part at a time."""
    looks: list[Tensor] = []
    for crop in crops:
        looks.append(expert.look(torch.from_numpy(crop).permute(2, 0, 1)[None])[0])
        if len(looks) == CHUNK:
            yield expert.lips(torch.stack(looks)[None])[0]
            looks = looks[1 - FRAMES :]
    if len(looks) >= FRAMES:
        yield expert.lips(torch.stack(looks)[None])[0]
