"""What portraits share that a rig moves and a voice speaks: what they learn from, their lips, their stage, their file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.nn.torso import Torso
from likeness.nn.voice import Voice
from likeness.portrait import (
    Heard,
    Stage,
    below,
    header_camera,
    require,
    stage_background,
    stage_motion,
    stage_tensors,
)
from likeness.rig import LIP_COEFFICIENTS, Rig

FEWEST_FRAMES = 100


def training_frames(clip: Clip, hearing: Hearing) -> Int[ndarray, " frames"]:
    """The clip's training frames. What is missing is said here, before the minutes of training: raises BadInput where fewer
    than 100 show the face, or a speech feature is not there."""
    frames = clip.train
    if len(frames) < FEWEST_FRAMES:
        raise BadInput(
            f"{clip.folder}: only {len(frames)} training frames show the face; at least {FEWEST_FRAMES} (4 s) are needed. "
            "Film a longer take, or one in which the face stays in view."
        )
    for name in hearing.features:
        clip.features(name)
    return frames


def spoken_lips(voice: Voice, rig: Rig, heard: Heard) -> Float[Tensor, "time lips"]:
    """Lip coefficients by sound, within what training showed, at rest in silence."""
    lips = voice(heard)
    low, high = rig.low[:LIP_COEFFICIENTS], rig.high[:LIP_COEFFICIENTS]
    lips = torch.minimum(torch.maximum(lips, low), high)
    return rig.rest + heard.activity[:, None] * (lips - rig.rest)


def stage_of(clip: Clip, size: int, torso: Torso) -> Stage:
    """What a portrait of the clip performs on, `size`² pixels."""
    motion = clip.motion[torch.from_numpy(clip.take)]
    return Stage(clip.camera.scaled((size, size)), motion, torch.from_numpy(clip.plate(size)), torso)


def rig_and_stage_state(rig: Rig, stage: Stage) -> dict[str, Tensor]:
    """As tensors of a portrait file, `rig.*` and `stage.*`."""
    return {f"rig.{key}": value for key, value in rig.state().items()} | stage_tensors(stage)


def rig_and_stage(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> tuple[Rig, Stage]:
    """From a portrait file. Raises BadInput where they do not fit together."""
    rig = below("rig.", tensors)
    require("rig", rig, Rig.shapes())
    torso = Torso.load(below("stage.torso.", tensors))
    background = stage_background(header, tensors)
    return Rig(**rig), Stage(header_camera(header), stage_motion(tensors), background, torso)
