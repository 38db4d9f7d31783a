"""The steps of a preparation: which are done, in what order they depend on each other, and how far they are.

`steps/<name>.json` marks a finished step: {"step", "version", "source" (sha256 of the video), "settings", "found"
(what later steps need from it), "seconds", "cpu_seconds"}. It is written last and at once, so a step either is done or
is not; a run that was killed goes on with the first step that is not. Doing a step anew unmarks those that build on it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from likeness.errors import BadInput, Refused
from likeness.files import lock, unwritable, write_atomically

VERSION = 1  # of what the steps make; another version's clip is refused
BUILDS_ON = {
    "survey": (),
    "frames": ("survey",),
    "tracking": ("frames",),
    "parsing": ("frames",),
    "background": ("parsing",),
    "sound": ("survey",),
    "offset": ("frames", "tracking", "sound"),
    "report": ("tracking", "background", "offset"),
}
PROBLEM = "problem.txt"


class Steps:
    """The marks in a clip's folder."""

    def __init__(self, folder: Path, source_hash: str) -> None:
        self.folder = folder / "steps"
        self.source_hash = source_hash

    def found(self, name: str) -> dict[str, Any] | None:
        """What a finished step found; None when it is not done (or its mark is damaged)."""
        mark = self._mark(name)
        return None if mark is None else mark["found"]

    def settings(self, name: str) -> dict[str, Any] | None:
        """The settings that a finished step was made with."""
        mark = self._mark(name)
        return None if mark is None else mark["settings"]

    def done(self) -> bool:
        """Whether every step is."""
        return all(self._mark(name) is not None for name in BUILDS_ON)

    def run(self, name: str, settings: dict[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the step finds, from its mark or else by doing its work. Settings that changed do the step anew."""
        mark = self._mark(name)
        if mark is not None and mark["settings"] == settings:
            return mark["found"]
        self.unmark(name)
        began = (time.monotonic(), time.process_time())
        found = work()
        self.mark(name, settings, found, (time.monotonic() - began[0], time.process_time() - began[1]))
        return found

    def mark(self, name: str, settings: dict[str, Any], found: dict[str, Any], seconds: tuple[float, float]) -> None:
        """The step is finished: all that it makes is in its place. `seconds` are by the clock and of CPU time."""
        mark = {"step": name, "version": VERSION, "source": self.source_hash, "settings": settings}
        mark |= {"found": found, "seconds": round(seconds[0], 2), "cpu_seconds": round(seconds[1], 2)}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / f"{name}.json", json.dumps(mark, indent=1).encode())

    def unmark(self, name: str) -> None:
        """Forget a step and all that build on it."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        for other, needs in BUILDS_ON.items():
            if name in needs:
                self.unmark(other)

    def _mark(self, name: str) -> dict[str, Any] | None:
        try:
            mark = json.loads((self.folder / f"{name}.json").read_text())
            if mark["version"] == VERSION and mark["source"] == self.source_hash:
                return {"settings": mark["settings"], "found": mark["found"]}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None


class Claim:
    """That a folder is, or is to become, the clip of one video made with some settings."""

    def __init__(self, folder: Path, source: Path, source_hash: str, settings: dict[str, Any]) -> None:
        self.folder = folder
        self._path = folder / "steps" / "source.json"
        self._wanted = {"version": VERSION, "name": source.name, "sha256": source_hash, "settings": settings}

    def stands(self) -> bool:
        """Whether it was made before. Changes nothing.

        Raises Refused when the folder holds other things, another video's clip or one made with other settings or by
        another version; BadInput when it cannot be a folder or read.
        """
        if self._path.is_file():
            return self._is_held()
        try:
            strange = self.folder.exists() and any(p.name not in (PROBLEM, "steps") for p in self.folder.iterdir())
        except NotADirectoryError as error:
            raise BadInput(f"{self.folder}: a file is in the way. Name a folder for the clip.") from error
        except OSError as error:
            raise unwritable(self.folder, error) from error
        if strange:
            raise Refused(
                f"{self.folder}: holds other things and is not a clip that was begun here. "
                "Nothing in it was touched; choose a new or an empty folder."
            )
        return False

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Make the claim, and let no other process work in the folder meanwhile. Raises Refused where one does already,
        and what `stands` raises; BadInput or Exhausted where the folder cannot be written."""
        self.stands()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        with lock(self._path.with_name("lock"), self.folder, "preparation"):
            if not self.stands():  # asked again: another process may have begun since
                write_atomically(self._path, json.dumps(self._wanted, indent=1).encode())
            yield

    def _is_held(self) -> bool:
        folder, wanted = self.folder, self._wanted
        try:
            held = json.loads(self._path.read_text())
            version, sha256, name, settings = held["version"], held["sha256"], held["name"], held["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{self._path}: damaged ({error}). Choose another folder for the clip.") from error
        if version != VERSION:
            raise Refused(f"{folder}: begun by version {version} of prepare, this is version {VERSION}. Choose another folder.")
        if sha256 != wanted["sha256"]:
            raise Refused(f"{folder}: holds the clip of another video ({name}). Choose another folder for {wanted['name']}.")
        if settings == wanted["settings"]:
            return True
        if not (self._path.parent / "frames.json").exists():  # nothing is lost: a run that failed early may try others
            return False
        pairs = [(k, settings.get(k), v) for k, v in wanted["settings"].items() if settings.get(k) != v]
        listed = ", ".join(f"{key} {was} (now {now})" for key, was, now in pairs)
        raise Refused(f"{folder}: prepared with other settings: {listed}. Choose another folder, or keep the settings.")
