"""Album: the pictures that HyperLips learns from, made once when a training begins.

    album = Album.of_corpus(Corpus.open("corpus"), "album")    # or Album.of_clip(clip, "album")
    image, points = album.pages[0].crop(12, 128)

A corpus holds what faces do and what is said, but no pictures. An album adds them: faces cut out of the videos in exactly
the squares that `dub` cuts when it gives them new lips, with their landmarks and the sound in step. One page is one uncut
stretch of one person, see `likeness.album.pages`.

An album is a folder (version 1):

    album.json             format "likeness-album", version, recipe, recipes of the features, what it was made from
    pages/<key>.safetensors   see `likeness.album.pages`
    videos/<id>.json       what became of each video: its pages, or why it gave none

The folder is private working data: it holds people's faces. It belongs beside the videos and is deleted with them; nothing of
it goes into a portrait or an asset file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness import speech
from likeness.album.making import RECIPE
from likeness.album.pages import FEATURES, FORMAT, MARGIN, VERSION, Jitter, Page, forget
from likeness.album.videos import CLIP, Outcome, Video, failed, make, make_of_clip, outcome_of, videos_of
from likeness.clip import Clip
from likeness.corpus import Corpus
from likeness.errors import BadInput, Refused
from likeness.files import lock, unwritable, write_atomically
from likeness.progress import Progress
from likeness.spreading import spread

__all__ = ["MARGIN", "Album", "Jitter", "Page"]

Say = Callable[[str], None]
NAMED = 5  # videos that gave nothing and are named one by one


@dataclass(frozen=True)
class Album:
    """An album that was made. Light: pages open their files when they are read."""

    folder: Path
    pages: list[Page]
    skipped: list[tuple[str, str]]
    """Videos that gave no page, and why."""

    @staticmethod
    def of_corpus(
        corpus: Corpus, folder: str | os.PathLike, say: Say | None = None, workers: int | None = None, sound: bool = False
    ) -> Album:
        """The album of all samples of a corpus; what is missing of it is made, in so many processes (all cores). `sound`:
        whether its pages hold the waveform, too (32 kB a second).

        A run that was killed goes on where it was; a corpus that grew adds its new videos. `say` takes the lines of
        progress; None draws bars on a terminal and prints to stderr elsewhere.

        Videos that are gone or cannot be read are in `skipped`, and are tried again the next time.
        Raises BadInput when no video gave anything, Refused for a folder that holds something else or an album made in
        another way, Exhausted when the disk is full.
        """
        folder = Path(folder)
        own = {name: speech.recipe_id(name) for name in FEATURES}
        if {name: corpus.recipes.get(name) for name in FEATURES} != own:
            raise Refused(
                f"{corpus.folder}: its features were made by another recipe than this likeness has. Make the corpus anew."
            )
        header = _header({"corpus": str(corpus.folder.absolute())}, sound)
        _check(folder, header)
        outcomes, todo = _sorted_out(corpus, folder)
        if todo:
            with _at_work(folder, header), Progress(plain=say) as progress:
                outcomes, todo = _sorted_out(corpus, folder)  # as it is now that nobody else is at work
                outcomes += _make_all([(video, folder, sound) for video in todo], workers or os.cpu_count() or 1, progress)
                _tell(_bound(folder, outcomes), progress)
        album = _bound(folder, outcomes)
        if not album.pages:
            raise BadInput(_nothing(corpus, album))
        return album

    @staticmethod
    def of_clip(clip: Clip, folder: str | os.PathLike, say: Say | None = None, sound: bool = False) -> Album:
        """The album of a clip's training frames, made unless it is there; `sound` as in `of_corpus`. Frames of `clip.test`
        never get in.

        Raises as `of_corpus`, and BadInput for a clip without the features mel and phones.
        """
        folder = Path(folder)
        header = _header({"clip": clip.identity}, sound)
        _check(folder, header)
        outcome = outcome_of(folder, CLIP)
        if outcome is None:
            with _at_work(folder, header), Progress(plain=say) as progress:
                progress.say(f"album: cutting faces out of {len(clip.train)} frames")
                outcome = make_of_clip(clip, folder, sound)
                outcome.write(folder)
                forget()
        album = _bound(folder, [outcome])
        if not album.pages:
            raise BadInput(f"{clip.folder}: {outcome.skipped}. Prepare a longer video, or one with fewer cuts.")
        return album


def _header(made_from: dict[str, Any], sound: bool) -> dict[str, Any]:
    """album.json, as JSON gives it back."""
    header: dict[str, Any] = {"format": FORMAT, "version": VERSION, "recipe": RECIPE, "made_from": made_from}
    header |= {"features": {name: speech.recipe_id(name) for name in FEATURES}}
    header |= {"sound": True} if sound else {}
    return json.loads(json.dumps(header))


@contextmanager
def _at_work(folder: Path, header: dict[str, Any]) -> Iterator[None]:
    """The folder, ready for what is missing in it, and nobody else's as long as this lasts."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # faces: for nobody else on this machine
        for name in ("pages", "videos"):
            (folder / name).mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    with lock(folder / "lock", folder, "making of an album"):
        write_atomically(folder / "album.json", json.dumps(header, indent=1).encode())
        for left in folder.glob("work-*"):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        for left in folder.glob("*/.*.partial"):
            left.unlink(missing_ok=True)
        yield


