"""GeneFace as published: a vanilla radiance field of the head that landmarks move, and one of the torso that knows how the head
was drawn (Ye et al. 2023, section 3.4; `likeness.nn.vanilla`). Work for a GPU: see `likeness.nn.vanilla.training` for times.

Landmarks, voice and file are those of the other presets. The torso needs the head's picture, so the portrait draws it itself
and its stage has none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Clip, Motion
from likeness.methods.geneface.landmarks import FRAMES, Landmarks, neighbours
from likeness.methods.geneface.near import Near, around
from likeness.nn.adaptation.speaker import Speaker, blank_voice, sizes_of
from likeness.nn.adaptation.speaker_train import Generic, generic_of, learns_from, origin_of, voice_of
from likeness.nn.performing import finish, stage_of, training_frames
from likeness.nn.vanilla import (
    HeadLesson,
    Settings,
    TorsoLesson,
    VanillaHead,
    VanillaTorso,
    train_vanilla_head,
    train_vanilla_torso,
)
from likeness.nn.voice import Voice
from likeness.portrait import Layer, header_hearing
from likeness.rig import LIP_COEFFICIENTS, Rig
from likeness.run import Run


@dataclass(frozen=True)
class PaperConfig:
    """Settings of GeneFace's published renderers."""

    preset: Literal["paper"] = "paper"
    size: int = 256
    """Side of the training pictures in pixels: 256 or 512."""
    seed: int = 0
    """Of every random choice."""
    clamp: float = 2.0
    """Standard deviations from the mean that a landmark may be away; across the picture half of it for brows and eyes."""
    renderers: Settings = field(default_factory=Settings)
    """Sizes and schedule of both."""

    def __post_init__(self) -> None:
        if self.size not in (256, 512):
            raise ValueError(f"size is {self.size}; this method trains at 256 or 512")
        if self.renderers.around != FRAMES:
            raise ValueError(f"codes are made of {self.renderers.around} frames; {FRAMES} are what a portrait hears of lips")


class PaperModel(Near):
    """The portrait: rig, landmarks, head and torso, voice and stage."""

    method = "geneface"

    def __init__(self, config: PaperConfig, hearing: Hearing, voice: Voice | Speaker) -> None:
        super().__init__()
        self.config, self.hearing = config, hearing
        self.landmarks = Landmarks(config.clamp)
        self.head, self.torso = VanillaHead(config.renderers), VanillaTorso(config.renderers)
        self.voice = voice

    @torch.no_grad()
    def render(self, cond: Float[Tensor, "time cond"], motion: Motion, state: None = None) -> tuple[Layer, None]:
        """Pictures of head and torso; no state is needed."""
        cond, upper = self.within(cond, motion)
        codes, camera = self.head.said(self.landmarks(faces(cond, upper))), self.stage.camera
        drawn = [
            self.torso.over(self.head.picture(pose, code, camera), pose, code, camera) for pose, code in zip(motion.pose, codes)
        ]
        return Layer(*map(torch.stack, zip(*drawn))), None

    def furnish(self, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        super().furnish(header, tensors)
        self.landmarks.follow(self.rig)

    def sizes(self) -> dict[str, Any]:
        return {"voice": sizes_of(self.voice)}

    @classmethod
    def blank(cls, header: Mapping[str, Any]) -> PaperModel:
        words: dict[str, Any] = {**header["config"], "renderers": Settings(**header["config"]["renderers"])}
        config = PaperConfig(**words)
        return cls(config, header_hearing(header), blank_voice(header["sizes"]["voice"]))


def faces(cond: Float[Tensor, "time cond"], upper: Float[Tensor, "time upper"]) -> Float[Tensor, "time near values"]:
    """The rig's values of FRAMES frames: of the lips their own, of the upper face those of the frame that is drawn."""
    return torch.cat([cond.unflatten(1, (FRAMES, LIP_COEFFICIENTS)), upper[:, None].expand(-1, FRAMES, -1)], 2)


def train_paper(clip: Clip, out: Path, config: PaperConfig, motion: str | os.PathLike | Generic | None) -> PaperModel:
    """As `geneface.train`."""
    generic = generic_of(motion)
    frames = training_frames(clip, learns_from(generic))
    told = {**asdict(config), **clip.identity, **origin_of(generic)}
    with Run(out.with_name(out.name + ".run"), told, config.seed) as run:
        rig = Rig.fit(clip.motion[torch.from_numpy(frames)])
        cond = rig.clip(rig.encode(clip.motion))
        landmarks = Landmarks(config.clamp)
        landmarks.follow(rig)
        landmarks.measure(cond[torch.from_numpy(frames)])
        lips = cond[torch.from_numpy(neighbours(frames, tuple(clip.breaks))), :LIP_COEFFICIENTS].flatten(1)
        near = landmarks(faces(lips, cond[torch.from_numpy(frames), LIP_COEFFICIENTS:]))
        lesson = HeadLesson(clip, frames, near, run.folder, config.size, config.renderers)
        head = train_vanilla_head(lesson, config.renderers, run)
        torso = train_vanilla_torso(TorsoLesson(lesson, head), config.renderers, run)
        voice = voice_of(clip, rig, frames, run, generic)
        model = PaperModel(config, around(voice.hearing), voice)
        model.head, model.torso, model.landmarks = head, torso, landmarks
        finish(model, rig, stage_of(clip, config.size, None), out, run)
    return model
