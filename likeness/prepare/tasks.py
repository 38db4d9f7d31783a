"""What runs beside the main process: parsing (two workers share the frames) and speech features."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from likeness.clip import read_picture
from likeness.files import unwritable
from likeness.prepare.parsing import Parser, parse_frames
from likeness.prepare.pictures import write_arrays

CHUNK = 100  # frames parsed in one go: what is lost at most when a run is killed
CONTEXT = 2  # frames either side that the temporal filter of parsing looks at
FIT = 12  # frames that the parser learns a person's colours from
FEATURES = ("mel", "phones")

Advance = Callable[[int], None]


def learn_parser(folder: Path) -> None:
    """Write steps/parser.npz, from seen frames spread over the clip."""
    with np.load(folder / "steps" / "frames.npz") as held:
        seen, pixels = np.flatnonzero(held["seen"]), held["pixels"]
    chosen = np.unique(seen[np.linspace(0, len(seen) - 1, FIT).round().astype(int)])
    images = [read_picture(folder / f"frames/{t:06d}.jpg") for t in chosen]
    state = Parser.fit(images, [pixels[t] for t in chosen]).state()
    write_arrays(folder / "steps" / "parser.npz", state)


def parse_share(arguments: dict[str, Any], advance: Advance) -> dict[str, Any]:
    """Write parts.partial/*.png for every `of`-th chunk from chunk `share` on. What is there already stays.

    Arguments: folder, frames (how many), breaks (cuts and jumps), share, of.
    """
    cv2.setNumThreads(1)
    folder, frames, breaks = Path(arguments["folder"]), arguments["frames"], arguments["breaks"]
    with np.load(folder / "steps" / "parser.npz") as state:
        parser = Parser.from_state({key: state[key] for key in state.files})
    with np.load(folder / "steps" / "frames.npz") as held:
        seen, pixels = held["seen"], held["pixels"]

    def read(start: int, stop: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for t in range(start, stop):
            yield read_picture(folder / f"frames/{t:06d}.jpg"), pixels[t] if seen[t] else None

    for start in range(arguments["share"] * CHUNK, frames, arguments["of"] * CHUNK):
        stop = min(start + CHUNK, frames)
        paths = [folder / "parts.partial" / f"{t:06d}.png" for t in range(start, stop)]
        if all(path.is_file() for path in paths):
            advance(stop - start)
            continue
        first, last = max(0, start - CONTEXT), min(frames, stop + CONTEXT)
        edges = [b - first for b in breaks if first < b < last]
        for t, parts in enumerate(parse_frames(read(first, last), parser, edges), first):
            if start <= t < stop:
                _write_png(paths[t - start], parts)
                advance(1)
    return {}


def _write_png(path: Path, parts: np.ndarray) -> None:
    encoded = cv2.imencode(".png", parts, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    partial = path.with_suffix(".partial")
    try:
        partial.write_bytes(encoded.tobytes())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def make_sound(arguments: dict[str, Any], advance: Advance) -> dict[str, Any]:
    """Write steps/sound.wav (16 kHz) and steps/<name>.npy for both features: not yet moved, not yet cut to the frames.

    Arguments: sound (any file with sound), folder, seconds (how much of it is wanted).
    """
    from likeness import audio, speech

    folder = Path(arguments["folder"])
    waveform = audio.load(arguments["sound"])[: int(arguments["seconds"] * audio.RATE)]
    audio.save_wav(folder / "steps" / "sound.wav", waveform)
    for name in FEATURES:
        features = np.asarray(speech.extract(name, waveform), np.float32)
        save_array(folder / "steps" / f"{name}.npy", features)
        advance(1)
    return {"seconds": len(waveform) / audio.RATE}


def save_array(path: Path, array: np.ndarray) -> None:
    """An .npy, whole or not at all. Raises Exhausted on a full disk."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.npy")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(partial, array, allow_pickle=False)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from error
