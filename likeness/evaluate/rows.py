"""The rows of the table: who or what drives the lips and the eyes, on the held-out frames with their real poses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from likeness.clip import Clip, Motion
from likeness.portrait import Heard, Layer, Portrait
from likeness.speech import Statistics

DELIVERY: dict[str, Any] = {
    "voice": "own", "amplitude": 1.0, "close_in_silence": False, "pose": "tracked", "eyes": "tracked", "smooth": 0.0,
}  # fmt: skip
"""How the rows by sound are spoken, in the words of `likeness.delivery.Delivery`; the gate stays open as in training
pictures. The row "silence" closes it once more."""
SHIFT = 37  # frames by which the sound is wrong in the row "sound shifted": later, or earlier where the scene ends


MOST = 500
"""Frames that are measured at a time, 20 s: all of them are held in memory, a row's beside another."""


def judged(clip: Clip) -> Int[np.ndarray, " frames"]:
    """The held-out frames that figures are of."""
    return clip.test[:MOST]


@dataclass(frozen=True)
class Row:
    """One way of driving a portrait over the test frames."""

    name: str
    cond: Tensor
    motion: Motion
    by: int = 0
    """How many frames later the sound is that it says."""

    def layers(self, portrait: Portrait) -> Iterator[Layer]:
        """The head, frame by frame."""
        state = None
        for t in range(len(self.motion)):
            layer, state = portrait.render(self.cond[t : t + 1], self.motion[t : t + 1], state)
            yield layer


def all_rows(portrait: Portrait, clip: Clip) -> list[Row]:
    """All rows that a portrait can play, on the `judged` frames. `Motion.torso` follows the whole scene's real poses."""
    test = torch.from_numpy(judged(clip))
    motion = following(portrait, clip)
    real = motion[test]
    stretch = (int(test[0]), int(test[-1]) + 1)
    inside = test - stretch[0]
    sound = listen(portrait, clip, *stretch)[inside]
    by = SHIFT if stretch[1] + SHIFT <= clip.longest_scene[1] else -SHIFT  # behind the scene somebody else may speak
    shifted = listen(portrait, clip, stretch[0] + by, stretch[1] + by)[inside]
    tracked = portrait.follow(real)
    mean = mean_cond(portrait, clip)
    mean = mean.expand(len(test), *mean.shape[1:])
    still = held_still(motion, clip.train)
    still = replace(
        real,
        eyes=still.eyes.expand(len(test)),
        expression=still.expression.expand(len(test), -1),
        landmarks=still.landmarks.expand(len(test), -1, -1),
    )
    found = [Row("tracked", tracked, real)] if tracked is not None else []
    return [
        *found,
        Row("sound", sound, real),
        Row("sound, mean eyes", sound, still),
        Row("mean lips", mean, real),
        Row("static", mean, still),
        Row("sound shifted", shifted, real, by),
    ]


def mean_cond(portrait: Portrait, clip: Clip) -> Float[Tensor, "1 *cond"]:
    """The mean lips of the training frames, as conditioning."""
    train = clip.train
    known = portrait.follow(clip.motion[torch.from_numpy(train)])
    if known is None:
        known = listen(portrait, clip, int(train[0]), int(train[-1]) + 1)
    return known.mean(0, keepdim=True)


def held_still(motion: Motion, frames: np.ndarray) -> Motion:
    """One frame with the mean face of `frames`; the pose is that of the first, to be replaced."""
    at = torch.from_numpy(frames)
    return replace(
        motion[at[:1]],
        eyes=motion.eyes[at].mean(0, keepdim=True),
        expression=motion.expression[at].mean(0, keepdim=True),
        landmarks=motion.landmarks[at].mean(0, keepdim=True),
    )


def usual_frame(clip: Clip) -> int:
    """The training frame whose tracked face is nearest to the mean one in the picture."""
    pixels = clip.pixels[torch.from_numpy(clip.train)]
    return int(clip.train[int((pixels - pixels.mean(0)).square().sum((1, 2)).argmin())])


def following(portrait: Portrait, clip: Clip) -> Motion:
    """The clip's motion with the portrait's torso following it; each piece between cuts and jumps by itself."""
    torso = portrait.stage.torso
    if torso is None:
        return clip.motion
    edges = sorted({0, len(clip), *clip.breaks, *(edge for scene in clip.scenes for edge in scene)})
    pieces = [torso.follow(clip.motion[start:stop]) for start, stop in pairwise(edges)]
    return replace(clip.motion, torso=torch.cat(pieces))


def features(portrait: Portrait, clip: Clip) -> Tensor:
    """The clip's speech features as the portrait hears them, side by side."""
    return torch.cat([torch.from_numpy(np.array(clip.features(n))) for n in portrait.hearing.features], dim=1)


def listen(portrait: Portrait, clip: Clip, start: int, stop: int) -> Tensor:
    """Conditioning by the clip's own sound, frames start .. stop-1, see DELIVERY."""
    heard = features(portrait, clip)
    statistics = Statistics.of(heard)
    stretch = portrait.hearing.window(heard, start, stop)
    gate = torch.ones(stop - start)
    return portrait.listen(Heard(stretch, statistics.mean, statistics.std, gate, DELIVERY["voice"], DELIVERY["amplitude"]))


def nearest(clip: Clip, size: int) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """For each of the `judged` frames the training picture nearest in pose and sound, z-scored over the training frames."""
    mel = np.array(clip.features("mel"))
    sound = mel[: 4 * len(clip)].reshape(len(clip), 4, -1).mean(1)
    pose = clip.motion.pose[:, :3, :].flatten(1).numpy()
    train = clip.train
    scaled = []
    for values in (pose, sound):
        z = (values - values[train].mean(0)) / (values[train].std(0) + 1e-6)
        scaled.append(z / np.sqrt(z.shape[1]))
    joint = np.concatenate(scaled, axis=1)
    for t in judged(clip):
        yield clip.image(int(train[np.square(joint[train] - joint[t]).sum(1).argmin()]), size)
