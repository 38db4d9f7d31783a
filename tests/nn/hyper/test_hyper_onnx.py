"""The lip networks as ONNX files: ONNX Runtime makes what PyTorch makes, frame after frame, and a stranger is told how."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from likeness.cli import run
from likeness.errors import Refused
from likeness.nn.hyper import asset, onnx, preset, trunk
from likeness.nn.hyper.lipnet import Heads, LipNet
from likeness.nn.hyper.mouth import MOUTH
from likeness.nn.hyper.refiner import shrunk
from likeness.nn.hyper.settings import SHAPE, SIDE, Settings
from likeness.nn.hyper.sketch import UPPER, drawn
from tests.nn.hyper.faces import faces
from tests.takes import little

FRAMES = 4
CLOSE = 1e-4


def learned(settings: Settings) -> LipNet:
    """As if it had learned: what begins with no change makes some, and batch norms know what goes through them."""
    torch.manual_seed(0)
    net = LipNet(settings).train()
    for colours in (net.base.head, net.refiner.colors):
        nn.init.kaiming_normal_([module for module in colours.modules() if isinstance(module, nn.Conv2d)][-1].weight)
    with torch.no_grad():
        for _ in range(3):
            net(heads(net))
    return net.eval().requires_grad_(False)


def heads(net: LipNet, seed: int = 0) -> Heads:
    """A scene."""
    draw = torch.Generator().manual_seed(seed)
    crops, references = (torch.rand(1, FRAMES, 3, net.size, net.size, generator=draw) for _ in range(2))
    sound = torch.randn(1, FRAMES, net.settings.columns, 20, generator=draw)
    points = faces(np.linspace(0, 15, FRAMES), np.linspace(-0.1, 0.1, FRAMES))[None]
    shape = torch.randn(1, FRAMES, SHAPE, generator=draw)
    return Heads(crops, references, sound, shape, points[:, :, list(MOUTH)], points[:, :, list(UPPER)])


@pytest.fixture(scope="module", params=["fast", "paper"])
def made(request) -> tuple[LipNet, onnx.Exported]:
    """Networks as narrow as they go, on trunks of half as many layers: the exporter's time goes by layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trunk, "ROWS", trunk.ROWS[:7])
        net = learned(little(preset(request.param)))
        return net, onnx.export(net)


def opened(content: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def inputs(session: onnxruntime.InferenceSession) -> list[str]:
    return [one.name for one in session.get_inputs()]


def test_a_scene_is_what_pytorch_makes_of_it(made):
    """Frame by frame, with the memory handed on; it begins with zeros. The second stage takes all frames at once."""
    net, files = made
    base, detail = opened(files.base), opened(files.detail)
    scene = heads(net, 1)
    with torch.no_grad():
        wanted = net(scene)
    scale = net.settings.refining.scale
    memory = {one.name: np.zeros(one.shape, np.float32) for one in base.get_inputs() if one.name.startswith("memory_")}
    assert len(memory) == (4 if net.settings.carried else 0)
    found = []
    for t in range(FRAMES):
        given = {
            "crop": shrunk(scene.crops[:, t], scale),
            "reference": shrunk(scene.references[:, t], scale),
            "sound": scene.sound[:, t],
            "shape": scene.shape[:, t],
            "sketch": drawn(scene.mouths[:, t]),
        }
        given = {name: value.numpy() for name, value in given.items() if name in inputs(base)} | memory
        face, *after = base.run(None, given)
        memory = dict(zip(memory, after, strict=True))
        found.append(face)
    faces = np.concatenate(found)
    assert faces.std() > 0.01 and np.abs(faces - wanted.base[0].numpy()).max() < CLOSE
    assert wanted.base[0].diff(dim=0).abs().max() > 0.01  # frames differ
    for left, right in zip(memory.values(), wanted.state, strict=True):
        assert np.abs(left - right.numpy()).max() < CLOSE
    given = {
        "base": faces,
        "sketch": net.sketch(scene).numpy(),
        "reference": scene.references[0].numpy(),
        "crop": scene.crops[0].numpy(),
    }
    (pictures,) = detail.run(None, {name: value for name, value in given.items() if name in inputs(detail)})
    assert pictures.shape == (FRAMES, 3, net.size, net.size)
    assert wanted.pictures is not None and np.abs(pictures - wanted.pictures[0].numpy()).max() < CLOSE
    assert files.apart < CLOSE


def test_nothing_is_asked_for_that_the_settings_leave_out(made):
    net, files = made
    first, second = inputs(opened(files.base)), inputs(opened(files.detail))
    if net.settings.shaped:
        assert first == ["crop", "reference", "sound", "shape", "sketch", *(f"memory_{i}" for i in range(4))]
        assert second == ["base", "sketch", "reference", "crop"]
    else:
        assert first == ["crop", "reference", "sound"] and second == ["base", "sketch", "crop"]


def test_a_file_says_how_to_use_it_and_nothing_of_this_machine(made):
    net, files = made
    for content in (files.base, files.detail):
        session = opened(content)
        told = session.get_modelmeta().custom_metadata_map
        assert asset.from_dictionary(json.loads(told["settings"])) == net.settings
        assert told["size"] == str(net.size) and told["features"] == ",".join(net.settings.features)
        for kind, parts in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            names = {name.rstrip("0123456789").rstrip("_") for name in (part.name for part in parts)}
            assert set(json.loads(told[kind])) == names
        assert b".py" not in content
    assert onnx.describe(LipNet(preset("fast")), 1)["preset"] == "fast"


class Wavering(nn.Module):
    """Gives more at every call."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x + self.calls


def test_a_file_that_makes_something_else_is_refused():
    stage = onnx.Stage(Wavering(), {"x": torch.zeros(1, 3)}, ["picture"], {})
    with pytest.raises(Refused, match="otherwise than PyTorch"):
        onnx._traced(stage, onnx._packages())


def test_the_command_writes_both_files_or_none(tmp_path, monkeypatch, capsys):
    lips, out = tmp_path / "lips.safetensors", tmp_path / "my lips.onnx"
    asset.save(lips, LipNet(little(preset("fast"))), {})
    before = sorted(tmp_path.iterdir())

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert run(["export", str(lips), str(out)]) == 4
    assert "pip install 'likeness[onnx]'" in capsys.readouterr().err and sorted(tmp_path.iterdir()) == before

    exports: list[LipNet] = []
    monkeypatch.setattr(onnx, "export", lambda net: (exports.append(net), onnx.Exported(b"one", b"two", 1e-6))[1])
    blocked = tmp_path / "my lips.detail.onnx"
    blocked.mkdir()
    assert run(["export", str(lips), str(out)]) == 3 and not exports
    assert "is a folder" in capsys.readouterr().err and not (tmp_path / "my lips.base.onnx").exists()
    blocked.rmdir()
    assert run(["export", str(lips), str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"out": [str(tmp_path / "my lips.base.onnx"), str(blocked)], "apart": 1e-6}
    assert [(tmp_path / f"my lips.{stage}.onnx").read_bytes() for stage in ("base", "detail")] == [b"one", b"two"]
    assert exports[0].size == 2 * SIDE

    lips.write_bytes(b"no lips")
    assert run(["export", str(lips), str(out)]) == 3 and len(exports) == 1
