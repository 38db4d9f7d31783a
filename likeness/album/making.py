"""Stretches of a video become pages: the face followed and its square laid as `dub` does it, then cut out and stored.

The pictures are read twice: where the face is (its square is steady over the whole scene), then the crops. Landmarks wait on
the disk and a page is written when its last frame is there, so memory does not grow with the video's length.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from likeness.album.pages import MARGIN, QUALITY, WHOLE, Page, encoded, write_page
from likeness.audio import ROWS_PER_FRAME
from likeness.corpus import Split
from likeness.dub import faces as squares
from likeness.dub.crop import Place, cut_out
from likeness.dub.faces import Faces, choose_faces
from likeness.dub.tracks import Search
from likeness.video import FPS

SHORTEST, LONGEST = 32, 500
"""Frames of a page, as of a corpus' samples: 1.28 s, and 20 s, of which a page of 320 pixels takes 25 MB."""
SIDES = (160, 320)
"""Of stored crops, pixels: they show the square at 128 and at 256."""
LARGE = 200.0  # source pixels of the square from which there is detail to keep at 256
RECIPE = (
    f"square of {squares.SIDE} m round {squares.MIDDLE} on the mean face, steady below {squares.CUTOFF_HZ} Hz, "
    f"margin {MARGIN}, {SIDES[0]} or, from {LARGE:g} pixels, {SIDES[1]}, JPEG 4:4:4 {QUALITY}; 1"
)
"""How everything in an album was made: pages made in another way do not go into the same."""
Image = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Sitting:
    """Pictures of one person."""

    pictures: Callable[[], Iterable[Image]]
    """All of them in order, 25 a second, each time it is called."""
    name: str
    """What the keys of its pages begin with."""
    speaker: str
    split: Split
    origin: int = 0
    """The number of the first picture."""
    enlarged: float | int = 1.0
    """By how much the pictures were made larger than the video was."""


@dataclass(frozen=True)
class Stretch:
    """What of it is wanted."""

    start: int
    frames: int
    features: dict[str, Float[np.ndarray, "rows dim"]]
    """Those of its frames: all of `pages.FEATURES`, and `audio.SOUND` where pages are to hold it."""


@dataclass(frozen=True)
class _Piece:
    """What becomes a page: frames start .. stop-1 with the face, and their features."""

    start: int
    stop: int
    features: dict[str, Float[np.ndarray, "rows dim"]]


def make_pages(sitting: Sitting, stretches: Iterable[Stretch], folder: Path) -> Iterator[Page]:
    """Write the pages of an album in `folder`, and yield each when it is there. `stretches` come in order and apart.

    Frames in which the face is not seen, and cuts, end a page; what is then shorter than SHORTEST is left out.
    Raises BadInput where there is no face at all or nothing can be read, Exhausted on a full disk.
    """
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work:
        with Search(Path(work), FPS) as search:
            for image in sitting.pictures():
                search.add(image)
            found = search.found()
        faces = choose_faces(found, FPS)
        pictures = enumerate(sitting.pictures())
        for stretch in stretches:
            for piece in _pieces(stretch, faces, sitting.origin):
                yield _make(piece, sitting, faces, pictures, folder)


def _pieces(stretch: Stretch, faces: Faces, origin: int) -> Iterator[_Piece]:
    """Its parts in which the face is followed without a break, in equal parts no longer than LONGEST."""
    first = stretch.start - origin
    numbers = faces.stretches[first : first + stretch.frames]
    edges = np.flatnonzero(np.diff(np.r_[-2, numbers, -2]))
    for a, b in pairwise(edges.tolist()):
        if numbers[a] < 0:
            continue
        count = math.ceil((b - a) / LONGEST)
        for start, stop in pairwise(a + round((b - a) * i / count) for i in range(count + 1)):
            if stop - start >= SHORTEST:
                rows = slice(start * ROWS_PER_FRAME, stop * ROWS_PER_FRAME)
                features = {name: held[rows] for name, held in stretch.features.items()}
                yield _Piece(first + start, first + stop, features)


def _make(piece: _Piece, sitting: Sitting, faces: Faces, pictures: Iterator[tuple[int, Image]], folder: Path) -> Page:
    """Write a page; `pictures` go on to its end."""
    native = float(np.median(faces.places[piece.start : piece.stop, 2])) / sitting.enlarged
    side = SIDES[native >= LARGE]
    jpegs, points = [], np.empty((piece.stop - piece.start, 478, 2), np.float32)
    for t, image in pictures:
        if t >= piece.start:
            place = faces.place(t)
            points[t - piece.start] = place.to_crop(faces.landmarks(t), 1)
            jpegs.append(encoded(cut_out(image, Place(place.x, place.y, WHOLE * place.side, place.turn), side)))
        if t + 1 == piece.stop:
            break
    key = f"{sitting.name}-{sitting.origin + piece.start:07d}"
    path = folder / "pages" / f"{key}.safetensors"
    page = Page(path, sitting.speaker, key, sitting.split, len(jpegs), side, round(native, 1))
    write_page(page, RECIPE, jpegs, points, piece.features)
    return page
