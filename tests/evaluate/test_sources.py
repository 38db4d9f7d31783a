"""What else could speak for a portrait, on the drawn actor: a stand-in for a generator that goes by the phones."""

import numpy as np
import pytest
import torch

from likeness import methods
from likeness.evaluate.rows import judged
from likeness.evaluate.sources import sources
from likeness.nn.adaptation.speaker_train import train_speaker
from likeness.nn.generator import Generator, Settings
from likeness.nn.voice import HEARING
from likeness.nn.voice_train import correlation, opening
from likeness.phones import PHONES
from likeness.portrait import Heard
from likeness.prepare.sound import OPENING
from likeness.rig import LIP_COEFFICIENTS
from likeness.run import Run
from likeness.speech import Statistics, probabilities

SMALL = Settings(features=("phones",), latent=4, condition=8, width=8, posterior_layers=1, decoder_layers=1, flows=0)
LOWER = [*range(3, 14), 54, 55, 56, 57, 58, 59, 65, 66, 67]


class Standin(Generator):
    """Lower lip and jaw go down as far as phonetics has it."""

    def moves(self, features, mean, std, start=0, temperature=0.0, seed=0):
        rows = self.hearing.rows_per_frame
        middle = features[self.hearing.past * rows : len(features) - self.hearing.future * rows]
        wide = probabilities(middle) @ torch.tensor([OPENING[phone] for phone in PHONES])
        found = torch.zeros(len(wide) // rows, 68, 3)
        found[:, LOWER, 1] = wide.unflatten(0, (-1, rows)).mean(1)[:, None]
        return found


@pytest.fixture(scope="module")
def spoken(portrait_file, clip, tmp_path_factory):
    made = methods.load(portrait_file)
    with Run(tmp_path_factory.mktemp("run"), {}) as run:
        made.voice = train_speaker(clip, made.rig, clip.train, run, Standin(SMALL))
    return made


def test_every_source_is_measured_and_one_is_chosen(spoken, clip):
    found = sources(spoken, clip)
    assert list(found) == ["voice", "ridge", "both", "projection"]
    assert [name for name, its in found.items() if its["chosen"]] == [spoken.voice.chosen["own"]]
    assert all(np.isfinite(list(its.values())).all() for its in found.values())
    assert all(its["error"] > 0 and its["nearest_mm"] > 0 for its in found.values())


def test_the_voice_is_that_of_the_portrait_alone_on_the_held_out_frames(spoken, clip):
    frames = judged(clip)
    heard = torch.cat([torch.from_numpy(np.array(clip.features(name))) for name in HEARING.features], dim=1)
    usual, (first, last) = Statistics.of(heard), (int(frames[0]), int(frames[-1]) + 1)
    stretch = Heard(HEARING.window(heard, first, last), usual.mean, usual.std, torch.ones(last - first))
    said = opening(spoken.rig, spoken.voice.voice(stretch)[frames - first])
    truth = opening(spoken.rig, spoken.rig.encode(clip.motion)[frames][:, :LIP_COEFFICIENTS])
    found = sources(spoken, clip)["voice"]
    assert found["r"] == pytest.approx(float(correlation(said, truth)), abs=1e-4)
    assert found["ratio"] == pytest.approx(float(said.std() / truth.std()), abs=1e-4)


def test_who_has_one_voice_has_no_sources(portrait, clip):
    assert sources(portrait, clip) == {}
