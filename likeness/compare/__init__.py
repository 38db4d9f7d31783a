"""compare: several methods, and finished videos of other systems, on one clip, in one report that loads nothing.

`likeness.compare("clip/", "out/")` trains what is missing, measures all with `likeness.evaluate`, lets each say the same and
writes `out/report.html`, report.json and tables as CSV and TeX. Portraits stay in `out/portraits`, videos in `out/videos`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from likeness.callable_module import CallableModule
from likeness.clip import Clip
from likeness.compare.comparison import Comparison, is_ours
from likeness.compare.entries import (
    Entry,
    Failure,
    entry_of_portrait,
    entry_of_video,
    must_show_held_out,
    real_film,
    with_speech,
)
from likeness.compare.players import Sound, held_out, others, slug
from likeness.compare.portraits import Settings, config_of, portrait_of
from likeness.compare.provenance import provenance
from likeness.compare.report import as_html
from likeness.compare.tables import cost_lines
from likeness.compare.written import as_csv, as_tex, recipes_csv
from likeness.errors import BadInput, Refused
from likeness.evaluate import FEWEST
from likeness.evaluate.experts import Experts
from likeness.evaluate.rows import judged
from likeness.files import lock, unwritable, write_atomically
from likeness.methods import get, names
from likeness.nn.generator import asset

__all__ = ["Comparison", "Entry", "Failure", "compare", "named"]
Made = TypeVar("Made")


def compare(
    clip: Clip | str | os.PathLike,
    out: str | os.PathLike,
    methods: Sequence[str] | None = None,
    *,
    preset: str = "fast",
    size: int = 256,
    seed: int = 0,
    speech: str | os.PathLike | Sequence[str | os.PathLike] = (),
    videos: Mapping[str, str | os.PathLike] | None = None,
    motion: str | os.PathLike | None = None,
    say: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare methods (None: all there are) and finished `videos` (name: file) on a clip, and write the report into `out`.
    `speech`: a file, or several, of other sounds that all portraits say, too, and are measured by as far as that goes without
    a reference. `motion`: a generator of motion that shall speak for the person in every method.

    A portrait of the same clip and settings that lies in `out` is used again; a training that was cut off goes on. What fails
    is listed in the report and in `failures` and stops nothing else; see `Comparison.must_be_whole`.
    `say` takes the lines of progress; None prints them to stderr.

    Raises before any work: BadInput for an unknown method or preset, names that are not told apart, a sound that cannot be
    read, a video that by its rate, size and length does not show the held-out frames, weights of an expert that are something
    else, a clip with too little held out; Refused where `out` holds something else.
    """
    began, say, out = time.monotonic(), say or _say, Path(out)
    clip = clip if isinstance(clip, Clip) else Clip.open(clip)
    chosen = [_canonical(name) for name in (names() if methods is None else methods)]
    finished = {name: Path(path) for name, path in (videos or {}).items()}
    generator = None if motion is None else asset.load(motion)
    settings = Settings(preset, size, seed, generator.origin if generator else "")
    _check(clip, chosen, finished, settings)
    files = [speech] if isinstance(speech, str | os.PathLike) else speech
    sounds = [held_out(clip), *others([Path(file) for file in files])]
    experts = Experts.in_place()
    _claim(out)
    made: list[Entry | Failure] = []
    about = provenance()
    with lock(out / "lock", out, "comparison"):
        real = real_film(clip, size, sounds[0], out / "videos")
        work = _Work(clip, out, sounds, settings, None if motion is None else Path(motion), experts, say)
        for method in chosen:
            made += work.portrait(method)
        for name, path in finished.items():
            made += work.video(name, path)
        found = Comparison(
            folder=out,
            clip=clip.folder.resolve().name,
            frames=len(judged(clip)),
            settings=settings,
            entries=[entry for entry in made if isinstance(entry, Entry)],
            failures=[failure for failure in made if isinstance(failure, Failure)],
            provenance=about,
            sounds=sounds,
            real_film=real,
            seconds=time.monotonic() - began,
        )
        _write(found, clip)
    say(f"report: {found.report}")
    return found


def named(words: Sequence[str]) -> dict[str, Path]:
    """Words like NAME=FILE as `videos`. Raises BadInput for one that is not, and for a name that comes twice."""
    found: dict[str, Path] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or not name.strip() or not path:
            raise BadInput(f"{word!r} is no video with its name. Write NAME=FILE, such as theirs=theirs.mp4.")
        if name.strip() in found:
            raise BadInput(f"two videos are named {name.strip()!r}. Give each its own name.")
        found[name.strip()] = Path(path)
    return found


