"""The paper's white lines: where they are, of which points, and that what is hidden has no part in them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from likeness.mesh import LEFT_BROW, LEFT_EYE, NOSTRILS, RIGHT_BROW, RIGHT_EYE
from likeness.nn.hyper.generator import BaseGenerator
from likeness.nn.hyper.lipnet import Heads, LipNet
from likeness.nn.hyper.mouth import MOUTH
from likeness.nn.hyper.refiner import Refiner
from likeness.nn.hyper.settings import KEPT, PRESETS, SHAPE, Refining, Settings
from likeness.nn.hyper.sketch import UPPER, drawn, lined
from tests.nn.hyper.faces import faces
from tests.takes import little


def sketch_of(face: Tensor, mouth: Tensor | None = None) -> Tensor:
    """One channel of a face's lines, with another's mouth."""
    wanted = (face if mouth is None else mouth)[:, list(MOUTH)]
    sketch = lined(wanted, face[:, list(UPPER)])
    assert sketch.shape == (len(face), 3, 128, 128) and float(sketch.min()) == 0 and float(sketch.max()) == 1
    assert torch.equal(sketch[:, 0], sketch[:, 1]) and torch.equal(sketch[:, 0], sketch[:, 2])
    return sketch[:, 0]


def test_lines_go_through_all_points_of_eyes_brows_nose_mouth_and_jaw():
    face = faces(np.array([3.0]), np.array([0.05]))
    (sketch,) = sketch_of(face)
    for point in {*UPPER, *MOUTH[: -len(MOUTH) + 57]}:  # the chin is no line
        x, y = (128 * face[0, point]).floor().long().tolist()
        if 0 <= x < 128 and 0 <= y < 128:
            assert sketch[y, x] > 0.9, point
    assert 0.1 < float(sketch.mean()) < 0.6
    for ring in (RIGHT_EYE, LEFT_EYE, NOSTRILS, RIGHT_BROW, LEFT_BROW):
        assert set(ring) <= set(UPPER)


def test_mouth_and_jaw_are_as_asked_all_else_as_seen():
    shut, wide = faces(np.array([0.0, 14.0]), np.zeros(2)).split(1)
    asked, seen = sketch_of(shut, wide)[0], sketch_of(shut)[0]
    eyes = 30  # rows above the jaw's ends
    assert torch.equal(asked[:eyes], seen[:eyes]) and not torch.equal(asked, seen)
    rows = torch.arange(128.0)
    assert 5 < float((asked.amax(1) * rows).max() - (seen.amax(1) * rows).max()) < 12  # as in `drawn`
    moved = shut.clone()
    moved[:, list(RIGHT_BROW)] += 0.05
    assert not torch.equal(sketch_of(moved, shut), sketch_of(shut)) and torch.equal(
        sketch_of(moved, shut)[0, KEPT:], seen[KEPT:]
    )


def test_no_point_of_the_seen_mouth_gets_in_and_none_lies_in_hidden_rows():
    assert not set(UPPER) & set(MOUTH)
    for yaw in (-0.2, 0.0, 0.2):
        for face in faces(np.array([0.0, 14.0]), np.full(2, yaw)):
            assert float(face[list(UPPER), 1].max()) * 128 < KEPT + 1


def test_lines_are_the_papers_alone_and_change_no_size():
    assert PRESETS["paper"].refining.lines == "face" and Settings().refining.lines == Refining().lines == "mouth"
    with torch.device("meta"):
        assert sum(p.numel() for p in BaseGenerator(PRESETS["paper"]).parameters()) == 29_716_503
        assert sum(p.numel() for p in Refiner(PRESETS["paper"].refining).parameters()) == 133_443


def heads(frames: int = 2) -> Heads:
    draw = torch.Generator().manual_seed(0)
    face = faces(np.linspace(0, 9, frames), np.zeros(frames))
    pictures = torch.rand(2, 1, frames, 3, 256, 256, generator=draw)
    sound, shape = torch.randn(1, frames, 42, 20, generator=draw), torch.zeros(1, frames, SHAPE)
    return Heads(*pictures, sound, shape, face[None, :, list(MOUTH)], face[None, :, list(UPPER)])


def test_fast_draws_what_it_drew_before_and_the_lines_where_they_are_asked_for():
    """What a refiner is given, of the same heads."""
    torch.manual_seed(0)
    own, looked = heads(), []
    for lines in ("mouth", "face"):
        settings = little(PRESETS["fast"])
        net = LipNet(Settings(**{**vars(settings), "refining": Refining(**{**vars(settings.refining), "lines": lines})})).eval()
        net.refiner.register_forward_pre_hook(lambda _, given: looked.append(given[1]))
        with torch.inference_mode():
            net(own)
    assert torch.equal(looked[0], drawn(own.mouths[0])) and torch.equal(looked[1], lined(own.mouths[0], own.uppers[0]))
