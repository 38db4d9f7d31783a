"""Videos of the same sound side by side: written small, played as one."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from likeness import audio
from likeness.clip import Clip
from likeness.compare import inline
from likeness.errors import BadInput
from likeness.evaluate import speaking
from likeness.evaluate.rows import judged
from likeness.progress import Progress
from likeness.video import FPS, Writer

CRF = 24  # half the bytes of what `speak` writes, before losses can be seen at this size
Image = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Sound:
    """What all portraits of a comparison say."""

    key: str
    """Begins the names of its videos."""
    title: str
    waveform: Float[np.ndarray, " samples"]
    """Mono at `audio.RATE`."""
    note: str = ""
    file: Path | None = None
    """Where another sound comes from; None for the clip's own."""

    @property
    def row(self) -> str:
        """What evaluations call it (`likeness.evaluate.speaking.named`)."""
        return "" if self.file is None else self.file.stem

    @property
    def frames(self) -> int:
        """Of each video of it."""
        return audio.frames_in(len(self.waveform))


def held_out(clip: Clip) -> Sound:
    """The sound of the clip's test frames, from the first to the last."""
    first, last = int(judged(clip)[0]), int(judged(clip)[-1])
    waveform = audio.load(clip.audio)[first * audio.HOP : (last + 1) * audio.HOP]
    note = "Frames that no portrait has learned from; head and eyes move as they really did. This is what the tables measure."
    return Sound("held-out", "The clip's own held-out sound", waveform, note)


def others(files: Sequence[Path]) -> list[Sound]:
    """Sounds that no portrait has a reference for, as far as they are measured. Raises BadInput for one that cannot be read
    or is too short, and for two that go by one name."""
    found = []
    for row, file in speaking.named(files).items():
        whole = audio.load(file)
        frames = audio.frames_in(len(whole))
        speaking.must_be_enough(file, frames)
        note = f"The first {speaking.MOST / FPS:.0f} s of {frames / FPS:.0f}." if frames > speaking.MOST else ""
        waveform = whole[: speaking.MOST * audio.HOP]
        found.append(Sound(f"speech-{slug(row)}", f"Another sound: {file.name}", waveform, note, file))
    keys = [sound.key for sound in found]
    if twice := [sound.row for sound in found if keys.count(sound.key) > 1]:
        raise BadInput(f"sounds must be told apart by their names: {', '.join(twice)}. Rename one.")
    return found


def slug(name: str) -> str:
    """A name as part of a file's."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".").lower()


def film(path: Path, pictures: Iterable[Image], sound: Sound, label: str) -> Path:
    """Write pictures, as many as the sound has, with the sound. Raises what `Writer` does."""
    chosen = islice(pictures, sound.frames)
    first = next(iter(chosen))
    size = (first.shape[1], first.shape[0])
    with Progress() as progress, Writer(path, size, FPS, sound=(sound.waveform, audio.RATE), crf=CRF) as video:
        progress.begin(label, sound.frames)
        video.write(first)
        progress.advance(label)
        for picture in chosen:
            video.write(picture)
            progress.advance(label)
    return path


def every_frame(shown: dict[int, Image], start: int, stop: int) -> Iterable[Image]:
    """Pictures by frame as a video of all frames start .. stop-1; one that is missing repeats the one before."""
    picture = shown[min(shown)]
    for frame in range(start, stop):
        picture = shown.get(frame, picture)
        yield picture


def player(sound: Sound, films: dict[str, tuple[str, Path]]) -> str:
    """Tiles that play as one. `films` maps a name to its CSS class and its file; the first one is heard."""
    tiles = "".join(_tile(name, kind, path, muted=i > 0) for i, (name, (kind, path)) in enumerate(films.items()))
    last = max(sound.frames - 1, 0)
    return f"""<section class="player" data-sound="{sound.key}" data-fps="{FPS:g}" data-frames="{sound.frames}">
<h3>{html.escape(sound.title)}</h3><p class="soft">{html.escape(sound.note)}</p>
<div class="tiles">{tiles}</div>
<div class="controls" hidden>
<button type="button" class="play" aria-label="Play or pause all">Play</button>
<button type="button" class="back" aria-label="One frame back">‹</button>
<button type="button" class="on" aria-label="One frame on">›</button>
<input class="seek" type="range" min="0" max="{last}" value="0" step="1" aria-label="Frame">
<output class="time">0.00 s</output>
<label>speed <select class="rate"><option value="1">1×</option><option value="0.5">½×</option>
<option value="0.25">¼×</option></select></label>
<label><input class="loop" type="checkbox" checked> again</label>
<label><input class="sound" type="checkbox" checked> sound</label>
</div></section>"""


def _tile(name: str, kind: str, path: Path, muted: bool) -> str:
    label = html.escape(name)
    silent = " muted" if muted else ""
    return (
        f'<figure class="{kind}"><video controls playsinline preload="auto"{silent} aria-label="{label}" '
        f'src="{inline.video(path)}"></video><figcaption><i class="swatch"></i>{label}</figcaption></figure>'
    )
