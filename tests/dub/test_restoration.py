"""A user's face restorer: what it changes is taken over in the lower face alone, in part; others are refused before any work.

On the mean face and noise, with models of a few operations."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from likeness.cli import run
from likeness.dub import Blend, Dubbing, dub
from likeness.dub.crop import Place, cut_out
from likeness.dub.faces import MIDDLE, SIDE
from likeness.dub.paste import mask, paste
from likeness.dub.restoration import TEMPLATE, Restoration, upright
from likeness.errors import BadInput, MissingAsset
from likeness.mesh import LEFT_EYE_CORNERS, LIP_CORNERS, LOWER_INNER_LIP, NOSE_TIP, RIGHT_EYE_CORNERS
from likeness.nn.hyper import asset, preset
from likeness.nn.hyper.lipnet import LipNet
from likeness.prepare.generic_face import generic_face
from likeness.video import read
from tests.dub.mouths import Identity
from tests.media import tone
from tests.takes import little

PLACE = Place(101.3, 95.7, 170.0, 0.2)
SIZE = 128
FEATHER = 0.08
FACE = ((generic_face()[:, :2] - MIDDLE) / SIDE + 0.5) * SIZE
Shape = list[int | str]


def picture(seed: int = 0) -> np.ndarray:
    """Something with fine detail at every place."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(60, 190, (9, 9, 3)).astype(np.float32), (201, 187), interpolation=cv2.INTER_CUBIC)
    return np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)


