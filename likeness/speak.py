"""Sound to frames: the one path that files, live streams and measurements take.

`speak(portrait, sound)` is a `Speech`: iterate over it for pictures, or `save` it. It hears in stretches of CHUNK frames,
so that memory does not grow with length, and from the features on any chunking gives the same frames.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from likeness.callable_module import CallableModule
from likeness.choreography import Choreography
from likeness.clip import Motion
from likeness.delivery import Delivery
from likeness.errors import BadInput
from likeness.eyes import eyes
from likeness.listening import Listening
from likeness.maps import LOOKS, Maps, MapVideos, check_folder
from likeness.movement import NOBODY, movement
from likeness.portrait import Heard, Portrait
from likeness.progress import Progress
from likeness.scenery import Scenery, backdrop, staged
from likeness.video import FPS, PngWriter, Writer, check_place, encoding_of, open_sound

CHUNK = 25


class Speech:
    """A portrait saying a sound. Iterating gives pictures [height width 3] uint8 (RGBA where the background is
    transparent), 25 a second, as many as the sound has."""

    def __init__(self, portrait: Portrait, sound: str | os.PathLike, delivery: Delivery) -> None:
        delivery.check_numbers()
        self.portrait, self.sound, self.delivery = staged(portrait, delivery), Path(sound), delivery
        self.scenery = Scenery(self.portrait, delivery.background)
        self.choreography = Choreography(self.portrait.stage, delivery)
        self.listening = Listening(portrait.hearing, sound)

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
            projection=self.delivery.projection,
            start=start,
            temperature=self.delivery.temperature,
            seed=self.delivery.motion_seed,
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
        return self.choreography.motion(start, stop)

    def maps(self, t: int) -> Maps:
        """What the portrait knows of each pixel of frame t besides its colour, by name. BadInput for methods without."""
        return self.portrait.maps(self.cond(t, t + 1), self.motion(t, t + 1))

    def save(
        self, path: str | os.PathLike, say: Callable[[str], None] | None = None, maps: str | os.PathLike | None = None
    ) -> Path:
        """Write a video with the sound (.mp4; .webm keeps transparency), or a folder of PNG pictures (no ending); and, as
        `likeness.maps` has it, a folder of `maps`.

        `say` takes the lines of progress; None draws a bar on a terminal and prints a line every 10 s elsewhere.
        """
        path = Path(path)
        check(self.sound, path, self.delivery, maps)
        beside = nullcontext() if maps is None else MapVideos(Path(maps), [self.maps(t) for t in self._looks()])
        writer = PngWriter(path, self.size) if not path.suffix else Writer(path, self.size, FPS, sound=self.sound)
        solid = _holds_alpha(path) and not self.scenery.transparent
        with Progress(plain=say) as progress, writer as video, beside as videos:
            if self.choreography.warning:
                progress.say(self.choreography.warning)
            progress.begin("frames", len(self))
            for t, picture in enumerate(self):
                video.write(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA) if solid else picture)
                if videos is not None:
                    videos.write(self.maps(t))
                progress.advance("frames")
        return path

    def _looks(self) -> list[int]:
        return sorted({round(t) for t in np.linspace(0, len(self) - 1, LOOKS)})


def check(
    sound: str | os.PathLike,
    out: str | os.PathLike,
    delivery: Delivery = Delivery(),
    maps: str | os.PathLike | None = None,
) -> None:
    """Raise at once what `speak` and `Speech.save` would raise after minutes: a sound that is none, settings or a place
    that cannot be used. Needs no portrait; what only some portraits can do is said when one is there."""
    sound, out = Path(sound), Path(out)
    delivery.check_numbers()
    open_sound(sound)
    movement(delivery.pose, NOBODY)
    eyes(delivery.eyes)
    if delivery.background not in ("clip", "transparent"):
        backdrop(delivery.background, (2, 2))
    check_place(out)
    if out.exists() and out.samefile(sound):
        raise BadInput(f"{out}: is the speech itself. Name another file for the result.")
    if delivery.background == "transparent" and not _holds_alpha(out):
        raise BadInput(f"{out}: {out.suffix} cannot be transparent. Use .webm, or a folder (no ending) for PNG pictures.")
    if maps is not None:
        check_folder(Path(maps))
        if Path(maps).absolute() == out.absolute():
            raise BadInput(f"{maps}: is the place of the result itself. Name another folder for the maps.")


def _holds_alpha(path: Path) -> bool:
    return not path.suffix or encoding_of(path).channels == 4


def speak(portrait: Portrait, sound: str | os.PathLike, delivery: Delivery = Delivery()) -> Speech:
    """A portrait says a sound file. `speak(load("a.portrait"), "b.wav").save("c.mp4")`."""
    return Speech(portrait, sound, delivery)


sys.modules[__name__].__class__ = CallableModule
