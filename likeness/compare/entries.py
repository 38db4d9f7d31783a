"""An entry: one portrait, or one finished video of another system, with everything that a report shows of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from likeness.clip import Clip
from likeness.compare.maps import ErrorMap, error_map, layout
from likeness.compare.players import Sound, every_frame, film, slug
from likeness.compare.portraits import training_seconds
from likeness.compare.terms import Terms, terms_of
from likeness.errors import BadInput
from likeness.evaluate import FEWEST, Evaluation, Figures, evaluate, metrics
from likeness.evaluate.experts import Experts
from likeness.evaluate.finished import THEIRS, evaluate_video, showing
from likeness.evaluate.rows import judged
from likeness.evaluate.speaking import evaluate_speech
from likeness.portrait import Portrait

Image = UInt8[np.ndarray, "height width 3"]
SPOKEN = "sound"  # the row of an evaluation that is compared: what a listener gets


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
    def terms(self) -> Terms:
        """What it must share with others to be ranked with them."""
        return terms_of(self.found)

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
    """A method or video that could not be compared, or not in all that was wanted of it."""

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


def entry_of_portrait(
    name: str, portrait: Portrait, path: Path, clip: Clip, sound: Sound, videos: Path, experts: Experts
) -> Entry:
    """Evaluate a portrait by the clip's own sound. Raises what `evaluate` and writing the video do."""
    entry = _entry(name, "portrait", evaluate(portrait, clip, experts=experts), SPOKEN, clip)
    entry = replace(entry, portrait_bytes=path.stat().st_size, training_s=training_seconds(path))
    return _filmed(entry, every_frame(entry.shown, *span(clip)), sound, videos)


def with_speech(entry: Entry, portrait: Portrait, clip: Clip, sounds: Sequence[Sound], videos: Path, experts: Experts) -> Entry:
    """The same entry with what its portrait makes of sounds from files, which have no reference. Raises what
    `evaluate_speech` and writing the videos do."""
    files = [sound.file for sound in sounds if sound.file is not None]
    spoken = evaluate_speech(portrait, clip, files, experts=experts)
    for sound in sounds:
        entry = _filmed(entry, spoken.pictures[sound.row], sound, videos)
    return replace(entry, spoken=replace(spoken, pictures={}))


def entry_of_video(name: str, path: Path, clip: Clip, sound: Sound, videos: Path, experts: Experts) -> Entry:
    """Measure a finished video of the clip's held-out part by another system. Raises what `evaluate_video` and writing the
    video do."""
    entry = _entry(name, "video", evaluate_video(path, clip, experts=experts), THEIRS, clip)
    return _filmed(entry, every_frame(entry.shown, *span(clip)), sound, videos)


def must_show_held_out(path: Path, clip: Clip) -> None:
    """Raise BadInput for a finished video that shows something else than the clip's held-out frames, as far as its rate,
    size and length tell: none of its pictures is looked at."""
    shown = showing(path, clip, None)
    held = int(np.isin(judged(clip), shown.frames).sum())
    if held < FEWEST:
        first, stop = span(clip)
        raise BadInput(f"{path}: shows {held} of the frames {first} to {stop - 1}, on which the others are measured.")


def real_film(clip: Clip, size: int, sound: Sound, videos: Path) -> Path:
    """The held-out frames as they were."""
    shown = {int(t): clip.image(int(t), size) for t in judged(clip)}
    return film(video_path(videos, sound.key, "real"), every_frame(shown, *span(clip)), sound, f"real, {sound.key}")


def span(clip: Clip) -> tuple[int, int]:
    """The clip's frames from the first held-out one to behind the last."""
    return int(judged(clip)[0]), int(judged(clip)[-1]) + 1


def video_path(folder: Path, key: str, name: str) -> Path:
    """Where the video of a sound by a name is kept."""
    return folder / f"{key}-{slug(name)}.mp4"


def real_points(clip: Clip, frames: list[int], size: int) -> Iterator[np.ndarray]:
    """The tracked landmarks of real frames in pixels of pictures of `size`²."""
    scale = size / clip.camera.size[0]
    return (clip.pixels[t].double().numpy() * scale for t in frames)


def _filmed(entry: Entry, pictures: Iterable[Image], sound: Sound, videos: Path) -> Entry:
    """The same entry with its video of a sound."""
    made = film(video_path(videos, sound.key, entry.name), pictures, sound, f"{entry.name}, {sound.key}")
    return replace(entry, films={**entry.films, sound.key: made})


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
        opening=found.openings[row],
        real_opening=list(found.curves["opening"]),
        mouth=[metrics.psnr(a, b, box) for a, b, box in zip(drawn, real, boxes)],
        errors=error_map(drawn, real, points, layout(clip)),
    )


def row_values(figures: Figures) -> dict[str, float | None]:
    """The figures of a row by field."""
    return {name: value for name, value in asdict(figures).items() if name != "row"}
