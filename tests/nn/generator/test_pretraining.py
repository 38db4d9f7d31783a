"""Learning a motion generator: what it learns for, lanes, several processes, going on after a kill."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from likeness.corpus import Corpus
from likeness.displacement import lip_opening
from likeness.errors import BadInput, Refused
from likeness.nn.generator import asset
from likeness.nn.generator.batches import Batch, Course, Lane, resting, silenced
from likeness.nn.generator.layers import BatchNorm
from likeness.nn.generator.model import Generator
from likeness.nn.generator.objective import Objective, loss_of
from likeness.nn.generator.pretrain import pretrain
from likeness.nn.generator.validation import Judged, figures
from likeness.run import Run
from tests.nn.generator.people import features, make_corpus, one_batch, tiny, woken

SEVERAL = tiny(norm="batch")  # statistics over all processes too


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("people") / "corpus")


def lane(folder: Path, number: int = 0, settings=SEVERAL, **more) -> Lane:
    return Lane(Corpus.open(folder), Course(settings, Generator(settings).hearing, 3, **more), number)


def test_the_divergence_is_the_known_one_where_there_is_one():
    """A prior that does nothing is white noise; then the divergence is known in closed form."""
    settings = tiny(stride=2)
    torch.manual_seed(0)
    generator = Generator(settings)
    batch = one_batch(settings, generator.hearing)
    held = {}
    generator.posterior.register_forward_hook(lambda module, given, made: held.update(mean=made[0], log=made[1]))
    drafts = [generator(batch.heard, batch.moves, torch.randn_like(batch.white)) for _ in range(400)]
    estimate = torch.stack([draft.kl for draft in drafts]).mean(0)
    assert (drafts[0].latents.first, drafts[0].latents.last) == (0, settings.training.crop // 2)
    known = (0.5 * (held["mean"].square() + (2 * held["log"]).exp() - 1) - held["log"]).mean(1)
    offset = (known.shape[1] - estimate.shape[1]) // 2
    errors = [(known[:, i : i + estimate.shape[1]] - estimate).abs().max() for i in range(2 * offset + 1)]
    assert estimate.min() > -0.1 and min(errors) < 0.25 and (known >= 0).all()


def test_without_the_divergence_one_batch_is_learned_by_heart():
    settings = tiny(stride=4, latent=8, width=24, kl_weight=1e-6, mouth_weight=1.0, continuity_weight=0.0)
    torch.manual_seed(0)
    objective = Objective(Generator(settings))
    batch = one_batch(settings, objective.generator.hearing)
    past = objective.generator.hearing.past
    basis = torch.randn(2, 68, 3)  # two things that a face can do, slowly
    time = torch.arange(batch.moves.shape[1]) / 5
    moves = torch.einsum("tk,kpc->tpc", torch.stack([time.sin(), (1.3 * time).cos()], 1), basis).expand_as(batch.moves)
    batch = replace(batch, moves=moves)
    variance = moves[:, past : past + settings.training.crop].var(1, correction=0).mean()
    optimiser = torch.optim.Adam(objective.parameters(), lr=1e-2)
    for _ in range(400):
        sums, made = objective(batch)
        if sums.error / sums.frames < 0.01 * variance:
            break
        optimiser.zero_grad()
        loss_of(sums, sums.frames, sums.latents, settings.training).backward()
        optimiser.step()
    assert sums.error / sums.frames < 0.01 * variance and made.shape == (2, 16, 68, 3)


def test_what_a_lane_gives_depends_on_the_step_alone(corpus):
    going = lane(corpus)
    for step in range(5):
        there = going.crops(step)
    jumped = lane(corpus).crops(4)
    for field in ("heard", "moves", "weight", "white"):
        assert torch.equal(getattr(there, field), getattr(jumped, field))
    other = lane(corpus, 1).crops(4)
    assert not torch.equal(there.white, other.white) and not torch.equal(there.moves, other.moves)
    assert there.rows.shape == (2, 64, 0)


def test_crops_are_whole_and_of_the_right_people(corpus):
    settings = tiny(mirrored=0.0, silent=0.0, dulled=0.0)
    only = lane(corpus, 0, settings, without=frozenset({"ann", "ben"}), expert=("phones",))
    crops = [only.crops(step) for step in range(8)]
    past, crop = only.hearing.past, settings.training.crop
    eve = [sample for sample in Corpus.open(corpus).stream("train", seed=None) if sample["speaker"] == "eve"]
    known = np.concatenate([sample["moves"] for sample in eve])[:, 50]
    for batch in crops:
        middle, real = batch.moves[:, past : past + crop, 50].numpy(), batch.weight.numpy() > 0
        assert all(np.abs(known - row).max(1).min() < 1e-6 for row in middle[real])
        assert batch.rows.shape == (2, 4 * crop, 42) and batch.mean.shape == (2, 42)
        assert batch.heard.shape[2] == 80 + 42 + 2 and torch.isfinite(batch.heard).all()
    everybody = [lane(corpus, number, settings) for number in range(4)]
    shares = torch.cat([one.crops(step).weight.flatten() for one in everybody for step in range(6)])
    assert 0.7 < float(shares[shares > 0].mean()) < 1.4


def test_in_silence_the_mouth_comes_to_rest(corpus):
    sample = next(iter(Corpus.open(corpus).stream("train", seed=None)))
    rows = features(len(sample["moves"]), tiny()).numpy().reshape(len(sample["moves"]), 4, -1)
    rest = resting(sample["moves"], sample["shape"])
    openings = lip_opening(sample["moves"] + sample["shape"])
    assert lip_opening((rest + sample["shape"])[None])[0] <= np.quantile(openings, 0.3)
    heard, moves = silenced(rows, sample["moves"], rest, ("mel", "phones", "pitch"), np.random.default_rng(0))
    silent = np.flatnonzero((heard[..., -1] == 0).all(1) & (np.ptp(heard[..., :80], axis=(1, 2)) == 0))
    assert len(silent) >= 12 and np.abs(moves[silent[-1]] - rest).max() < 1e-3
    untouched = np.setdiff1d(np.arange(len(rows)), silent)
    assert np.array_equal(heard[untouched], rows[untouched])


def test_batch_statistics_are_those_of_torch():
    ours, theirs = BatchNorm(5), torch.nn.BatchNorm1d(5)
    for seed in range(3):
        x = 3 * torch.randn(4, 5, 9, generator=torch.Generator().manual_seed(seed)) + 1
        assert torch.allclose(ours(x), theirs(x), atol=1e-5)
    assert torch.allclose(ours.mean, theirs.running_mean, atol=1e-5)


CHILD = """
import functools, os, sys, time
from likeness.nn.generator import pretrain as module
from tests.nn.generator.test_pretraining import SEVERAL
kill = int(sys.argv[3])
module.Run = functools.partial(module.Run, keep_every_s=0.0)
step = module._step
def dying(learner, objective, batch, number, ranks, expert):
    if number == kill:
        os._exit(9)
    return step(learner, objective, batch, number, ranks, expert)
