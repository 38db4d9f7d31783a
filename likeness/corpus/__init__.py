"""Corpus: many clips of many people, as motion and speech features without pictures; read as a stream.

A corpus is a folder (version 1), made by `likeness corpus` (`likeness.gather`):

    corpus.json            format "likeness-corpus", version, points (478 or 68), recipes {what: how it was made}
    shards/<split>-<name>.tar   samples, in WebDataset's layout, and what became of each clip, see `likeness.corpus.shards`
    index.json, shapes.npy what all shards hold together and each person's mean face; made from the shards, may be deleted
    skipped.csv            videos that gave nothing, and why; likewise
    staged/                clips that are finished but in no shard yet

A sample is a stretch of one video in which one face is seen in every frame, 32 to 500 frames at 25 a second, with its sound
in step. `Corpus.stream` yields it as a dictionary:

    key, speaker, video    text; start: frame of the video that it begins with
    moves   [T K 3]        displacement from the person's mean face, centimetres (`likeness.displacement`)
    shape   [K 3]          that mean face, over all clips of the person
    pose    [T 4 4]        camera-to-world of the head frame, metres
    eyes    [T]            opening, 0 closed to 1 open
    mel     [4T 80], phones [4T 42]   as `likeness.speech` makes them, not normalised
    f0      [4T]           hertz, 0 where unvoiced (`likeness.pitch`)
    offset, margin, clear  frames by which lips and sound differed in the video's part (corrected where `clear`), how far
                           that stands above other offsets, and whether it is far enough to be trusted

All arrays float32 (stored as float16 but for pose, shape and f0). A person is in one split only: by the name alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from torch.utils.data import IterableDataset, get_worker_info

from likeness.corpus import shards
from likeness.corpus.index import Index, Speaker, open_index
from likeness.displacement import pick_68
from likeness.errors import BadInput, Refused
from likeness.video import FPS

__all__ = ["FORMAT", "VERSION", "Corpus", "Sample", "Speaker", "Split", "Stream", "split_of"]

Split = Literal["train", "val", "test"]
Sample = dict[str, Any]
Member = tuple[Path, str, bytes, bytes]  # of a shard: key, JSON, npz
FORMAT, VERSION = shards.FORMAT, shards.VERSION
split_of = shards.split_of


class Corpus:
    """A corpus that was made; nothing is held but the index and one mean face a person, which is mapped from the disk."""

    def __init__(self, folder: Path, header: dict[str, Any], index: Index) -> None:
        self.folder = folder
        self.recipes: dict[str, str] = header["recipes"]
        self.points: int = header["points"]
        self._index = index

    @staticmethod
    def open(folder: str | os.PathLike) -> Corpus:
        """Open a corpus; the index is made anew when it does not agree with the shards.

        Raises BadInput when the folder is no corpus or damaged, Refused when another version made it.
        """
        folder = Path(folder)
        header = read_header(folder)
        return Corpus(folder, header, open_index(folder))

    @property
    def speakers(self) -> dict[str, Speaker]:
        """Who is in it, by name."""
        return self._index.speakers

    def shape(self, speaker: str) -> Float[np.ndarray, "points 3"]:
        """The mean face of a person, centimetres. Raises BadInput for somebody who is not in it."""
        if speaker not in self.speakers:
            raise BadInput(f"{self.folder}: there is no speaker {speaker!r}; there are {len(self.speakers)} others.")
        return np.array(self._index.shapes[self.speakers[speaker].row])

    def samples(self, split: Split) -> int:
        """How many samples a split has."""
        return sum(s.samples for s in self.speakers.values() if s.split == split)

    def hours(self, split: Split) -> float:
        """How much of it there is."""
        return sum(s.frames for s in self.speakers.values() if s.split == split) / FPS / 3600

    def stream(
        self,
        split: Split,
        *,
        points: Literal[68, 478] = 68,
        seed: int | None = 0,
        buffer: int = 256,
        part: tuple[int, int] = (0, 1),
        epochs: int | None = 1,
        skip: int = 0,
        without: frozenset[str] = frozenset(),
    ) -> Stream:
        """The samples of a split, see `Stream`. Raises BadInput for points that are not stored."""
        if points > self.points:
            raise BadInput(
                f"{self.folder}: was made with {self.points} landmarks a face; make it again with --points {points}."
            )
        return Stream(self, split, points, seed, buffer, part, epochs, skip, without)


@dataclass
class Stream(IterableDataset):
    """Samples of one split, one after the other, in constant memory; every one exactly once an epoch over all parts.

    Shards come in random order and samples are drawn from a buffer of `buffer` of them; the same `seed` gives the same
    order, each epoch another; None: as stored. `part` is (rank, ranks) of distributed training; a `DataLoader`'s workers
    share the part of their rank. With fewer shards than readers everybody reads all and takes every so many-th sample.
    `epochs` None: without end. `skip`: samples that each reader leaves out at the beginning, cheaply: of whole epochs nothing
    but the shards' headers is read, in the first that counts nothing is decoded. `without`: people who are left out.
    """

    corpus: Corpus
    split: Split
    points: Literal[68, 478]
    seed: int | None
    buffer: int
    part: tuple[int, int]
    epochs: int | None
    skip: int = 0
    without: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Sample]:
        epoch, left = 0, self.skip
        counts = self._counts() if left else {}
        while self.epochs is None or epoch < self.epochs:
            here = self._count(epoch, counts) if left else 0
            if left and here <= left:
                left -= here
            else:
                for path, key, text, content in islice(self._epoch(epoch), left, None):
                    yield self._finished(shards.decoded(path, key, text, content))
                    here += 1
                left = 0
            epoch += 1
            if self.epochs is None and not here and not self._ever():
                return

    def _ever(self) -> bool:
        """Whether a reader that got nothing in an epoch may get something in another: where shards are dealt out anew, and
        there is a sample at all."""
        people = self.corpus.speakers.items()
        left = any(s.samples for name, s in people if s.split == self.split and name not in self.without)
        return left and self.seed is not None and len(self._found()) >= self._readers()[0]

    def _counts(self) -> dict[Path, int]:
        """How many samples each shard has that are not left out."""
        clips = {path: shards.read_header(path)["clips"] for path in self._found()}
        return {p: sum(len(c["samples"]) for c in held if c["speaker"] not in self.without) for p, held in clips.items()}

    def _found(self) -> list[Path]:
        return sorted((self.corpus.folder / "shards").glob(f"{self.split}-*.tar"))

    def _readers(self) -> tuple[int, int]:
        """How many there are, and which this is."""
        worker = get_worker_info()
        workers, mine = (worker.num_workers, worker.id) if worker else (1, 0)
        return self.part[1] * workers, self.part[0] * workers + mine

    def _order(self, epoch: int) -> list[Path]:
        """All shards, in the order of this epoch."""
        found = self._found()
        if self.seed is None:
            return found
        return [found[place] for place in np.random.default_rng([self.seed, epoch]).permutation(len(found))]

    def _count(self, epoch: int, counts: dict[Path, int]) -> int:
        """How many samples this reader gets in an epoch."""
        order, (readers, mine) = self._order(epoch), self._readers()
        if len(order) >= readers:
            return sum(counts[path] for path in order[mine::readers])
        return len(range(mine, sum(counts.values()), readers))

    def _epoch(self, epoch: int) -> Iterator[Member]:
        order, (readers, mine) = self._order(epoch), self._readers()
        whole = len(order) >= readers
        every = 1 if whole else readers
        held = ((path, *member) for path in (order[mine::readers] if whole else order) for member in shards.members(path))
        wanted = (m for m in held if json.loads(m[2])["speaker"] not in self.without) if self.without else held
        taken = (member for number, member in enumerate(wanted) if whole or number % every == mine)
        if self.seed is None:
            return taken
        return _shuffled(taken, self.buffer, np.random.default_rng([self.seed, epoch, mine]))

    def _finished(self, sample: Sample) -> Sample:
        """Arrays as float32, displacement from the person's mean face in place of the stretch's own."""
        person = self.corpus.shape(sample["speaker"])
        moves = sample["moves"].astype(np.float32) + (sample["shape"] - person)
        pick = pick_68 if self.points == 68 else np.asarray
        arrays = {name: value.astype(np.float32) for name, value in sample.items() if isinstance(value, np.ndarray)}
        return sample | arrays | {"moves": pick(moves), "shape": pick(person)}


def _shuffled(samples: Iterator[Member], buffer: int, random: np.random.Generator) -> Iterator[Member]:
    """Each sample leaves when a later one takes its place; the rest in random order."""
    held: list[Member] = []
    for sample in samples:
        if len(held) < buffer:
            held.append(sample)
            continue
        place = int(random.integers(buffer))
        yield held[place]
        held[place] = sample
    for place in random.permutation(len(held)):
        yield held[place]


def read_header(folder: Path) -> dict[str, Any]:
    """corpus.json. Raises BadInput where it is missing or damaged, Refused for another version's."""
    path = folder / "corpus.json"
    if not path.is_file():
        raise BadInput(f"{folder}: not a corpus: it holds no corpus.json. Make one with `likeness corpus VIDEOS... CORPUS/`.")
    try:
        header = json.loads(path.read_text())
        known = header["format"] == FORMAT and {"version", "points", "recipes"} <= set(header)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}). Make the corpus again into another folder.") from error
    if not known:
        raise BadInput(f"{path}: not the header of a corpus. Make one with `likeness corpus VIDEOS... CORPUS/`.")
    if header["version"] != VERSION:
        raise Refused(f"{folder}: made as version {header['version']}, this is version {VERSION}. Choose another folder.")
    return header
