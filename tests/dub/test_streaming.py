"""Memory does not grow with length: of a long stream a few pictures are held at a time, and next to nothing is kept of each."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import soundfile

from likeness.dub.ahead import FEW
from likeness.dub.faces import MIDDLE, Faces, choose_faces
from likeness.dub.faces import SIDE as SIDE_M
from likeness.dub.footage import Footage
from likeness.dub.synthesis import MOST, Scene, synthesise
from likeness.dub.timing import Timing
from likeness.dub.tracks import Search
from likeness.dubbing import Blend
from likeness.listening import Listening
from likeness.prepare.generic_face import generic_face
from tests.dub.mouths import Identity
from tests.media import tone

FPS, SIDE = 25.0, 128
HELD_AT_MOST = MOST + FEW + 4  # a batch, those that wait, and in each hand one


class Drawn(Footage):
    """A video without a file: these pictures again and again, each time new in memory; counts those that are held."""

    def __init__(self, images: list[np.ndarray], length: int) -> None:
        self.fps, self.size, self._images, self.length = FPS, (SIDE, SIDE), images, length
        self.held = self.most = 0

    def forwards(self) -> Iterator[np.ndarray]:
        return self._run(range(self.length))

    def _run(self, run: range) -> Iterator[np.ndarray]:
        for t in run:
            image = self._images[t % len(self._images)].copy()
            self.held += 1
            self.most = max(self.most, self.held)
            weakref.finalize(image, self._gone)
            yield image

    def _gone(self) -> None:
        self.held -= 1


def small(take) -> list[np.ndarray]:
    return [image[::2, ::2] for image in take.images[:40:4]]


class Patient(Identity):
    """Keeps no record of what it was asked."""

    def __call__(self, faces, references, said, state):
        return faces.images, state


def kept(steps: Iterator, at: tuple[int, ...]) -> list[int]:
    """Bytes more in memory after each of these steps than after the one before."""
    sizes = []
    tracemalloc.start()
    try:
        for k, _ in enumerate(steps):
            if k in at:
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return np.diff(sizes).tolist()


def test_looking_for_faces_keeps_a_few_bytes_a_frame(take, tmp_path):
    video = Drawn(small(take), 120)
    with Search(tmp_path, FPS) as search:
        # the smaller of two equal stretches: a table of the interpreter's that happens to double is in one of them
        assert min(kept(map(search.add, video.forwards()), (20, 67, 114))) < 47 * 1000
        found = search.found()
    faces = choose_faces(found, FPS)
    assert video.most <= 2 and (faces.rows >= 0).mean() > 0.9
    assert isinstance(found.points, np.memmap) and sum(a.nbytes for a in (faces.rows, faces.places, faces.amounts)) < 100 * 120


def test_new_lips_for_ten_times_the_video_hold_no_more_pictures(tmp_path):
    images = [np.full((SIDE, SIDE, 3), 90, np.uint8)]  # where the face is is known
    points = np.array([(generic_face()[:, :2] - MIDDLE) * 500 + 64], np.float32)
    place = np.array([[64.0, 64.0, 500 * SIDE_M, 0.0]])
    speech, lips = tmp_path / "speech.wav", Patient()
    soundfile.write(speech, tone(10.0, 16000), 16000)
    listening, most = Listening(lips.hearing, Path(speech)), []
    for length in (24, 240):
        video = Drawn(images, length)
        faces = Faces(np.zeros(length, int), place.repeat(length, 0), np.zeros(length, int), np.ones(length), points)
        scene = Scene(video, faces, Timing(length, FPS, length / FPS), lips, listening, Blend(), "pass")
        frames = chain(synthesise(scene), repeat(None, 240 - length))
        assert sum(kept(frames, (20, 230))) < 8 * images[0].size  # for 210 frames; how many wait at a moment differs
        most.append(video.most)
    assert max(most) <= HELD_AT_MOST and video.held == 0
