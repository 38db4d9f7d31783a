"""Heads and torsos that learn a box and a cloth, begin anew, and go on where they were cut off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from likeness.errors import BadInput
from likeness.nn import precision
from likeness.nn.vanilla import VanillaHead, VanillaTorso, course, training
from likeness.nn.vanilla.training import train_vanilla_head, train_vanilla_torso
from likeness.portrait import below
from likeness.run import Run
from tests.box import BEHIND, CAMERA, TINY, BoxLesson, ClothLesson, pose_of

LONG = replace(TINY, steps=400, decay_steps=500)  # to where seeds and precision differ by less than the margin
SHORT = replace(TINY, steps=9, smooth_from=6, trial=5, rays=16)


@pytest.fixture(scope="module", autouse=True)
def whole_precision() -> Iterator[None]:
    """Networks this small take twice as long in half precision, and learn the same on any processor without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "_halves", lambda: False)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[VanillaHead, Path]:
    folder = tmp_path_factory.mktemp("box")
    with Run(folder, {}, seed=1) as run:
        return train_vanilla_head(BoxLesson(), LONG, run), folder


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * (a - b).square().mean().log10())


def drawn(head: VanillaHead, t: int) -> torch.Tensor:
    at = BoxLesson().sight(t)
    rgb, alpha = head.picture(at.pose, head.said(at.near)[0], at.camera)
    return rgb + (1 - alpha[..., None]) * at.behind


def test_a_box_is_learned_from_several_sides(trained):
    head, _ = trained
    for t in (0, 3, 6):
        real = BoxLesson().sight(t).color
        assert psnr(drawn(head, t), real) > max(20.0, psnr(BEHIND.expand_as(real), real) + 8)


def test_what_moves_the_face_changes_it(trained):
    head, _ = trained
    dark, light = (head.said(BoxLesson().near(t))[0] for t in (2, 3))
    middle = slice(9, 15)
    one, other = (head.picture(pose_of(0), code, CAMERA)[0][middle, middle].mean() for code in (dark, light))
    assert float(other - one) > 0.05


def test_a_head_comes_back_from_its_state(trained):
    head, _ = trained
    again = VanillaHead(TINY)
    again.load_state_dict(head.state_dict())
    assert torch.equal(drawn(again, 1), drawn(head, 1))


def test_outside_what_was_learned_there_is_nothing(trained):
    head, _ = trained
    wide = CAMERA.scaled((SIDE := 2 * CAMERA.size[0], SIDE)).zoomed(60.0)
    rgb, alpha = head.picture(pose_of(0), torch.zeros(8), wide)
    rows, columns = head.frame(pose_of(0), wide)
    assert rows.start > 0 and rows.stop < SIDE
    alpha[rows, columns], rgb[rows, columns] = 0, 0
    assert not alpha.any() and not rgb.any()
    away = pose_of(0)
    away[0, 3] += 3.0
    assert not head.picture(away, torch.zeros(8), CAMERA)[1].any()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[], dict[str, torch.Tensor]]:
    """What a head learns that was not cut off."""

    @cache
    def learned() -> dict[str, torch.Tensor]:
        with Run(tmp_path_factory.mktemp("whole"), {}, keep_every_s=1e9) as run:
            return train_vanilla_head(BoxLesson(SHORT), SHORT, run).state_dict()

    return learned


@pytest.mark.parametrize("stop_at", [2, 5, 7])
def test_what_was_cut_off_goes_on_exactly(whole, tmp_path, stop_at, monkeypatch):
    monkeypatch.setattr(course, "BETTER", 1e9)  # a handful of steps says nothing about how well it learns
    lesson = BoxLesson(SHORT)
    lesson.stop_at = stop_at
    with pytest.raises(InterruptedError), Run(tmp_path / "parts", {}, keep_every_s=0.0) as run:
        train_vanilla_head(lesson, SHORT, run)
    lesson.stop_at = None
    with Run(tmp_path / "parts", {}, keep_every_s=1e9) as run:
        parts = train_vanilla_head(lesson, SHORT, run).state_dict()
    assert all(torch.equal(parts[key], value) for key, value in whole().items())


def blind(dead: int):
    """A head of which the first `dead` made see nothing and never will."""
    made = []

    class Blind(VanillaHead):
        def __init__(self, *given) -> None:
            super().__init__(*given)
            made.append(self)
            if len(made) <= dead:
                for net in (self.coarse, self.fine):
                    torch.nn.init.zeros_(net.sigma.weight)
                    torch.nn.init.constant_(net.sigma.bias, -5.0)

    return Blind


def test_a_beginning_that_learns_nothing_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "VanillaHead", blind(1))
    settings = replace(TINY, steps=41, trial=40, rays=64)
    with Run(tmp_path, {}, seed=3) as run:  # after seeds 1 and 2 a new beginning is blind by itself
        head = train_vanilla_head(BoxLesson(settings), settings, run)
        assert run.done("vanilla_head 0") and run.done("vanilla_head 1") and not run.done("vanilla_head 2")
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["begins_anew"] for row in rows if "begins_anew" in row] == [1.0, 0.0]
    at = BoxLesson().sight(0)
    assert head.picture(at.pose, head.said(at.near)[0], at.camera)[1].amax() > 0.5


def test_where_nothing_is_ever_learned_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "VanillaHead", blind(9))
    settings = replace(SHORT, trial=4, beginnings=2)
    with Run(tmp_path, {}) as run, pytest.raises(BadInput, match="2 beginnings of vanilla_head"):
        train_vanilla_head(BoxLesson(settings), settings, run)


def test_a_cloth_is_learned_and_keeps_the_head(tmp_path):
    settings = replace(TINY, torso_steps=70, trial=60, rays=64)
    lesson = ClothLesson(settings)
    for net in (lesson.head.coarse, lesson.head.fine):
        torch.nn.init.constant_(net.sigma.bias, -5.0)  # no head in the picture
    with Run(tmp_path, {}) as run:
        run.finish({"voice.keys": torch.ones(1)})
    with Run(tmp_path, {}) as run:
        torso = train_vanilla_torso(lesson, settings, run)
        assert torch.equal(run.resumed["voice.keys"], torch.ones(1))
        restored = VanillaTorso(TINY)
        restored.load_state_dict(below("vanilla_torso.net.", run.resumed))
    nothing = torch.zeros(24, 24, 3), torch.zeros(24, 24)
    rgb, alpha = torso.over(nothing, pose_of(2), torch.zeros(8), CAMERA)
    picture = rgb + (1 - alpha[..., None]) * BEHIND
    assert not alpha[:12].any()
    assert psnr(picture[18:], torch.tensor([0.9, 0.5, 0.3]).expand(6, 24, 3)) > 20
    again = restored.over(nothing, pose_of(2), torch.zeros(8), CAMERA)
    assert torch.equal(again[0], rgb) and torch.equal(again[1], alpha)
