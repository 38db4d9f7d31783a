"""GeneFace: landmarks between sound and picture, drawn by a radiance field (Ye et al. 2023). See `landmarks` and `model`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import torch

from likeness.clip import Clip
from likeness.methods.geneface.config import Config, preset
from likeness.methods.geneface.head import Head
from likeness.methods.geneface.lesson import Lesson
from likeness.methods.geneface.model import AROUND, Model
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.performing import stage_of, training_frames
from likeness.nn.radiance import stages
from likeness.nn.torso import Torso
from likeness.nn.voice import Voice
from likeness.nn.voice_train import train_voice
from likeness.rig import Rig
from likeness.run import CHECKPOINT, Run

__all__ = ["Config", "Model", "preset", "train"]


def train(clip: Clip, out: str | os.PathLike, config: Config = Config()) -> Model:
    """Make a portrait of a clip and write it to `out`. The run lives in `out`.run and resumes when it was cut off.

    Raises BadInput when the clip shows the face in under 100 training frames.
    """
    out = Path(out)
    frames = training_frames(clip, AROUND)
    distance = perceptual_loss("auto")  # what is wrong with its weights is said now, too
    settings = {**asdict(config), **clip.identity, "perceptual": distance.name}
    with Run(out.with_name(out.name + ".run"), settings, config.seed) as run:
        rig = Rig.fit(clip.motion[torch.from_numpy(frames)])
        torso = Torso.fit(clip, config.size, frames)
        head = _head(Lesson(clip, rig, frames, config, run, distance))
        voice = train_voice(clip, rig, frames, run) if not run.done("voice") else Voice.restored(run.resumed)
        model = Model(config, AROUND, head, voice)
        model.rig = rig
        model.stage = stage_of(clip, config.size, torso)
        model.eval().save(out)
        run.clear("pictures-*")
        run.clear(CHECKPOINT)  # the portrait is there: other settings may follow
    return model


def _head(lesson: Lesson) -> Head:
    """All stages that are still to be done."""
    head = stages.begin(Head, lesson)
    head.follow(lesson.rig)
    if not lesson.run.resumed:
        head.landmarks.measure(lesson.cond[torch.from_numpy(lesson.frames)])
    stages.learn(head, lesson)
    return head