module._step = dying
save = module.asset.save
def slow(*given):
    time.sleep(2)
    return save(*given)
module.asset.save = slow
module.pretrain(sys.argv[1], sys.argv[2], SEVERAL, seed=3)
module.asset.read_header(sys.argv[2])  # every process may
"""


def together(corpus: Path, out: Path, *more: str, program: str = CHILD) -> list[int]:
    """Two processes at a program; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, str(corpus), str(out), *more]
    children = [subprocess.Popen(command, env=os.environ | place | {"RANK": str(rank)}) for rank in range(2)]
    return [child.wait(120) for child in children]


def same(one: Generator, two: Generator) -> None:
    rows = features(60, one.settings)
    made = [g.moves(g.hearing.window(rows, 0, 60), rows.mean(0), rows.std(0), temperature=1.0) for g in (one, two)]
    assert made[0].std() > 1e-3
    assert torch.allclose(*made, atol=1e-4 * float(made[0].std()))


def test_two_processes_that_die_and_one_that_goes_on_learn_what_one_does(corpus, tmp_path):
    alone = pretrain(corpus, tmp_path / "alone.safetensors", SEVERAL, seed=3)
    assert set(together(corpus, tmp_path / "two.safetensors", "4")) == {9}  # before that step
    assert not (tmp_path / "two.safetensors").exists()
    shutil.copytree(tmp_path / "two.safetensors.run", tmp_path / "both.safetensors.run")
    assert together(corpus, tmp_path / "both.safetensors", "-1") == [0, 0]
    same(alone, asset.load(tmp_path / "both.safetensors"))
    resumed = pretrain(corpus, tmp_path / "two.safetensors", SEVERAL, seed=3)
    same(alone, resumed)
    same(alone, asset.load(tmp_path / "two.safetensors"))
    other = pretrain(corpus, tmp_path / "other.safetensors", SEVERAL, seed=4)
    rows = features(60, SEVERAL)
    stretch = other.hearing.window(rows, 0, 60)
    assert (
        other.moves(stretch, rows.mean(0), rows.std(0)) - alone.moves(stretch, rows.mean(0), rows.std(0))
    ).abs().max() > 1e-4


TOGETHER = """
import sys, time
from pathlib import Path
from likeness.corpus import Corpus
from likeness.methods import geneface
from likeness.nn.generator import asset, settings
from tests.nn.generator.people import tiny
settings.PRESETS["fast"] = tiny(keys=60, ears=("phones",))
save = asset.save
def late(*given):
    time.sleep(2)
    return save(*given)
asset.save = late
geneface.pretrain(Corpus.open(sys.argv[1]), Path(sys.argv[2]), "fast", 3)
"""


