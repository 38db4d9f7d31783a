"""How the torso's colours change with the pose: shadows of the chin, a collar that covers more or less of the neck.

Each texture pixel's colour is linear in the pose (ridge regression on what aligned training frames show there), kept at
the size at which frames are aligned: what changes is soft, what is sharp is in the texture.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Int8, UInt8

from likeness.clip import HEAD, Clip
from likeness.kernels.compiled import compiled
from likeness.nn.alignment import sample
from likeness.nn.canvas import TRACK, WIDE, Aligned, first_row

SHRINK = 0.1  # ridge on numbers of standard deviation 1, per frame; from 0.03 to 0.5, held-out frames differ by 0.1 dB
SHRINK_MEAN = 0.02  # on what all frames have in common, lest the pose explain it
FAR = 60.0  # grey levels of 255: a hand or a slip says no more than this
BLOCK = 32  # frames looked at together
STEP = 0.5  # grey levels per standard deviation that one unit of int8 stands for


def learn(
    clip: Clip, aligned: Aligned, texture: UInt8[np.ndarray, "H W 4"], pose: Float[np.ndarray, "frames pose"]
) -> Int8[np.ndarray, "pose h w 3"]:
    """From the frames that the texture was made of, for `shade`; `pose` are their standardised numbers.

    Units of STEP per standard deviation. What all frames have in common is left out: their mean is blurred (it would gain
    0.2 dB and cost a quarter of the sharpness).
    """
    first = first_row(aligned.grid)
    texture = cv2.resize(texture, (WIDE, WIDE - first), interpolation=cv2.INTER_AREA)
    body, base = texture[..., 3] > 127, texture[..., :3].astype(np.float32)
    x, y = np.meshgrid(np.arange(WIDE), np.arange(first, WIDE))
    count, width = int(body.sum()), pose.shape[1] + 1
    numbers = np.concatenate([pose, np.ones((len(pose), 1))], 1).astype(np.float32)
    products = (numbers[:, :, None] * numbers[:, None]).reshape(len(pose), -1)
    inner, outer = np.zeros((count, width * width), np.float32), np.zeros((width, count * 3), np.float32)
    for some in np.array_split(np.arange(len(pose)), -(-len(pose) // BLOCK)):
        weight, left = np.empty((len(some), count), np.float32), np.empty((len(some), count, 3), np.float32)
        for n, i in enumerate(some):
            t, seen = int(aligned.frames[i]), aligned.grid.at(aligned.warps[i], x, y)
            image = cv2.resize(clip.image(t), (TRACK, TRACK), interpolation=cv2.INTER_AREA)
            head = np.isin(cv2.resize(clip.parts(t), (TRACK, TRACK), interpolation=cv2.INTER_NEAREST), HEAD)
            head = cv2.dilate(head.astype(np.float32), np.ones((5, 5)))
            weight[n] = ((sample(head, seen) == 0) & (seen >= 0).all(-1) & (seen <= TRACK - 1).all(-1))[body]
            left[n] = np.clip(sample(image, seen, cv2.INTER_CUBIC) - base, -FAR, FAR)[body] * weight[n][:, None]
        inner += weight.T @ products[some]
        outer += numbers[some].T @ left.reshape(len(some), -1)
    ridge = len(pose) * np.diag([SHRINK] * (width - 1) + [SHRINK_MEAN]).astype(np.float32)
    found = np.linalg.solve(inner.reshape(-1, width, width) + ridge, outer.reshape(width, count, 3).transpose(1, 0, 2))
    by_pose = np.zeros((width - 1, *body.shape, 3), np.int8)
    by_pose[:, body] = np.round(found[:, :-1] / STEP).clip(-127, 127).transpose(1, 0, 2)
    return by_pose


def shade(
    texture: Float[np.ndarray, "H W 4"], by_pose: Int8[np.ndarray, "pose h w 3"], pose: Float[np.ndarray, " pose"]
) -> Float[np.ndarray, "H W 4"]:
    """A texture (0..1, premultiplied) as it looks in a pose."""
    add = _total(by_pose, pose.astype(np.float32) * np.float32(STEP / 255))
    if add.shape[:2] != texture.shape[:2]:
        add = cv2.resize(add, texture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return _tinted(texture, add)


@compiled(finite=True)
def _total(by_pose, pose):
    numbers, height, width, channels = by_pose.shape
    out = np.zeros((height, width * channels), np.float32)
    rows = by_pose.reshape(numbers, height, width * channels)
    for y in range(height):
        for i in range(numbers):
            for x in range(width * channels):
                out[y, x] += rows[i, y, x] * pose[i]
    return out.reshape(height, width, channels)


@compiled(finite=True)
def _tinted(texture, add):
    out = np.empty_like(texture)
    for y in range(texture.shape[0]):
        for x in range(texture.shape[1]):
            alpha = texture[y, x, 3]
            for k in range(3):
                out[y, x, k] = min(max(texture[y, x, k] + alpha * add[y, x, k], np.float32(0)), alpha)
            out[y, x, 3] = alpha
    return out
