"""The second pass: pictures in, pictures with new lips out, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likeness import speech
from likeness.audio import RATE
from likeness.dub.crop import cut_out
from likeness.dub.faces import Faces
from likeness.dub.footage import Footage
from likeness.dub.lips import Crops, Lips, Said
from likeness.dub.paste import Blend, paste
from likeness.dub.timing import Timing
from likeness.listening import Listening
from likeness.prepare.landmarks import FaceMesh
from likeness.prepare.sound import lip_opening

HELD = 128_000_000  # bytes of pictures that wait for their lips
MOST = 16  # frames at a time
REFERENCES_S = 60.0  # references come from the first minute: a third look at a long video would cost as much as the first
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
    on_no_face: Literal["pass", "hold", "error"]


@dataclass
class _Waiting:
    """A frame of the result whose lips are still to come."""

    t: int
    source: int
    image: Image
    stretch: int
    """-1: it stays as it is."""


def synthesise(scene: Scene) -> Iterator[Image]:
    """Every frame of the result, in order."""
    batch = max(1, min(MOST, HELD // (3 * scene.footage.size[0] * scene.footage.size[1])))
    references = find_references(scene)
    waiting: list[_Waiting] = []
    with _Mouth(scene, references) as mouth:
        for t, (source, image) in enumerate(scene.footage.along(scene.timing.runs())):
            stretch = int(scene.faces.stretches[source]) if scene.timing.dubbed(t) else -1
            if waiting and (stretch != waiting[0].stretch or len(waiting) == batch):
                yield from mouth(waiting)
                waiting.clear()
            waiting.append(_Waiting(t, source, image, stretch))
        yield from mouth(waiting)


def find_references(scene: Scene) -> Crops:
    """As many crops as the lips want to see, spread evenly over how far the mouth is open (IP_LAP), widest last."""
    faces, size = scene.faces, scene.lips.size
    early = np.flatnonzero(faces.rows[: max(1, round(REFERENCES_S * scene.footage.fps))] >= 0)
    early = early if len(early) else np.flatnonzero(faces.rows >= 0)[:1]
    opening = lip_opening(np.stack([faces.landmarks(int(t)) for t in early]))
    spread = np.linspace(0, len(early) - 1, scene.lips.references).round().astype(int)
    chosen = early[np.argsort(opening, kind="stable")][spread].tolist()
    held = {}
    for source, image in scene.footage.along([range(max(chosen, default=-1) + 1)]):
        if source in chosen:
            held[source] = cut_out(image, faces.place(source), size)
    images = np.stack([held[t] for t in chosen]) if chosen else np.zeros((0, size, size, 3), np.float32)
    points = [faces.place(t).to_crop(faces.landmarks(t), size) for t in chosen]
    return Crops(torch.from_numpy(images), _tensor(points))


def _tensor(points: list[Float[np.ndarray, "478 2"]]) -> Float[Tensor, "n 478 2"]:
    return torch.from_numpy(np.array(points, np.float32).reshape(-1, 478, 2))


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
                Crops(torch.from_numpy(old), _tensor(points)), self._references, self._said(frames), self._state
            )
        new = made.detach().float().cpu().numpy()
        if new.shape != old.shape or not np.isfinite(new).all():
            raise ValueError(f"the lips gave {list(new.shape)}, finite: {np.isfinite(new).all()}, for {list(old.shape)}")
        new = np.clip(new, 0, 1)
        for k, frame in enumerate(frames):
            seen = self._mesh(np.round(255 * new[k]).astype(np.uint8))
            opened = points[k] if seen is None else seen.astype(np.float64)  # unseen: the mask is the old face's alone
            self._last = paste(frame.image, places[k], (old[k], new[k]), (points[k], opened), scene.blend)
            yield self._last

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
        return Said(features, listening.mean, listening.std, activity)


def _silence(lips: Lips) -> Float[np.ndarray, " dim"]:
    """A row of what is heard where nothing is said."""
    quiet = np.zeros(RATE, np.float32)
    return np.concatenate([speech.extract(name, quiet)[len(quiet) // (RATE // 50)] for name in lips.hearing.features])
