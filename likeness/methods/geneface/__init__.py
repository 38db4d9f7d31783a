"""GeneFace: landmarks between sound and picture, drawn by a radiance field (Ye et al. 2023). See `landmarks` and `model`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from likeness.clip import Clip
from likeness.corpus import Corpus
from likeness.methods.geneface.config import Config, preset
from likeness.methods.geneface.head import Head
from likeness.methods.geneface.lesson import Lesson
from likeness.methods.geneface.model import Model
from likeness.methods.geneface.near import around
from likeness.methods.geneface.paper import PaperConfig, PaperModel, train_paper
from likeness.methods.geneface.start import beginning, take_over
from likeness.nn.adaptation.speaker_train import Generic, generic_of, learns_from, origin_of, voice_of
from likeness.nn.generator import asset, settings
from likeness.nn.generator import pretrain as generator
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.performing import finish, stage_of, training_frames
from likeness.nn.radiance import stages
from likeness.nn.radiance.start import Beginning, begun_with
from likeness.nn.sync.asset import in_place
from likeness.nn.sync.loss import SyncLoss
from likeness.nn.torso import Torso
from likeness.rig import Rig
from likeness.run import Run

__all__ = ["Config", "Model", "preset", "pretrain", "train"]


def train(
    clip: Clip,
    out: str | os.PathLike,
    config: Config | PaperConfig = Config(),
    start: Model | PaperModel | None = None,
    motion: str | os.PathLike | Generic | None = None,
) -> Model | PaperModel:
    """Make a portrait of a clip and write it to `out`. The run lives in `out`.run and resumes when it was cut off.
    `start`: whose head to begin from, instead of from nothing. `motion`: a generator of motion (or its file) that shall
    speak for the person, too.

    Raises BadInput when the clip shows the face in under 100 training frames, or `start` is built in another way or of the
    preset `paper`.
    """
    out = Path(out)
    begin = None if start is None else beginning(start, config)
    if isinstance(config, PaperConfig):
        return train_paper(clip, out, config, motion)
    generic = generic_of(motion)
    frames = training_frames(clip, learns_from(generic))
    distance = perceptual_loss("auto")  # what is wrong with its weights is said now, too
    told = {**asdict(config), **clip.identity, "perceptual": distance.name, **origin_of(generic), **begun_with(begin)}
    with Run(out.with_name(out.name + ".run"), told, config.seed) as run:
        rig = Rig.fit(clip.motion[torch.from_numpy(frames)])
        torso = Torso.fit(clip, config.size, frames)
        head = _head(Lesson(clip, rig, frames, config, run, distance), begin)
        voice = voice_of(clip, rig, frames, run, generic)
        model = Model(config, around(voice.hearing), head, voice)
        finish(model, rig, stage_of(clip, config.size, torso), out, run)
    return model


def pretrain(corpus: Corpus, out: Path, preset: str = "fast", seed: int = 0) -> dict[str, Any]:
    """Learn the generator of motion over many people and write it to `out`; returns its figures for people left out. Also
    under `torchrun`, see `likeness.nn.generator.pretrain`.

    Raises BadInput for a preset that there is not, or too small a corpus; MissingAsset where the preset asks for a sync expert
    (`paper`) and none is in place.
    """
    chosen = settings.preset(preset)
    expert = SyncLoss(in_place()) if chosen.training.sync_weight else None
    generator.pretrain(corpus, out, chosen, seed, expert=expert)
    return asset.read_header(out)["provenance"]["validation"]


def _head(lesson: Lesson, begin: Beginning | None = None) -> Head:
    """All stages that are still to be done; `begin` holds what a new head begins with."""
    head = stages.begin(Head, lesson)
    head.follow(lesson.rig)
    if not lesson.run.resumed:
        head.landmarks.measure(lesson.cond[torch.from_numpy(lesson.frames)])
        if begin is not None:
            take_over(head, begin)
    stages.learn(head, lesson)
    return head
