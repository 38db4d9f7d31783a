"""A school for TalkingGaussian: few frames, few Gaussians, few steps, and everything that is slow made once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from likeness.clip import Clip
from likeness.methods import talking_gaussian
from likeness.methods.talking_gaussian import preset, seed
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.head import Head
from likeness.methods.talking_gaussian.lesson import Lesson
from likeness.nn.audio_code import hearing
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.pictures import Pictures
from likeness.nn.voice import HEARING
from likeness.rig import Rig
from likeness.run import Run

EVERY = 6  # of the training frames that a lesson sees
FEW = {
    "density": 0.03, "distil_steps": 3, "face_static_steps": 2, "face_steps": 6, "mouth_static_steps": 2, "mouth_steps": 5,
    "fusion_steps": 4, "batch": 1, "grow_every": 2, "grow_at": 1e-9, "most": 1200, "attention_every": 2,
    "polish": (0.3, 0.3),
}  # fmt: skip
"""Every stage, its rules and several growings, in 22 steps."""
PAPER = FEW | {"distil_steps": 0, "hair_apart": 2, "faint": (0.03, 0.06)}


def few(**more: object) -> Config:
    return replace(preset("fast"), **{**FEW, **more})


def paper(**more: object) -> Config:
    """The published settings, with fewer steps and Gaussians."""
    return replace(preset("paper"), **{**PAPER, **more})


class School:
    """What lessons about one clip share."""

    def __init__(self, clip: Clip, folder: Path) -> None:
        self.clip, self.folder = clip, folder
        self.frames = clip.train[::EVERY]
        self.rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
        self.pictures = Pictures(clip, self.frames, 256, folder / "pictures.raw", 3.0)

    def lesson(self, config: Config, run: Run, pictures: Pictures | None = None) -> Lesson:
        lesson = Lesson(self.clip, self.rig, self.frames, config, run, perceptual_loss("laplacian"))
        lesson.pictures = pictures or self.pictures
        return lesson

    def run(self, name: str) -> Run:
        return Run(self.folder / name, {}, keep_every_s=0.0)

    def head(self, config: Config, name: str) -> Head:
        """A head that went through all stages; its run is in the folder `name`."""
        with self.run(name) as run:
            return talking_gaussian._head(self.lesson(config, run), _hears(config))

    def begun(self, config: Config) -> Head:
        """A head before its first step."""
        face, mouth = seed.seeds(self.clip, self.rig, self.frames, config)
        torch.manual_seed(config.seed)
        head = Head(config, len(face.xyz), len(mouth.xyz))
        head.face, head.mouth = face.field(), mouth.field()
        return head

    def log(self, name: str) -> list[dict]:
        return [json.loads(line) for line in (self.folder / name / "log.jsonl").read_text().splitlines()]


def _hears(config: Config):
    return HEARING if config.conditioning == "motion" else hearing(config.features)
