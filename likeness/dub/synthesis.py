"""The second pass: pictures in, pictures with new lips out, a few at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from likeness import speech
from likeness.audio import RATE
from likeness.dub.ahead import ahead
from likeness.dub.crop import cut_out
from likeness.dub.faces import FADE_S, Faces
from likeness.dub.footage import Footage
from likeness.dub.lips import Crops, Lips, Said
from likeness.dub.paste import paste
from likeness.dub.references import find_references, tensor
from likeness.dub.restoration import Restoration
from likeness.dub.timing import Timing
from likeness.dubbing import Blend, OnNoFace
from likeness.listening import Listening
from likeness.prepare.landmarks import FaceMesh

HELD = 128_000_000  # bytes of pictures that wait for their lips
MOST = 16  # frames at a time
Image = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Scene:
    """All that the second pass knows."""

    footage: Footage
    faces: Faces
    timing: Timing
    lips: Lips
    listening: Listening
    blend: Blend
    on_no_face: OnNoFace
    restoration: Restoration | None = None


@dataclass
class _Waiting:
    """A frame of the result whose lips are still to come."""

    t: int
    source: int
    image: Image
    stretch: int
    """-1: it stays as it is."""


def synthesise(scene: Scene) -> Generator[Image, None, None]:
    """Every frame of the result, in order. Pictures are read in a thread."""
    batch = max(1, min(MOST, HELD // (3 * scene.footage.size[0] * scene.footage.size[1])))
    references = find_references(scene.footage, scene.faces, scene.lips)
    waiting: list[_Waiting] = []
    with _Mouth(scene, references) as mouth, closing(ahead(scene.footage.along(scene.timing.runs()))) as pictures:
        for t, (source, image) in enumerate(pictures):
            stretch = int(scene.faces.stretches[source]) if scene.timing.dubbed(t) else -1
            if waiting and (stretch != waiting[0].stretch or len(waiting) == batch):
                yield from mouth(waiting)
                waiting.clear()
            waiting.append(_Waiting(t, source, image, stretch))
        yield from mouth(waiting)


class _Mouth:
    """Gives frames of one stretch their new lips, and keeps what goes on from one call to the next."""

    def __init__(self, scene: Scene, references: Crops) -> None:
        self._scene, self._references = scene, references
        self._silence = torch.from_numpy(_silence(scene.lips)) if scene.timing.when_shorter == "rest" else None
        self._state: Any = None
        self._stretch = -1
        self._last: Image | None = None
        self._mesh = FaceMesh()

    def __enter__(self) -> _Mouth:
        return self

    def __exit__(self, *_: object) -> None:
        self._mesh.close()

    def __call__(self, frames: list[_Waiting]) -> Iterator[Image]:
        """The frames, all of the same stretch, as they are shown."""
        stretch = frames[0].stretch
        if stretch != self._stretch:
            self._state = None
            self._mesh.reset()
        self._stretch = stretch
        if stretch >= 0:
            yield from self._dub(frames)
            return
        for frame in frames:
            hold = self._scene.on_no_face == "hold" and self._scene.timing.dubbed(frame.t)
            yield self._last if hold and self._last is not None else frame.image

    def _dub(self, frames: list[_Waiting]) -> Iterator[Image]:
        scene, size = self._scene, self._scene.lips.size
        places = [scene.faces.place(frame.source) for frame in frames]
        points = [place.to_crop(scene.faces.landmarks(f.source), size) for f, place in zip(frames, places, strict=True)]
        old = np.stack([cut_out(f.image, place, size) for f, place in zip(frames, places, strict=True)])
        with torch.inference_mode():
            made, self._state = scene.lips(
                Crops(torch.from_numpy(old), tensor(points)), self._references, self._said(frames), self._state
            )
        new = made.detach().float().cpu().numpy()
        if new.shape != old.shape or not np.isfinite(new).all():
            raise ValueError(f"the lips gave {list(new.shape)}, finite: {np.isfinite(new).all()}, for {list(old.shape)}")
        new = np.clip(new, 0, 1)
        for k, frame in enumerate(frames):
            seen = self._mesh(np.round(255 * new[k]).astype(np.uint8))
            opened = points[k] if seen is None else seen.astype(np.float64)  # unseen: the mask is the old face's alone
            amount = self._amount(frame)
            self._last = paste(frame.image, places[k], (old[k], new[k]), (points[k], opened), scene.blend, amount)
            if scene.restoration is not None:
                where = places[k], (points[k], opened), size
                self._last = scene.restoration(self._last, *where, scene.blend.feather, amount)
            yield self._last

    def _amount(self, frame: _Waiting) -> float:
        """How much of the new lips is shown: they come and go softly where the old ones are seen before or after."""
        timing = self._scene.timing
        seen = 1.0 if self._scene.on_no_face == "hold" else float(self._scene.faces.amounts[frame.source])
        if timing.dubbed(timing.frames - 1):
            return seen
        fade = max(1, round(FADE_S * timing.fps))
        return min(seen, (timing.spoken - frame.t) / (fade + 1))

    def _said(self, frames: list[_Waiting]) -> Said:
        listening, hearing = self._scene.listening, self._scene.lips.hearing
        begins = np.array([self._scene.timing.row(frame.t) for frame in frames])
        features = listening.windows(begins)
        rows = hearing.rows_per_frame
        now = torch.from_numpy(begins // rows)
        activity = listening.activity[now.clamp(max=listening.frames - 1)]
        if self._silence is not None:  # beyond the sound nothing is said
            at = torch.from_numpy(begins[:, None] - hearing.past * rows + np.arange(hearing.rows))
            features = torch.where((at >= listening.frames * rows)[..., None], self._silence, features)
            activity = torch.where(now >= listening.frames, torch.zeros_like(activity), activity)
        return Said(features, listening.spoken_mean, listening.usual, activity)


def _silence(lips: Lips) -> Float[np.ndarray, " dim"]:
    """A row of what is heard where nothing is said."""
    quiet = np.zeros(RATE, np.float32)
    return np.concatenate([speech.extract(name, quiet)[len(quiet) // (RATE // 50)] for name in lips.hearing.features])
