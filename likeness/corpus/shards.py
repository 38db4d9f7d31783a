"""A shard: some clips' samples in one .tar, as WebDataset lays it out, and what became of every clip.

    __header__/header.json   format, version, split, points, recipes, clips [{id, video, speaker, seconds,
                             samples [[key, frames] ...], skipped (why, or ""), notes}]
    __header__/shapes.npy    [samples K 3], the mean face of each sample, in their order
    <key>.json               speaker, video, start, offset, margin, clear
    <key>.npz                the arrays, see `likeness.corpus`

WebDataset skips members within `__..__`. Written once, whole or not at all; nothing else says which clips are done.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from likeness.errors import BadInput, Refused
from likeness.files import unwritable

FORMAT, VERSION = "likeness-corpus", 1
HEADER, SHAPES = "__header__/header.json", "__header__/shapes.npy"
VAL, TEST = 0.1, 0.1
"""Shares of the speakers."""
UNREADABLE = (OSError, ValueError, KeyError, EOFError, tarfile.TarError, zipfile.BadZipFile)


def split_of(speaker: str) -> str:
    """train, val or test, from the speaker's name alone: the same in every corpus, on every machine.

    Case and Unicode's ways of writing the same letters do not matter."""
    name = unicodedata.normalize("NFKC", speaker).casefold()
    place = int.from_bytes(hashlib.sha256(f"likeness corpus split 1|{name}".encode()).digest()[:8], "big") / 2**64
    return "test" if place < TEST else "val" if place < TEST + VAL else "train"


def write_shard(
    path: Path, header: dict[str, Any], shapes: list[np.ndarray], samples: Iterable[tuple[str, bytes, bytes]]
) -> None:
    """Write a shard; `samples` are (key, JSON, npz) in the order of `shapes`. Raises Exhausted on a full disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    points = header["points"]
    held = io.BytesIO()
    np.save(held, np.stack(shapes).astype(np.float32) if shapes else np.zeros((0, points, 3), np.float32))
    try:
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            _add(tar, HEADER, json.dumps({"format": FORMAT, "version": VERSION} | header).encode())
            _add(tar, SHAPES, held.getvalue())
            for key, text, arrays in samples:
                _add(tar, f"{key}.json", text)
                _add(tar, f"{key}.npz", arrays)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """A member without a date: the same content makes the same file."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def read_header(path: Path) -> dict[str, Any]:
    """header.json, from the first bytes. Raises BadInput where it is damaged, Refused for another version's."""
    with _opened(path) as tar:
        header = json.loads(_read(tar, HEADER))
        if header["format"] != FORMAT:
            raise ValueError("no shard of a corpus")
        if header["version"] != VERSION:
            raise Refused(f"{path}: a shard of version {header['version']}, this is version {VERSION}. Make the corpus anew.")
    return header


def read_shapes(path: Path) -> Float[np.ndarray, "samples points 3"]:
    """shapes.npy. Raises BadInput where it is damaged."""
    with _opened(path) as tar:
        _read(tar, HEADER)
        return np.load(io.BytesIO(_read(tar, SHAPES)), allow_pickle=False)


def members(path: Path) -> Iterator[tuple[str, bytes, bytes]]:
    """(key, JSON, npz) of each sample. Raises BadInput where the shard is damaged or cut short."""
    with _opened(path) as tar:
        keys = [key for clip in json.loads(_read(tar, HEADER))["clips"] for key, _ in clip["samples"]]
        _read(tar, SHAPES)
        for key in keys:
            yield key, _read(tar, f"{key}.json"), _read(tar, f"{key}.npz")
            tar.members = []  # the list of what was read would grow


def decoded(path: Path, key: str, text: bytes, content: bytes) -> dict[str, Any]:
    """A member as a sample, as it is stored. Raises BadInput where it is damaged."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            return {"key": key} | json.loads(text) | {name: held[name] for name in held.files}
    except UNREADABLE as error:
        raise _damaged(path, error) from error


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """A shard for reading; what is wrong with it is said once, here."""
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except UNREADABLE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput(f"{path}: damaged ({error}). Delete it and run `likeness corpus` again: its clips are made anew.")


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    """The content of the member that has to come next."""
    member = tar.next()
    if member is None or member.name != name or (file := tar.extractfile(member)) is None:
        raise ValueError(f"{name} is not where it should be")
    content = file.read()
    if len(content) != member.size:
        raise ValueError(f"{name} is cut short")
    return content
