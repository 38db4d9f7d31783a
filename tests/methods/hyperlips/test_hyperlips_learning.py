"""What HyperLips learns from and how: stretches, losses, stages, runs that were killed, several processes."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from likeness.album import Album
from likeness.album.pages import Jitter, Page
from likeness.errors import MissingAsset
from likeness.methods.hyperlips import _sync
from likeness.methods.hyperlips.articulate import folds, heard, learn_articulation
from likeness.methods.hyperlips.learn import Lesson, learn
from likeness.methods.hyperlips.material import Judged, Material, Sampler, moved
from likeness.methods.hyperlips.objective import Objective, deceiving, judging, mouths, textures_apart
from likeness.methods.hyperlips.trial import trial
from likeness.nn.generator.ranks import Ranks
from likeness.nn.hyper.articulation import FEATURES, spoken_mean
from likeness.nn.hyper.discriminator import BaseDiscriminator, DetailDiscriminator
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.settings import KEPT, preset
from likeness.nn.perceptual import perceptual_loss
from likeness.nn.sync.pixels.published import PublishedLoss, Wav2LipExpert
from likeness.run import Run
from likeness.speech import BANDS
from tests.methods.hyperlips.school import LITTLE, people_of, small


@pytest.fixture(scope="module")
def pages(clip, tmp_path_factory) -> list[Page]:
    folder = tmp_path_factory.mktemp("album")
    return people_of(Album.of_clip(clip, folder / "own", say=lambda _: None, sound=True).pages, folder)


@pytest.fixture(scope="module")
def material(pages) -> Material:
    return Material(pages, small())


def net_of(material: Material, seed: int = 0) -> LipNet:
    torch.manual_seed(seed)
    net = LipNet(material.settings)
    net.mouth = material.mouth
    return net


def sampler_of(material: Material, size: int = 128, **more) -> Sampler:
    return Sampler(material.of("train"), material.settings, size, 2, **more)


def draws(*numbers: int) -> list[np.random.Generator]:
    return [np.random.default_rng([5, number]) for number in numbers]


def test_everybody_is_there_twice_and_kept_apart_by_split(material):
    speakers = {
        split: {(part.page.speaker, part.flip) for group in material.of(split) for part in group} for split in ("train", "val")
    }
    assert speakers["train"] == {(who, flip) for who in ("ann", "ben") for flip in (False, True)}
    assert {who for who, _ in speakers["val"]} == {"eve"} and not material.of("test")
    assert not material.of("train", smallest=1000)


def test_a_mirrored_face_speaks_alike(material):
    """The jaw falls as far in the mirror: the number that says so is the same."""
    plain, mirrored = (next(g for g in material.of("train") if g[0].flip == flip)[0] for flip in (False, True))
    assert torch.allclose(plain.shape[:, 0], mirrored.shape[:, 0], atol=0.25)
    assert torch.equal(plain.rows, mirrored.rows)


def test_a_step_draws_the_same_whoever_asks(material):
    sampler = sampler_of(material, moved=True, unheard=0.5)
    one, other = sampler.batch(draws(1, 2)), sampler.batch(draws(1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one.heads, other.heads))
    alone = sampler.batch(draws(2))
    assert torch.equal(one.heads.crops[1], alone.heads.crops[0]) and torch.equal(one.skin[1], alone.skin[0])


def test_a_reference_is_brought_near_to_what_is_wanted(material):
    """By its landmarks it is nearer to the picture than as it is: mostly, over many draws."""
    brought = sampler_of(material).batch(draws(*range(12)))
    plain = Sampler(material.of("train"), replace(material.settings, warped=False), 128, 2).batch(draws(*range(12)))
    errors = []
    for batch in (brought, plain):
        wrong = (batch.heads.references - batch.heads.crops).abs().mean(2)
        errors.append((wrong * mouths(batch, 128)).sum((1, 2, 3)) / mouths(batch, 128).sum((1, 2, 3)))
    assert errors[0].mean() < 0.9 * errors[1].mean()


def test_points_move_as_the_picture_does(material):
    """Of a moved square, mirrored or not: as the page's own points."""
    page = material.of("train")[0][0].page
    for flip in (False, True):
        jitter = Jitter(0.03, -0.02, 0.04, 0.05, flip)
        whole, own = page.crop(7, 128, Jitter(flip=flip))[1] / 128, page.crop(7, 128, jitter)[1] / 128
        assert np.abs(moved(torch.from_numpy(whole), jitter).numpy() - own).max() < 1e-4


