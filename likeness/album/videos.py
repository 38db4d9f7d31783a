"""One video of a corpus to its pages, in a worker; and what became of a video, as the album remembers it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float

from likeness import audio
from likeness.album.making import SHORTEST, Image, Sitting, Stretch, make_pages
from likeness.album.pages import FEATURES, Page
from likeness.audio import ROWS_PER_FRAME, SOUND
from likeness.clip import Clip
from likeness.corpus import Corpus, Split, shards, split_of
from likeness.corpus.index import names
from likeness.errors import BadInput, Exhausted, MissingAsset
from likeness.files import unwritable, write_atomically
from likeness.prepare.sound import late_rows
from likeness.prepare.survey import sound_of
from likeness.speech import STEP
from likeness.video import FPS, Reader, made_rate, probe

CLIP = "clip"
"""The id of the only video of a clip's album."""
TOO_SHORT = f"no {SHORTEST / FPS} s of what was asked for in which the face is seen without a break or a cut"


@dataclass(frozen=True)
class Video:
    """A video, and its samples in a shard of a corpus."""

    id: str
    path: Path
    speaker: str
    split: Split
    samples: list[tuple[str, int]]
    """Key and number of frames."""
    shard: Path

    @property
    def frames(self) -> int:
        return sum(length for _, length in self.samples)


@dataclass(frozen=True)
class Outcome:
    """What became of a video."""

    id: str
    video: str
    wanted: list[tuple[str, int]]
    """Samples that it was asked for."""
    pages: list[Page]
    skipped: str
    """Why it gave no page; empty where it gave any."""

    @property
    def final(self) -> bool:
        """Whether it would be the same again: the video was there and was read through."""
        return bool(self.pages) or self.skipped == TOO_SHORT

    def write(self, folder: Path) -> None:
        """Into an album. Raises Exhausted on a full disk."""
        held = asdict(self)
        for page, row in zip(self.pages, held["pages"], strict=True):
            row |= {"path": page.path.name, "bytes": page.path.stat().st_size}
        write_atomically(_place(folder, self.id), json.dumps(held).encode())

    def discard(self) -> None:
        """Delete its pages."""
        for page in self.pages:
            page.path.unlink(missing_ok=True)


