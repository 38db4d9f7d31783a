"""compare: several methods, and finished videos of other systems, on one clip, in one report that loads nothing.

`likeness.compare("clip/", "out/")` trains what is missing, measures all with `likeness.evaluate`, lets each say the same and
writes `out/report.html`, `report.json`, `table.csv` and `table.tex`. Portraits stay in `out/portraits`, videos in `out/videos`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from likeness.callable_module import CallableModule
from likeness.clip import Clip
from likeness.compare.comparison import Comparison, is_ours
from likeness.compare.entries import Entry, Failure, entry_of_portrait, entry_of_video, real_film
from likeness.compare.players import Sound, held_out, others, slug
from likeness.compare.portraits import Settings, config_of, portrait_of
from likeness.compare.provenance import provenance
from likeness.compare.report import as_html
from likeness.compare.tables import as_csv, as_tex, cost_lines
from likeness.errors import BadInput, Refused
from likeness.files import lock, unwritable, write_atomically
from likeness.methods import get, names
from likeness.video import probe

__all__ = ["Comparison", "Entry", "Failure", "compare", "named"]


def compare(
    clip: Clip | str | os.PathLike,
    out: str | os.PathLike,
    methods: Sequence[str] | None = None,
    *,
    preset: str = "fast",
    size: int = 256,
    seed: int = 0,
    speech: Sequence[str | os.PathLike] = (),
    videos: Mapping[str, str | os.PathLike] | None = None,
    say: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare methods (None: all there are) and finished `videos` (name: file) on a clip, and write the report into `out`.
    `speech`: files of other sounds that all portraits say, too, and are measured by as far as that goes without a reference.

    A portrait of the same clip and settings that lies in `out` is used again; a training that was cut off goes on. What fails
    is listed in the report and in `failures` and stops nothing else; see `Comparison.must_be_whole`.
    `say` takes the lines of progress; None prints them to stderr.

    Raises before any work: BadInput for an unknown method or preset, names that are not told apart, a sound or video that
    cannot be read, a clip with too little held out; Refused where `out` holds something else.
    """
    began, say, out = time.monotonic(), say or _say, Path(out)
    clip = clip if isinstance(clip, Clip) else Clip.open(clip)
    chosen = [_canonical(name) for name in (names() if methods is None else methods)]
    finished = {name: Path(path) for name, path in (videos or {}).items()}
    settings = Settings(preset, size, seed)
    _check(clip, chosen, finished, settings)
    sounds = [held_out(clip), *others([Path(file) for file in speech])]
    _claim(out)
    made: list[Entry | Failure] = []
    about = provenance()
    with lock(out / "lock", out, "comparison"):
        real = real_film(clip, size, sounds[0], out / "videos")
        for method in chosen:
            work = _portrait_work(method, clip, out, sounds, settings, say)
            made.append(_attempt(method.replace("_", "-"), work, say))
        for name, path in finished.items():
            say(f"{name}: measuring {path.name}")
            made.append(_attempt(name, _video_work(name, path, clip, out, sounds[0]), say))
        found = Comparison(
            folder=out,
            clip=clip.folder.resolve().name,
            frames=len(clip.test),
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


Work = Callable[[Callable[[str], None]], Entry]
"""What makes an entry; it is told whom to tell what it is doing."""


def _portrait_work(
    method: str,
    clip: Clip,
    out: Path,
    sounds: Sequence[Sound],
    settings: Settings,
    say: Callable[[str], None],
) -> Work:
    def work(doing: Callable[[str], None]) -> Entry:
        name = method.replace("_", "-")
        doing("training")
        portrait, path = portrait_of(clip, out / "portraits", method, settings, say)
        doing("measuring and speaking")
        say(f"{name}: measuring and speaking")
        return entry_of_portrait(name, portrait, path, clip, sounds, out / "videos")

    return work


def _video_work(name: str, path: Path, clip: Clip, out: Path, sound: Sound) -> Work:
    def work(doing: Callable[[str], None]) -> Entry:
        doing("measuring")
        return entry_of_video(name, path, clip, sound, out / "videos")

    return work


def _attempt(name: str, work: Work, say: Callable[[str], None]) -> Entry | Failure:
    """Work that may fail without taking with it what others made. Ctrl-C ends everything."""
    doing = [""]
    try:
        return work(lambda what: doing.__setitem__(0, what))
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # how Ctrl-C within a Numba kernel comes
            raise
        say(f"{name}: failed ({error})")
        traceback.clear_frames(error.__traceback__)  # a failed training's pictures and gradients are not held on to
        return Failure(name, doing[0], error)


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
    for path in finished.values():
        if not (path.is_dir() and any(path.glob("*.png"))):  # a folder of pictures is as good as a video
            probe(path)
    if len(clip.test) < 10:
        raise BadInput(f"{clip.folder}: only {len(clip.test)} held-out frames show the face; at least 10 are needed.")


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
    write_atomically(found.folder / "table.csv", as_csv(found.lines, cost_lines(found.entries)).encode())
    write_atomically(found.folder / "table.tex", as_tex(found.lines).encode())
    for name, lines in found.spoken.items():
        write_atomically(found.folder / f"{name}.csv", as_csv(lines, []).encode())
        write_atomically(found.folder / f"{name}.tex", as_tex(lines).encode())
    write_atomically(found.report, as_html(found, clip).encode())


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


sys.modules[__name__].__class__ = CallableModule