@dataclass(frozen=True)
class _Work:
    """What all entries are made from."""

    clip: Clip
    out: Path
    sounds: Sequence[Sound]
    settings: Settings
    motion: Path | None
    experts: Experts
    say: Callable[[str], None]

    @property
    def videos(self) -> Path:
        return self.out / "videos"

    def portrait(self, method: str) -> list[Entry | Failure]:
        """Train, measure and speak. Who cannot speak other sounds is compared by the clip's own all the same."""
        name, (own, *other) = method.replace("_", "-"), self.sounds
        trained = self._attempt(
            name,
            "training",
            lambda: portrait_of(self.clip, self.out / "portraits", method, self.settings, self.motion, self.say),
        )
        if isinstance(trained, Failure):
            return [trained]
        self.say(f"{name}: measuring and speaking")
        entry = self._attempt(
            name, "measuring", lambda: entry_of_portrait(name, *trained, self.clip, own, self.videos, self.experts)
        )
        if isinstance(entry, Failure) or not other:
            return [entry]
        spoken = self._attempt(
            name,
            f"speaking {', '.join(sound.row for sound in other)}",
            lambda: with_speech(entry, trained[0], self.clip, other, self.videos, self.experts),
        )
        return [entry, spoken] if isinstance(spoken, Failure) else [spoken]

    def video(self, name: str, path: Path) -> list[Entry | Failure]:
        """Measure."""
        self.say(f"{name}: measuring {path.name}")
        make = partial(entry_of_video, name, path, self.clip, self.sounds[0], self.videos, self.experts)
        return [self._attempt(name, "measuring", make)]

    def _attempt(self, name: str, doing: str, make: Callable[[], Made]) -> Made | Failure:
        """What may fail without taking with it what was made before. Ctrl-C ends everything."""
        try:
            return make()
        except Exception as error:
            if isinstance(error.__cause__, KeyboardInterrupt):  # how Ctrl-C within a Numba kernel comes
                raise
            self.say(f"{name}: failed while {doing} ({error})")
            traceback.clear_frames(error.__traceback__)  # a failed training's pictures and gradients are not held on to
            return Failure(name, doing, error)


def _canonical(method: str) -> str:
    """The name of a method's folder. Raises BadInput for one that there is not."""
    return get(method).__name__.rpartition(".")[2]


def _check(clip: Clip, chosen: list[str], finished: dict[str, Path], settings: Settings) -> None:
    """Raise now what would be raised after hours of training."""
    if not chosen and not finished:
        raise BadInput("there is nothing to compare: name methods, or videos.")
    wanted = [name.replace("_", "-") for name in chosen] + list(finished)
    slugs = [slug(name) for name in wanted]
    twice = [name for name, key in zip(wanted, slugs) if key in ("", "real") or slugs.count(key) > 1]
    if twice:
        raise BadInput(f"names must be told apart, and from 'real': {', '.join(twice)}. Choose others.")
    for method in chosen:
        config_of(method, settings)
    if len(clip.test) < FEWEST:
        raise BadInput(f"{clip.folder}: only {len(clip.test)} held-out frames show the face; at least {FEWEST} are needed.")
    for path in finished.values():
        must_show_held_out(path, clip)


def _claim(out: Path) -> None:
    """Make the folder. What somebody else wrote there stays: a clip has a report.html, too."""
    if out.is_file():
        raise BadInput(f"{out}: is a file. Name a folder for the report.")
    held = out / "report.json"
    if (out / "clip.json").exists() or (held.exists() and not is_ours(held)):
        raise Refused(f"{out}: holds a clip or another report, which would be replaced. Name another folder.")
    try:
        for folder in (out, out / "portraits", out / "videos"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error


def _write(found: Comparison, clip: Clip) -> None:
    write_atomically(found.folder / "report.json", json.dumps(found.as_json(), indent=1, allow_nan=False).encode())
    tables, costs = {"table": found.lines, **found.spoken}, cost_lines(found.entries)
    commit = str(found.provenance["commit"] or "")
    about = [f"likeness compare: {found.clip}, {found.provenance['date']}, commit {commit or 'not known'}"]
    for name, lines in tables.items():
        text = as_csv(lines, costs if name == "table" else [], commit)
        write_atomically(found.folder / f"{name}.csv", text.encode())
        write_atomically(found.folder / f"{name}.tex", as_tex(lines, about).encode())
    write_atomically(found.folder / "recipes.csv", recipes_csv(tables).encode())
    write_atomically(found.report, as_html(found, clip).encode())


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


sys.modules[__name__].__class__ = CallableModule
