"""animate: a video and a speech in, a video of that person saying it out: prepare, train and speak in one go."""

from __future__ import annotations

import os
from pathlib import Path

from likeness import methods
from likeness.clip import Clip
from likeness.delivery import Delivery
from likeness.errors import BadInput
from likeness.files import unwritable
from likeness.portrait import Portrait
from likeness.prepare import prepare
from likeness.speak import Speech, check, speak
from likeness.video import probe


def portrait_of(
    video: str | os.PathLike,
    work: str | os.PathLike,
    *,
    preset: str = "fast",
    size: int = 256,
    seed: int = 0,
    person: str | int | None = None,
    sound: str | os.PathLike | None = None,
) -> tuple[Clip, Portrait]:
    """The clip and portrait of a video, in folder `work`; what exists there is used again."""
    work = Path(work)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(work, error) from error
    clip = prepare(video, work / "clip", person=person, sound=sound)
    path = work / f"{preset}-{size}-{seed}.portrait"
    if path.is_file():
        return clip, methods.load(path)
    return clip, methods.train(clip, path, preset=preset, size=size, seed=seed)


def animate(
    video: str | os.PathLike,
    speech: str | os.PathLike,
    out: str | os.PathLike,
    *,
    work: str | os.PathLike | None = None,
    preset: str = "fast",
    size: int = 256,
    seed: int = 0,
    person: str | int | None = None,
    sound: str | os.PathLike | None = None,
    delivery: Delivery = Delivery(),
) -> Speech:
    """A video of the person in `video` saying `speech`, written to `out`.

    Clip and portrait stay in `work` (default: `VIDEO.likeness` beside the output) and are used again next time. `person` and
    `sound` are `prepare`'s.
    """
    out = Path(out)
    probe(video)
    for name in ("appearance", "quick"):
        if getattr(delivery, name) != getattr(Delivery(), name):
            raise BadInput(
                f"animate makes portraits of {methods.DEFAULT.replace('_', '-')}, which know no {name}. Leave it out."
            )
    check(speech, out, delivery)  # what is wrong with them is said now, not after training
    if out.exists() and out.samefile(video):
        raise BadInput(f"{out}: is the video itself. Name another file for the result.")
    work = out.parent / f"{Path(video).name}.likeness" if work is None else work
    _, portrait = portrait_of(video, work, preset=preset, size=size, seed=seed, person=person, sound=sound)
    said = speak(portrait, speech, delivery)
    said.save(out)
    return said
