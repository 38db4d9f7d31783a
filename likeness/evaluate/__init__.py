"""How good a portrait is on the frames that it never saw: `evaluate(portrait, clip) -> Evaluation`.

`finished` measures any video against its original, `speaking` a portrait where there is no reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.evaluate import checks, lips, metrics, openface
from likeness.evaluate.experts import Experts
from likeness.evaluate.figures import FEWEST, Evaluation, Figures, Pictures, ranges
from likeness.evaluate.intervals import Sample
from likeness.evaluate.judge import Judge, Measured
from likeness.evaluate.rows import Row, all_rows, judged, nearest
from likeness.evaluate.silence import silence
from likeness.evaluate.sources import sources
from likeness.evaluate.speed import machine, speed
from likeness.nn.backdrop import without_head
from likeness.portrait import Portrait
from likeness.scenery import Scenery

__all__ = ["FEWEST", "Evaluation", "Figures", "Pictures", "evaluate", "must_fit", "ranges"]
NEAREST = "nearest frame"


@torch.no_grad()
def evaluate(
    portrait: Portrait, clip: Clip, action_units: Mapping[str, Path] | None = None, experts: Experts | None = None
) -> Evaluation:
    """Figures on the clip's held-out tenth, of a very long one on its first 20 s.

    `action_units`: OpenFace's csv files by row, that of the real frames under "real" (`likeness.evaluate.openface`).
    `experts`: the networks that judge; None: those whose weights are in place. Raises BadInput where the clip cannot be the
    portrait's, or a given file is not what it should be.
    """
    size, frames = portrait.stage.camera.size[0], judged(clip)
    must_fit(portrait, clip)
    rows = {row.name: row for row in all_rows(portrait, clip)}
    units = errors_of(action_units, [*rows, "real"], len(frames))
    quick = speed(portrait, clip)  # first: nothing that is held later counts as its memory
    portrait, given = portrait.measured_on(clip, frames)
    judge = Judge(clip, frames, size, experts or Experts.in_place())
    stage = _Stage(portrait, judge)
    pictures, table = {"real": judge.real}, []
    for row in rows.values():
        pasted, pictures[row.name] = stage.play(row)
        table.append(judge.row(row.name, pasted, pictures[row.name], judge.sound.later(row.by)))
    table.append(judge.row(NEAREST, list(nearest(clip, size)), None))
    real, floor = judge.real_row()
    table = [measured.with_samples(units.get(measured.row, {})) for measured in (*table, real)]
    quiet = silence(portrait, clip, judge)
    return Evaluation(
        method=portrait.method,
        size=size,
        given=given,
        frames=[int(t) for t in frames],
        split={"train": ranges(clip.train), "test": ranges(frames)},
        silence=quiet,
        speed=quick,
        pictures=pictures,
        missing=judge.missing | ({} if action_units else {"aue": openface.HOW}),
        floor=floor,
        checks=_checks({measured.row: measured for measured in table}, judge, rows["sound shifted"].by),
        machine=machine(),
        recipes=metrics.RECIPES | lips.recipe(judge.experts.landmarks),
        sources=sources(portrait, clip),
        **judge.about(table),
    )


def must_fit(portrait: Portrait, clip: Clip) -> None:
    """Raise BadInput unless the clip is seen by the portrait's camera and has held-out frames to measure."""
    size = portrait.stage.camera.size[0]
    camera, tracked = portrait.stage.camera, clip.camera.scaled((size, size))
    if not np.allclose([camera.focal, *camera.centre], [tracked.focal, *tracked.centre], atol=0.01 * size):
        raise BadInput(f"{clip.folder}: not the clip that the portrait was trained on: its camera is another one.")
    if len(clip.test) < FEWEST:
        raise BadInput(f"{clip.folder}: only {len(clip.test)} held-out frames show the face; at least {FEWEST} are needed.")


def errors_of(files: Mapping[str, Path] | None, rows: list[str], frames: int) -> dict[str, dict[str, Sample]]:
    """The errors of action units by row and field, where there are files of them. Raises BadInput for files of no row, of
    other frames, and without those of the real frames."""
    found = dict(files or {})
    if unknown := sorted(set(found) - set(rows)):
        raise BadInput(f"{found[unknown[0]]}: there is no row {unknown[0]!r}. The rows are {', '.join(rows)}.")
    real = found.pop("real", None)
    if real is None and found:
        raise BadInput("action units of the real frames are missing: name their file real.csv.")
    return {row: openface.aue(path, real, frames) for row, path in found.items() if real is not None}


class _Stage:
    """Plays rows, over both torsos."""

    def __init__(self, portrait: Portrait, judge: Judge) -> None:
        self.portrait = portrait
        plate = judge.clip.plate(judge.size)
        self.behind = [without_head(i, judge.clip.parts(int(t)), plate)[0] for t, i in zip(judge.frames, judge.real)]
        self.scenery = Scenery(portrait, "clip")

    def play(self, row: Row) -> tuple[Pictures, Pictures]:
        """Pictures over the real torso and background, and those with the portrait's own."""
        pasted, own = [], []
        for t, layer in enumerate(row.layers(self.portrait)):
            under = torch.from_numpy(self.behind[t]).float() / 255
            picture = layer.rgb[0] + (1 - layer.alpha[0, ..., None]) * under
            pasted.append((picture.clamp(0, 1) * 255).round().byte().numpy())
            own.append(self.scenery.compose(layer, row.motion[t : t + 1]))
        return pasted, own


def _checks(table: Mapping[str, Measured], judge: Judge, by: int) -> dict[str, dict[str, Any]]:
    """The tests with wrong sound, `by` frames off."""
    shifted, mean = table["sound shifted"], table["mean lips"]
    clip, hidden, heard = judge.clip, *(torch.from_numpy(judge.frames + off) for off in (0, by))
    original, said = (relative_opening(clip.pixels[at].numpy(), clip.seen[at].numpy()) for at in (hidden, heard))
    drawn, still = (relative_opening(row.landmarks.pixels, row.landmarks.found) for row in (shifted, mean))
    return {
        "mismatched sound": checks.mismatched_sound(shifted, mean, by),
        "leak": checks.leak(drawn, original, said, still),
    }


def relative_opening(
    pixels: Float[np.ndarray, "time k 2"], found: Bool[np.ndarray, " time"] | None = None
) -> Float[np.ndarray, " time"]:
    """Lip opening over the inter-ocular distance, so that coming nearer is no opening; NaN where nothing was found."""
    share = metrics.opening(pixels) / metrics.interocular(pixels)
    return share if found is None else np.where(found, share, np.nan)
