"""`prepare`: a video of one person becomes a clip, in named steps that survive being killed.

    survey      what the video is, who is in it, which square becomes the clip   survey, framing
    frames      frames/, landmarks, cuts: one pass over the video                pictures, landmarks, scenes
    tracking    motion.npz, the camera: bundle adjustment, flow               tracking, bundle, flow, steady, expression
    parsing     parts/: what each pixel is; two workers, beside tracking         parsing, guided, tasks
    background  background.png                                                   background
    sound       sound and speech features; a worker, beside everything           tasks, speech
    offset      audio.wav and features/, moved to where the lips say             sound
    report      report.json, report.html                                         capture, report

`steps/<name>.json` marks what is finished (`steps`). clip.json is written when everything but the report is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from likeness.callable_module import CallableModule
from likeness.clip import FORMAT, VERSION, Clip
from likeness.errors import BadInput, Exhausted, LikenessError
from likeness.files import unwritable, write_atomically
from likeness.prepare import pictures, tasks
from likeness.prepare.sound import expert_settings, place_sound, sync_expert
from likeness.prepare.steps import PROBLEM, Claim, Steps
from likeness.prepare.survey import file_hash, survey
from likeness.prepare.worker import Worker
from likeness.progress import Progress
from likeness.video import FPS, probe

__all__ = ["prepare"]

PARSERS = 2  # workers; each takes 150 MB
FOCAL_WIDE = 1.3  # focal length over the longer side of an uncropped frame: middle of the prior of the notes
FOCAL_SQUARE = 2.3  # a square video is the middle of a 16:9 one: 1.3 * 16 / 9
SQUARE = 1.1  # aspect ratios below it count as cropped


def prepare(
    video: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    size: int = 512,
    person: str | int | None = None,
    sound: str | os.PathLike | None = None,
    say: Callable[[str], None] | None = None,
    every_s: float = 10.0,
) -> Clip:
    """Make, finish or just open the clip of `video` in `folder`.

    size: width and height of the clip's frames in pixels (128 to 1024). person: None for the most prominent, a number
    from 1 in order of prominence, or "x,y" in pixels of the video. sound: the recording that belongs to the video, when
    it has none or a worse one. say: takes the lines of progress; None draws bars on a terminal and prints elsewhere,
    a line every `every_s` seconds.

    What was finished before is not made again; when all is, nothing is done. Raises BadInput for a video that cannot
    become a clip (the folder then says why in problem.txt), Refused when the folder holds something else, Exhausted
    when the disk or the memory is full. Nothing that was made is lost.
    """
    video, folder = Path(video), Path(folder)
    if not 128 <= size <= 1024 or size % 2:
        raise BadInput(f"--size {size}: must be an even number from 128 to 1024; 256 and 512 are usual.")
    probe(video)
    sound = None if sound is None else Path(sound)
    settings = {"size": size, "person": None if person is None else str(person)}
    settings["sound"] = None if sound is None else file_hash(sound)
    source_hash = file_hash(video)
    claim = Claim(folder, video, source_hash, settings)
    steps = Steps(folder, source_hash)
    done = steps.done() and steps.settings("offset") == settings | expert_settings(sync_expert())
    if claim.stands() and done and (folder / "clip.json").is_file():
        Progress(every_s, say).say(f"{folder}: already prepared, nothing to do")
        return Clip.open(folder)
    with claim.enter(), Progress(every_s, say) as progress, _explained(folder):
        began = time.monotonic()
        clip = _Preparation(video, sound, settings, steps, progress).run()
        _tell(progress, clip, time.monotonic() - began)
    return clip


class _Preparation:
    """One run of `prepare`; a method a step."""

    def __init__(self, video: Path, sound: Path | None, settings: dict[str, Any], steps: Steps, progress: Progress) -> None:
        self.video, self.sound, self.settings = video, sound, settings
        self.folder, self.steps, self.progress = steps.folder.parent, steps, progress
        self._workers: list[Worker] = []

    def run(self) -> Clip:
        try:
            found = self._step(
                "survey", 100, lambda: survey(self.video, self.settings["person"], self.sound, self._advance("survey"))
            )
            for warning in found["warnings"]:
                self.progress.say(f"note: {warning}")
            finish_sound = self._begin_sound(found)
            frames = self._frames(found)
            finish_parsing = self._begin_parsing(frames)
            tracking = self._tracking(found, frames)
            finish_parsing()
            clip = Clip(self.folder, self._header(found, frames, tracking))
            self._background(clip)
            finish_sound()
            offset = self._offset(clip)
            clip.header |= {"sound_offset_frames": offset["frames"], "sound_offset_margin": offset["margin"]}
            write_atomically(self.folder / "clip.json", json.dumps(clip.header, indent=1).encode())
            self._report(clip)
        finally:
            for worker in self._workers:
                worker.stop()
        return Clip.open(self.folder)

    def _advance(self, name: str) -> Callable[[int], None]:
        def advance(by: int) -> None:
            for worker in self._workers:
                worker.check()
            self.progress.advance(name, by)

        return advance

    def _step(
        self, name: str, total: int, work: Callable[[], dict[str, Any]], more: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """What a step finds, with its progress shown while it works; `more` settings are of this step alone."""

        def shown() -> dict[str, Any]:
            self.progress.begin(name, total)
            found = work()
            self.progress.end(name)
            return found

        return self.steps.run(name, self.settings | (more or {}), shown)

    def _beside(self, name: str, total: int, workers: list[tuple[str, dict]], then: Callable[[], None]) -> Callable[[], None]:
        """Start the workers of a step; returns what waits for them, does the rest and marks the step."""
        self.steps.unmark(name)
        began = time.monotonic()
        self.progress.begin(name, total)

        def advance(by: int) -> None:
            self.progress.advance(name, by)

        started = [Worker(task, arguments, advance) for task, arguments in workers]
        self._workers += started

        def finish() -> None:
            found: dict[str, Any] = {}
            for worker in started:
                found |= worker.result()
            then()
            spent = (time.monotonic() - began, sum(worker.cpu_s for worker in started))
            self.steps.mark(name, self.settings, found, spent)
            self.progress.end(name)

        return finish

    def _begin_sound(self, found: dict[str, Any]) -> Callable[[], None]:
        if self.steps.settings("sound") == self.settings:
            return lambda: None
        arguments = {
            "sound": str(self.sound or self.video),
            "folder": str(self.folder),
            "seconds": found["duration_s"] + 2,
        }
        return self._beside("sound", len(tasks.FEATURES), [("sound", arguments)], lambda: None)

    def _frames(self, found: dict[str, Any]) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            for stale in ("parts.partial", "cache"):
                shutil.rmtree(self.folder / stale, ignore_errors=True)
            (self.folder / "steps" / "parser.npz").unlink(missing_ok=True)
            advance = self._advance("frames")
            return pictures.make_frames(self.video, self.folder, found, self.settings["size"], advance)

        return self._step("frames", max(1, round(found["duration_s"] * FPS)), work)

    def _begin_parsing(self, frames: dict[str, Any]) -> Callable[[], None]:
        if self.steps.settings("parsing") == self.settings:
            return lambda: None
        partial = self.folder / "parts.partial"
        partial.mkdir(exist_ok=True)
        if not (self.folder / "steps" / "parser.npz").is_file():
            tasks.learn_parser(self.folder)
        common = {"folder": str(self.folder), "frames": frames["frames"], "of": PARSERS}
        common["breaks"] = frames["breaks"] + [s[0] for s in frames["scenes"]]
        shares = [("parsing", common | {"share": i}) for i in range(PARSERS)]

        def then() -> None:
            for stray in partial.glob("*.partial"):
                stray.unlink()
            pictures.replace_folder(partial, self.folder / "parts")

        return self._beside("parsing", frames["frames"], shares, then)

    def _tracking(self, found: dict[str, Any], frames: dict[str, Any]) -> dict[str, Any]:
        from likeness.prepare.tracking import track

        def work() -> dict[str, Any]:
            with np.load(self.folder / "steps" / "frames.npz") as held:
                pixels, seen = held["pixels"], held["seen"]
            focal, centre = first_camera(found, self.settings["size"])
            size = (self.settings["size"], self.settings["size"])
            clip = Clip(self.folder, self._header(found, frames, {"focal": focal, "centre": centre}))
            scenes, advance = [tuple(s) for s in frames["scenes"]], self._advance("tracking")

            def image_at(t: int) -> np.ndarray:
                advance(1)
                return clip.image(t)

            tracked = track(pixels, seen, size, focal, centre, scenes, frames["breaks"], image_at)
            motion = {name: np.asarray(getattr(tracked.motion, name)) for name in ("pose", "expression", "eyes", "landmarks")}
            pictures.write_arrays(self.folder / "motion.npz", motion | {"seen": seen})
            quality = dict(tracked.quality)
            pictures.write_arrays(self.folder / "steps" / "tracking.npz", {"frame_error_px": quality.pop("frame_error_px")})
            return {"focal": tracked.camera.focal, "centre": list(tracked.camera.centre), "quality": quality}

        return self._step("tracking", 2 * frames["frames"], work)  # two passes over the pictures

    def _header(self, found: dict[str, Any], frames: dict[str, Any], camera: dict[str, Any]) -> dict[str, Any]:
        """clip.json, see `likeness.clip`."""
        size = [self.settings["size"]] * 2
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": {
                "name": self.video.name,
                "sha256": self.steps.source_hash,
                "fps": found["fps"],
                "size": [found["width"], found["height"]],
            },
            "fps": FPS,
            "frames": frames["frames"],
            "size": size,
            "crop": found["crop"],
            "camera": {"focal": camera["focal"], "centre": list(camera["centre"]), "size": size},
            "scenes": frames["scenes"],
            "breaks": frames["breaks"],
            "sound_offset_frames": 0.0,
            "sound_offset_margin": 0.0,
        }

    def _background(self, clip: Clip) -> None:
        from likeness.prepare.background import SAMPLES, make_background

        def work() -> dict[str, Any]:
            make_background(clip, progress=self._advance("background"))
            return {}

        self._step("background", min(SAMPLES, len(clip)), work)

    def _offset(self, clip: Clip) -> dict[str, Any]:
        expert = sync_expert()
        return self._step("offset", 1, lambda: place_sound(clip, expert), expert_settings(expert))

    def _report(self, clip: Clip) -> None:
        from likeness.prepare.report import write_report

        self._step("report", 1, lambda: write_report(clip))


def first_camera(found: dict[str, Any], size: int) -> tuple[float, tuple[float, float]]:
    """Prior focal length and principal point (the source's centre) in pixels of the clip, from what `survey` found."""
    width, height = found["width"], found["height"]
    x, y, side = found["crop"]
    longer, shorter = max(width, height), min(width, height)
    focal = FOCAL_SQUARE * shorter if longer < SQUARE * shorter else FOCAL_WIDE * longer
    scale = size / side
    return focal * scale, ((width / 2 - x) * scale, (height / 2 - y) * scale)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Leave the reason in the folder when the video cannot be prepared; take it away when it can."""
    try:
        try:
            yield
        except OSError as error:
            raise unwritable(folder, error) from error
        except MemoryError as error:
            raise Exhausted("out of memory. Close other programs, or prepare with a smaller --size.") from error
    except LikenessError as error:
        with contextlib.suppress(OSError):
            (folder / PROBLEM).write_text(f"{error}\n")
        raise
    (folder / PROBLEM).unlink(missing_ok=True)


def _tell(progress: Progress, clip: Clip, seconds: float) -> None:
    """The last lines: what there is now, how long it took, where the report is."""
    length = len(clip) / clip.fps
    progress.say(f"{clip.folder}: {len(clip)} frames ({length:.1f} s) prepared in {seconds:.1f} s")
    progress.say(f"read {clip.folder / 'report.html'} before training")


sys.modules[__name__].__class__ = CallableModule
