"""The post-net: its sizes and laws, and its training on motion whose person is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from likeness.errors import BadInput
from likeness.nn.adaptation import postnet_train
from likeness.nn.adaptation.choice import COLUMNS
from likeness.nn.adaptation.person import WIDTH, Person, Reading, check
from likeness.nn.adaptation.postnet import CONTEXT, Critic, PostNet
from likeness.nn.adaptation.postnet_train import Settings, Track, Training, rates, restored, train_postnet
from likeness.run import Run

QUICK = Settings(steps=6, every=3, batch=2, frames=8, warm_up=2)
FRAMES = 150


def moving(frames: int, seed: int, size: float = 0.3) -> torch.Tensor:
    """Mouths that go slowly about, centimetres."""
    random = np.random.default_rng(seed)
    slow = np.apply_along_axis(np.convolve, 0, random.standard_normal((frames + 8, 4)), np.hanning(9), "valid")
    return torch.from_numpy((size * slow @ np.random.default_rng(0).standard_normal((4, WIDTH)) / 4).astype(np.float32))


@pytest.fixture(scope="module")
def track() -> Track:
    generic = moving(FRAMES + 2 * CONTEXT, 1)
    own = 1.5 * generic[CONTEXT:-CONTEXT] + 0.1
    frames = np.concatenate([np.arange(60), np.arange(70, FRAMES)])
    moves = own[torch.from_numpy(frames)]
    lips = moves[:, :8].clone()
    return Track(generic, Person(frames, moves, lips, Reading.of(moves, lips)))


@pytest.fixture(scope="module")
def sounds() -> list[torch.Tensor]:
    return [moving(n, seed) for n, seed in ((60, 2), (10, 3), (40, 4))]


def test_sizes_are_the_papers():
    """0.80 and 0.16 million parameters for 204 coordinates."""
    assert sum(p.numel() for p in PostNet(204).parameters()) == pytest.approx(0.80e6, rel=0.01)
    assert sum(p.numel() for p in Critic(204).parameters()) == pytest.approx(0.16e6, rel=0.02)


def test_it_begins_as_the_identity_and_sees_its_context_only():
    moves = moving(40, 0)[None]
    net = PostNet()
    assert torch.equal(net(moves), moves[:, CONTEXT:-CONTEXT])
    torch.nn.init.normal_(net.out.weight, std=0.05, generator=torch.Generator().manual_seed(0))
    before, changed = net(moves), moves.clone()
    changed[:, 20] += 1
    away = (net(changed) - before).abs().amax(-1)[0] > 0
    assert away.nonzero()[:, 0].tolist() == list(range(20 - 2 * CONTEXT, 21))


def test_no_statistics_of_a_batch_are_kept_or_shared():
    """Batch normalisation would mix the person's track with generic motion."""
    net = PostNet().train()
    torch.nn.init.normal_(net.out.weight, std=0.05, generator=torch.Generator().manual_seed(0))
    a, b = moving(30, 0), moving(30, 1)
    assert torch.allclose(net(torch.stack([a, b]))[0], net(a[None])[0], atol=1e-4)
    assert {name for name, _ in net.named_buffers()} == {"scale"}


def test_rates_are_those_that_the_original_really_has():
    s = Settings()
    assert rates(s, 100) == (pytest.approx(5e-4, rel=0.01), 1e-4)
    assert rates(s, 0)[0] < 1e-5
    assert rates(s, 40_000)[1] == 5e-5


def test_a_run_that_was_killed_goes_on_exactly(track, sounds, tmp_path):
    with Run(tmp_path / "whole", {}) as run:
        whole, curve = train_postnet(track, sounds, run, QUICK)
    with Run(tmp_path / "killed", {}, keep_every_s=0.0) as run, pytest.raises(KeyboardInterrupt):
        keep = run.keep

        def kept(state, preview=None):
            keep(state, preview)
            if run._step == 3:
                raise KeyboardInterrupt

        run.keep = kept
        train_postnet(track, sounds, run, QUICK)
    with Run(tmp_path / "killed", {}) as run:
        again, same = train_postnet(track, sounds, run, QUICK)
        kept = restored(run.resumed)
        assert run.done(postnet_train.STAGE)
    assert torch.equal(curve, same)
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value) and torch.equal(kept.state_dict()[name], value), name


def test_it_learns_the_person_and_the_curve_says_so(track, sounds, tmp_path):
    with Run(tmp_path / "run", {}) as run:
        # Without the critic the paired track alone teaches.
        learned = replace(QUICK, steps=60, every=20, batch=4, adversarial=0.0, reconstruction=1.0, warm_up=1)
        net, curve = train_postnet(track, sounds, run, learned)
    mse = curve[:, COLUMNS.index("mse")]
    assert curve[:, 0].tolist() == [0, 20, 40, 60] and mse[-1] < 0.6 * mse[0]
    assert curve[0, COLUMNS.index("opening")] == pytest.approx(1.0)
    assert not net.training


def test_the_critic_tells_the_person_from_others(track, sounds):
    training = Training(track, sounds, replace(QUICK, batch=8, critic_rate=1e-3), None)
    for step in range(30):
        numbers = training.step(step, np.random.default_rng(step))
    assert numbers["own"] > numbers["adapted"] + 0.1


def test_a_collapsed_net_is_not_kept(track, sounds):
    training = Training(track, sounds, QUICK, None)
    training.evaluate(0)
    first = {key: value.clone() for key, value in training.best.items()}
    with torch.no_grad():  # one mouth for any sound
        training.net.forward = lambda moves: torch.zeros_like(moves[:, CONTEXT:-CONTEXT])
        training.verdicts = torch.tensor([0.5, 0.5]).double()
        for step in (3, 6, 9):
            training.evaluate(step)
    assert training.curve[-1, COLUMNS.index("opening")] < 0.1
    assert all(torch.equal(training.best[key], value) for key, value in first.items())


def test_the_sync_expert_is_heard(track, sounds):
    asked = []

    def sync(moves, pieces):
        asked.append((moves.shape[1], pieces))
        return moves.square().mean()

    training = Training(track, sounds, QUICK, sync)
    training.step(0, np.random.default_rng(0))
    assert asked[0][0] == QUICK.frames and all(len(training.sounds[i]) > a for i, a in asked[0][1])
    assert training.evaluate(1)["val_sync"] > 0


@pytest.mark.parametrize("bad", ["zero", "still", "nan"])
def test_motion_that_is_none_is_refused(bad, track, sounds):
    """All-zero landmarks made the original's critic empty and its loss NaN."""
    moves = torch.zeros(140, WIDTH) + (0.4 if bad == "still" else 0)
    if bad == "nan":
        moves = moving(140, 0)
        moves[7, 3] = torch.nan
    with pytest.raises(BadInput, match="row 7" if bad == "nan" else "do not move"):
        check(moves, "clip")
    with pytest.raises(BadInput, match="the generic motion"):
        Training(track, [moves, moves], QUICK, None)
    with pytest.raises(BadInput, match="the clip"):
        Training(replace(track, person=replace(track.person, moves=moves)), sounds, QUICK, None)


def test_sounds_that_are_too_short_are_said(track):
    with pytest.raises(BadInput, match="long enough"):
        Training(track, [moving(10, 0)], QUICK, None)
