"""An entry: one portrait, or one finished video of another system, with everything that a report shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from likeness.clip import Clip
from likeness.compare.maps import ErrorMap, error_map, layout
from likeness.compare.openings import openings
from likeness.compare.players import Sound, every_frame, film, slug
from likeness.compare.portraits import training_seconds
from likeness.errors import BadInput
from likeness.evaluate import Evaluation, Figures, evaluate, metrics
from likeness.evaluate.speaking import evaluate_speech
from likeness.portrait import Portrait

Image = UInt8[np.ndarray, "height width 3"]
SPOKEN = "sound"  # the row of an evaluation that is compared: what a listener gets
REFERENCES = ("real", "static", "nearest frame", "still frame")  # rows that stand beside others and are never ranked


@dataclass(frozen=True)
class Entry:
    """What is shown of one portrait or video."""

    name: str
    kind: Literal["portrait", "video"]
    row: str
    """The row of its evaluation that is ranked."""
    found: Evaluation
    """Without its pictures."""
    shown: dict[int, Image] = field(repr=False)
    """Pictures of that row, by frame of the clip."""
    opening: list[float | None]
    """Of the lips in these pictures, pixels of the stated size; and in the real ones."""
    real_opening: list[float | None]
    mouth: list[float]
    """PSNR of these pictures in the mouth box, dB."""
    errors: ErrorMap
    films: dict[str, Path] = field(default_factory=dict)
    """By the key of the sound."""
    portrait_bytes: int | None = None
    training_s: float | None = None
    """In the steps, as the run's log knows them."""
    spoken: Evaluation | None = None
    """Of other sounds, a row each, without its pictures; None where there are none, and for videos."""

    @property
    def figures(self) -> Figures:
        """What is ranked."""
        return self.found[self.row]

    @property
    def intervals(self) -> dict[str, dict[str, list[float]]]:
        """Row, field, [low, high]; empty where the evaluation tells none."""
        return self.found.as_json().get("intervals") or {}

    @property
    def missing(self) -> dict[str, str]:
        """By measure: why the evaluation could not take it."""
        return self.found.as_json().get("missing") or {}

    @property
    def checks(self) -> dict[str, dict[str, Any]]:
        """By name: what the evaluation checks besides its figures, and whether it `passed`."""
        return self.found.as_json().get("checks") or {}

    @property
    def size(self) -> int:
        """Side of its pictures in pixels."""
        return self.found.size

    def as_json(self) -> dict[str, Any]:
        """Everything but pictures."""
        return {
            "name": self.name,
            "kind": self.kind,
            "row": self.row,
            "portrait_bytes": self.portrait_bytes,
            "training_steps_s": self.training_s,
            "opening_px": self.opening,
            "mouth_psnr": self.mouth,
            "mean_error_by_region": self.errors.regions,
            "videos": {key: path.name for key, path in self.films.items()},
            "evaluation": self.found.as_json(),
            "speech": None if self.spoken is None else self.spoken.as_json(),
        }


@dataclass(frozen=True)
class Failure:
    """A method or video that could not be compared."""

    name: str
    work: str
    """What was being done."""
    error: Exception

    @property
    def text(self) -> str:
        """In words."""
        return str(self.error) or type(self.error).__name__

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "while": self.work, "kind": type(self.error).__name__, "error": self.text}


def entry_of_portrait(name: str, portrait: Portrait, path: Path, clip: Clip, sounds: Sequence[Sound], videos: Path) -> Entry:
    """Evaluate a portrait by each sound: the clip's own, and those from files, which have no reference. Raises what these
    evaluations raise."""
    entry = _entry(name, "portrait", evaluate(portrait, clip), SPOKEN, clip)
    files = [sound.file for sound in sounds if sound.file is not None]
    spoken = evaluate_speech(portrait, clip, files) if files else None
    films = {}
    for sound in sounds:
        own = every_frame(entry.shown, *span(clip))
        pictures = own if spoken is None or sound.file is None else spoken.pictures[sound.row]
        films[sound.key] = film(video_path(videos, sound.key, name), pictures, sound, f"{name}, {sound.key}")
    return replace(
        entry,
        films=films,
        spoken=None if spoken is None else replace(spoken, pictures={}),
        portrait_bytes=path.stat().st_size,
        training_s=training_seconds(path),
    )


def entry_of_video(name: str, path: Path, clip: Clip, sound: Sound, videos: Path) -> Entry:
    """Measure a finished video of the clip's held-out part by another system. Raises what `evaluate_video` does, and BadInput
    where it shows other frames."""
    from likeness.evaluate.finished import evaluate_video  # only where there is such a video

    found = evaluate_video(path, clip)
    rows = [row.row for row in found.table if row.row in found.pictures and row.row not in REFERENCES]
    if len(rows) != 1:
        raise BadInput(f"{path}: its evaluation has the rows {', '.join(rows) or 'none'} instead of one.")
    if not set(found.frames) <= {int(t) for t in clip.test}:
        first, stop = span(clip)
        raise BadInput(f"{path}: does not show the frames {first} to {stop - 1}, on which the others are measured.")
    entry = _entry(name, "video", found, rows[0], clip)
    made = film(video_path(videos, sound.key, name), every_frame(entry.shown, *span(clip)), sound, f"{name}, {sound.key}")
    return replace(entry, films={sound.key: made})


def real_film(clip: Clip, size: int, sound: Sound, videos: Path) -> Path:
    """The held-out frames as they were."""
    shown = {int(t): clip.image(int(t), size) for t in clip.test}
    return film(video_path(videos, sound.key, "real"), every_frame(shown, *span(clip)), sound, f"real, {sound.key}")


def span(clip: Clip) -> tuple[int, int]:
    """The clip's frames from the first held-out one to behind the last."""
    return int(clip.test[0]), int(clip.test[-1]) + 1


def video_path(folder: Path, key: str, name: str) -> Path:
    """Where the video of a sound by a name is kept."""
    return folder / f"{key}-{slug(name)}.mp4"


def real_points(clip: Clip, frames: list[int], size: int) -> Iterator[np.ndarray]:
    """The tracked landmarks of real frames in pixels of pictures of `size`²."""
    scale = size / clip.camera.size[0]
    return (clip.pixels[t].double().numpy() * scale for t in frames)


def _entry(name: str, kind: Literal["portrait", "video"], found: Evaluation, row: str, clip: Clip) -> Entry:
    drawn, real, frames = found.pictures[row], found.pictures["real"], found.frames
    points = list(real_points(clip, frames, found.size))
    boxes = [metrics.mouth_box(p, found.size) for p in points]
    return Entry(
        name=name,
        kind=kind,
        row=row,
        found=replace(found, pictures={}),
        shown=dict(zip(frames, drawn, strict=True)),
        opening=openings(drawn),
        real_opening=list(found.curves["opening"]) if "opening" in found.curves else openings(real),
        mouth=[metrics.psnr(a, b, box) for a, b, box in zip(drawn, real, boxes)],
        errors=error_map(drawn, real, points, layout(clip)),
    )


def row_values(figures: Figures) -> dict[str, float | None]:
    """The figures of a row by field."""
    return {name: value for name, value in asdict(figures).items() if name != "row"}
