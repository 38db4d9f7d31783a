"""The demo: a drawn actor becomes a portrait that says something new. No real face and no download."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from likeness import audio
from likeness.actor import Actor
from likeness.animate import portrait_of
from likeness.evaluate import Evaluation, evaluate
from likeness.evaluate.sheet import contact_sheet
from likeness.files import write_atomically
from likeness.speak import speak

TRAIN_TAKE, NEW_TAKE = 1, 2  # seeds: what the portrait learns from, and what it has never heard
NEW_SECONDS = 10.0


@dataclass(frozen=True)
class Made:
    """What a demo left."""

    video: Path
    sheet: Path
    figures: Evaluation
    seconds: dict[str, float]
    """How long each part took."""


def demo(out: Path, size: int = 256, seconds: float = 30.0, seed: int = 0) -> Made:
    """Make actor.mp4, its clip and portrait, demo.mp4 (new sound), sheet.png and figures.json in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    spent: dict[str, float] = {}

    def done(name: str) -> None:
        spent[name] = round(time.monotonic() - began - sum(spent.values()), 1)

    actor = Actor(seed)
    name = f"actor-{seed}-{seconds:g}s"
    video, sound = out / f"{name}.mp4", out / "new-speech.wav"
    if not video.is_file():
        actor.perform(seconds, TRAIN_TAKE, size=512).write(video)
    new = actor.perform(NEW_SECONDS, NEW_TAKE, size=size)
    audio.save_wav(sound, new.waveform, new.rate)
    done("actor_s")
    clip, portrait = portrait_of(video, out / name, size=size, seed=seed)
    done("prepare_and_train_s")
    path = speak(portrait, sound).save(out / "demo.mp4")
    done("speak_s")
    found = evaluate(portrait, clip)
    contact_sheet(found, out / "sheet.png")
    done("evaluate_s")
    write_atomically(out / "figures.json", json.dumps(found.as_json() | {"seconds": spent}, indent=1).encode())
    return Made(path, out / "sheet.png", found, spent)