def test_two_processes_end_when_the_file_is_there(corpus, tmp_path):
    """Beside a recall, as the preset `fast` has one; every process reads the figures in the file when it is done."""
    alone = pretrain(corpus, tmp_path / "alone.safetensors", tiny(keys=60, ears=("phones",)), seed=3)
    assert together(corpus, tmp_path / "two.safetensors", program=TOGETHER) == [0, 0]
    same(alone, asset.load(tmp_path / "two.safetensors"))


def test_a_run_goes_on_bit_for_bit_and_keeps_its_best(corpus, tmp_path, monkeypatch):
    from likeness.nn.generator import pretrain as module

    whole = pretrain(corpus, tmp_path / "whole.safetensors", tiny())
    monkeypatch.setattr(Run, "__init__", _eager(Run.__init__))
    step = module._step

    def dying(learner, objective, batch, number, ranks, expert):
        if number == 4:
            raise KeyboardInterrupt
        return step(learner, objective, batch, number, ranks, expert)

    monkeypatch.setattr(module, "_step", dying)
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, tmp_path / "cut.safetensors", tiny())
    monkeypatch.setattr(module, "_step", step)
    cut = pretrain(corpus, tmp_path / "cut.safetensors", tiny())
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), cut.state_dict().values()))
    again = pretrain(corpus, tmp_path / "cut.safetensors", tiny())  # finished: nothing is left to do
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values()))
    told = asset.read_header(tmp_path / "cut.safetensors")["provenance"]
    assert told["judged_by"] == ["zoe"] and told["judged"] == "val"
    judged = Judged.of(Corpus.open(corpus), whole.settings.features)
    assert figures(cut, judged) == pytest.approx(told["validation"]["temperature 0"])
    with pytest.raises(Refused, match="other settings"):
        pretrain(corpus, tmp_path / "cut.safetensors", tiny(kl_weight=1.0))
    with pytest.raises(Refused, match="other settings"):  # a finished one does not stand for another seed's
        pretrain(corpus, tmp_path / "cut.safetensors", tiny(), seed=1)


def _eager(begin):
    def eager(self, folder, settings, seed=0, keep_every_s=0.0):
        begin(self, folder, settings, seed, 0.0)

    return eager


class Expert:
    """Likes a mouth that is wide open."""

    features = ("phones",)
    id = "wide"

    def __call__(self, moves, rows, mean, std):
        assert rows.shape[1] == 4 * moves.shape[1] and mean.shape == (len(moves), 42)
        return 1 - moves[:, :, 66, 1].clamp(max=1)


def test_a_sync_expert_counts_once_its_loss_has_fallen(corpus, tmp_path):
    def learned(name: str, threshold: float) -> Generator:
        settings = tiny(sync_weight=5.0, sync_threshold=threshold, rate=1e-2)
        return pretrain(corpus, tmp_path / name, settings, expert=Expert())

    at_once, never = learned("once.safetensors", 2.0), learned("never.safetensors", -9.0)
    assert any(not torch.equal(a, b) for a, b in zip(at_once.state_dict().values(), never.state_dict().values()))
    plain = pretrain(corpus, tmp_path / "plain.safetensors", tiny(rate=1e-2))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(plain.state_dict().values(), never.state_dict().values()))
    with pytest.raises(BadInput, match="no sync expert"):
        pretrain(corpus, tmp_path / "x.safetensors", tiny(sync_weight=1.0))


def test_what_cannot_be_learned_is_said_at_once(corpus, tmp_path):
    with pytest.raises(BadInput, match="9 samples of 3 people"):
        pretrain(corpus, tmp_path / "x.safetensors", tiny(lanes=16))
    with pytest.raises(BadInput, match="nobody"):
        pretrain(corpus, tmp_path / "x.safetensors", tiny(), validation=("nobody",))
    older = Corpus.open(corpus)
    older.recipes = older.recipes | {"f0": "by ear"}
    with pytest.raises(Refused, match="pitch was made by another recipe"):
        pretrain(older, tmp_path / "x.safetensors", tiny())
    with pytest.raises(BadInput, match="holds no feature 'hubert'"):
        pretrain(corpus, tmp_path / "x.safetensors", replace(tiny(), features=("hubert",)))


def test_batches_of_lanes_are_joined_in_order(corpus):
    parts = [lane(corpus, number).crops(0) for number in range(2)]
    whole = Batch.joined(parts)
    assert torch.equal(whole.moves[2:], parts[1].moves) and len(whole.heard) == 4
    assert woken(SEVERAL).hearing == lane(corpus).hearing
