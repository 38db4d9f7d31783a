"""Rigged Gaussians, the default method: Gaussians on a personal face mesh that sound moves. See `model`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import torch

from likeness.clip import Clip
from likeness.methods.rigged_gaussians.config import Config, preset
from likeness.methods.rigged_gaussians.gaussians import Gaussians
from likeness.methods.rigged_gaussians.head_train import train_head
from likeness.methods.rigged_gaussians.model import Model
from likeness.nn.adaptation.speaker_train import Generic, generic_of, learns_from, origin_of, voice_of
from likeness.nn.performing import finish, stage_of, training_frames
from likeness.nn.torso import Torso
from likeness.rig import Rig
from likeness.run import Run

__all__ = ["Config", "Model", "preset", "train"]


def train(
    clip: Clip, out: str | os.PathLike, config: Config = Config(), motion: str | os.PathLike | Generic | None = None
) -> Model:
    """Make a portrait of a clip and write it to `out`. The run lives in `out`.run and resumes when it was cut off.
    `motion`: a generator of motion (or its file) that shall speak for the person, too.

    Raises BadInput when the clip shows the face in under 100 training frames.
    """
    out = Path(out)
    generic = generic_of(motion)
    frames = training_frames(clip, learns_from(generic))
    settings = {**asdict(config), **clip.identity, **origin_of(generic)}
    with Run(out.with_name(out.name + ".run"), settings, config.seed) as run:
        rig = Rig.fit(clip.motion[torch.from_numpy(frames)])
        torso = Torso.fit(clip, config.size, frames)  # first: it says within seconds when there is none
        gaussians = train_head(clip, rig, frames, config, run) if not run.done("head") else Gaussians.restored(run.resumed)
        voice = voice_of(clip, rig, frames, run, generic)
        model = Model(config, voice.hearing, gaussians, voice)
        finish(model, rig, stage_of(clip, config.size, torso), out, run)
    return model