def test_what_is_hidden_is_not_looked_at(material):
    batch = sampler_of(material, 256).batch(draws(1))
    net = net_of(material).eval()
    torch.nn.init.normal_(net.base.head[1].weight, std=0.1)
    crops = batch.heads.crops.clone()
    crops[..., 2 * KEPT :, :] = torch.rand(crops[..., 2 * KEPT :, :].shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pictures = [net(heads).pictures for heads in (batch.heads, batch.heads._replace(crops=crops))]
    assert torch.equal(*pictures) and not torch.equal(pictures[0], batch.heads.references)


def test_a_stretch_can_be_learned(material):
    """Both stages, by their losses: what begins as the reference gets nearer to what is real."""
    training = replace(LITTLE, adversarial_weight=0.0)
    batches = {False: sampler_of(material).batch(draws(1)), True: sampler_of(material, 256).batch(draws(1))}
    net = net_of(material)
    for refined, part, rate in ((False, net.base, 2e-4), (True, net.refiner, 3e-4)):
        objective = Objective(net, training, perceptual_loss("laplacian"))
        optimiser = torch.optim.Adam(part.parameters(), rate)
        found = []
        for _ in range(24):
            loss = objective(batches[refined], refined)[0]["loss"]
            found.append(float(loss.detach()))
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        assert found[-1] < (0.998 if refined else 0.98) * found[0]  # an actor has hardly any detail


def test_a_run_killed_in_a_stage_goes_on_with_identical_results(material, tmp_path):
    class Killed(Exception):
        pass

    class Mortal(Run):
        """Dies at a step of a stage."""

        end: tuple[str, int] | None = None

        def keep(self, state, preview=None):
            super().keep(state, preview)
            if (self._stage, self._step) == self.end:
                raise Killed

    def learned(folder: Path, end: tuple[str, int] | None) -> dict[str, torch.Tensor]:
        net = net_of(material)
        with Mortal(folder, {}, 0, keep_every_s=0.0) as run:
            run.end = end
            learn(Lesson(net, material, LITTLE, perceptual_loss("laplacian"), 0, Ranks(), run))
        return net.state_dict()

    whole = learned(tmp_path / "whole", None)
    for end in (("base", 1), ("refine", 0)):
        with pytest.raises(Killed):
            learned(tmp_path / "cut", end)
    again = learned(tmp_path / "cut", None)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_two_processes_learn_what_one_does(material, tmp_path):
    """Two that take a lane each, in step, against one that takes both."""
    nets = [net_of(material, seed) for seed in (0, 0, 9)]
    meeting = threading.Barrier(2)
    shared: dict[int, torch.Tensor] = {}

    class Pair(Ranks):
        def total(self, value):
            shared[self.rank] = value.detach().clone()
            meeting.wait()
            found = shared[0] + shared[1]
            meeting.wait()
            return found

        def share(self, tensors):
            for name in sorted(tensors):
                if self.rank == 0:
                    shared[2] = tensors[name].detach().clone()
                meeting.wait()
                tensors[name].detach().copy_(shared[2])
                meeting.wait()

    distance = perceptual_loss("laplacian")
    with Run(tmp_path / "one", {}, 0) as run:
        learn(Lesson(nets[0], material, LITTLE, distance, 0, Ranks(), run))

    def process(rank: int, run: Run | None) -> None:
        learn(Lesson(nets[1 + rank], material, LITTLE, distance, 0, Pair(rank, 2), run))

    with Run(tmp_path / "two", {}, 0) as run:
        other = threading.Thread(target=process, args=(1, None))
        torch.manual_seed(0)
        other.start()
        process(0, run)
        other.join()
    whole, *parts = (net.state_dict() for net in nets)
    for name, value in whole.items():
        for part in parts:
            assert torch.allclose(value, part[name], atol=2e-4), name


def test_a_blur_has_another_texture_and_a_shift_has_not():
    real = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    skin = torch.ones(2, 64, 64)
    blurred = torch.nn.functional.avg_pool2d(real, 3, 1, 1)
    shifted = real.roll((1, 2), (2, 3))
    apart = [float(textures_apart(made, real, skin)) for made in (blurred, shifted, real)]
    assert apart[0] > 5 * apart[1] and apart[2] == 0


@pytest.mark.parametrize("kind", [BaseDiscriminator, DetailDiscriminator])
def test_discriminators_learn_what_is_real_and_generators_what_passes_for_it(kind):
    torch.manual_seed(0)
    judge = kind(small().judging)
    real, made = torch.rand(4, 3, 128, 128), torch.zeros(4, 3, 128, 128)
    where = torch.full((4, 2), 90.0)
    before = float(judging(judge, made, real, where))
    optimiser = torch.optim.Adam(judge.parameters(), 1e-3)
    for _ in range(15):
        judging(judge, made, real, where).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert float(judging(judge, made, real, where)) < 0.5 * before
    assert float(deceiving(judge, made, real, where)) > float(deceiving(judge, real, real, where))


def test_articulation_hears_what_moves_mouths(material):
    net = net_of(material)
    told = learn_articulation(net, material.of("train"), material.of("val"))
    assert told["shape_1_r"] > 0.8  # eve is the same actor, though
    gain = net.articulation.gain
    assert (gain >= 1).all() and (gain <= 2).all()


def test_nobody_is_foretold_by_themselves(material):
    """People, where there are several; else stretches of the one. Nobody is left out."""
    for groups in (material.of("train"), material.of("val")):
        several = len({group[0].page.speaker for group in groups}) > 1
        seen = []
        for inside, others in folds(groups):
            names = [{p.page.speaker if several else p.page.key for g in side for p in g} for side in (inside, others)]
            assert not names[0] & names[1] or (names[0] == names[1] and len(names[0]) == 1)
            seen += [p.page.key for g in inside for p in g]
        assert sorted(seen) == sorted(p.page.key for g in groups for p in g)


def test_how_loud_a_voice_is_does_not_open_the_mouth(material):
    """Nor what a microphone adds to every row of it."""
    net = net_of(material)
    learn_articulation(net, material.of("train"), [])
    windows, mean = heard(material.of("val")[0][0])
    louder = torch.zeros_like(mean)
    louder[:BANDS] = torch.randn(BANDS, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(net.articulation(windows + louder, mean + louder), net.articulation(windows, mean), atol=1e-3)


def test_pauses_do_not_make_a_voice_quiet(material):
    """Neither digital silence nor a room's noise, whatever there is of it; of silence alone the mean is that of silence."""
    page = material.of("train")[0][0].page
    rows = torch.from_numpy(np.concatenate([page.features(name) for name in FEATURES], 1))
    noise = rows.amin() + 0.1 * torch.rand(len(rows), rows.shape[1], generator=torch.Generator().manual_seed(0))
    for pause in (rows.amin().expand(3 * len(rows), rows.shape[1]), noise):
        longer = torch.cat([rows, pause])
        moved, whole = (f(longer) - f(rows) for f in (spoken_mean, lambda sound: sound.mean(0)))
        assert moved.abs().mean() < 0.1 * whole.abs().mean()
    assert torch.allclose(spoken_mean(noise), noise.mean(0), atol=0.1)


def test_a_published_judge_hears_the_sound_round_a_stretch_and_sees_the_faces_box(material, monkeypatch, tmp_path):
    """Silence beyond a page; boxes of whole faces, moved as their pictures are."""
    part = material.of("train")[0][0]
    sound = part.page.features("sound")
    sampler = Sampler([[part]], material.settings, 128, 5, moved=True, judged=Judged(("sound",), 1))
    assert np.array_equal(sampler._told(part.page, 3), sound[8:36])
    assert not sampler._told(part.page, 0)[:4].any() and np.array_equal(sampler._told(part.page, 0)[4:], sound[:24])
    last = len(part.page) - 5
    assert not sampler._told(part.page, last)[-4:].any() and np.array_equal(
        sampler._told(part.page, last)[:-4], sound[4 * last - 4 :]
    )
    batch = sampler.batch(draws(1, 2))
    assert batch.rows.shape == (2, 28, 160)
    low, high = batch.heads.mouths.amin(2), batch.heads.mouths.amax(2)
    assert (batch.faces[..., :2] < low + 0.02).all() and (batch.faces[..., 2:] > high - 0.04).all()
    assert (batch.faces[..., 1] < 0.1).all()  # a forehead
    net, loss = net_of(material), PublishedLoss(Wav2LipExpert())
    training = replace(LITTLE, adversarial_weight=0.0, time=5, sync_weight=0.03, sync_expert="published")
    assert training.sounding and not replace(training, sync_weight=0.0).sounding
    losses, _ = Objective(net, training, perceptual_loss("laplacian"), None, loss)(batch, False)
    (gradient,) = torch.autograd.grad(losses["sync"], net.base.head[1].weight)
    assert float(losses["sync"].detach()) > 0 and gradient.abs().sum() > 0
    before = net.base.head[1].weight.detach().clone()
    steps = replace(training, base_steps=1, refine_steps=1)
    learn(Lesson(net, material, steps, perceptual_loss("laplacian"), 0, Ranks(), None, loss))
    assert not torch.equal(net.base.head[1].weight, before)
    with pytest.raises(ValueError, match="5 frames"):
        replace(training, time=3)
    with pytest.raises(Exception, match="sync_expert"):
        replace(training, sync_expert="Published")
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    with pytest.raises(MissingAsset, match=r"lipsync_expert\.pth"):
        _sync(training)


def test_the_trial_is_of_people_who_were_left_out(material, monkeypatch):
    monkeypatch.setattr(sys.modules[trial.__module__], "STRETCHES", 4)
    told = trial(net_of(material).eval(), material.of("val"), refined=False)
    assert set(told) == {"face_psnr", "mouth_psnr"} and 10 < told["mouth_psnr"] < 60


def test_the_papers_preset_learns_by_sound_alone(pages):
    settings = preset("paper")
    narrow = replace(settings, trunk_width=0.25, decoder_width=0.2, refining=replace(settings.refining, width=8))
    material = Material(pages, replace(narrow, judging=replace(small().judging)))
    batch = Sampler(material.of("train"), material.settings, 128, 2).batch(draws(1))
    net = net_of(material).train()
    losses, made = Objective(net, replace(LITTLE, adversarial_weight=0.0), perceptual_loss("laplacian"))(batch, False)
    losses["loss"].backward()
    assert made.shape == batch.heads.crops.shape and net.base.ear.trunk.entrance[0].weight.grad.abs().sum() > 0
