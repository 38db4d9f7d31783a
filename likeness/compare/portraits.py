"""The portraits of a comparison: one file for each method and its settings, made once and then used again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likeness import methods
from likeness.clip import Clip
from likeness.errors import BadInput, LikenessError
from likeness.nn.adaptation.speaker import Speaker
from likeness.nn.performing import Performer
from likeness.portrait import Portrait


@dataclass(frozen=True)
class Settings:
    """What all portraits of a comparison are trained with."""

    preset: str = "fast"
    size: int = 256
    seed: int = 0
    motion: str = ""
    """Origin of the generator of motion that speaks for the person, too."""

    def file(self, method: str) -> str:
        """The name of a portrait file."""
        moved = f"-{self.motion}" if self.motion else ""
        return f"{method.replace('_', '-')}-{self.preset}-{self.size}-{self.seed}{moved}.portrait"


def portrait_of(
    clip: Clip, folder: Path, method: str, settings: Settings, motion: Path | None, say: Callable[[str], None]
) -> tuple[Portrait, Path]:
    """The portrait of a clip by a method, from `folder` where a finished one of the same clip and settings lies there; else
    trained, going on where an earlier training was cut off. Raises what `methods.train` does."""
    name = method.replace("_", "-")
    path = folder / settings.file(method)
    config = config_of(method, settings)
    if path.is_file():
        try:
            made = methods.load(path)
        except LikenessError as error:  # of another version, or damaged: a new one takes its place where it may
            say(f"{name}: trained again, since {error}")
        else:
            same = made.method == method and _same(asdict(made.config), asdict(config)) and origin(made) == settings.motion
            if same and _of_clip(made, clip):
                say(f"{name}: {path.name} is finished and used again")
                return made, path
            say(f"{name}: trained again, since {path.name} is of another clip or of other settings")
    else:
        say(f"{name}: training")
    made = methods.train(clip, path, method, preset=settings.preset, size=settings.size, seed=settings.seed, motion=motion)
    return made, path


def origin(portrait: Portrait) -> str:
    """Of the generator of motion that speaks for the person; empty where there is none."""
    voice = portrait.voice if isinstance(portrait, Performer) else None
    return voice.generator.origin if isinstance(voice, Speaker) else ""


def config_of(method: str, settings: Settings) -> Any:
    """A method's settings. Raises BadInput for a method or preset that there is not."""
    try:
        return methods.get(method).preset(settings.preset, size=settings.size, seed=settings.seed)
    except ValueError as error:
        raise BadInput(f"{error}. Name the methods to be compared, or choose another preset.") from error


def _same(held: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether settings are equal once they went through a file, where a tuple is a list."""
    return json.loads(json.dumps(held)) == json.loads(json.dumps(wanted))


def _of_clip(portrait: Portrait, clip: Clip) -> bool:
    """Whether a portrait performs this clip's own take before its background: only a training on it makes one that does."""
    stage, size = portrait.stage, portrait.stage.camera.size[0]
    own = clip.motion.pose[clip.take]
    same_motion = stage.motion.pose.shape == own.shape and bool((stage.motion.pose == own).all())
    return same_motion and bool(np.array_equal(stage.background.numpy(), clip.plate(size)))


def training_seconds(portrait: Path) -> float | None:
    """Seconds in the steps of the training that made a portrait, from its run's log; None where there is no log.

    What a cut-off training did after its last checkpoint is not counted, nor what lies outside the steps: fitting rig and
    torso, settling, writing.
    """
    path = portrait.with_name(portrait.name + ".run") / "log.jsonl"
    if not path.is_file():
        return None
    spent: dict[str, dict[int, float]] = {}
    last = ("", 0.0)
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
            stage, step, seconds = str(row["stage"]), int(row["step"]), float(row["seconds"])
        except (ValueError, KeyError, TypeError):  # the line at which a process was killed
            continue
        known = spent.get(stage, {})
        if known and step <= min(known) and stage == next(iter(spent)):
            spent = {}  # another training of the same file began
        spent[stage] = {at: took for at, took in spent.get(stage, {}).items() if at < step}  # later ones are done again
        went_on = last[0] == stage and seconds >= last[1]
        spent[stage][step] = seconds - last[1] if went_on else seconds
        last = (stage, seconds)
    return sum(sum(steps.values()) for steps in spent.values()) if spent else None
