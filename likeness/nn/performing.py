"""What portraits share that a rig moves and a voice speaks: what they learn from, their lips, their stage, their file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Clip, Motion
from likeness.errors import BadInput
from likeness.nn.adaptation.projection import Manifold, thinned
from likeness.nn.adaptation.speaker import Speaker
from likeness.nn.chain import settled
from likeness.nn.torso import Torso
from likeness.nn.torso_field import TorsoField
from likeness.nn.voice import Voice
from likeness.portrait import (
    Heard,
    Portrait,
    Stage,
    below,
    header_camera,
    require,
    stage_background,
    stage_motion,
    stage_tensors,
)
from likeness.rig import LIP_COEFFICIENTS, UPPER_COEFFICIENTS, Rig
from likeness.run import CHECKPOINT, Run

FEWEST_FRAMES = 100


def training_frames(clip: Clip, hearing: Hearing) -> Int[np.ndarray, " frames"]:
    """The clip's training frames. What is missing is said here, before the minutes of training: raises BadInput where fewer
    than 100 show the face, MissingAsset where a speech feature needs weights that are not in place."""
    frames = clip.train
    if len(frames) < FEWEST_FRAMES:
        raise BadInput(
            f"{clip.folder}: only {len(frames)} training frames show the face; at least {FEWEST_FRAMES} (4 s) are needed. "
            "Film a longer take, or one in which the face stays in view."
        )
    for name in hearing.features:
        clip.features(name)
    return frames


def spoken_lips(voice: Voice | Speaker, rig: Rig, heard: Heard, own: Manifold | None = None) -> Float[Tensor, "time lips"]:
    """Lip coefficients by sound, through the chain that all methods share (`likeness.nn.chain`): by `heard.projection` onto
    what the person was seen to do (`own`), within what training showed, at rest in silence. Raises BadInput where motion shall
    vary and no generator makes it."""
    if heard.temperature and not isinstance(voice, Speaker):
        raise BadInput(
            "this portrait was trained without a generator of motion: nothing can vary. Leave temperature at 0, or train it "
            "with --motion."
        )
    return settled(voice(heard), rig, heard.activity, own, heard.projection)


def stage_of(clip: Clip, size: int, torso: Torso | TorsoField | None) -> Stage:
    """What a portrait of the clip performs on, `size`² pixels."""
    motion = clip.motion[torch.from_numpy(clip.take)]
    return Stage(clip.camera.scaled((size, size)), motion, torch.from_numpy(clip.plate(size)), torso)


def finish(model: Performer, rig: Rig, stage: Stage, out: Path, run: Run) -> None:
    """Give a trained portrait its rig and its stage, write it, and clear away what its run needs no more."""
    model.rig, model.stage = rig, stage
    model.eval().save(out)
    run.clear("pictures-*")
    run.clear(CHECKPOINT)  # the portrait is there: other settings may follow


class Performer(Portrait):
    """A portrait with a rig and a stage, moved by lip coefficients that a voice finds in sound, or (without a voice) by codes
    of sound themselves. `rig` and `stage` are set by whoever makes it: `train`, or `furnish` from a file."""

    stage: Stage
    rig: Rig
    voice: Voice | Speaker | None

    def hear(self, stretch: Float[Tensor, "rows dim"]) -> Float[Tensor, "time code"]:
        """Codes of a stretch of speech features; only asked for where there is no voice."""
        raise NotImplementedError

    def listen(self, heard: Heard) -> Float[Tensor, "time cond"]:
        """Sound to lip coefficients, at rest in silence; without a voice to codes of speech, which know neither rest nor
        amplitude: raises BadInput where another amplitude, a projection or a temperature is asked for."""
        if self.voice is None:
            if heard.amplitude != 1 or heard.projection or heard.temperature:
                raise BadInput(
                    "this portrait moves by sound itself: it knows no amplitude, projection or temperature. Leave them at 1, 0 "
                    "and 0, or use another preset."
                )
            with torch.no_grad():
                return self.hear(heard.features)
        return spoken_lips(self.voice, self.rig, heard, self.own(heard))

    def own(self, heard: Heard) -> Manifold | None:
        """What lips are projected onto, where that is asked for."""
        return self._own_lips if heard.projection else None

    @cached_property
    def _own_lips(self) -> Manifold:
        """Lips that the person was seen with."""
        motion = self.stage.motion
        kept = torch.from_numpy(thinned(np.arange(len(motion))))
        return Manifold.of(self.rig.encode(motion[kept])[:, :LIP_COEFFICIENTS], self.rig.lip_weight.sqrt())

    def follow(self, motion: Motion) -> Float[Tensor, "time lips"] | None:
        """Tracked lips instead of sound; None where there is no voice."""
        return None if self.voice is None else self.rig.encode(motion)[:, :LIP_COEFFICIENTS]

    def recognise(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> Literal["own", "other"]:
        return "own" if self.voice is None else self.voice.recognise(mean, std)

    def within(
        self, cond: Float[Tensor, "time cond"], motion: Motion | None
    ) -> tuple[Float[Tensor, "time cond"], Float[Tensor, "time upper"]]:
        """What drives frames and the upper face's values (without motion their mean), within what training showed; codes of
        speech are as they are."""
        lips = cond if self.voice is not None else cond.new_zeros(len(cond), LIP_COEFFICIENTS)
        upper = (
            cond.new_zeros(len(cond), UPPER_COEFFICIENTS) if motion is None else self.rig.encode(motion)[:, LIP_COEFFICIENTS:]
        )
        rows = self.rig.clip(torch.cat([lips, upper], dim=1))
        return (rows[:, :LIP_COEFFICIENTS] if self.voice is not None else cond), rows[:, LIP_COEFFICIENTS:]

    def extra_state(self) -> dict[str, Tensor]:
        return {f"rig.{key}": value for key, value in self.rig.state().items()} | stage_tensors(self.stage)

    def furnish(self, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        rig = below("rig.", tensors)
        require("rig", rig, Rig.shapes())
        held = below("stage.torso.", tensors)
        torso = None  # of what was imported without a clip
        if held:
            torso = TorsoField.load(held) if any(key.startswith("net.") for key in held) else Torso.load(held)
        background = stage_background(header, tensors)
        self.rig = Rig(**rig)
        self.stage = Stage(header_camera(header), stage_motion(tensors), background, torso)
