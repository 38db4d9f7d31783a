"""A portrait where there is no reference: other sound (another person's, sex or language), another head movement.

The papers' settings beyond self-reconstruction (cross-driven lip sync, cross-gender, cross-language, novel pose). What can be
measured without an original is: lips against the sound, jitter, flicker, the seam, silence, and whether the original
that lends its poses shines through. Frames come from `speak`, as served, and are never encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from likeness import audio, mesh
from likeness.clip import Clip, Motion
from likeness.delivery import Delivery
from likeness.errors import BadInput
from likeness.evaluate import checks, lips, metrics, must_fit, relative_opening, seam, syncnet
from likeness.evaluate.detection import Landmarks
from likeness.evaluate.experts import Experts
from likeness.evaluate.figures import FEWEST, Evaluation, Pictures, ranges
from likeness.evaluate.flicker import flows, warping_errors
from likeness.evaluate.intervals import Sample
from likeness.evaluate.judge import Judge, Measured, agreement, synchrony
from likeness.evaluate.rows import MOST, held_still, judged, mean_cond
from likeness.evaluate.silence import silence
from likeness.evaluate.sound import Sound
from likeness.evaluate.speed import machine, speed
from likeness.portrait import Layer, Portrait
from likeness.speak import CHUNK, Speech, speak

STATIC = "static"
OWN = "held-out sound"


class Played:
    """The first frames of a `Speech`, and where head and body meet in each."""

    def __init__(self, said: Speech, still: tuple[Tensor, Motion] | None = None) -> None:
        """`still`: conditioning and a motion's face to hold instead of what the sound says."""
        self.pictures: Pictures = []
        self.bands: list[Bool[np.ndarray, "height width"]] = []
        self.hidden: list[float] = []
        """Lip opening of the original whose frames lend pose and eyes, metres."""
        for layer, motion in _layers(said, still):
            self.pictures.append(said.scenery.compose(layer, motion))
            if said.scenery.torso is not None and motion.torso is not None:
                body = said.scenery.torso.layer(motion.torso[0])[..., 3] > 0.5
                self.bands.append(seam.border(layer.alpha[0].numpy() > 0.5, body))
            lips = motion.landmarks[0, [mesh.UPPER_INNER_LIP, mesh.LOWER_INNER_LIP], :2]
            self.hidden.append(float((lips[0] - lips[1]).norm()))


@torch.no_grad()
def evaluate_speech(
    portrait: Portrait,
    clip: Clip,
    sounds: Sequence[Path],
    delivery: Delivery = Delivery(),
    experts: Experts | None = None,
) -> Evaluation:
    """A row for each sound, by its file's name; "static": the same movement with the mean face; "real": the held-out frames.

    No sounds: the clip's own held-out one, as for a novel pose. `delivery`: as in `likeness.speak`. Raises BadInput for sounds
    under 10 frames, two of one name, a clip that is not the portrait's, or a transparent background.
    """
    must_fit(portrait, clip)
    with TemporaryDirectory() as folder:
        if not sounds:
            own = Path(folder) / f"{OWN}.wav"
            first, last = int(judged(clip)[0]), int(judged(clip)[-1])
            audio.save_wav(own, audio.load(clip.audio)[first * audio.HOP : (last + 1) * audio.HOP])
            sounds = [own]
        return _evaluate(portrait, clip, [Path(sound) for sound in sounds], delivery, experts or Experts.in_place())


def _evaluate(portrait: Portrait, clip: Clip, sounds: list[Path], delivery: Delivery, experts: Experts) -> Evaluation:
    if delivery.background == "transparent":
        raise BadInput("a transparent background cannot be measured: choose the clip's, a colour or a picture.")
    speeches = _speeches(portrait, sounds, delivery)
    quick = speed(portrait, clip)
    judge = Judge(clip, judged(clip), portrait.stage.camera.size[0], experts)
    scene, heard = _Scene(experts, judge), {name: Sound(audio.load(said.sound)) for name, said in speeches.items()}
    spoken = {name: Played(said) for name, said in speeches.items()}
    longest = max(speeches, key=lambda name: len(speeches[name]))
    held = Played(speeches[longest], (mean_cond(portrait, clip), held_still(clip.motion, clip.train)))
    rows = {name: scene.row(name, played, heard[name]) for name, played in spoken.items()}
    still = scene.row(STATIC, held, heard[longest])
    table = [*rows.values(), still, scene.real_row()]
    lips = relative_opening(still.landmarks.pixels, still.landmarks.found)
    leaks = {
        f"leak, {name}": checks.leak(
            relative_opening(row.landmarks.pixels, row.landmarks.found),
            np.array(spoken[name].hidden),
            heard[name].decibels[: len(row.landmarks.found)],
            lips[: len(row.landmarks.found)],
        )
        for name, row in rows.items()
    }
    lengths = {name: len(played.pictures) for name, played in spoken.items()}
    return Evaluation(
        method=portrait.method,
        size=judge.size,
        frames=list(range(max(lengths.values()))),
        split={"train": ranges(clip.train), "test": ranges(clip.test)},
        silence=silence(portrait, clip, judge),
        speed=quick,
        delivery=_plain(delivery) | {"voices": {name: said.voice for name, said in speeches.items()}, "frames": lengths},
        recipes=scene.recipes,
        pictures={name: played.pictures for name, played in spoken.items()} | {STATIC: held.pictures, "real": judge.real},
        missing={name: why for name, why in scene.missing.items() if name not in ("lpips", "fid", "ms_ssim")},
        checks=leaks,
        machine=machine(),
        setting="speech",
        **{name: value for name, value in judge.about(table).items() if name != "boxes"},  # of frames that nothing is drawn of
    )


