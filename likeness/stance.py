"""A head's pose as six numbers that a person can write down: how it is turned and shifted from a person's mean pose.

    yaw, pitch, roll   degrees: the face towards the right of the picture, the face upwards, the top of the head towards
                       the right of the picture. About the head's own axes in the mean pose; roll first, yaw last.
    x, y, z            metres along the camera's axes: to the right of the picture, downwards, away from the camera.

A head turns about the top of its neck, which x, y and z shift: so it stays on its torso however it is turned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

NAMES = ("yaw", "pitch", "roll", "x", "y", "z")
NECK = (0.0, 0.08, 0.1)  # top of the spine in the head frame, metres: between the ears, below the eyes


@dataclass(frozen=True)
class Stance:
    """A person's mean pose."""

    turn: Float[Tensor, "3 3"]
    """Head frame to camera axes."""
    neck: Float[Tensor, " 3"]
    """Where the top of the neck is, in camera axes."""

    @staticmethod
    def of(pose: Float[Tensor, "time 4 4"]) -> Stance:
        """The mean of some poses."""
        turn = pose[:, :3, :3].double().transpose(1, 2)
        return Stance(nearest_turn(turn.mean(0)), _necks(turn, pose).mean(0))

    def pose(self, numbers: Float[Tensor, "time 6"]) -> Float[Tensor, "time 4 4"]:
        """Camera-to-world poses that `numbers` (see the module's words) describe."""
        numbers = numbers.double()
        turn = self.turn @ _turned(numbers[:, :3] * (math.pi / 180))
        head = self.neck + numbers[:, 3:] - turn @ turn.new_tensor(NECK)
        pose = torch.eye(4).double().repeat(len(numbers), 1, 1)
        pose[:, :3, :3] = turn.transpose(1, 2)
        pose[:, :3, 3] = -(head[:, None] @ turn)[:, 0]
        return pose.float()

    def numbers(self, pose: Float[Tensor, "time 4 4"]) -> Float[Tensor, "time 6"]:
        """What `pose` makes these poses of; pitch within -90 to 90."""
        turn = pose[:, :3, :3].double().transpose(1, 2)
        own = self.turn.T @ turn
        yaw = torch.atan2(-own[:, 0, 2], own[:, 2, 2])
        pitch = torch.asin(own[:, 1, 2].clamp(-1, 1))
        roll = torch.atan2(own[:, 1, 0], own[:, 1, 1])
        turned = torch.stack([yaw, pitch, roll], 1) * (180 / math.pi)
        return torch.cat([turned, _necks(turn, pose) - self.neck], 1)


def _necks(turn: Float[Tensor, "time 3 3"], pose: Float[Tensor, "time 4 4"]) -> Float[Tensor, "time 3"]:
    """Top of the neck in camera axes."""
    return (turn @ (turn.new_tensor(NECK) - pose[:, :3, 3].double())[..., None])[..., 0]


def _turned(angles: Float[Tensor, "time 3"]) -> Float[Tensor, "time 3 3"]:
    """Ry(-yaw) Rx(-pitch) Rz(roll), radians."""
    (cy, cp, cr), (sy, sp, sr) = angles.cos().unbind(1), angles.sin().unbind(1)
    rows = [
        [cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, -sy * cp],
        [cp * sr, cp * cr, sp],
        [sy * cr - cy * sp * sr, -sy * sr - cy * sp * cr, cy * cp],
    ]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def nearest_turn(matrix: Float[Tensor, "*n 3 3"]) -> Float[Tensor, "*n 3 3"]:
    """The rotation that is nearest to a matrix."""
    u, _, vt = torch.linalg.svd(matrix)
    return torch.cat([u[..., :2], u[..., 2:] * torch.det(u @ vt)[..., None, None]], -1) @ vt
