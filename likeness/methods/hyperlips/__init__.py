"""HyperLips: new lips on an existing video, for anyone (Chen et al. 2023). See `likeness.nn.hyper` for the networks, `model`
for a portrait, `dubbing` for any video."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from likeness.album import Album
from likeness.album.making import RECIPE
from likeness.clip import Clip
from likeness.corpus import Corpus
from likeness.errors import BadInput
from likeness.files import must_be_ours
from likeness.methods.hyperlips.articulate import learn_articulation
from likeness.methods.hyperlips.config import Config, Training, preset, pretraining
from likeness.methods.hyperlips.dubbing import load_lips
from likeness.methods.hyperlips.footage import Footage
from likeness.methods.hyperlips.learn import Lesson, learn
from likeness.methods.hyperlips.material import Material
from likeness.methods.hyperlips.model import Model, heard_with
from likeness.methods.hyperlips.trial import trial
from likeness.nn.adaptation.speaker_train import Generic, generic_of, learns_from, origin_of, voice_of
from likeness.nn.generator.ranks import joined
from likeness.nn.hyper import asset
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.performing import finish, stage_of, training_frames
from likeness.nn.sync.pixels import asset as pixels
from likeness.nn.sync.pixels.loss import SyncLoss
from likeness.nn.sync.pixels.published import PublishedLoss
from likeness.rig import Rig
from likeness.run import Run
from likeness.video import FPS

__all__ = ["Config", "Model", "load_lips", "preset", "pretrain", "train"]

BANK = 25  # references of a portrait, as many as IP_LAP has
BLANK_STEPS = 2
"""Times as many steps where nothing was learned over many people."""


def train(
    clip: Clip,
    out: str | os.PathLike,
    config: Config = Config(),
    start: Model | None = None,
    motion: str | os.PathLike | Generic | None = None,
) -> Model:
    """Make a portrait of a clip and write it to `out`. The run lives in `out`.run and resumes when it was cut off.

    It begins from `start`, else from the lips of many people that lie in place (`likeness.nn.hyper.asset.place`), else from
    nothing, with twice as many steps; a portrait has the networks of what it began from. `motion`: a generator of motion (or
    its file) that shall speak for the person, too. Raises BadInput when the clip shows the face in under 100 training frames.
    """
    out, generic = Path(out), generic_of(motion)
    begun = _beginning(start)
    if begun is None:
        doubled = {name: BLANK_STEPS * getattr(config.training, name) for name in ("base_steps", "refine_steps")}
        config = replace(config, training=replace(config.training, **doubled))
    else:
        config = replace(config, networks=begun.settings)
    frames = training_frames(clip, learns_from(generic))
    distance = perceptual_loss("auto")  # what is wrong with its weights is said now, too
    sync = _sync(config.training)
    told = {**asdict(config), **clip.identity, "perceptual": distance.name, **origin_of(generic), "begun": _mark(begun)}
    told |= {"sync": sync and sync.id, "lips": asset.KIND.version}
    run_folder = out.with_name(out.name + ".run")
    with Run(run_folder, told, config.seed) as run, joined() as ranks:
        torch.manual_seed(config.seed)
        net = LipNet(config.networks)
        if begun is not None:
            net.load_state_dict(begun.state_dict())
        album = Album.of_clip(clip, run_folder / "album", sound=config.training.sounding)
        material = Material(album, config.networks, None if begun is None else net.mouth)
        net.mouth = material.mouth
        learn_articulation(net, material.of("train"), [])  # for `dub --lips`: a person speaks like themselves
        learn(Lesson(net, material, config.training, distance, config.seed, ranks, run, sync))
        rig = Rig.fit(clip.motion[torch.from_numpy(frames)])
        voice = voice_of(clip, rig, frames, run, generic)
        model = Model(config, heard_with(voice.hearing, config.networks.features), net, voice)
        model.footage, model.camera = Footage.of(clip, config.size, BANK), clip.camera.scaled((config.size, config.size))
        finish(model, rig, stage_of(clip, config.size, None), out, run)
        shutil.rmtree(run_folder / "album", ignore_errors=True)
    return model


def pretrain(corpus: Corpus, out: Path, preset: str = "fast", seed: int = 0) -> dict[str, Any]:
    """Learn over many people to make lips, and write the networks to `out`; returns figures of people left out. Also under
    `torchrun`. The run lives in `out`.run, with the faces that are learned from, and goes on where it was when it was killed.

    Raises BadInput for a preset that there is not, or a corpus with too little in it; Refused where `out` is another file.
    """
    try:
        settings, training = pretraining(preset)
    except ValueError as error:
        raise BadInput(str(error)) from error
    must_be_ours(out, asset.KIND.read_header, asset.KIND.what)
    folder, distance, sync = out.with_name(out.name + ".run"), perceptual_loss("auto"), _sync(training)
    with ExitStack() as held:
        ranks = held.enter_context(joined())
        if training.lanes % ranks.count:
            raise BadInput(
                f"{ranks.count} processes cannot share {training.lanes} lanes evenly: take a number that divides it."
            )
        told: dict[str, Any] = {"settings": asdict(settings), "training": asdict(training), "perceptual": distance.name}
        told |= {"sync": sync and sync.id, "lips": asset.KIND.version}
        run = held.enter_context(Run(folder, told | {"corpus": corpus.recipes}, seed)) if ranks.first else None
        if ranks.first:
            Album.of_corpus(corpus, folder / "album", sound=training.sounding)
        ranks.meet()  # the first one makes the album
        album = Album.of_corpus(corpus, folder / "album", say=lambda _: None, sound=training.sounding)
        torch.manual_seed(seed)
        net = LipNet(settings)
        material = Material(album, settings)
        net.mouth = material.mouth
        learned, judged = material.of("train"), material.of("val") or material.of("test")
        if not learned:
            raise BadInput(
                f"{corpus.folder}: nobody in it is to be learned from (split train). Add people with `likeness corpus`."
            )
        figures = learn_articulation(net, learned, judged)
        learn(Lesson(net, material, training, distance, seed, ranks, run, sync))
        if ranks.first:
            figures |= trial(net, judged) if judged else {}
            people = {part.page.speaker for group in learned for part in group}
            hours = sum(len(part.shape) for group in learned for part in group if not part.flip) / FPS / 3600
            of = {"corpus": corpus.recipes, "people": len(people), "hours": round(hours, 3), "preset": preset, "seed": seed}
            asset.save(out, net, of | {"judged": "others" if judged else "the same people", "figures": figures})
        ranks.meet()
        return figures


def _sync(training: Training) -> SyncLoss | PublishedLoss | None:
    """What judges lips by their sound, where it is to be learned from. Raises MissingAsset where it is not in place."""
    if not training.sync_weight:
        return None
    return PublishedLoss.in_place() if training.sounding else SyncLoss(pixels.in_place(RECIPE))


def _beginning(start: Model | None) -> LipNet | None:
    """What a portrait begins from."""
    if start is not None:
        return start.net
    return asset.load(asset.place()) if asset.place().is_file() else None


def _mark(net: LipNet | None) -> str | None:
    """Tells what a run began from."""
    if net is None:
        return None
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in net.state_dict().values())).hexdigest()[:16]
