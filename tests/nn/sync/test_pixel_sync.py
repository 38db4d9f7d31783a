"""The sync expert on pixels: drawn mouths, what it learns of them, its loss, its measure, its file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from likeness.album import Album
from likeness.album.making import RECIPE
from likeness.cli import run
from likeness.corpus import Corpus
from likeness.errors import BadInput, MissingAsset, Refused
from likeness.nn.sync.material import IGNORED, MATCHED
from likeness.nn.sync.pixels import asset
from likeness.nn.sync.pixels import expert as networks
from likeness.nn.sync.pixels.expert import FRAMES, SIDE, TOP, Expert, preset
from likeness.nn.sync.pixels.loss import SyncLoss
from likeness.nn.sync.pixels.material import OPPOSITE, Draw, Track, doubtful, lit, shaken, tracks
from likeness.nn.sync.pixels.measure import synchrony
from likeness.nn.sync.pixels.pretrain import losses_of, pretrain
from tests import talkers
from tests.nn.drawn_lips import Drawn, pages

QUICK = preset("small", steps=110, stretches=6, channels=8, code=12, hidden=48, dim=16, dropout=0.0, rate=3e-3, moved=0.3)
BRIEF = preset("small", steps=4, stretches=3, channels=4, code=8, hidden=16, dim=8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return talkers.corpus(tmp_path_factory.mktemp("corpora") / "talkers", frames=420, clips=1, doubtful=("ann",))


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory) -> tuple[Path, dict]:
    path = tmp_path_factory.mktemp("experts") / "pixels.safetensors"
    return path, pretrain(Corpus.open(corpus), lambda _: pages(150), RECIPE, path, QUICK)


@pytest.fixture(scope="module")
def expert(made) -> Expert:
    return asset.load(made[0], RECIPE)


def crops_of(page: Drawn) -> list[np.ndarray]:
    return [page.crop(t, SIDE)[0] for t in range(len(page))]


def given_to(page: Drawn, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """For the loss."""
    made = torch.from_numpy(np.stack(crops_of(page)[:frames])).permute(0, 3, 1, 2)[None]
    return made, torch.from_numpy(page.said[: 4 * frames])[None]


# ---- what is learned


def test_the_law_is_learned_and_holds_for_faces_that_were_never_seen(made):
    judged = made[1]
    assert judged["people"] == 2
    assert judged["shifted"]["25"]["auc"] > 0.95 and judged["shifted"]["1"]["auc"] < judged["shifted"]["25"]["auc"]


@pytest.mark.parametrize("late", [-4, 0, 6])
def test_a_known_shift_is_found_with_its_sign(expert, late):
    page = Drawn("eve", "a-0000000", 150, 77, late)
    found = synchrony(expert, crops_of(page), {"phones": page.said, "mel": page.features("mel")})
    assert found.clear and abs(found.frames - late) < 0.6 and found.confidence > 0
    assert found.windows == 150 - FRAMES + 1


def test_pictures_are_measured_in_parts_as_in_one(expert):
    page = Drawn("gus", "a-0000000", 150, 78)
    looks = expert.look(torch.from_numpy(np.stack(crops_of(page))).permute(0, 3, 1, 2))
    whole = expert.lips(looks[None])[0]
    assert torch.allclose(expert.seen(Track.of(page, Expert(preset("small", held=False)))), whole, atol=1e-5)
    few = synchrony(expert, crops_of(page)[:4], {"phones": page.said})
    assert not few.clear and few.windows == 0


# ---- the network


def test_the_published_size():
    paper = Expert(preset("paper"))
    parts = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (paper.of_lips, paper.of_sound)]
    assert round(sum(parts), 1) == 23.0
    looks, rows = torch.rand(2, 6, 3, SIDE, SIDE), torch.randn(2, 24, 80)
    lips, sound = paper.lips(paper.look(looks)), paper.sound(paper.hear(rows))
    assert lips.shape == sound.shape == (2, 2, 512) and float(lips.detach().min()) >= 0
    assert torch.allclose(lips.norm(dim=-1), torch.ones(2, 2), atol=1e-4)
    with pytest.raises(BadInput, match="mel alone"):
        preset("paper", features=("phones",))
    with pytest.raises(BadInput, match="large"):
        preset("large")


def test_it_learns_as_published_too():
    """Pictures read at every step, no second task."""
    paper = Expert(preset("paper", stretches=2, stretch=7))
    held = [Track.of(page, paper) for page in pages(40)[:2]]
    assert all(track.pictures is None for track in held)
    losses = losses_of(paper, Draw(held, paper).batch(np.random.default_rng(0)))
    assert set(losses) == {"sync", "loss"} and bool(losses["loss"].isfinite())


def test_light_does_not_matter(expert):
    looks = torch.rand(1, 6, 3, *expert.settings.size) * 0.5 + 0.2
    assert torch.allclose(expert.lips(looks), expert.lips(0.8 * looks + 0.1), atol=0.02)


# ---- as a loss


def test_as_a_loss_it_prefers_the_right_sound_and_sees_the_lower_part_alone(expert):
    made, rows = given_to(Drawn("noa", "a-0000000", 60, 79), 30)
    made.requires_grad_()
    loss = SyncLoss(expert)
    right = loss(made, rows)
    assert right.shape == () and loss.features == ("phones",) and len(loss.id) == 16
    assert float(loss(made, rows.roll(4 * 8, 1)).detach()) > float(right.detach()) + 0.1
    right.backward()
    assert (
        made.grad is not None and not made.grad[..., :TOP, :].any() and bool(made.grad[..., TOP:, :].abs().sum((2, 3, 4)).all())
    )
    beside = (SIDE - expert.settings.columns) // 2
    assert not made.grad[..., :beside].any() and not made.grad[..., SIDE - beside :].any()
    assert not any(p.requires_grad for p in expert.parameters()) and not torch.nn.ModuleList([expert]).train()[0].training


def test_a_loss_asks_for_five_frames_and_their_sound(expert):
    made, rows = given_to(Drawn("noa", "a-0000000", 60, 79), 10)
    loss = SyncLoss(expert)
    for frames, count in ((4, 16), (10, 36)):
        with pytest.raises(BadInput, match="5 frames or more"):
            loss(made[:, :frames], rows[:, :count])
    alone = [float(loss(made[:, t : t + 5], rows[:, 4 * t : 4 * t + 20])) for t in range(6)]
    assert float(loss(made, rows)) == pytest.approx(np.mean(alone), abs=1e-4)  # no part knows of the others


# ---- what it learns from


def test_stretches_are_mirrored_as_wholes_and_sound_stays_with_its_lips():
    still = preset("small", moved=0.0, stretches=40)
    ear = Expert(still)
    held = [Track.of(page, ear) for page in pages(40)]
    batch = Draw(held, ear).batch(np.random.default_rng(0))
    mirrored = 0
    for looks, sound, outline in zip(batch.looks, batch.sounds, batch.outlines):
        places = [(t, n) for t in held for n in range(9) if torch.equal(t.sound[n : n + 32], sound)]
        assert len(places) == 1
        track, first = places[0]
        own = track.looks(ear, first, 32)
        flat = (own.clamp_min(1e-4) - looks).abs().amax() < 1e-4
        flip = (own.flip(-1).clamp_min(1e-4) - looks).abs().amax() < 1e-4
        assert flat != flip
        mirrored += bool(flip)
        right = track.outline[first : first + 32]
        assert torch.allclose(outline, right[:, OPPOSITE] * torch.tensor([-1.0, 1.0]) if flip else right)
    assert 10 < mirrored < 30
    windows = 32 - FRAMES + 1
    assert batch.kinds.shape == (40 * windows, 40 * windows) and bool((batch.kinds.diagonal() == MATCHED).all())
    assert int((batch.kinds == MATCHED).sum()) == 40 * windows and int((batch.kinds == IGNORED).sum()) > 0


def test_all_frames_of_a_stretch_are_moved_and_lit_alike():
    one = torch.rand(3, 1, 3, 38, 40)
    looks = one.expand(-1, 6, -1, -1, -1)
    random = np.random.default_rng(0)
    moved = lit(shaken(looks, torch.tensor([False, True, False]), 1.0, random), 1.0, random)
    assert torch.equal(moved, moved[:, :1].expand_as(moved)) and not torch.allclose(moved[0], looks[0], atol=0.05)


def test_people_count_alike_and_what_is_doubtful_can_be_left_out(corpus):
    ear = Expert(preset("small", hours=7 * 60 / 90_000, held=False))
    many = [Drawn(who, f"{who}-{n}-0000000", 60, n) for who, count in (("ann", 6), ("ben", 2)) for n in range(count)]
    share = tracks(many, "train", ear)
    assert sum(t.speaker == "ben" for t in share) == 2 and sum(t.speaker == "ann" for t in share) == 4
    opened = Corpus.open(corpus)
    found = doubtful(opened, "train")
    assert len(found) == 1 and all(parts == [(0, 420)] for parts in found.values())
    (video,) = found
    both = [Drawn("ann", f"{video}-0000040", 60, 1), Drawn("ben", "other-0000040", 60, 1)]
    assert [t.speaker for t in tracks(both, "train", ear, 0, found)] == ["ben"]


# ---- pretraining and the file


def test_a_killed_run_goes_on_to_the_same_end(corpus, tmp_path, monkeypatch):
    held, few = Corpus.open(corpus), pages(100)
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    pretrain(held, lambda _: few, RECIPE, whole, BRIEF, seed=3)
    inner, seen = Draw.batch, []

    def cut_off(self, random):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return inner(self, random)

    monkeypatch.setattr(Draw, "batch", cut_off)
    with pytest.raises(KeyboardInterrupt):
        pretrain(held, lambda _: few, RECIPE, killed, BRIEF, seed=3, keep_every_s=0.0)
    pretrain(held, lambda _: few, RECIPE, killed, BRIEF, seed=3)
    assert len(seen) == 3 + 2 and killed.read_bytes() == whole.read_bytes()
    monkeypatch.setattr(Draw, "batch", inner)
    other = preset("small", steps=5, stretches=3, channels=4, code=8, hidden=16, dim=8)
    with pytest.raises(Refused, match="other settings"):
        pretrain(held, lambda _: few, RECIPE, killed, other, seed=3)
    with pytest.raises(BadInput, match="two people and 20 s"):
        pretrain(held, lambda _: few[:1], RECIPE, tmp_path / "few.safetensors", BRIEF)


def test_the_command(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(networks.PRESETS, "small", BRIEF)
    asked = []

    def album(held, folder, say=None):
        asked.append(folder)
        return SimpleNamespace(pages=pages(100))

    out = tmp_path / "pixels.safetensors"
    monkeypatch.setattr(Album, "of_corpus", album)
    assert run(["pretrain", "sync", str(corpus), str(out), "--look", "pixels", "--json"]) == 0
    printed = capsys.readouterr().out
    assert asked == [tmp_path / "pixels.safetensors.run" / "album"] and printed.count("\n") == 1
    assert json.loads(printed)["figures"] == asset.KIND.read_header(out)["provenance"]["trial"]
    assert run(["pretrain", "geneface", str(corpus), str(tmp_path / "a"), "--look", "pixels"]) == 3
    assert "--look is for the sync expert" in capsys.readouterr().err


def test_the_file_says_what_it_is_and_names_nobody(made, expert):
    header = asset.KIND.read_header(made[0])
    assert (
        header["square"] == RECIPE and set(header["chance"]) == {"margin", "confidence"} and expert.chance == header["chance"]
    )
    assert header["provenance"]["learned"]["people"] == 5 and header["provenance"]["trial"] == json.loads(json.dumps(made[1]))
    assert not any(f'"{name}"' in json.dumps(header) for name in talkers.PEOPLE)
    assert not any("outline" in name for name in load_file(made[0]))


def test_other_files_are_refused(made, tmp_path, monkeypatch):
    with safe_open(made[0], framework="pt") as file:
        header = json.loads(file.metadata()["likeness"])
    tensors, path = load_file(made[0]), tmp_path / "other.safetensors"
    odd = header | {"settings": header["settings"] | {"depth": 3}}
    for head, held, kind, says in (
        (header | {"format": "likeness-sync"}, tensors, BadInput, "not a sync expert on pixels"),
        (header | {"version": 2}, tensors, Refused, "version 2"),
        (odd, tensors, BadInput, "depth"),
        (header | {"chance": {}}, tensors, BadInput, "chance"),
        (header | {"recipes": {"phones": "x"}}, tensors, Refused, "another recipe"),
        (header | {"square": "another"}, tensors, Refused, "other squares"),
        (header, {k: v for k, v in tensors.items() if k != "bias"}, BadInput, "bias"),
        (header, tensors | {"bias": torch.tensor(torch.nan)}, BadInput, "bias"),
    ):
        save_file(held, path, {"likeness": json.dumps(head)})
        with pytest.raises(kind, match=says):
            asset.load(path, RECIPE)
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    with pytest.raises(MissingAsset, match="--look pixels"):
        asset.in_place(RECIPE)