def _check(folder: Path, wanted: dict[str, Any]) -> None:
    """Raise Refused where this album cannot be in the folder. A corpus may have moved: its videos are known by their ids."""
    path = folder / "album.json"
    if not path.is_file():
        known = ("pages", "videos", "lock")
        if folder.is_file():
            raise BadInput(f"{folder}: a file is in the way. Name a folder for the album.")
        if folder.is_dir() and any(held.name not in known for held in folder.iterdir()):
            raise Refused(f"{folder}: holds other things and is no album. Choose a new or an empty folder.")
        return
    try:
        held = json.loads(path.read_text())
        if "corpus" in wanted["made_from"] and "corpus" in held["made_from"]:
            held["made_from"] = wanted["made_from"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}). Delete the folder: the album is made anew.") from error
    wrong = sorted(name for name in {*held, *wanted} if held.get(name) != wanted.get(name))
    if wrong:
        raise Refused(
            f"{folder}: an album made otherwise (another {', '.join(wrong)}). Choose another folder, or delete this one."
        )


def _sorted_out(corpus: Corpus, folder: Path) -> tuple[list[Outcome], list[Video]]:
    """What is known of a corpus' videos, those that are gone included, and the videos that have still to be read."""
    known: list[Outcome] = []
    todo: list[Video] = []
    for video in videos_of(corpus):
        outcome = outcome_of(folder, video.id)
        if outcome is not None and outcome.wanted == video.samples:
            known.append(outcome)
        elif video.path.is_file():
            todo.append(video)
        else:
            known.append(failed(video, "there is no such file any more"))
    return known, todo


def _make_all(jobs: list[tuple[Video, Path, bool]], workers: int, progress: Progress) -> Iterator[Outcome]:
    """Every video's outcome when it is there."""
    jobs = sorted(jobs, key=lambda job: -job[0].frames)  # the longest first: nobody waits long for the last
    progress.begin("album", sum(video.frames for video, *_ in jobs))
    for (video, folder, _), answer in spread(make, jobs, min(workers, len(jobs))):
        outcome = answer or failed(video, "the process that read it was ended: a damaged file, or too little memory")
        if outcome.final:
            outcome.write(folder)
        yield outcome
        progress.advance("album", video.frames)
    forget()
    progress.end("album")


def _bound(folder: Path, outcomes: list[Outcome]) -> Album:
    pages = sorted((page for outcome in outcomes for page in outcome.pages), key=lambda page: page.key)
    return Album(folder, pages, sorted((outcome.video, outcome.skipped) for outcome in outcomes if outcome.skipped))


def _tell(album: Album, progress: Progress) -> None:
    """One line for what there is, and some for what there is not."""
    people = len({page.speaker for page in album.pages})
    frames = sum(map(len, album.pages))
    progress.say(f"album: {len(album.pages)} pages, {frames} frames of {people} people in {album.folder}")
    for video, why in album.skipped[:NAMED]:
        progress.say(f"skipped: {video}: {why}")
    if len(album.skipped) > NAMED:
        progress.say(f"skipped: {len(album.skipped) - NAMED} more videos")


def _nothing(corpus: Corpus, album: Album) -> str:
    if not album.skipped:
        return f"{corpus.folder}: the corpus has no samples. Make one with `likeness corpus VIDEOS... CORPUS/`."
    video, why = album.skipped[0]
    return (
        f"{corpus.folder}: not one of its {len(album.skipped)} videos gives pictures to learn from; the first: {video}: {why}. "
        "A corpus names its videos by their places: put them back there, or make the corpus again from where they are now."
    )
