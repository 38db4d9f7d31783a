"""How good a portrait is on the frames that it never saw: `evaluate(portrait, clip) -> Evaluation`.

`finished` measures any video against its original, `speaking` a portrait where there is no reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.evaluate import checks, metrics, openface
from likeness.evaluate.experts import Experts
from likeness.evaluate.figures import Evaluation, Figures, Pictures, ranges
from likeness.evaluate.judge import Judge, Measured
from likeness.evaluate.rows import Row, all_rows, nearest
from likeness.evaluate.silence import silence
from likeness.evaluate.speed import machine, speed
from likeness.nn.backdrop import without_head
from likeness.portrait import Portrait
from likeness.scenery import Scenery

__all__ = ["Evaluation", "Figures", "Pictures", "evaluate", "must_fit", "ranges"]
NEAREST = "nearest frame"
FEWEST = 10  # held-out frames below which figures mean nothing


@torch.no_grad()
def evaluate(
    portrait: Portrait, clip: Clip, action_units: Mapping[str, Path] | None = None, experts: Experts | None = None
) -> Evaluation:
    """Figures on the clip's held-out tenth.

    `action_units`: OpenFace's csv files by row, that of the real frames under "real" (`likeness.evaluate.openface`).
    `experts`: the networks that judge; None: those whose weights are in place. Raises BadInput where the clip cannot be the
    portrait's, or a given file is not what it should be.
    """
    size, frames = portrait.stage.camera.size[0], clip.test
    must_fit(portrait, clip)
    rows = {row.name: row for row in all_rows(portrait, clip)}
    must_be_rows(action_units, [*rows, NEAREST, "real"])
    quick = speed(portrait, clip)  # first: nothing that is held later counts as its memory
    judge = Judge(clip, frames, size, experts or Experts.in_place())
    stage = _Stage(portrait, judge)
    pictures, table = {"real": judge.real}, []
    for row in rows.values():
        pasted, pictures[row.name] = stage.play(row)
        table.append(judge.row(row.name, pasted, pictures[row.name], judge.sound.later(row.by)))
    table.append(judge.row(NEAREST, list(nearest(clip, size)), None))
    real, floor = judge.real_row()
    table = with_action_units([*table, real], action_units)
    quiet = silence(portrait, clip, judge.detect)
    return Evaluation(
        method=portrait.method,
        size=size,
        frames=[int(t) for t in frames],
        split={"train": ranges(clip.train), "test": ranges(frames)},
        table=[measured.figures for measured in table],
        real_jitter=metrics.jitter(judge.real_pixels, judge.frames),
        detector_missed=judge.missed,
        silence={"real_mean": float(metrics.opening(judge.real_pixels).mean())} | quiet,
        speed=quick,
        pictures=pictures,
        intervals={measured.row: measured.intervals for measured in table},
        missing=judge.missing | ({} if action_units else {"aue": openface.HOW}),
        floor=floor,
        checks=_checks({measured.row: measured for measured in table}, judge, rows["sound shifted"].by),
        machine=machine(),
        **judge.about(),
    )


def must_fit(portrait: Portrait, clip: Clip) -> None:
    """Raise BadInput unless the clip is seen by the portrait's camera and has held-out frames to measure."""
    size = portrait.stage.camera.size[0]
    camera, tracked = portrait.stage.camera, clip.camera.scaled((size, size))
    if not np.allclose([camera.focal, *camera.centre], [tracked.focal, *tracked.centre], atol=0.01 * size):
        raise BadInput(f"{clip.folder}: not the clip that the portrait was trained on: its camera is another one.")
    if len(clip.test) < FEWEST:
        raise BadInput(f"{clip.folder}: only {len(clip.test)} held-out frames show the face; at least {FEWEST} are needed.")


def must_be_rows(files: Mapping[str, Path] | None, rows: list[str]) -> None:
    """Raise BadInput for action units of no row, or without those of the real frames."""
    if files and (unknown := sorted(set(files) - set(rows))):
        raise BadInput(f"{files[unknown[0]]}: there is no row {unknown[0]!r}. The rows are {', '.join(rows)}.")
    if files and "real" not in files:
        raise BadInput("action units of the real frames are missing: name their file real.csv.")


def with_action_units(table: list[Measured], files: Mapping[str, Path] | None) -> list[Measured]:
    """The rows with the errors of action units, where there are files of them."""
    found = dict(files or {})
    real = found.pop("real", None)
    return [
        row.with_samples(openface.aue(found[row.row], real)) if row.row in found and real is not None else row for row in table
    ]


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
    hidden, heard = (metrics.opening(judge.clip.pixels[torch.from_numpy(judge.frames + off)].numpy()) for off in (0, by))
    return {
        "mismatched sound": checks.mismatched_sound(shifted, mean),
        "leak": checks.leak(metrics.opening(shifted.pixels), hidden, heard, metrics.opening(mean.pixels)),
    }