def model(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: Shape | None = None,
    out: Shape | None = None,
    others: dict[str, Shape] | None = None,
    numbers: int = TensorProto.FLOAT,
) -> Path:
    """A model of `face` (and others) to `restored`; the constants half and white are there."""
    shape = [1, 3, 64, 64] if shape is None else shape
    given = [helper.make_tensor_value_info("face", numbers, shape)]
    given += [helper.make_tensor_value_info(name, TensorProto.DOUBLE, one) for name, one in (others or {}).items()]
    made = [helper.make_tensor_value_info("restored", numbers, shape if out is None else out)]
    held = [helper.make_tensor(name, numbers, [], [value]) for name, value in (("half", 0.5), ("white", 1.0))]
    graph = helper.make_graph(nodes, "restorer", given, made, held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def same(path: Path, **more) -> Path:
    return model(path, [helper.make_node("Identity", ["face"], ["restored"])], **more)


def inverted(path: Path, **more) -> Path:
    return model(path, [helper.make_node("Neg", ["face"], ["restored"])], **more)


def restored(restoration: Restoration, image: np.ndarray, shown: float = 1.0, place: Place = PLACE) -> np.ndarray:
    before = image.copy()
    out = restoration(image, place, (FACE, FACE), SIZE, FEATHER, shown)
    assert np.array_equal(image, before)
    return out


def alpha(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The largest of the mask near pixels of the picture."""
    at = PLACE.to_crop(np.stack([x, y], -1) + 0.5, SIZE)
    near = cv2.dilate(mask((FACE, FACE), SIZE, FEATHER), np.ones((5, 5)))
    index = np.clip(at.astype(int), 0, SIZE - 1)
    return np.where((at.min(1) > -1) & (at.max(1) < SIZE + 1), near[index[:, 1], index[:, 0]], 0)


@pytest.mark.parametrize(
    "place", [PLACE, Place(101.3, 95.7, 700.0, 0.0), Place(8.0, 170.0, 120.0, -0.4), Place(-900, 9, 80, 0)]
)
def test_a_model_that_changes_nothing_changes_nothing(tmp_path, place):
    """At any size, half outside of the picture and wholly."""
    image = picture()
    assert np.array_equal(restored(Restoration(same(tmp_path / "m.onnx"), 1.0), image, place=place), image)


def test_what_changes_lies_under_the_mask_and_in_proportion(tmp_path):
    image = picture()
    wild = inverted(tmp_path / "m.onnx")
    whole, half = (restored(Restoration(wild, amount), image).astype(int) - image for amount in (1.0, 0.5))
    y, x = np.nonzero(whole.any(-1))
    assert len(y) > 1000 and (alpha(y, x) > 0).all()
    assert np.abs(half - whole / 2).max() <= 1
    shown = restored(Restoration(wild, 1.0), image, shown=0.5).astype(int) - image
    assert np.array_equal(shown, half)  # where lips come and go
    x, y = PLACE.to_picture(FACE[LOWER_INNER_LIP], SIZE).astype(int)
    coarse = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 3)
    assert np.abs(image[y, x] + whole[y, x] - (255 - coarse[y, x])).max() < 60  # inverted, but for its finest detail


def test_nothing_of_it_is_exactly_the_picture(tmp_path):
    image = picture()
    wild = inverted(tmp_path / "m.onnx")
    assert np.array_equal(restored(Restoration(wild, 0.0), image), image)
    assert np.array_equal(restored(Restoration(wild, 1.0), image, shown=0.0), image)


def test_a_face_stands_as_the_template_has_it():
    """Turned in the picture, it is upright for the model; red, green and blue are in order, and -1 is black."""
    seen = PLACE.to_picture(FACE, SIZE)
    five = [seen[list(RIGHT_EYE_CORNERS)].mean(0), seen[list(LEFT_EYE_CORNERS)].mean(0), seen[NOSE_TIP]]
    five += [seen[point] for point in LIP_CORNERS]
    assert np.abs(upright(seen).to_crop(np.array(five), 512) - TEMPLATE).max() < 6  # of a mean face; noses differ


def test_colours_come_in_their_order_and_scale(tmp_path):
    """A model that takes red alone, and makes it half as bright."""
    weights = np.zeros((3, 3, 1, 1), np.float32)
    weights[0, 0] = 0.5
    nodes = [helper.make_node("Conv", ["face", "w"], ["a"]), helper.make_node("Sub", ["a", "shift"], ["restored"])]
    path = model(tmp_path / "m.onnx", nodes)
    made = onnx.load(path)
    made.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    shift = np.array([0.5, 1, 1], np.float32).reshape(1, 3, 1, 1)  # (r + 1) / 2 - 1; black
    made.graph.initializer.append(onnx.numpy_helper.from_array(shift, "shift"))
    onnx.save(made, path)
    image = np.full((187, 201, 3), (200, 150, 100), np.uint8)
    out = restored(Restoration(path, 1.0), image)
    x, y = PLACE.to_picture(FACE[LOWER_INNER_LIP], SIZE).astype(int)
    assert out[y, x].tolist() == [100, 0, 0]


def test_a_free_size_is_512_and_further_numbers_are_a_half(tmp_path):
    nodes = [
        helper.make_node("Cast", ["w"], ["w32"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["face", "w32"], ["restored"]),
    ]
    path = model(tmp_path / "m.onnx", nodes, shape=["n", 3, "high", "wide"], others={"w": [1]})
    restoration = Restoration(path, 1.0)
    assert restoration.size == 512
    out = restored(restoration, np.zeros((187, 201, 3), np.uint8))
    x, y = PLACE.to_picture(FACE[LOWER_INNER_LIP], SIZE).astype(int)
    assert out[y, x] == pytest.approx(64, abs=1)  # -1 times a half
    halved = same(tmp_path / "half.onnx", numbers=TensorProto.FLOAT16)
    assert np.abs(restored(Restoration(halved, 1.0), picture()).astype(int) - picture()).max() <= 1


def test_models_of_another_kind_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    for wrong, match in (
        ({"shape": [1, 1, 64, 64]}, r"takes face \[1, 1, 64, 64\]"),
        ({"shape": [1, 3, 64, 96]}, r"\[1, 3, 64, 96\]"),
        ({"shape": [4, 3, 64, 64]}, "S 64 to 2048"),
        ({"shape": [1, 3, 16, 16]}, "S 64"),
        ({"shape": [1, 64]}, "one picture"),
        ({"others": {"code": [1, 256]}}, "single numbers"),
        ({"others": {"other": [1, 3, 64, 64]}}, "one picture"),
        ({"numbers": TensorProto.INT32}, "float"),
    ):
        with pytest.raises(BadInput, match=match):
            Restoration(same(path, **wrong), 0.5)
    flat = model(path, [helper.make_node("Flatten", ["face"], ["restored"])], out=[1, 3 * 64 * 64])
    with pytest.raises(BadInput, match=r"it gives \[1, 12288\]"):
        Restoration(flat, 0.5)
    root = model(path, [helper.make_node("Sub", ["face", "white"], ["a"]), helper.make_node("Sqrt", ["a"], ["restored"])])
    with pytest.raises(BadInput, match="no numbers"):
        Restoration(root, 0.5)
    path.write_bytes(b"no model")
    with pytest.raises(BadInput, match="no ONNX model"):
        Restoration(path, 0.5)
    with pytest.raises(BadInput, match="no such file"):
        Restoration(tmp_path / "none.onnx", 0.5)
    for amount in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadInput, match="restore_amount"):
            Restoration(same(path), amount)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingAsset, match=r"pip install 'likeness\[onnx\]'"):
        Restoration(path, 0.5)


def test_dub_restores_after_pasting(take, tmp_path):
    """On the drawn actor, whose lips are his own: without it they stay, with it the lower face alone is another."""
    image, speech = take.images[0], tmp_path / "s.wav"
    cv2.imwrite(str(tmp_path / "a.png"), image[:, :, ::-1])
    soundfile.write(speech, tone(0.12, 16000), 16000)
    shown = {}
    for name, path in (("same", same(tmp_path / "a.onnx")), ("inverted", inverted(tmp_path / "b.onnx"))):
        out = tmp_path / f"{name}.mp4"
        dub(tmp_path / "a.png", speech, out, Identity(), Dubbing(restore=path, restore_amount=1.0), say=lambda _: None)
        shown[name] = [p.image.astype(int) for p in read(out)][-1]
    apart = np.abs(shown["same"] - shown["inverted"]).max(-1)
    rows = np.flatnonzero((apart > 60).any(1))
    assert len(rows) > 20 and np.abs(shown["same"] - image).mean() < 4
    assert np.abs(shown["inverted"][: rows[0] - 12] - image[: rows[0] - 12]).mean() < 4


def test_the_command_refuses_another_model_before_any_work(take, tmp_path, capsys):
    lips, speech = tmp_path / "lips.safetensors", tmp_path / "s.wav"
    asset.save(lips, LipNet(little(preset("fast"))), {})
    cv2.imwrite(str(tmp_path / "a.png"), take.images[0][:, :, ::-1])
    soundfile.write(speech, tone(0.12, 16000), 16000)
    wrong = same(tmp_path / "grey.onnx", shape=[1, 1, 64, 64])
    words = ["dub", tmp_path / "a.png", speech, tmp_path / "o.mp4", "--lips", lips, "--restore", wrong, "--restore-amount", 0.3]
    assert run([str(word) for word in words]) == 3
    assert "grey.onnx: it takes face [1, 1, 64, 64]" in capsys.readouterr().err and not (tmp_path / "o.mp4").exists()


def test_new_lips_are_what_it_is_given(tmp_path):
    """It runs on the picture after pasting: what was painted there is what it changes."""
    image = picture()
    old = cut_out(image, PLACE, SIZE)
    pasted = paste(image, PLACE, (old, np.zeros_like(old)), (FACE, FACE), Blend(colour_match=False))
    out = restored(Restoration(inverted(tmp_path / "m.onnx"), 1.0), pasted)
    x, y = PLACE.to_picture(FACE[LOWER_INNER_LIP], SIZE).astype(int)
    assert pasted[y, x].max() < 20 and out[y, x].min() > 235
