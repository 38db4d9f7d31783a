"""What else could speak for a portrait, on a made-up clip: a stand-in for a generator that goes by the phones."""

import numpy as np
import pytest
import torch

from likeness.clip import Clip
from likeness.evaluate.rows import judged
from likeness.evaluate.sources import sources
from likeness.methods.rigged_gaussians import Model
from likeness.nn.adaptation.speaker import Speaker
from likeness.nn.adaptation.speaker_train import train_speaker
from likeness.nn.generator import Generator, Settings
from likeness.nn.voice import HEARING, Voice
from likeness.nn.voice_train import correlation, opening
from likeness.portrait import Heard
from likeness.rig import LIP_COEFFICIENTS, Rig
from likeness.run import Run
from likeness.speech import Statistics, probabilities
from tests.nn.utterances import OPEN, made_clip

SMALL = Settings(features=("phones",), latent=4, condition=8, width=8, posterior_layers=1, decoder_layers=1, flows=0)
LOWER = [*range(3, 14), 54, 55, 56, 57, 58, 59, 65, 66, 67]


class Standin(Generator):
    """Lower lip and jaw go down by 4 mm where an open vowel is heard."""

    def moves(self, features, mean, std, start=0, temperature=0.0, seed=0):
        rows = self.hearing.rows_per_frame
        middle = features[self.hearing.past * rows : len(features) - self.hearing.future * rows]
        wide = probabilities(middle)[:, OPEN].unflatten(0, (-1, rows)).mean(1)
        found = torch.zeros(len(wide), 68, 3)
        found[:, LOWER, 1] = (0.4 * wide - 0.2)[:, None]
        return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Clip:
    return made_clip(tmp_path_factory.mktemp("clip") / "c", [(0, 400)], [])


@pytest.fixture(scope="module")
def speaker(clip, tmp_path_factory) -> Speaker:
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    with Run(tmp_path_factory.mktemp("run"), {}) as run:
        return train_speaker(clip, rig, clip.train, run, Standin(SMALL))


def portrait(clip: Clip, voice: Voice | Speaker) -> Model:
    """One that is never drawn: with a rig and a voice alone."""
    made = Model.__new__(Model)
    torch.nn.Module.__init__(made)
    made.rig, made.voice = Rig.fit(clip.motion[torch.from_numpy(clip.train)]), voice
    return made


def test_every_source_is_measured_and_one_is_chosen(speaker, clip):
    found = sources(portrait(clip, speaker), clip)
    assert list(found) == ["voice", "ridge", "both", "projection"]
    assert [name for name, its in found.items() if its["chosen"]] == [speaker.chosen["own"]]
    assert all(np.isfinite(list(its.values())).all() for its in found.values())
    assert all(its["r"] > 0.8 and 0.5 < its["ratio"] < 1.6 and its["nearest_mm"] > 0 for its in found.values())


def test_figures_are_of_the_held_out_frames(speaker, clip):
    made, frames = portrait(clip, speaker), judged(clip)
    heard = torch.cat([torch.from_numpy(np.array(clip.features(name))) for name in HEARING.features], dim=1)
    usual, (first, last) = Statistics.of(heard), (int(frames[0]), int(frames[-1]) + 1)
    stretch = Heard(HEARING.window(heard, first, last), usual.mean, usual.std, torch.ones(last - first))
    said = opening(made.rig, speaker.voice(stretch)[frames - first])
    truth = opening(made.rig, made.rig.encode(clip.motion)[frames][:, :LIP_COEFFICIENTS])
    found = sources(made, clip)["voice"]
    assert found["r"] == pytest.approx(float(correlation(said, truth)), abs=1e-4)
    assert found["ratio"] == pytest.approx(float(said.std() / truth.std()), abs=1e-4)


def test_who_has_one_voice_has_no_sources(speaker, clip):
    assert sources(portrait(clip, speaker.voice), clip) == {}