def named(sounds: Sequence[Path]) -> dict[str, Path]:
    """Sounds by the names of their rows, which are those of their files. Raises BadInput for two of one name."""
    names = [sound.stem for sound in sounds]
    if taken := sorted({name for name in names if names.count(name) > 1 or name in (STATIC, "real")}):
        raise BadInput(f"speech {taken[0]!r}: rows have the names of their files, and this one is taken. Rename the file.")
    return dict(zip(names, sounds))


def must_be_enough(sound: Path, frames: int) -> None:
    """Raise BadInput for a sound that is too short to be measured."""
    if frames < FEWEST:
        raise BadInput(f"{sound}: {frames} frames of sound; at least {FEWEST} are needed.")


def _speeches(portrait: Portrait, sounds: list[Path], delivery: Delivery) -> dict[str, Speech]:
    """What is said, by the names of rows. Raises BadInput for sounds that cannot be rows."""
    speeches = {name: speak(portrait, sound, delivery) for name, sound in named(sounds).items()}
    for said in speeches.values():
        must_be_enough(said.sound, len(said))
    return speeches


class _Scene:
    """Measures rows that have no reference."""

    def __init__(self, experts: Experts, judge: Judge) -> None:
        self.experts, self.judge, self.missing = experts, judge, judge.missing
        recipes = dict(metrics.RECIPES)
        recipes["flicker"] = recipes["flicker, own flow"]
        recipes["seam edge"] = recipes["seam edge, drawn border"]
        self.recipes = recipes | lips.recipe(experts.landmarks)

    def row(self, name: str, played: Played, sound: Sound) -> Measured:
        """A spoken row."""
        landmarks = self.judge.detect(name, played.pictures)
        samples, sync = self._alone(played.pictures, landmarks, sound)
        edges = [seam.edge(a, where) for a, where in zip(played.pictures, played.bands) if where.any()]
        if edges:
            samples["seam_edge"] = Sample(np.array(edges))
        else:
            self.missing["seam"] = "This portrait has no torso of its own beside its head, so there is no seam to find."
        return Measured(name, samples, {}, landmarks, sync)

    def real_row(self) -> Measured:
        """The longest run of held-out frames. Its seam is left out: it has no drawn border."""
        at, start, _ = max(self.judge.pieces, key=lambda piece: piece[2] - piece[1])
        landmarks = self.judge.real_landmarks[at]
        samples, sync = self._alone(self.judge.real[at], landmarks, self.judge.sound.later(start))
        return Measured("real", samples, {}, landmarks, sync)

    def _alone(self, pictures: Pictures, landmarks: Landmarks, sound: Sound) -> tuple[dict[str, Sample], dict[str, Any] | None]:
        """Of neighbouring pictures, the first of which shows the sound's beginning; and how SyncNet judged."""
        found, known = {}, np.flatnonzero(landmarks.found)
        if landmarks.enough:
            rows = metrics.with_loudness(metrics.opening(landmarks.pixels), sound.decibels, sound.by)[known]
            found["jitter"] = Sample(metrics.jolts(landmarks.pixels[known], known))
            found |= {"loudness_r": Sample(rows, metrics.loudness_r), "loudness_lag": Sample(rows, metrics.loudness_lag)}
        warped = warping_errors(pictures, flows(pictures, np.ones(len(pictures) - 1, bool)))
        if len(warped):
            found["flicker"] = Sample(warped)
        found |= self.judge.lip_sync(landmarks, sound, 0, len(pictures))
        net, sync = self.experts.syncnet, None
        if net is not None and len(pictures) < syncnet.SMALLEST_STRETCH:
            self.missing["sync"] = syncnet.too_short(len(pictures))
        elif net is not None and landmarks.enough:
            sync = syncnet.distances(net, pictures, landmarks.pixels, sound.piece(0, len(pictures)))
        return found | synchrony(sync), agreement(sync)


def _layers(said: Speech, still: tuple[Tensor, Motion] | None) -> Iterator[tuple[Layer, Motion]]:
    """The head and its motion, frame by frame, as `Speech` plays them."""
    state = None
    for start in range(0, min(len(said), MOST), CHUNK):
        stop = min(start + CHUNK, len(said), MOST)
        motion = said.motion(start, stop)
        cond = said.cond(start, stop) if still is None else still[0].expand(stop - start, *still[0].shape[1:])
        if still is not None:
            face = still[1][[0] * (stop - start)]
            motion = replace(motion, expression=face.expression, eyes=face.eyes, landmarks=face.landmarks)
        for t in range(stop - start):
            layer, state = said.portrait.render(cond[t : t + 1], motion[t : t + 1], state)
            yield layer, motion[t : t + 1]


def _plain(delivery: Delivery) -> dict[str, object]:
    """The settings as JSON can hold them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(delivery).items()}
