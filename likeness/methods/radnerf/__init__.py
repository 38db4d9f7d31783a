"""RAD-NeRF: a radiance field on grids, decomposed into space and speech (Tang et al. 2022). See `field` and `volume`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import torch

from likeness.clip import Clip
from likeness.methods.radnerf.config import Config, preset
from likeness.methods.radnerf.head import Head
from likeness.methods.radnerf.layouts import LEAVE, recognise
from likeness.methods.radnerf.lesson import Lesson
from likeness.methods.radnerf.model import Model
from likeness.methods.radnerf.original import adopt
from likeness.methods.radnerf.start import beginning, take_over
from likeness.nn.adaptation.speaker_train import Generic, generic_of, learns_from, origin_of, voice_of
from likeness.nn.audio_code import AudioCode, hearing
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.performing import finish, stage_of, training_frames
from likeness.nn.radiance import stages
from likeness.nn.radiance.start import Beginning, begun_with
from likeness.nn.torso import Torso
from likeness.nn.torso_field import TorsoField
from likeness.rig import Rig
from likeness.run import Run
from likeness.speech import Statistics

__all__ = ["LEAVE", "Config", "Model", "adopt", "preset", "recognise", "train"]


def train(
    clip: Clip,
    out: str | os.PathLike,
    config: Config = Config(),
    start: Model | None = None,
    motion: str | os.PathLike | Generic | None = None,
) -> Model:
    """Make a portrait of a clip and write it to `out`. The run lives in `out`.run and resumes when it was cut off.
    `start`: whose head to begin from, instead of from nothing. `motion`: a generator of motion (or its file) that shall
    speak for the person, too.

    Raises BadInput when the clip shows the face in under 100 training frames, `start` is built in another way, or `motion` is
    given where sound itself moves the face.
    """
    out = Path(out)
    begin = None if start is None else beginning(start, config)
    generic = generic_of(motion, config.conditioning)
    by_sound = config.conditioning == "sound"
    hears = hearing(config.features) if by_sound else learns_from(generic)
    frames = training_frames(clip, hears)
    distance = perceptual_loss("auto")  # what is wrong with its weights is said now, too
    settings = {**asdict(config), **clip.identity, "perceptual": distance.name, **origin_of(generic), **begun_with(begin)}
    with Run(out.with_name(out.name + ".run"), settings, config.seed) as run:
        rig = Rig.fit(clip.motion[torch.from_numpy(frames)])
        torso = Torso.fit(clip, config.size, frames) if not config.torso_steps else None
        lesson = Lesson(clip, rig, frames, config, run, distance)
        head = _head(lesson, begin)
        voice = None if by_sound else voice_of(clip, rig, frames, run, generic)
        if torso is None:
            torso = TorsoField.fit(clip, config.size, frames, "pose", config.torso_steps, run=run)
        model = Model(config, hears if voice is None else voice.hearing, head, voice)
        finish(model, rig, stage_of(clip, config.size, torso), out, run)
    return model


def _head(lesson: Lesson, begin: Beginning | None = None) -> Head:
    """All stages that are still to be done; `begin` holds what a new head begins with."""
    head = stages.begin(Head, lesson)
    if not lesson.run.resumed:
        if begin is not None:
            take_over(head, begin, lesson.rig)
        if isinstance(head.code, AudioCode):
            statistics = Statistics.of(lesson.heard)
            head.code.mean.copy_(statistics.mean)
            head.code.std.copy_(statistics.std)
    head.follow(lesson.rig)
    stages.learn(head, lesson)
    return head
