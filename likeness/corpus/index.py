"""What the shards of a corpus hold together: who is in it, each person's mean face, and which videos gave nothing.

index.json and shapes.npy only save reading every shard's header again; they are made anew whenever they do not name
exactly the shards that are there.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from likeness.corpus.shards import VERSION, read_header, read_shapes, split_of
from likeness.errors import BadInput
from likeness.files import write_atomically

FAR_CM = 0.2  # a stretch whose mean face is farther than this from the person's, point by point, counts for less


@dataclass(frozen=True)
class Speaker:
    """A person in a corpus."""

    split: str
    row: int
    """Of `shapes`."""
    clips: int
    samples: int
    frames: int


@dataclass(frozen=True)
class Index:
    """See the module docstring."""

    speakers: dict[str, Speaker]
    shapes: Float[np.ndarray, "speakers points 3"]


def open_index(folder: Path) -> Index:
    """The index of a corpus, made anew where it does not agree with the shards. Raises what `make_index` raises."""
    try:
        held = json.loads((folder / "index.json").read_text())
        if held["version"] == VERSION and held["shards"] == names(folder):
            speakers = {name: Speaker(**row) for name, row in held["speakers"].items()}
            shapes = np.load(folder / "shapes.npy", mmap_mode="r", allow_pickle=False)
            if len(shapes) == len(speakers):
                return Index(speakers, shapes)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        pass
    return make_index(folder)


def names(folder: Path) -> list[str]:
    """The shards that are there."""
    return sorted(path.name for path in (folder / "shards").glob("*.tar"))


def clips(folder: Path) -> Iterator[dict[str, Any]]:
    """What became of every clip, as the shards' headers have it."""
    for name in names(folder):
        yield from read_header(folder / "shards" / name)["clips"]


def _with_shapes(folder: Path) -> Iterator[tuple[dict[str, Any], Float[np.ndarray, "samples points 3"]]]:
    """Each clip and its samples' mean faces."""
    for name in names(folder):
        path, start = folder / "shards" / name, 0
        shapes = read_shapes(path)
        for clip in read_header(path)["clips"]:
            stop = start + len(clip["samples"])
            yield clip, shapes[start:stop]
            start = stop


def make_index(folder: Path) -> Index:
    """Read all headers, twice, and write index.json, shapes.npy and skipped.csv.

    A person's mean face is that of all their stretches by length; on the second reading those far from it count for less.
    Memory: 20 kB a person, 100 bytes a clip.
    Raises BadInput for a damaged shard or one clip in two of them, Exhausted on a full disk.
    """
    rows: dict[str, int] = {}
    counts: list[np.ndarray] = []  # clips, samples, frames
    skipped: dict[str, tuple[str, str, str]] = {}
    made: set[str] = set()
    total = Means()
    for clip, own in _with_shapes(folder):
        if clip["skipped"]:
            skipped[clip["id"]] = (clip["video"], clip["speaker"], clip["skipped"])
            continue
        if clip["id"] in made:
            raise BadInput(f"{folder}: {clip['video']} is in two shards. Delete one of those that name it, and index.json.")
        made.add(clip["id"])
        row = rows.setdefault(clip["speaker"], len(rows))
        if row == len(counts):
            counts.append(np.zeros(3, np.int64))
        counts[row] += (1, len(own), _lengths(clip).sum())
        total.add(row, own, _lengths(clip))
    near = Means(total.means())
    for clip, own in _with_shapes(folder):
        if not clip["skipped"]:
            near.add(rows[clip["speaker"]], own, _lengths(clip))
    speakers = {name: Speaker(split_of(name), row, *(int(n) for n in counts[row])) for name, row in rows.items()}
    index = Index(speakers, near.means())
    _write(folder, index, [row for id, row in skipped.items() if id not in made])
    return index


def _lengths(clip: dict[str, Any]) -> Int[np.ndarray, " samples"]:
    return np.array([length for _, length in clip["samples"]], np.int64)


class Means:
    """Running means of many people's faces; with `near`, rows far from those count for less (Huber, FAR_CM)."""

    def __init__(self, near: np.ndarray | None = None) -> None:
        self._near = near
        self._sum: list[np.ndarray] = []
        self._weight: list[np.ndarray] = []

    def add(self, row: int, shapes: Float[np.ndarray, "samples points 3"], weights: Int[np.ndarray, " samples"]) -> None:
        """Faces of the person `row`; rows come in order for the first time."""
        share = np.repeat(weights[:, None].astype(np.float64), shapes.shape[1], 1)
        if self._near is not None:
            distance = np.linalg.norm(shapes - self._near[row], axis=-1)
            share = share * np.minimum(1.0, FAR_CM / np.maximum(distance, 1e-9))
        total, weight = (share[..., None] * shapes).sum(0), share.sum(0)
        if row == len(self._sum):
            self._sum.append(total)
            self._weight.append(weight)
        else:
            self._sum[row] += total
            self._weight[row] += weight

    def means(self) -> Float[np.ndarray, "speakers points 3"]:
        """[0 0 3] where nobody is in it."""
        if not self._sum:
            return np.zeros((0, 0, 3), np.float32)
        means = [total / weight[:, None] for total, weight in zip(self._sum, self._weight)]
        return np.stack(means).astype(np.float32)


def _write(folder: Path, index: Index, skipped: list[tuple[str, str, str]]) -> None:
    shapes = io.BytesIO()
    np.save(shapes, np.asarray(index.shapes))
    write_atomically(folder / "shapes.npy", shapes.getvalue())
    table = io.StringIO()
    csv.writer(table).writerows([("video", "speaker", "why"), *sorted(skipped)])
    write_atomically(folder / "skipped.csv", table.getvalue().encode("utf-8", "surrogateescape"))
    speakers = {name: asdict(speaker) for name, speaker in index.speakers.items()}
    held = {"version": VERSION, "shards": names(folder), "speakers": speakers}
    write_atomically(folder / "index.json", json.dumps(held).encode())
