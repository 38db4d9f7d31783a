"""What stands behind a head: a frame whose head is taken away."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

from likeness.clip import HEAD, PARTS

CHIN_REACH = 14  # pixels at 256² that the neck is continued under the chin
PLATE_REACH = 9  # pixels at 256² round the head where the plate stands for the real background


def without_head(
    image: UInt8[np.ndarray, "height width 3"],
    parts: UInt8[np.ndarray, "full_height full_width"],
    plate: UInt8[np.ndarray, "height width 3"],
) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
    """A frame whose head is taken away, and the head's soft mask.

    The plate shows near the head, the real torso and background farther off; under the chin the neck goes on by the
    nearest colour. This is the layer that the papers' protocol puts behind a head.
    """
    height, width = image.shape[:2]
    unit = width / 256
    head = cv2.resize(np.isin(parts, HEAD).astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
    body = np.isin(parts, (PARTS["neck"], PARTS["torso"])).astype(np.uint8) * 255
    body = cv2.resize(body, (width, height), interpolation=cv2.INTER_AREA) > 127
    solid = (head > 20).astype(np.uint8)
    near = cv2.dilate(solid, np.ones((3, 3), np.uint8), iterations=round(PLATE_REACH * unit)) > 0
    behind = np.where((near & ~body)[..., None], plate, image)
    source = (body & (solid == 0)).astype(np.uint8)
    if source.any():
        distance, label = cv2.distanceTransformWithLabels(1 - source, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        ys, xs = np.nonzero(source)
        index = np.zeros(label.max() + 1, np.int64)
        index[label[ys, xs]] = np.arange(len(ys))
        # Beside the jaw the background is nearer than the neck: there the plate stays, or skin would shine out of it.
        beyond = cv2.distanceTransform(1 - ((solid == 0) & ~body).astype(np.uint8), cv2.DIST_L2, 5)
        under = (solid > 0) & (distance < CHIN_REACH * unit) & (distance <= beyond)
        nearest = index[label[under]]
        behind[under] = image[ys[nearest], xs[nearest]]
    return behind, head
