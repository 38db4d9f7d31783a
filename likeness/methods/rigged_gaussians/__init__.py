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
from likeness.nn.performing import stage_of, training_frames
from likeness.nn.torso import Torso
from likeness.nn.voice import HEARING, Voice
from likeness.nn.voice_train import train_voice
from likeness.rig import Rig
from likeness.run import CHECKPOINT, Run

__all__ = ["Config", "Model", "preset", "train"]


def train(clip: Clip, out: str | os.PathLike, config: Config = Config()) -> Model:
    """Make a portrait of a clip and write it to `out`. The run lives in `out`.run and resumes when it was cut off.

    Raises BadInput when the clip shows the face in under 100 training frames.
    """
    out = Path(out)
    frames = training_frames(clip, HEARING)
    settings = {**asdict(config), **clip.identity}
    with Run(out.with_name(out.name + ".run"), settings, config.seed) as run:
        rig = Rig.fit(clip.motion[torch.from_numpy(frames)])
        torso = Torso.fit(clip, config.size, frames)  # first: it says within seconds when there is none
        gaussians = train_head(clip, rig, frames, config, run) if not run.done("head") else Gaussians.restored(run.resumed)
        voice = train_voice(clip, rig, frames, run) if not run.done("voice") else Voice.restored(run.resumed)
        model = Model(config, HEARING, gaussians, voice)
        model.rig = rig
        model.stage = stage_of(clip, config.size, torso)
        model.eval().save(out)
        run.clear("pictures-*")
        run.clear(CHECKPOINT)  # the portrait is there: other settings may follow
    return model
