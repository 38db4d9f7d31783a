"""Sound to frames: the one path that files, live streams and measurements take.

`speak(portrait, sound)` is a `Speech`: iterate over it for pictures, or `save` it. It hears in stretches of CHUNK frames,
so that memory does not grow with length, and from the features on any chunking gives the same frames.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likeness.callable_module import CallableModule
from likeness.clip import Clip, Motion, ping_pong, read_picture
from likeness.errors import BadInput
from likeness.listening import Listening
from likeness.nn.over import over
from likeness.nn.torso import AROUND
from likeness.portrait import Heard, Layer, Portrait
from likeness.progress import Progress
from likeness.video import FPS, PngWriter, Writer, check_place, encoding_of, open_sound

CHUNK = 25


@dataclass(frozen=True)
class Delivery:
    """How a portrait says something."""

    voice: Literal["auto", "own", "other"] = "auto"
    """Whether the speaker is the person of the portrait. auto: by the sound's likeness to the clip's."""
    amplitude: float = 1.0
    """Factor on the movement of the mouth."""
    pose: Literal["clip", "fixed"] | str | Path = "clip"
    """Head movement: the portrait's own, played forwards and backwards; none; or that of another prepared clip."""
    smooth: float = 1.0
    """Smoothing of the head movement along time, standard deviation in frames."""
    start: int = 0
    """Frame of the head movement to begin with."""
    eyes: Literal["clip", "blinks"] | float = "clip"
    """Eye opening: the clip's, open with blinks at random times, or a number from 0 closed to 1 open."""
    background: Literal["clip", "transparent"] | str = "clip"
    """Behind the person: the clip's, nothing (for .webm or a folder of PNG), a picture file, or a colour like #20a040."""
    close_in_silence: bool = True
    """Whether the mouth closes when nobody speaks."""
    blink_seed: int = 0
    """Of the times of the blinks."""


class Speech:
    """A portrait saying a sound. Iterating gives pictures [height width 3] uint8 (RGBA where the background is
    transparent), 25 a second, as many as the sound has."""

    def __init__(self, portrait: Portrait, sound: str | os.PathLike, delivery: Delivery) -> None:
        self.portrait, self.sound, self.delivery = portrait, Path(sound), delivery
        _check_numbers(delivery)
        self.scenery = Scenery(portrait, delivery.background)
        self.listening = Listening(portrait.hearing, sound)
        self.driving = driving_motion(portrait, delivery)

    def __len__(self) -> int:
        return self.listening.frames

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.portrait.stage.camera.size

    @cached_property
    def voice(self) -> Literal["own", "other"]:
        """Which voice was chosen."""
        wanted = self.delivery.voice
        return self.portrait.recognise(self.listening.mean, self.listening.std) if wanted == "auto" else wanted

    def cond(self, start: int, stop: int) -> Tensor:
        """The portrait's conditioning for frames start .. stop-1."""
        activity = self.listening.activity[start:stop]
        heard = Heard(
            features=self.listening.stretch(start, stop),
            mean=self.listening.mean,
            std=self.listening.std,
            activity=activity if self.delivery.close_in_silence else torch.ones_like(activity),
            voice=self.voice,
            amplitude=self.delivery.amplitude,
        )
        return self.portrait.listen(heard)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "height width channels"]]:
        state = None
        for start in range(0, len(self), CHUNK):
            stop = min(start + CHUNK, len(self))
            motion, cond = self.motion(start, stop), self.cond(start, stop)
            for t in range(stop - start):
                layer, state = self.portrait.render(cond[t : t + 1], motion[t : t + 1], state)
                yield self.scenery.compose(layer, motion[t : t + 1])

    def motion(self, start: int, stop: int) -> Motion:
        """Pose, eyes and torso for frames start .. stop-1."""
        index = (torch.arange(start, stop) + self.delivery.start) % len(self.driving)
        motion = self.driving[index]
        if self.delivery.eyes == "clip":
            return motion
        if self.delivery.eyes == "blinks":
            return replace(motion, eyes=blinks(start, stop, self.delivery.blink_seed))
        return replace(motion, eyes=torch.full((stop - start,), float(self.delivery.eyes)))

    def save(self, path: str | os.PathLike, say: Callable[[str], None] | None = None) -> Path:
        """Write a video with the sound (.mp4; .webm keeps transparency), or a folder of PNG pictures (no ending).

        `say` takes the lines of progress; None draws a bar on a terminal and prints a line every 10 s elsewhere.
        """
        path = Path(path)
        check(self.sound, path, self.delivery)
        writer = PngWriter(path, self.size) if not path.suffix else Writer(path, self.size, FPS, sound=self.sound)
        solid = _holds_alpha(path) and not self.scenery.transparent
        with Progress(plain=say) as progress, writer as video:
            progress.begin("frames", len(self))
            for picture in self:
                video.write(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA) if solid else picture)
                progress.advance("frames")
        return path


def check(sound: str | os.PathLike, out: str | os.PathLike, delivery: Delivery = Delivery()) -> None:
    """Raise at once what `speak` and `Speech.save` would raise after minutes: a sound that is none, settings or a place
    that cannot be used. Needs no portrait."""
    sound, out = Path(sound), Path(out)
    _check_numbers(delivery)
    open_sound(sound)
    if delivery.pose not in ("clip", "fixed"):
        Clip.open(delivery.pose)
    if delivery.background not in ("clip", "transparent"):
        backdrop(delivery.background, (2, 2))
    check_place(out)
    if out.exists() and out.samefile(sound):
        raise BadInput(f"{out}: is the speech itself. Name another file for the result.")
    if delivery.background == "transparent" and not _holds_alpha(out):
        raise BadInput(f"{out}: {out.suffix} cannot be transparent. Use .webm, or a folder (no ending) for PNG pictures.")


