"""Pictures of the person for the lips to look at: a bank out of the video, and which of it suits a frame.

The bank is spread over how far the mouth is open (IP_LAP, Zhong et al. 2023). For a frame suits what is near in pose and has
another mouth (MuseTalk, Zhang et al. 2024): a far pose gives a crooked face (HyperLips shows the first frame to all), and
a mouth like the old one would be copied. What was chosen stays until something else is clearly better, or it would flicker.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness.dub.crop import cut_out
from likeness.dub.faces import Faces
from likeness.dub.footage import Footage
from likeness.dub.lips import Crops, Lips
from likeness.mesh import LIP_CORNERS, OUTER_EYE_CORNERS, SKULL
from likeness.prepare.generic_face import generic_face
from likeness.prepare.sound import lip_opening

FIRST_S = 60.0  # the bank is of the first minute: a third look at a long video would cost as much as the first
OTHER_MOUTH = 0.12  # difference in opening and width, distances of the eyes, from which mouths are other ones: half a vowel
SAME_MOUTH_COST = 5.0  # degrees of pose that another mouth is worth
STAY = 8.0  # degrees by which another must be better: more than a mouth is worth, for mouths change with every sound
_SKULL = list(SKULL)
_FIT = np.linalg.pinv(np.column_stack([generic_face()[_SKULL], np.ones(len(_SKULL))]))


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


def suiting(
    bank: Float[np.ndarray, "references 478 2"], faces: Float[np.ndarray, "n 478 2"], chosen: int | None = None
) -> tuple[Int[np.ndarray, " n"], int | None]:
    """Which reference suits each of the frames, and what to hand in as `chosen` with the frames that follow.

    Points are of the face mesh, in pixels of crops or pictures. chosen: None where nothing went before, or after a cut.
    A reference costs the degrees that its pose is away, and up to SAME_MOUTH_COST more the more its mouth is like the
    frame's. Raises ValueError when the bank is empty.
    """
    if len(bank) == 0:
        raise ValueError("a bank without references")
    turned = np.linalg.norm(pose(faces)[:, None] - pose(bank), axis=-1)
    other = np.linalg.norm(_mouth(faces)[:, None] - _mouth(bank), axis=-1)
    costs = np.degrees(turned) + SAME_MOUTH_COST * np.clip(1 - other / OTHER_MOUTH, 0, 1)
    found = np.empty(len(faces), np.int64)
    for t, cost in enumerate(costs):
        best = int(cost.argmin())
        if chosen is None or cost[chosen] > cost[best] + STAY:
            chosen = best
        found[t] = chosen
    return found, chosen


def pose(points: Float[np.ndarray, "*n 478 2"]) -> Float[np.ndarray, "*n 3"]:
    """Yaw, pitch and roll of faces in radians: it looks towards the picture's right, downwards, and leans clockwise about
    that direction (turned by roll first, by yaw last).

    Least squares of the points on the skull against the mean face's, an affine camera, of which the nearest rotation is
    taken (weak perspective). People's noses are longer or shorter than the mean one: the same person's poses compare.
    """
    affine = np.swapaxes(_FIT @ np.asarray(points, np.float64)[..., _SKULL, :], -1, -2)[..., :3]
    u, _, v = np.linalg.svd(affine, full_matrices=False)
    across, down = np.moveaxis(u @ v, -2, 0)
    into = np.cross(across, down)  # rows of the rotation: the picture's axes in the head's frame
    yaw, pitch = np.arctan2(-across[..., 2], into[..., 2]), np.arcsin(np.clip(-down[..., 2], -1, 1))
    return np.stack([yaw, pitch, np.arctan2(down[..., 0], down[..., 1])], -1)


def _mouth(points: Float[np.ndarray, "n 478 2"]) -> Float[np.ndarray, "n 2"]:
    """Opening and width, in distances of the outer eye corners."""
    (right, left), (outer, other) = OUTER_EYE_CORNERS, LIP_CORNERS
    eyes = np.linalg.norm(points[:, right] - points[:, left], axis=-1)
    width = np.linalg.norm(points[:, outer] - points[:, other], axis=-1) / np.maximum(eyes, 1e-9)
    return np.stack([lip_opening(points), width], -1)
