"""Which of the papers' settings is measured follows from what is given: a portrait or a video, other sound, another pose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from likeness.clip import Clip
from likeness.delivery import Delivery
from likeness.errors import BadInput
from likeness.evaluate import Evaluation, evaluate, openface
from likeness.evaluate.finished import evaluate_video, is_video
from likeness.evaluate.speaking import evaluate_speech
from likeness.methods import load


def measure(
    judged: Path,
    clip: Path,
    speech: Sequence[Path] = (),
    delivery: Delivery = Delivery(),
    first: int | None = None,
    action_units: Path | None = None,
    sheet: Path | None = None,
) -> Evaluation:
    """A portrait on its held-out frames; spoken, where there is `speech` or a `delivery` that is not the usual one; or a
    finished video. Raises BadInput where something is given that the setting has no use for: a contact sheet (`sheet`) shows
    drawn frames below real ones, which a spoken portrait has not."""
    video, spoken = is_video(judged), bool(speech) or delivery != Delivery()
    for given, name, useful in (
        (spoken, "--speech and the options of speaking", not video),
        (first is not None, "--first", video),
        (action_units is not None, "--openface", video or not spoken),
        (sheet is not None, "--sheet", video or not spoken),
    ):
        if given and not useful:
            what = "a finished video" if video else "a portrait that speaks without a reference" if spoken else "a portrait"
            raise BadInput(f"{judged}: is measured as {what}, which has no use for {name}. Leave that out.")
    files = None if action_units is None else openface.files(action_units)
    if video:
        return evaluate_video(judged, Clip.open(clip), first, files)
    if spoken:
        return evaluate_speech(load(judged), Clip.open(clip), speech, delivery)
    return evaluate(load(judged), Clip.open(clip), files)
