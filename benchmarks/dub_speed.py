"""Where the time of a dubbed video goes, stage by stage, and how fast the base face alone is.

    python -m benchmarks.dub_speed LIPS VIDEO SPEECH [--seconds 10]      prints, and writes benchmarks/results/dub_speed.json

Stages are timed where they are called, by the clock of the wall in the thread that they run in. Reading, drawing and encoding
go on side by side, so that stages together take longer than the whole.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch

from benchmarks.dubbing import cut
from benchmarks.machine import machine
from likeness import audio
from likeness.dub import dub
from likeness.dub.footage import Footage
from likeness.dub.tracks import Search
from likeness.methods.hyperlips import load_lips
from likeness.methods.hyperlips.dubbing import HyperLips
from likeness.nn.hyper.bank import Bank
from likeness.nn.hyper.cues import Cues
from likeness.nn.hyper.generator import BaseGenerator
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.refiner import Refiner
from likeness.nn.hyper.settings import GUIDES, SHAPE, SIDE
from likeness.prepare.landmarks import FaceMesh
from likeness.video import Writer, probe

RESULTS = Path(__file__).parent / "results" / "dub_speed.json"
ROUNDS = 12
STAGES = {
    "first pass: finding and following faces": (Search, "add"),
    "cutting out": ("likeness.dub.synthesis", "cut_out"),
    "lips: all": (HyperLips, "__call__"),
    "lips: warping references": (Bank, "picture"),
    "lips: shapes from sound": (LipNet, "foretold"),
    "lips: base face, 128 x 128": (BaseGenerator, "forward"),
    "lips: detail": (Refiner, "forward"),
    "face mesh of new faces": (FaceMesh, "__call__"),
    "pasting": ("likeness.dub.synthesis", "paste"),
    "encoding": (Writer, "write"),
}
NESTED = {"face mesh of new faces": "first pass: finding and following faces"}
"""The mesh works in both passes; in the first it is part of the following."""


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inside: set[str] = set()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            if NESTED.get(name) in self._inside:
                return function(*args, **kwargs)
            began = time.perf_counter()
            self._inside.add(name)
            try:
                return function(*args, **kwargs)
            finally:
                self._inside.discard(name)
                self.spent[name] += time.perf_counter() - began

        return called

    @contextmanager
    def watching(self) -> Iterator[None]:
        patches = []
        for name, (where, what) in STAGES.items():
            place = import_module(where) if isinstance(where, str) else where
            patches.append(mock.patch.object(place, what, self.timed(name, getattr(place, what))))
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


def base_alone(net: LipNet, threads: int, frames: int) -> float:
    """Frames a second of stage 1, so many at a time."""
    torch.set_num_threads(threads)
    draw = torch.Generator().manual_seed(0)
    crops, references = (torch.rand(1, frames, 3, SIDE, SIDE, generator=draw) for _ in range(2))
    sound = torch.rand(1, frames, net.settings.columns, 20, generator=draw)
    guides = torch.randn(1, frames, SHAPE, generator=draw), torch.rand(1, frames, GUIDES, SIDE, SIDE, generator=draw)
    took, state = [], ()
    with torch.inference_mode():
        for _ in range(ROUNDS):
            began = time.perf_counter()
            _, state = net.base(crops, references, Cues(sound, *guides), state)
            took.append(time.perf_counter() - began)
    return frames / median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lips", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    lips, threads = load_lips(given.lips), torch.get_num_threads()
    told: dict[str, Any] = {"machine": machine(), "seconds": given.seconds}
    with TemporaryDirectory() as folder:
        video, sound = cut(given.video, Path(folder) / "video.mp4", given.seconds), Path(folder) / "speech.wav"
        audio.save_wav(sound, audio.load(given.speech)[: round(given.seconds * audio.RATE)], audio.RATE)
        source = probe(video)
        told["video"] = {"width": source.width, "height": source.height, "fps": source.fps}
        dub(video, sound, Path(folder) / "warm.mp4", lips, say=lambda _: None)
        clock, began = Clock(), time.perf_counter()
        with clock.watching():
            done = dub(video, sound, Path(folder) / "out.mp4", lips, say=lambda _: None)
        whole = time.perf_counter() - began
        began = time.perf_counter()
        read = sum(1 for _ in Footage(video).forwards())
        decoding = (time.perf_counter() - began) / read
    told |= {"frames": done.frames, "ms_a_frame": {"whole": round(1e3 * whole / done.frames, 1)}}
    told["ms_a_frame"] |= {"decoding, alone": round(1e3 * decoding, 1)}
    told["ms_a_frame"] |= {name: round(1e3 * clock.spent[name] / done.frames, 1) for name in STAGES}
    told["frames_a_second"] = {"whole": round(done.frames / whole, 1)}
    for cores in sorted({1, threads}):
        for frames in (1, 16):
            name = f"base face, {cores} threads, {frames} at a time"
            told["frames_a_second"][name] = round(base_alone(lips.net, cores, frames), 1)
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
