"""A worker's part of making a corpus: some clips in, one shard out. Knows nothing of Ray.

Each finished clip, also one that gave nothing, is put into staged/<id>.tar, whole or not at all: the mark that it is done.
When all of a batch are, they become shards/<split>-<name>.ready, which the process that leads puts in its place: only that
one makes shards, so a worker that was given up for lost, and works on, does no harm.
"""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness.corpus import shards
from likeness.errors import BadInput, Exhausted, LikenessError, MissingAsset
from likeness.files import unwritable
from likeness.gather.sources import Source
from likeness.gather.takes import RECIPES, Take, takes
from likeness.video import FPS

TRIES = 3
"""A clip that ended its worker so often in one run is left out: media libraries do crash on files made to."""
IN_MEMORY = 64 * 2**20  # bytes of a clip's samples; more wait on the disk


@dataclass(frozen=True)
class Batch:
    """What becomes one shard."""

    name: str
    split: str
    sources: tuple[Source, ...]

    def ready(self, folder: Path) -> Path:
        """Where the worker leaves it."""
        return folder / "shards" / f"{self.split}-{self.name}.ready"

    def place(self, folder: Path) -> Path:
        return folder / "shards" / f"{self.split}-{self.name}.tar"

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def of_text(text: str) -> Batch:
        held = json.loads(text)
        return Batch(held["name"], held["split"], tuple(Source(**source) for source in held["sources"]))


def do(row: dict[str, Any], folder: str, points: int) -> dict[str, Any]:
    """Make one batch's shard ready. Never raises what a user has to be told: the answer carries it."""
    batch = Batch.of_text(row["batch"])
    try:
        for source in batch.sources:
            stage(Path(folder), source, points)
        pack(Path(folder), batch, points)
    except LikenessError as error:
        return {"batch": row["batch"], "error": type(error).__name__, "message": str(error)}
    return {"batch": row["batch"], "error": "", "message": ""}


def staged(folder: Path, id: str) -> Path:
    """The mark that a clip is finished, and what it gave."""
    return folder / "staged" / f"{id}.tar"


def stage(folder: Path, source: Source, points: int) -> None:
    """Prepare one clip, unless that is done. Raises Exhausted, MissingAsset or BadInput for what is not the clip's fault."""
    path = staged(folder, source.id)
    if path.is_file() and shards.read_header(path)["clips"][0]["speaker"] == source.speaker:  # or the table was changed since
        return
    begun = path.with_suffix(".begun")  # a line for each try, with the process: what is left of a worker that was killed
    tries = len(begun.read_text().splitlines()) if begun.is_file() else 0
    clip: dict[str, Any] = {"id": source.id, "video": source.video, "speaker": source.speaker}
    clip |= {"seconds": 0.0, "samples": [], "skipped": "", "notes": []}
    try:
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as spool, open(begun, "a") as file:
            file.write(f"{os.getpid()}\n")
            file.flush()
            shapes: list[np.ndarray] = []
            if tries < TRIES:
                shapes = _prepare(source, points, clip, spool)
            else:
                clip["skipped"] = f"the process that read it was ended {tries} times; --again tries it once more"
            shards.write_shard(path, _header(points, [clip]), shapes, _spooled(spool, clip))
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        begun.unlink(missing_ok=True)


def _prepare(source: Source, points: int, clip: dict[str, Any], spool: Any) -> list[np.ndarray]:
    """Put a clip's samples into `spool` and what became of it into `clip`; return their mean faces."""
    shapes: list[np.ndarray] = []
    notes: list[str] = []
    who = re.sub("[^A-Za-z0-9_]+", "_", source.speaker)[:40]
    try:
        for take in takes(Path(source.video), points, notes):
            clip["samples"].append((f"{who}-{source.id}-{take.start:07d}", len(take)))
            shapes.append(take.arrays["shape"])
            for content in _members(source, take):
                spool.write(len(content).to_bytes(8, "big") + content)
    except (Exhausted, MissingAsset, OSError):
        raise
    except MemoryError as error:
        raise Exhausted(f"{source.video}: out of memory. Use fewer --workers.") from error
    except Exception as error:  # one strange file among a million must not end the rest: it is listed
        why = str(error).removeprefix(f"{source.video}: ")
        clip["skipped"] = why if isinstance(error, BadInput) else f"failed: {type(error).__name__}: {why}"
    if not shapes and not clip["skipped"]:
        clip["skipped"] = "; ".join(notes)
    if clip["skipped"]:
        clip["samples"], shapes = [], []
    clip |= {"seconds": round(sum(length for _, length in clip["samples"]) / FPS, 2), "notes": notes}
    return shapes


def _members(source: Source, take: Take) -> tuple[bytes, bytes]:
    """JSON and npz of a sample."""
    said = {"speaker": source.speaker, "video": source.video, "start": take.start}
    said |= {"offset": round(take.offset.frames, 3), "margin": round(take.offset.margin, 4), "clear": bool(take.offset.clear)}
    held = io.BytesIO()
    np.savez(held, **take.arrays)
    return json.dumps(said).encode(), held.getvalue()


def _spooled(spool: Any, clip: dict[str, Any]) -> Iterator[tuple[str, bytes, bytes]]:
    """The samples again."""
    spool.seek(0)
    for key, _ in clip["samples"]:
        text, arrays = (spool.read(int.from_bytes(spool.read(8), "big")) for _ in range(2))
        yield key, text, arrays


def _header(points: int, clips: list[dict[str, Any]]) -> dict[str, Any]:
    return {"points": points, "recipes": RECIPES, "clips": clips}


def pack(folder: Path, batch: Batch, points: int) -> None:
    """Put the staged clips of a batch into one shard, ready to be put in its place."""
    paths = [staged(folder, source.id) for source in batch.sources]
    clips = [shards.read_header(path)["clips"][0] for path in paths]
    shapes = [shape for path in paths for shape in shards.read_shapes(path)]
    samples = (member for path in paths for member in shards.members(path))
    shards.write_shard(batch.ready(folder), _header(points, clips) | {"split": batch.split}, shapes, samples)
