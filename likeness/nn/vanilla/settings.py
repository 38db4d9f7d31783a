"""The published figures of the vanilla renderers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Of head and torso alike; where they differ, the name says so."""

    inputs: int = 204
    """Numbers a frame of what moves the face: 68 landmarks, z-scored."""
    window: int = 1
    """Frames whose numbers make one code, at most 16."""
    smooth: int = 5
    """Codes that the attention over neighbouring frames weighs."""
    code: int = 64
    """Numbers of a code."""
    octaves: int = 10
    """Of a place."""
    view_octaves: int = 4
    """Of the direction of view."""
    pose_octaves: int = 6
    """Of each of a pose's six numbers, for the torso."""
    depth: int = 8
    """Layers that density comes from."""
    width: int = 256
    """Numbers between them."""
    skip: int = 4
    """After this layer, counted from 0, the place comes in again."""
    color_depth: int = 3
    """Layers that colour comes from, before the last."""
    color_width: int = 128
    """Numbers between them."""
    coarse: int = 64
    """Places along a ray at even distances."""
    fine: int = 128
    """More of them where the first ones found something."""
    rays: int = 1600
    """In a step."""
    face_share: float = 0.95
    """Of the rays, in the rectangle round the face."""
    rate: float = 5e-4
    """Of learning, at the beginning."""
    attention_rate: float = 5.0
    """Times that, of the attention."""
    decay: float = 0.1
    """What the rate is multiplied by every `decay_steps`."""
    decay_steps: int = 250_000
    """See `decay`."""
    steps: int = 400_000
    """Of the head."""
    smooth_from: int = 200_000
    """Step from which on neighbouring frames' codes are weighed; before, a frame has its own."""
    torso_steps: int = 400_000
    """Of the torso."""
    trial: int = 1000
    """Steps after which a beginning is judged."""
    beginnings: int = 8
    """That are tried, each with the next seed, before it is said that nothing is learned."""
    torso_yields: bool = True
    """Whether the torso gives way where the head is opaque, so that it cannot come out of the face."""

    @property
    def around(self) -> int:
        """Frames that one frame's code is made of, its own in the middle."""
        return self.window + self.smooth - 1

    @property
    def smooths(self) -> bool:
        """Whether a head of these settings, once trained, weighs neighbouring frames."""
        return self.steps > self.smooth_from
