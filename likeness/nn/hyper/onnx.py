"""The lip networks as two ONNX files, for programs without PyTorch.

Stage 1 makes a base face of one frame a call, and is handed its memory of the frame before; stage 2 makes pictures of base
faces, any number at once. What the settings leave out is no input. Every file tells in its metadata what goes in and comes out.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import ModuleType
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from likeness.errors import MissingAsset, Refused
from likeness.nn.hyper.cues import Cues
from likeness.nn.hyper.hearing import LOUDEST, PEAK, hearing
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.settings import GUIDES, KEPT, MADE, PRESETS, SHAPE, SIDE
from likeness.speech import FLOOR, recipe_id

OPSET = 18
BATCH = 2  # frames of the example that stage 2 is traced with: one alone would become a fixed size
CLOSE = 1e-3
"""Of full scale: what ONNX Runtime may differ by from PyTorch on the example. Both presets differ by less than 1e-5."""
SILENT = 4  # ONNX Runtime's level of what it writes to stderr: errors come as exceptions, too
QUIETEST = math.log(FLOOR)
SOUND = {
    "mel": f"mel, 80: {2 * PEAK:g} (m + {-QUIETEST:.4f}) / {LOUDEST - QUIETEST:.4f} - {PEAK:g} of the m that `recipes` names, "
    f"ln of power; silence is {-PEAK:g}",
    "phones": "phones, 42: twice the probability of each",
}


class Exported(NamedTuple):
    """Both files' contents."""

    base: bytes
    detail: bytes
    apart: float
    """The most by which ONNX Runtime's results differed from PyTorch's on an example, of full scale 1."""


class Stage(NamedTuple):
    """What becomes a file."""

    module: nn.Module
    example: dict[str, Tensor | None]
    """Its arguments; None is no input."""
    outputs: list[str]
    told: dict[str, str]
    free: str | None = None
    """Name of the first axis where its length is free."""


class Step(nn.Module):
    """The first stage for one frame."""

    def __init__(self, net: LipNet) -> None:
        super().__init__()
        self.base = net.base

    def forward(
        self,
        crop: Tensor,
        reference: Tensor,
        sound: Tensor,
        shape: Tensor | None,
        sketch: Tensor | None,
        *memory: Tensor,
    ) -> tuple[Tensor, ...]:
        """Face and next memory; no memory at all is what a scene begins with, and the same as one of zeros."""
        guides = (None if value is None else value[:, None] for value in (shape, sketch))
        made, state = self.base(crop[:, None], reference[:, None], Cues(sound[:, None], *guides), memory)
        return (made[:, 0], *state)


class Detail(nn.Module):
    """The second stage."""

    def __init__(self, net: LipNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, base: Tensor, sketch: Tensor, reference: Tensor | None, crop: Tensor) -> Tensor:
        """Pictures; without a reference none is looked at."""
        return self.net.refine(base, sketch, crop if reference is None else reference, crop)


def export(net: LipNet) -> Exported:
    """Both stages of networks, which are put into `eval()`; on an example ONNX Runtime is compared with PyTorch.

    Raises MissingAsset where the packages are not installed, Refused where the results differ.
    """
    packages = _packages()
    settings, scale = net.settings, net.settings.refining.scale
    draw = torch.Generator().manual_seed(0)
    face, sketch = (1, 3, SIDE, SIDE), (1, GUIDES, SIDE, SIDE)
    first: dict[str, Tensor | None] = {"crop": torch.rand(face, generator=draw), "reference": torch.rand(face, generator=draw)}
    first["sound"] = torch.randn(1, settings.columns, hearing(settings.features).rows, generator=draw)
    first["shape"] = torch.randn(1, SHAPE, generator=draw) if settings.shaped else None
    first["sketch"] = torch.rand(sketch, generator=draw) if settings.shaped else None
    step = Step(net).eval()
    with torch.no_grad():
        _, *remembered = step(*first.values())
    first |= {f"memory_{i}": torch.rand(part.shape, generator=draw) - 0.5 for i, part in enumerate(remembered)}
    made = ["face", *(f"next_memory_{i}" for i in range(len(remembered)))]
    base = _traced(Stage(step, first, made, describe(net, 1)), packages)

    sides = {"base": SIDE, "sketch": SIDE, "reference": SIDE * scale, "crop": SIDE * scale}
    second: dict[str, Tensor | None] = {name: torch.rand(BATCH, 3, side, side, generator=draw) for name, side in sides.items()}
    second["reference"] = second["reference"] if settings.refining.referred else None
    detail = _traced(Stage(Detail(net).eval(), second, ["picture"], describe(net, 2), "frames"), packages)
    return Exported(base[0], detail[0], max(base[1], detail[1]))


