"""Training of a speaker on a person's clip: the voice, the adapters of a generic generator, and which of them speak.

Own voice: whichever source opens the lips most like the real ones in frames that were left out in turn (BLOCKS blocks with GAP
frames between); a post-net, which takes minutes, is judged on the last block alone, and all others beside it then. Other
voices: a clip holds none, so that the default is what did best over many people (OTHER).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.audio import Hearing
from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.nn.adaptation import postnet_train, ridge
from likeness.nn.adaptation.person import Person
from likeness.nn.adaptation.postnet import CONTEXT, PostNet
from likeness.nn.adaptation.ranged import Ranged
from likeness.nn.adaptation.sound import Sound
from likeness.nn.adaptation.speaker import Source, Speaker
from likeness.nn.adaptation.trial import tried
from likeness.nn.generator import asset
from likeness.nn.generator.model import Generator
from likeness.nn.voice import FAMILIES, HEARING, Family, Voice
from likeness.nn.voice_train import Lesson, train_voice
from likeness.rig import Rig
from likeness.run import Run

STAGE = "adaptation"
OTHER: Source = "projection"
"""For other voices, measured over people whom neither generator nor portrait had seen: docs/generalising.md."""


@dataclass(frozen=True)
class Adaptation:
    """How a speaker is made."""

    own: Source | None = None
    """Source of the own voice; None: the best on the clip."""
    other: Source = OTHER
    sigma: float = 0.0
    """Smoothing along time, frames. 0: lips by every source jitter less than the real ones, and it costs look-ahead."""
    postnet: postnet_train.Settings | None = None
    """Of the post-net; None: none is trained. It takes minutes, and did not do better than the closed forms."""
    temperature: float = 1.0
    """Of the generic motion that the post-net learns from."""


@dataclass(frozen=True)
class Generic:
    """A generator of motion, and how it becomes a person's."""

    generator: Generator
    adaptation: Adaptation = Adaptation()


def train_speaker(
    clip: Clip,
    rig: Rig,
    frames: np.ndarray,
    run: Run,
    generator: Generator,
    settings: Adaptation = Adaptation(),
    sounds: Sequence[Float[Tensor, "_ width"]] = (),
) -> Speaker:
    """The voice and all adapters on a clip: seconds, without a post-net. Figures of all sources go to the run's log.

    `sounds`: generic motion to other sound for the post-net, CONTEXT frames longer on both sides (`sound.generic_sounds` of a
    corpus); none: to the clip's own sound and to silence, the former sampled at `settings.temperature`. Raises BadInput for a
    clip with too little, or with landmarks that hold no numbers or stand still.
    """
    voice = train_voice(clip, rig, frames, run) if not run.done("voice") else Voice.restored(run.resumed)
    heard = Sound.of(clip, list(dict.fromkeys([*HEARING.features, *generator.hearing.features])))
    lesson = Lesson.of(clip, rig, frames)
    person = Person.of(clip, lesson.usable, lesson.lips)
    net, guess = None, None
    if settings.postnet is not None:
        track = postnet_train.Track(heard.moves(generator, CONTEXT), person)
        net = _postnet(track, heard, generator, run, settings, sounds)
        guess = _unseen(net, track, lesson)
    fitted, ranged, trial = closed_form(heard, generator, lesson, rig, person, guess)
    chosen: dict[Family, Source] = {"own": settings.own or trial.best("own"), "other": settings.other}
    speaker = Speaker(voice, generator, len(ranged.manifold), chosen, settings.sigma, net is not None)
    speaker.ridge, speaker.projection = fitted.ridge, ranged
    if net is not None and speaker.postnet is not None:
        speaker.postnet.net, speaker.postnet.reading = net, person.reading
    before = run.resumed
    for step in run.steps(STAGE, len(FAMILIES)):
        run.log(**trial.told(FAMILIES[step]))
    run.finish(before)
    return speaker.eval()


def closed_form(
    heard: Sound,
    generator: Generator,
    lesson: Lesson,
    rig: Rig,
    person: Person,
    postnet: Float[Tensor, "judged lips"] | None = None,
) -> tuple[ridge.Fitted, Ranged, Trial]:
    """What needs no training: ridge adapter and landmark projection, and what all sources made of frames left out.
    `postnet`: as `trial.tried` takes it."""
    wide = heard.moves(generator, ridge.PAST)
    generic = wide[ridge.PAST : -ridge.PAST]
    fitted = ridge.fit(wide, heard.silent(generator, ridge.PAST), lesson, rig)
    ranged = Ranged.of(generic[torch.from_numpy(person.frames)], person, rig)
    return fitted, ranged, tried(lesson, rig, person, generic, fitted, postnet)


def voice_of(clip: Clip, rig: Rig, frames: np.ndarray, run: Run, generic: Generic | None) -> Voice | Speaker:
    """What speaks for a person: a `Speaker` where there is a generator, else the `Voice` alone. What a run has finished
    already is taken over."""
    if generic is not None:
        return train_speaker(clip, rig, frames, run, generic.generator, generic.adaptation)
    return train_voice(clip, rig, frames, run) if not run.done("voice") else Voice.restored(run.resumed)


def generic_of(motion: str | os.PathLike | Generic | None, conditioning: str = "motion") -> Generic | None:
    """The generator that a method was given, or its file; None without one. Raises BadInput where sound itself moves the
    face."""
    if motion is None:
        return None
    if conditioning != "motion":
        what = "the generator of motion" if isinstance(motion, Generic) else motion
        raise BadInput(
            f"{what}: with these settings sound itself moves the face, so that no generator of motion can. Leave it out, or "
            "choose another preset."
        )
    return motion if isinstance(motion, Generic) else Generic(asset.load(motion))


def learns_from(generic: Generic | None) -> Hearing:
    """Speech features that a clip must have for `voice_of`."""
    more = () if generic is None else generic.generator.hearing.features
    return Hearing(tuple(dict.fromkeys([*HEARING.features, *more])))


def origin_of(generic: Generic | None) -> dict[str, Any]:
    """What the settings of a training run say of it, so that a run is not gone on with by another one."""
    if generic is None:
        return {}
    postnet = generic.adaptation.postnet
    return {"motion": generic.generator.origin} | ({} if postnet is None else {"postnet": asdict(postnet)})


def _postnet(
    track: postnet_train.Track,
    heard: Sound,
    generator: Generator,
    run: Run,
    settings: Adaptation,
    sounds: Sequence[Float[Tensor, "_ width"]],
) -> PostNet:
    """Trained, or as the run finished it."""
    if run.done(postnet_train.STAGE):
        return postnet_train.restored(run.resumed)
    assert settings.postnet is not None
    own = [heard.moves(generator, CONTEXT, settings.temperature), heard.silent(generator, CONTEXT)]
    return postnet_train.train_postnet(track, sounds or own, run, settings.postnet)[0]


def _unseen(net: PostNet, track: postnet_train.Track, lesson: Lesson) -> Float[Tensor, "judged lips"] | None:
    """What a post-net makes of the judged frames that it was validated on; NaN for those that it learned from. None where it
    was validated on other scenes, whose frames are not judged."""
    frames = np.flatnonzero(lesson.judged)
    kept = torch.from_numpy(np.isin(frames, track.person.frames[track.split()[1]]))
    if not bool(kept.any()):
        return None
    with torch.no_grad():
        lips = track.person.reading(net(track.generic[None])[0])[torch.from_numpy(frames)]
    return torch.where(kept[:, None], lips, torch.nan)
