"""Pictures of the person for the lips to look at: a bank out of the video, spread over how far the mouth is open (IP_LAP, Zhong
et al. 2023). HyperLips shows its first frame to all."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.dub.crop import cut_out
from likeness.dub.faces import Faces
from likeness.dub.footage import Footage
from likeness.dub.lips import Crops, Lips
from likeness.prepare.sound import lip_opening

FIRST_S = 60.0  # the bank is of the first minute: a third look at a long video would cost as much as the first


def find_references(footage: Footage, faces: Faces, lips: Lips) -> Crops:
    """As many crops as the lips want to see, spread evenly over how far the mouth is open, widest last."""
    early = np.flatnonzero(faces.rows[: max(1, round(FIRST_S * footage.fps))] >= 0)
    early = early if len(early) else np.flatnonzero(faces.rows >= 0)[:1]
    opening = lip_opening(np.stack([faces.landmarks(int(t)) for t in early]))
    spread = np.linspace(0, len(early) - 1, lips.references).round().astype(int)
    chosen = early[np.argsort(opening, kind="stable")][spread].tolist()
    held = {}
    for source, image in footage.along([range(max(chosen, default=-1) + 1)]):
        if source in chosen:
            held[source] = cut_out(image, faces.place(source), lips.size)
    images = np.stack([held[t] for t in chosen]) if chosen else np.zeros((0, lips.size, lips.size, 3), np.float32)
    points = [faces.place(t).to_crop(faces.landmarks(t), lips.size) for t in chosen]
    return Crops(torch.from_numpy(images), tensor(points))


def tensor(points: list[Float[np.ndarray, "478 2"]]) -> Float[Tensor, "n 478 2"]:
    """The points of several crops, none perhaps, as lips take them."""
    return torch.from_numpy(np.array(points, np.float32).reshape(-1, 478, 2))
