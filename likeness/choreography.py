"""What moves a portrait besides the sound: head, torso, eyes and the rest of the face, each in its own time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.clip import Motion, ping_pong, smooth_poses
from likeness.delivery import Delivery
from likeness.eyes import eyes
from likeness.movement import beyond, movement, must_be_ahead
from likeness.nn.torso import AROUND
from likeness.portrait import Stage

BLOCK = 2000  # frames in which the torso follows at a time, so that a long path takes little memory


class Choreography:
    """The motion of any frame. Raises BadInput for a head movement or eyes that cannot be used."""

    def __init__(self, stage: Stage, delivery: Delivery) -> None:
        self.stage, self.start = stage, delivery.start
        moves = movement(delivery.pose, stage.motion.pose)
        there = len(moves.pose)
        pose = moves.pose if moves.closed else moves.pose[ping_pong(there, max(1, 2 * there - 2))]
        self.pose = smooth_poses(pose, delivery.smooth, circular=True)
        must_be_ahead(self.pose, stage.motion.pose)
        self.torso = None if stage.torso is None else self._follow(stage.torso)
        self.eyes, self._lent_eyes = eyes(delivery.eyes, delivery.blink_seed), moves.eyes

    def __len__(self) -> int:
        """Frames after which the head's movement begins anew."""
        return len(self.pose)

    @property
    def warning(self) -> str | None:
        """What a user should know before the pictures are drawn."""
        return beyond(self.pose, self.stage.motion.pose)

    def motion(self, start: int, stop: int) -> Motion:
        """Of frames start .. stop-1."""
        own, first, length = self.stage.motion, start + self.start, stop - start
        at = (torch.arange(length) + first) % len(self)
        torso = None if self.torso is None else self.torso[at]
        motion = replace(own[ping_pong(len(own), length, first)], pose=self.pose[at], torso=torso)
        if self.eyes is not None:
            return replace(motion, eyes=self.eyes(start, stop))
        lent = self._lent_eyes
        return motion if lent is None else replace(motion, eyes=lent[ping_pong(len(lent), length, first)])

    def _follow(self, torso: Any) -> Float[Tensor, "time torso"]:
        """Where the torso is; no seam where the movement begins anew, nor between blocks."""
        period, own, rows = len(self.pose), self.stage.motion, []
        for start in range(0, period, BLOCK):
            stop = min(start + BLOCK, period)
            at = torch.arange(start - AROUND, stop + AROUND) % period
            around = replace(own[at % len(own)], pose=self.pose[at])  # only its pose counts
            rows.append(torso.follow(around)[AROUND : AROUND + stop - start])
        return torch.cat(rows)
