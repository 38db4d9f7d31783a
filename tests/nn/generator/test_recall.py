"""The recall: what people did when it sounded so is found again for strangers, and the network varies around it alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from likeness.corpus import Corpus
from likeness.errors import BadInput
from likeness.nn.generator import Generator, asset, recall
from likeness.nn.generator.pretrain import pretrain
from likeness.nn.generator.recall import OUT, REACH, Heard, Recall, group, solved
from tests.nn.generator.people import features, make_corpus, tiny, woken

KEYED = tiny(keys=60, ears=("phones",))
FRAMES = 50


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return Corpus.open(make_corpus(tmp_path_factory.mktemp("people") / "corpus"))


def awake(seed: int = 0) -> Generator:
    """A generator both parts of which do something."""
    generator = woken(KEYED, seed)
    torch.nn.init.normal_(generator.decoder.out.weight, std=0.1)
    assert generator.recall is not None
    generator.recall.keys.normal_(std=0.3)
    generator.recall.weights.normal_(std=0.3)
    generator.recall.sharpness.fill_(0.1)
    return generator


def said(generator: Generator, rows: torch.Tensor, first: int = 0, last: int = FRAMES, **more) -> torch.Tensor:
    stretch = generator.hearing.window(rows, first, last)
    return generator.moves(stretch, rows.mean(0), rows.std(0), start=first, **more)


@effort(max_examples=8, deadline=None)
@given(cuts=st.sets(st.integers(1, FRAMES - 1), max_size=5), temperature=st.sampled_from([0.0, 0.4, 1.0]))
def test_chunks_do_not_show(cuts, temperature):
    generator = awake()
    rows = features(FRAMES, KEYED)
    parts = [said(generator, rows, a, b, temperature=temperature, seed=3) for a, b in pairwise([0, *sorted(cuts), FRAMES])]
    once = said(generator, rows, temperature=temperature, seed=3)
    assert once.std() > 1e-3 and torch.allclose(torch.cat(parts), once, atol=1e-5)


def test_the_likeliest_motion_is_the_recalls_and_noise_varies_around_it():
    generator = awake()
    rows = features(FRAMES, KEYED)
    usual = said(generator, rows)
    torch.nn.init.normal_(generator.decoder.out.weight, std=0.2)
    assert torch.equal(said(generator, rows), usual)
    varied = torch.stack([said(generator, rows, temperature=1.0, seed=seed) for seed in range(40)])
    around = varied - usual
    assert around.std() > 1e-3 and around.mean(0).abs().mean() < 0.6 * around.std(0).mean()
    small = said(generator, rows, temperature=0.1, seed=0) - usual
    assert small.abs().mean() < 0.5 * around[0].abs().mean()


def test_a_window_hears_its_reach_and_no_farther():
    recall = awake().recall
    assert recall is not None
    heard = torch.randn(sum(REACH) + 1, 80 + 42 + 2)  # pitch, which it does not hear, at the end
    once = recall(heard)
    assert once.shape == (1, 68, 3)
    for frame in range(len(heard)):
        changed = heard.clone()
        changed[frame, :120] += 1.0
        assert not torch.equal(recall(changed), once)
    changed = heard.clone()
    changed[:, 122:] += 1.0
    assert torch.equal(recall(changed), once)


def spoken(person: str, frames: int, seed: int) -> Heard:
    """Somebody whose mouth opens with the third phone, a frame late, and is never quite still."""
    random = np.random.default_rng(seed)
    phones = np.repeat(random.dirichlet(np.full(42, 0.1), frames // 5 + 3), 5, 0)[: frames + sum(REACH)]
    mel = random.normal(size=(len(phones), 80))
    heard = torch.from_numpy(np.concatenate([mel, phones, np.zeros((len(phones), 2))], 1)).float()
    late = heard[REACH.before - 1 : REACH.before - 1 + frames, 80 + 2]
    return Heard(person, "", heard, 0.4 * late[:, None] + 0.05 * torch.from_numpy(random.normal(size=(frames, OUT))).float())


def test_what_sound_tells_is_found_again_for_strangers():
    recall = Recall(replace(KEYED, keys=600)).solve(spoken(str(seed), 600, seed) for seed in range(4))
    stranger = spoken("another", 400, 9)
    made = recall(stranger.columns).flatten(1)
    assert np.corrcoef(made.mean(1), stranger.moves.mean(1))[0, 1] > 0.9


def test_a_recall_of_strangers_has_not_met_them(corpus):
    _, others = solved(corpus, KEYED, 0, frozenset())
    few = len(others[0].keys)
    without_ann, _ = solved(corpus, replace(KEYED, keys=few), 0, frozenset(["ann"]))
    assert group("ann") not in {group("ben"), group("eve")}
    assert torch.equal(others[group("ann")].weights, without_ann.weights)
    assert len({recall.weights.sum().item() for recall in others}) > 1


@given(st.lists(st.integers(1, 30_000), max_size=300))
def test_everybody_has_a_say(frames):
    level = recall.share(frames)
    assert recall.OF_ONE[0] <= level <= recall.OF_ONE[1]
    taken = sum(min(held, level) for held in frames)
    more = sum(min(held, level + 1) for held in frames)
    assert level == recall.OF_ONE[0] or taken <= recall.FRAMES
    assert level == recall.OF_ONE[1] or more > recall.FRAMES


def test_fewer_frames_than_keys_are_no_harm():
    recall = Recall(replace(KEYED, keys=500))
    parts = [Heard("ann", "1", torch.randn(30 + sum(REACH), 124), torch.randn(30, OUT))]
    made = recall.solve(parts)(parts[0].columns)
    assert made.isfinite().all() and float((recall.weights != 0).any(1).sum()) == 30


def test_it_is_learned_saved_and_loaded(corpus, tmp_path):
    made = pretrain(corpus, tmp_path / "a.safetensors", KEYED)
    found = asset.load(tmp_path / "a.safetensors")
    rows = features(FRAMES, KEYED)
    for temperature in (0.0, 1.0):
        assert torch.equal(said(made, rows, temperature=temperature), said(found, rows, temperature=temperature))
    assert not torch.equal(said(found, rows), said(found, rows, temperature=1.0))


def test_a_recall_needs_mel_and_phones():
    with pytest.raises(BadInput, match="a recall needs mel and phones"):
        Generator(replace(KEYED, features=("phones",), ears=()))
