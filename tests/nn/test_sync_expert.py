"""The sync expert: what it measures, how it is pretrained, and its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from likeness.corpus import Corpus
from likeness.displacement import MOUTH
from likeness.errors import BadInput, MissingAsset, Refused
from likeness.nn.generator.objective import Expert as Judge
from likeness.nn.sync import asset
from likeness.nn.sync.expert import Expert, heard, mouth_of, preset
from likeness.nn.sync.loss import SyncLoss
from likeness.nn.sync.material import (
    IGNORED,
    MATCHED,
    OTHER_SPEAKER,
    OTHER_TIME,
    SHIFTED,
    Draw,
    Track,
    tracks,
)
from likeness.nn.sync.measure import REACH, SHORTEST, around, measure, similarities
from likeness.nn.sync.pretrain import contrast, pretrain, rate
from likeness.nn.sync.trial import auc, strangers, trial
from likeness.run import CHECKPOINT
from tests import talkers

QUICK = preset("small", steps=160, width=48, dim=24, stretches=6, velocity=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return talkers.corpus(tmp_path_factory.mktemp("corpora") / "talkers")


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory) -> tuple[Path, dict]:
    path = tmp_path_factory.mktemp("experts") / "expert.safetensors"
    return path, pretrain(Corpus.open(folder), path, QUICK)


@pytest.fixture(scope="module")
def expert(made) -> Expert:
    return asset.load(made[0])


def shuffled(rows: np.ndarray, by: int) -> np.ndarray:
    """Sound that comes `by` frames later."""
    return np.roll(rows, 4 * by, axis=0)


# ---- what is learned


def test_the_law_is_learned_and_holds_for_people_who_were_never_heard(made):
    judged = made[1]
    assert judged["people"] == 2 and judged["seconds"] == 40
    assert judged["shifted"]["25"]["auc"] > 0.97 and judged["shifted"]["25"]["accuracy"] > 0.97
    assert judged["shifted"]["1"]["auc"] < judged["shifted"]["25"]["auc"]
    assert judged["detected"]["3"]["share"] > 0.9


@settings(max_examples=12, deadline=None)
@given(late=st.integers(-9, 9), seed=st.integers(200, 260))
def test_a_known_shift_is_found_with_its_sign(expert, late, seed):
    phones = talkers.said(200, seed)
    found = measure(expert, talkers.mouths(phones, seed, late), {"phones": phones})
    assert found.clear and abs(found.frames - late) < 0.5  # positive: the lips are late
    assert found.margin > found.threshold and found.confidence > 0 and len(found.curve) == 2 * REACH + 1


@settings(max_examples=12, deadline=None)
@given(by=st.integers(-6, 6), seed=st.integers(300, 320))
def test_moving_the_sound_moves_the_offset(expert, by, seed):
    phones = talkers.said(200, seed)
    moves = talkers.mouths(phones, seed)
    still = measure(expert, moves, {"phones": phones}).frames
    assert abs(measure(expert, moves, {"phones": shuffled(phones, by)}).frames - (still - by)) < 0.25


def test_the_wrong_sound_cannot_be_told(expert):
    found = [
        measure(expert, talkers.mouths(talkers.said(150, k), k), {"phones": talkers.said(150, k + 500)}) for k in range(40)
    ]
    assert sum(f.clear for f in found) <= 6  # one in 20 by chance
    assert "cannot tell" in str(next(f for f in found if not f.clear))


def test_too_little_and_unseen_frames_are_not_judged(expert):
    phones = talkers.said(200, 7)
    moves = talkers.mouths(phones, 7)
    few = measure(expert, moves[: SHORTEST - 1], {"phones": phones[: 4 * (SHORTEST - 1)]})
    assert not few.clear and few.threshold == np.inf
    assert not measure(expert, moves[:5], {"phones": phones}).clear
    seen = np.ones(200, bool)
    seen[40:50] = False
    spoilt = moves.copy()
    spoilt[~seen] = 9.0
    rows = similarities(expert, spoilt, {"phones": phones}, seen, breaks=[100])
    size = expert.settings.frames
    assert len(rows) == (200 - size + 1) - (10 + size - 1) - (size - 1)
    assert measure(expert, spoilt, {"phones": phones}, seen, [100]).clear
    assert np.array_equal(rows, similarities(expert, moves, {"phones": phones}, seen, [100]), equal_nan=True)


def test_columns_are_lip_time_minus_sound_time():
    vectors = torch.eye(40)
    rows = around(vectors[:30], vectors[2:])  # lips t fit sound t - 2
    assert np.nanargmax(np.nan_to_num(rows[10])) == REACH + 2 and rows[10, REACH + 2] == 1
    assert np.isnan(rows[0, REACH + 1]) and rows[0, REACH] == 0


def test_ranks():
    assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert auc(np.array([1.0]), np.array([1.0, 0.0])) == 0.75


# ---- pairs


@pytest.fixture(scope="module")
def held(folder) -> list[Track]:
    return tracks(Corpus.open(folder), "train", QUICK)


def test_sound_of_a_cross_speaker_negative_comes_from_the_other_clip(held):
    """The original reads it from the same clip after all."""
    marked = [
        Track(t.speaker, torch.full_like(t.mouth, float(n)), torch.full_like(t.sound, float(n))) for n, t in enumerate(held)
    ]
    batch = Draw(marked, QUICK).batch(Expert(QUICK), np.random.default_rng(0))
    kinds = batch.kinds()
    mouth, sound = batch.mouths[:, 0, 0, 0].abs().long(), batch.sounds[:, 0, 0].long()
    speaker = [t.speaker for t in marked]
    pairs = (kinds == OTHER_SPEAKER).nonzero().tolist()
    assert pairs
    assert all(speaker[mouth[i]] != speaker[sound[j]] for i, j in pairs)
    own = (kinds == MATCHED) | (kinds == SHIFTED) | (kinds == OTHER_TIME)
    assert all(mouth[i] == sound[j] for i, j in own.nonzero().tolist())


def test_kinds_of_pairs(held):
    batch = Draw(held, QUICK).batch(Expert(QUICK), np.random.default_rng(1))
    kinds = batch.kinds()
    same, apart = batch.track[:, None] == batch.track, (batch.time[:, None] - batch.time).abs()
    assert torch.equal((kinds == MATCHED).nonzero(), torch.arange(len(kinds)).repeat(2, 1).T)
    assert torch.equal(kinds == SHIFTED, same & (apart >= 2) & (apart <= 5))
    assert torch.equal(kinds == OTHER_TIME, same & (apart > 5))
    off = ~torch.eye(len(kinds), dtype=torch.bool)
    assert bool((kinds[same & (apart <= 1) & off] == IGNORED).all())
    assert bool((kinds[~same & (batch.speaker[:, None] == batch.speaker)] == IGNORED).all())
    assert all(other.speaker != held[0].speaker for other in strangers(held[0], held, 20, np.random.default_rng(0)))


def test_ignored_pairs_count_nothing(expert):
    kinds = torch.tensor([[MATCHED, IGNORED, SHIFTED], [IGNORED, MATCHED, OTHER_SPEAKER], [SHIFTED, OTHER_TIME, MATCHED]])
    alike = torch.rand(3, 3)
    other = torch.where(kinds == IGNORED, -alike, alike)
    assert torch.equal(contrast(expert, alike, kinds), contrast(expert, other, kinds))


# ---- the network


def test_gradients_reach_the_mouth_and_weights_stay(expert):
    holder = torch.nn.ModuleList([expert]).train()
    assert not expert.training and not any(p.requires_grad for p in expert.parameters())
    phones = talkers.said(60, 3)
    mouth = mouth_of(torch.from_numpy(talkers.mouths(phones, 3))).requires_grad_()
    sounds = expert.windows(heard({"phones": phones}, expert.settings)).flatten(1, 2)
    right = expert.log_probability(expert.windows(mouth), sounds)
    right.sum().backward()
    assert mouth.grad is not None and bool((mouth.grad.abs().sum((1, 2)) > 0).all())
    assert bool((right <= 0).all())
    wrong = expert.log_probability(expert.windows(mouth), sounds.roll(20, 0))
    assert right.mean() > wrong.mean() + 0.5
    assert len(list(holder.parameters())) and list(
        expert.lips(expert.windows(mouth)).norm(dim=1).detach().round(decimals=4)
    ) == [1.0] * len(right)


def test_as_a_loss_it_is_what_the_expert_says_of_every_window(expert):
    said = [talkers.said(60, n) for n in (11, 12)]
    moves = torch.from_numpy(np.stack([talkers.mouths(phones, n) for n, phones in enumerate(said)])).requires_grad_()
    rows, usual = torch.from_numpy(np.stack(said)), (torch.zeros(2, 42), torch.ones(2, 42))
    loss = SyncLoss(expert)
    assert isinstance(loss, Judge) and loss.features == ("phones",) and loss.id == expert.id != ""
    found = loss(moves, rows, *usual)
    each = [expert.windows(heard({"phones": phones}, expert.settings)).flatten(1, 2) for phones in said]
    mouths = [expert.windows(mouth_of(its)) for its in moves.detach()]
    alone = torch.cat([-expert.log_probability(mouth, sound) for mouth, sound in zip(mouths, each)])
    assert len(found) == 2 * (60 - expert.settings.frames + 1) and torch.allclose(found, alone, atol=1e-5)
    assert loss(moves, rows.flip(0), *usual).mean() > found.mean() + 0.5
    found.mean().backward()
    assert moves.grad is not None and not moves.grad[:, :, : MOUTH.start].any() and bool(moves.grad[:, :, MOUTH].any())


def test_the_papers_network():
    """Cosines of what ends in ReLU are probabilities; statistics of its normalisation are frozen with the weights."""
    paper = Expert(preset("paper"))
    assert sum(p.numel() for p in paper.parameters()) > 8e6
    mouths, sounds = torch.randn(6, 5, 20, 3), torch.rand(6, 10, 42)
    alike = paper.lips(mouths) @ paper.sound(sounds).T
    assert alike.shape == (6, 6) and float(alike.detach().min()) >= 0
    contrast(paper, alike, torch.full((6, 6), OTHER_TIME).fill_diagonal_(MATCHED)).backward()
    statistics = {k: v.clone() for k, v in paper.freeze().state_dict().items() if "running" in k}
    paper.train()
    assert float(paper.log_probability(mouths, sounds).max()) <= 0
    assert statistics and all(torch.equal(paper.state_dict()[k], v) for k, v in statistics.items())
    assert rate(preset("paper"), 0) == 5e-4 and rate(preset("small"), 0) < rate(preset("small"), 39) == 2e-3


@pytest.mark.parametrize("points", [20, 68, 478])
def test_the_mouth_of_any_landmarks(points):
    moves = torch.randn(3, points, 3)
    assert mouth_of(moves).shape == (3, 20, 3)
    if points == 68:
        assert torch.equal(mouth_of(moves), moves[:, MOUTH])


def test_loudness_and_microphone_do_not_matter_to_mel():
    mel = np.random.default_rng(0).normal(0, 2, (80, 80)).astype(np.float32)
    its = preset("small", features=("mel",))
    assert torch.allclose(heard({"mel": mel}, its), heard({"mel": 3 * mel + np.arange(80, dtype=np.float32)}, its), atol=1e-4)
    with pytest.raises(BadInput, match="hubert"):
        preset("small", features=("hubert",))
    with pytest.raises(BadInput, match="large"):
        preset("large")


# ---- pretraining


def test_a_killed_run_goes_on_to_the_same_end(folder, tmp_path, monkeypatch):
    corpus, brief = Corpus.open(folder), preset("small", steps=8, width=16, dim=8, stretches=3, features=("phones", "mel"))
    pretrain(corpus, tmp_path / "whole.safetensors", brief, seed=3)

    from likeness.nn.sync.material import Draw as Drawn

    inner, seen = Drawn.batch, []

    def killed(self, *given):
        seen.append(1)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return inner(self, *given)

    monkeypatch.setattr(Drawn, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain(corpus, tmp_path / "killed.safetensors", brief, seed=3, keep_every_s=0.0)
    assert (tmp_path / "killed.safetensors.run" / CHECKPOINT).is_file()
    pretrain(corpus, tmp_path / "killed.safetensors", brief, seed=3)
    assert len(seen) == 6 + 3  # five steps were kept
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    with pytest.raises(Refused, match="other settings"):
        pretrain(corpus, tmp_path / "killed.safetensors", preset("small", steps=9), seed=3)


def test_doubtful_clips_can_be_left_out(tmp_path):
    corpus = Corpus.open(talkers.corpus(tmp_path / "doubtful", frames=420, clips=1, doubtful=("ann", "ben")))
    assert {t.speaker for t in tracks(corpus, "train", preset("small"))} == {"ann", "ben", "eve", "fay", "gus"}
    assert {t.speaker for t in tracks(corpus, "train", preset("small", clear_only=True))} == {"eve", "fay", "gus"}
    share = tracks(corpus, "train", preset("small", hours=420 / 90_000))
    assert len(share) == 5  # nobody is left out, however little is held


def test_too_small_a_corpus_is_refused_before_the_work(tmp_path):
    corpus = Corpus.open(talkers.corpus(tmp_path / "small", frames=60, clips=1))
    with pytest.raises(BadInput, match="two people and 20 s"):
        pretrain(corpus, tmp_path / "a.safetensors", QUICK)
    with pytest.raises(BadInput, match="no folder"):
        pretrain(corpus, tmp_path / "nowhere" / "a.safetensors", QUICK)
    corpus.recipes["phones"] = "another"
    with pytest.raises(Refused, match="phones made by another recipe"):
        pretrain(corpus, tmp_path / "a.safetensors", QUICK)


# ---- the file


def test_the_file_says_what_it_is_and_names_nobody(made, expert):
    header = asset.read_header(made[0])
    assert header["format"] == "likeness-sync" and header["features"]["phones"] and header["features"]["landmarks"]
    assert header["corpus"]["people"] == 5 and header["corpus"]["hours"] == pytest.approx(5 * 500 / 90_000, abs=1e-4)
    assert header["trial"] == json.loads(json.dumps(made[1]))
    assert not any(f'"{name}"' in json.dumps(header) for name in talkers.PEOPLE)
    assert len(expert.id) == 16 and expert.chance == header["chance"]


def damaged(header: dict, tensors: dict) -> list[tuple[dict, dict, type, str]]:
    less = {k: v for k, v in tensors.items() if k != "bias"}
    wide = header | {"settings": header["settings"] | {"width": 64}}
    odd = header | {"settings": header["settings"] | {"depth": 3}}
    return [
        (header | {"format": "likeness-portrait"}, tensors, BadInput, "not a sync expert"),
        (header | {"version": 2}, tensors, Refused, "version 2"),
        (header | {"more": 1}, tensors, BadInput, "more"),
        (odd, tensors, BadInput, "depth"),
        (wide, tensors, BadInput, "do not fit"),
        (header | {"chance": {}}, tensors, BadInput, "chance"),
        (header | {"features": header["features"] | {"phones": "x"}}, tensors, Refused, "another recipe"),
        (header, less, BadInput, "bias"),
        (header, tensors | {"more": torch.zeros(1)}, BadInput, "unknown more"),
        (header, tensors | {"bias": torch.tensor(torch.nan)}, BadInput, "bias"),
        (header, tensors | {"bias": tensors["bias"].double()}, BadInput, "bias"),
    ]


def test_other_files_are_refused(made, tmp_path):
    with safe_open(made[0], framework="pt") as file:
        header = json.loads(file.metadata()["likeness-sync"])
    path = tmp_path / "other.safetensors"
    for head, tensors, kind, says in damaged(header, load_file(made[0])):
        save_file(tensors, path, {"likeness-sync": json.dumps(head)})
        with pytest.raises(kind, match=says):
            asset.load(path)
    path.write_bytes(made[0].read_bytes()[:5000])
    with pytest.raises(BadInput, match="cut short"):
        asset.load(path)
    with pytest.raises(BadInput, match="likeness pretrain sync"):
        asset.load(tmp_path / "none.safetensors")


def test_where_it_is_looked_for(made, tmp_path, monkeypatch):
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    with pytest.raises(MissingAsset, match="likeness pretrain sync CORPUS/ FILE") as caught:
        asset.in_place()
    assert str(tmp_path / "sync" / "landmarks.safetensors") in str(caught.value)
    (tmp_path / "sync").mkdir()
    (tmp_path / "sync" / "landmarks.safetensors").write_bytes(made[0].read_bytes())
    assert asset.in_place().id == asset.load(made[0]).id


def test_nobody_to_judge_gives_no_figures(expert):
    assert trial([]) == {"shifted": {}, "detected": {}, "people": 0, "seconds": 0.0}