def outcome_of(folder: Path, id: str) -> Outcome | None:
    """What became of a video; None where that is not known, or not all of its pages are there as they were written."""
    try:
        held = json.loads(_place(folder, id).read_text())
        pages = []
        for row in held["pages"]:
            path = folder / "pages" / row["path"]
            if path.stat().st_size != row.pop("bytes"):
                return None
            pages.append(Page(**row | {"path": path}))
        wanted = [(str(key), int(length)) for key, length in held["wanted"]]
        return Outcome(held["id"], held["video"], wanted, pages, held["skipped"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _place(folder: Path, id: str) -> Path:
    return folder / "videos" / f"{id}.json"


def videos_of(corpus: Corpus) -> Iterator[Video]:
    """Every video of a corpus that gave samples, by the headers of its shards alone."""
    for name in names(corpus.folder):
        shard = corpus.folder / "shards" / name
        for clip in shards.read_header(shard)["clips"]:
            samples = [(str(key), int(length)) for key, length in clip["samples"]]
            if samples:
                split = cast(Split, split_of(clip["speaker"]))
                yield Video(clip["id"], Path(clip["video"]), clip["speaker"], split, samples, shard)


def failed(video: Video, why: str) -> Outcome:
    """A video that gave nothing."""
    return Outcome(video.id, str(video.path), video.samples, [], why)


def make(job: tuple[Video, Path, bool]) -> Outcome:
    """Make a video's pages in an album's folder, with its sound or without. What is wrong with the video is in the answer.

    Raises MissingAsset, Exhausted, or BadInput for what is not the video's fault.
    """
    video, folder, sound = job
    pages: list[Page] = []
    try:
        name = video.samples[0][0].rsplit("-", 1)[0]
        sitting = Sitting(_pictures_of(video.path), name, video.speaker, video.split)
        if (before := outcome_of(folder, video.id)) is not None:  # of other samples, as another corpus had them
            before.discard()
        for page in make_pages(sitting, _stretches(video, sound), folder):
            pages.append(page)
    except (Exhausted, MissingAsset):
        raise
    except OSError as error:
        raise unwritable(folder, error) from error
    except MemoryError as error:
        raise Exhausted(f"{video.path}: out of memory. Use fewer workers.") from error
    except Exception as error:  # one strange file among many must not end the rest: it is listed
        why = str(error).removeprefix(f"{video.path}: ")
        why = why if isinstance(error, BadInput) else f"failed: {type(error).__name__}: {why}"
        Outcome(video.id, str(video.path), video.samples, pages, "").discard()
        return failed(video, why)
    return Outcome(video.id, str(video.path), video.samples, pages, "") if pages else failed(video, TOO_SHORT)


def _pictures_of(path: Path) -> Callable[[], Iterator[Image]]:
    """Reads a video as the corpus did: frames bear the same numbers. (`Footage` does not put a video that holds repeats
    back on the rate that it was made at.)"""
    made_fps, _ = made_rate(probe(path))

    def pictures() -> Iterator[Image]:
        return (picture.image for picture in Reader(path, FPS, made_fps))

    return pictures


def _stretches(video: Video, sound: bool) -> Iterator[Stretch]:
    """Its samples, one at a time; the sound moved as the corpus moved their features."""
    wanted = {key for key, _ in video.samples}
    waveform = audio.load(sound_of(video.path) or video.path) if sound else None
    for key, text, content in shards.members(video.shard):
        if key in wanted:
            sample = shards.decoded(video.shard, key, text, content)
            features, frames = {name: sample[name] for name in FEATURES}, len(sample["moves"])
            if waveform is not None:
                late = late_rows(sample["offset"], sample["clear"])
                features[SOUND] = _rows(waveform, ROWS_PER_FRAME * sample["start"] - late, ROWS_PER_FRAME * frames)
            yield Stretch(sample["start"], frames, features)


def _rows(waveform: Float[np.ndarray, " samples"], first: int, rows: int) -> Float[np.ndarray, "rows 160"]:
    """So many rows of 10 ms; silence before the sound and where it has ended."""
    before = min(max(0, -first), rows) * STEP
    part = waveform[max(0, first) * STEP : max(0, first + rows) * STEP]
    return np.pad(part, (before, rows * STEP - before - len(part))).reshape(rows, STEP)


def make_of_clip(clip: Clip, folder: Path, sound: bool = False) -> Outcome:
    """Make the pages of a clip's training frames, with their sound or without: its cropped pictures are the video. Raises
    what `make_pages` raises."""
    first, last = int(clip.train[0]), int(clip.train[-1])
    name = clip.header["source"]["name"]
    shrunk = clip.camera.size[0] / clip.header["crop"][2]

    def pictures() -> Iterator[Image]:
        return (clip.image(t) for t in range(first, last + 1))

    sitting = Sitting(pictures, CLIP, name, "train", first, max(1.0, shrunk))
    pages = list(make_pages(sitting, _runs(clip, sound), folder))
    return Outcome(CLIP, name, [], pages, "" if pages else TOO_SHORT)


def _runs(clip: Clip, sound: bool) -> Iterator[Stretch]:
    """Training frames that follow each other."""
    rows = {name: clip.features(name) for name in FEATURES}
    if sound:
        rows[SOUND] = _rows(audio.load(clip.audio), 0, ROWS_PER_FRAME * len(clip))
    for run in clip.runs:
        start, stop = int(run[0]), int(run[-1]) + 1
        yield Stretch(start, stop - start, {name: held[4 * start : 4 * stop] for name, held in rows.items()})
