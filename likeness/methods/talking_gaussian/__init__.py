"""TalkingGaussian: persistent Gaussians that speech moves, face and mouth interior apart. See `model` and `stages`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import torch

from likeness.audio import Hearing
from likeness.clip import Clip
from likeness.methods.talking_gaussian.config import Config, preset
from likeness.methods.talking_gaussian.head import Head
from likeness.methods.talking_gaussian.lesson import Lesson
from likeness.methods.talking_gaussian.model import Model
from likeness.methods.talking_gaussian.seed import seeds, together
from likeness.methods.talking_gaussian.stages import distil, fuse, train_face, train_mouth
from likeness.nn.adaptation.speaker_train import Generic, generic_of, learns_from, origin_of, voice_of
from likeness.nn.audio_code import hearing
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.performing import finish, stage_of, training_frames
from likeness.nn.torso import Torso
from likeness.rig import Rig
from likeness.run import Run
from likeness.speech import Statistics

__all__ = ["Config", "Model", "preset", "train"]


def train(
    clip: Clip, out: str | os.PathLike, config: Config = Config(), motion: str | os.PathLike | Generic | None = None
) -> Model:
    """Make a portrait of a clip and write it to `out`. The run lives in `out`.run and resumes when it was cut off.
    `motion`: a generator of motion (or its file) that shall speak for the person, too.

    Raises BadInput when the clip shows the face in under 100 training frames, or `motion` is given where sound itself moves
    the face.
    """
    out = Path(out)
    generic = generic_of(motion, config.conditioning)
    by_sound = config.conditioning == "sound"
    hears = hearing(config.features) if by_sound else learns_from(generic)
    frames = training_frames(clip, hears)
    distance = perceptual_loss("auto")  # what is wrong with its weights is said now, too
    settings = {**asdict(config), **clip.identity, "perceptual": distance.name, **origin_of(generic)}
    with Run(out.with_name(out.name + ".run"), settings, config.seed) as run:
        rig = Rig.fit(clip.motion[torch.from_numpy(frames)])
        torso = Torso.fit(clip, config.size, frames)
        lesson = Lesson(clip, rig, frames, config, run, distance)
        head = _head(lesson, hears)
        voice = None if by_sound else voice_of(clip, rig, frames, run, generic)
        model = Model(config, hears if voice is None else voice.hearing, head, voice)
        finish(model, rig, stage_of(clip, config.size, torso), out, run)
    return model


def _head(lesson: Lesson, hears: Hearing) -> Head:
    """All stages that are still to be done."""
    run, config = lesson.run, lesson.config
    face, mouth = seeds(lesson.clip, lesson.rig, lesson.frames, config)
    if not config.decompose:
        face = together(face, mouth)
    if run.resumed:
        head = Head.restored(config, run.resumed)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            head = Head(config, len(face.xyz), len(mouth.xyz) if config.decompose else 0)
        head.face = face.field()
        if config.decompose:
            head.mouth = mouth.field()
        for code in head.heard:
            statistics = Statistics.of(lesson.heard)
            code.mean.copy_(statistics.mean)
            code.std.copy_(statistics.std)
    moves = config.decompose or not config.speaks_in_color  # or there is no motion to learn
    if config.distil_steps and moves and not run.done("distil"):
        distil(head, (face, mouth), lesson)
    if not run.done("face"):
        train_face(head, lesson)
    if config.decompose and not run.done("mouth"):
        train_mouth(head, lesson)
    if not run.done("fusion"):
        fuse(head, lesson)
    return head