def _check_numbers(delivery: Delivery) -> None:
    """Raise BadInput for what no head can do."""
    eyes = delivery.eyes if isinstance(delivery.eyes, float | int) else 1.0
    for name, value, low, high in (
        ("amplitude", delivery.amplitude, 0, 10),
        ("smooth", delivery.smooth, 0, 1000),
        ("eyes", eyes, 0, 1),
        ("blink_seed", delivery.blink_seed, 0, math.inf),
    ):
        if not low <= value <= high:
            raise BadInput(f"{name} is {value}; it must lie between {low} and {high}.")


def _holds_alpha(path: Path) -> bool:
    return not path.suffix or encoding_of(path).channels == 4


def speak(portrait: Portrait, sound: str | os.PathLike, delivery: Delivery = Delivery()) -> Speech:
    """A portrait says a sound file. `speak(load("a.portrait"), "b.wav").save("c.mp4")`."""
    return Speech(portrait, sound, delivery)


def driving_motion(portrait: Portrait, delivery: Delivery) -> Motion:
    """One period of the head's movement: forwards and backwards, smoothed, with the torso following."""
    motion = portrait.stage.motion
    if delivery.pose not in ("clip", "fixed"):
        clip = Clip.open(delivery.pose)
        other = clip.motion[torch.from_numpy(clip.take)]
        shift = motion.pose[:, :3, 3].mean(0) - other.pose[:, :3, 3].mean(0)
        pose = other.pose.clone()
        pose[:, :3, 3] += shift  # keeps the head where this portrait's camera has it
        eyes, rows = other.eyes, ping_pong(len(motion), len(other))
        motion = replace(motion[rows], pose=pose, eyes=eyes)
    elif delivery.pose == "fixed":
        distance = (motion.pose - motion.pose.mean(0)).flatten(1).norm(dim=1)
        motion = replace(motion, pose=motion.pose[distance.argmin()].expand_as(motion.pose).clone())
    period = max(1, 2 * len(motion) - 2)
    motion = motion.loop(period).smooth(delivery.smooth, circular=True)
    torso = portrait.stage.torso
    if torso is None:
        return motion
    around = motion[torch.arange(-AROUND, period + AROUND) % period]  # no seam in what follows the smoothed pose either
    return replace(motion, torso=torso.follow(around)[AROUND : AROUND + period])


def blinks(start: int, stop: int, seed: int) -> Float[Tensor, " time"]:
    """Eyes that blink every 2 to 6 seconds, closed for a frame or two; any chunking gives the same."""
    lids = (0.75, 0.25, 0.0, 0.1, 0.45, 0.8)
    eyes = torch.ones(stop - start)
    for block in range(max(0, start // 100 - 1), stop // 100 + 1):  # one blink in each 4 s
        first = 100 * block + int(np.random.default_rng([seed, block]).integers(25, 76))
        for i, lid in enumerate(lids):
            if start <= first + i < stop:
                eyes[first + i - start] = lid
    return eyes


class Scenery:
    """What stands behind the head: torso over background."""

    def __init__(self, portrait: Portrait, background: str) -> None:
        stage = portrait.stage
        self.torso = stage.torso
        self.size = stage.camera.size
        self.transparent = background == "transparent"
        self.plate = stage.background.numpy() if background == "clip" else np.zeros((*self.size[::-1], 3), np.uint8)
        if background not in ("clip", "transparent"):
            self.plate = backdrop(background, self.size)

    def compose(self, layer: Layer, motion: Motion) -> UInt8[np.ndarray, "height width channels"]:
        """One finished picture: RGB, or RGBA (not premultiplied) where the background is transparent."""
        where = None if motion.torso is None else motion.torso[0]
        rgb, alpha = layer.rgb[0].numpy(), layer.alpha[0].numpy()
        if self.transparent:
            return self._clear(rgb, alpha, where)
        under = self.plate if where is None else self.torso.draw(where, self.plate)
        return over(np.ascontiguousarray(rgb), np.ascontiguousarray(alpha), under)

    def _clear(self, rgb: np.ndarray, alpha: np.ndarray, where: Tensor | None) -> UInt8[np.ndarray, "height width 4"]:
        """Head over torso over nothing."""
        pixels = np.concatenate([rgb, alpha[..., None]], axis=2)
        if where is not None:
            pixels = pixels + (1 - alpha[..., None]) * self.torso.layer(where)
        color = pixels[..., :3] / np.maximum(pixels[..., 3:], 1e-4)
        return (np.concatenate([color, pixels[..., 3:]], axis=2).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def backdrop(text: str, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """A colour like #20a040, or a picture file, cut to the right shape and scaled."""
    if text.startswith("#"):
        return colour(text, size)
    if not Path(text).is_file():
        raise BadInput(f"{text}: no such background. Use clip, transparent, a colour like #20a040, or a picture.")
    image = read_picture(Path(text))
    width, height = size
    scale = max(width / image.shape[1], height / image.shape[0])
    wanted = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    image = cv2.resize(image, wanted, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[y : y + height, x : x + width])


def colour(text: str, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """A plain picture of a colour like #20a040."""
    try:
        red, green, blue = bytes.fromhex(text[1:])
    except ValueError as error:
        raise BadInput(f"background {text!r} is no colour; write it like #20a040.") from error
    return np.full((size[1], size[0], 3), (red, green, blue), np.uint8)


sys.modules[__name__].__class__ = CallableModule