def describe(net: LipNet, stage: Literal[1, 2]) -> dict[str, str]:
    """A file's metadata: what a stranger has to know to use it. Values are words, or JSON."""
    settings, size = net.settings, net.size
    picture = "RGB 0..1, channels first, the face upright in its square (docs/dub.md)"
    turned = ", brought to where skull and mouth are to be (likeness.nn.hyper.warp)" if settings.warped else ""
    small = "" if size == SIDE else f", {size} pixels shrunk to {SIDE} by means of squares"
    guide = f"0..1: lips, inside of the mouth, line of the jaw as wanted (likeness.nn.hyper.sketch.drawn), {SIDE} pixels"
    lines = f"0..1: white lines of the whole face, in {GUIDES} alike channels (likeness.nn.hyper.sketch.lined), {SIDE} pixels"
    if stage == 1:
        inputs = {
            "crop": f"the frame{small}; {picture}; rows from {KEPT} on are not looked at",
            "reference": f"another picture of the person{turned}{small}; {picture}",
            "sound": "rows of 10 ms, from 40 ms before the frame on; columns, in this order: "
            + "; ".join(SOUND[name] for name in settings.features),
            "shape": "how the mouth is to be shaped, 1 is what people's mouths differ by (likeness.nn.hyper.mouth)",
            "sketch": guide,
            "memory": "memory_N is next_memory_N of the frame before; zeros at the beginning of a scene",
        }
        outputs = {"face": f"the base face, {SIDE} pixels; may leave 0..1", "next_memory": "for the next frame"}
        left_out = {*(() if settings.shaped else ("shape", "sketch")), *(() if settings.carried else ("memory", "next_memory"))}
    else:
        inputs = {
            "base": "`face` of stage 1 as it is",
            "sketch": lines if settings.refining.lines == "face" else guide,
            "reference": f"as in stage 1, {size} pixels",
            "crop": f"the frame, {size} pixels; {picture}; the first {MADE * settings.refining.scale} rows go through",
        }
        outputs = {"picture": f"the new face, {size} pixels; may leave 0..1: clamp it"}
        left_out = set() if settings.refining.referred else {"reference"}
    return {
        "format": f"likeness-lips-onnx 1, stage {stage} of 2",
        "what": "HyperLips (Chen et al. 2023): new lips for a face, " + ("base face" if stage == 1 else "detail"),
        "preset": next((name for name, known in PRESETS.items() if known == settings), "none by name"),
        "size": str(size),
        "features": ",".join(settings.features),
        "recipes": json.dumps({name: recipe_id(name) for name in settings.features}),
        "settings": json.dumps(asdict(settings)),
        "inputs": json.dumps({name: text for name, text in inputs.items() if name not in left_out}, ensure_ascii=False),
        "outputs": json.dumps({name: text for name, text in outputs.items() if name not in left_out}),
    }


def _traced(stage: Stage, packages: tuple[ModuleType, ModuleType]) -> tuple[bytes, float]:
    """The file's content, and by how much ONNX Runtime differs on the example."""
    onnx, runtime = packages
    example = tuple(stage.example.values())
    given = {name: value for name, value in stage.example.items() if value is not None}
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            stage.module,
            example,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=list(given),
            output_names=stage.outputs,
            dynamic_shapes=None
            if stage.free is None
            else tuple(value if value is None else {0: stage.free} for value in example),
        )
        assert program is not None
        model = program.model_proto
        wanted = stage.module(*example)
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]  # stack traces, with this machine's folders
    onnx.helper.set_model_props(model, stage.told)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    options = runtime.SessionOptions()
    options.log_severity_level = SILENT
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found = session.run(stage.outputs, {name: value.numpy() for name, value in given.items()})
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    apart = max(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, wanted, strict=True))
    if not apart < CLOSE:
        raise Refused(
            f"ONNX Runtime {runtime.__version__} makes {stage.outputs[0]} otherwise than PyTorch, by {apart:.2g} of 1: "
            "nothing was written. Take other versions of onnxscript and onnxruntime."
        )
    return content, apart


def _packages() -> tuple[ModuleType, ModuleType]:
    """onnx and onnxruntime. Raises MissingAsset where they, or what PyTorch needs beside them, are not installed."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - by torch.onnx
    except ImportError as error:
        raise MissingAsset(
            f"networks as .onnx need further packages ({error}). Install them with: pip install 'likeness[onnx]'."
        ) from error
    return onnx, onnxruntime


@contextmanager
def _quiet() -> Iterator[None]:
    """What PyTorch's exporter says of itself is kept back: other packages that it would know, its own deprecations."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
