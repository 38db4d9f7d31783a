"""What the checkpoints of RAD-NeRF's and ER-NeRF's own code hold: names and shapes of tensors, and how a file differs.

Sizes that their options change (frames, individual codes, audio channels, eyes, torso) are read off the file itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from likeness.errors import BadInput
from likeness.foreign import Foreign
from likeness.kernels import GridShape, geometric
from likeness.methods.radnerf.config import Config
from likeness.nn.radiance.occupancy import CELLS
from likeness.nn.torso_field import FRAME_CODE, SHAPE

Name = Literal["RAD-NeRF", "ER-NeRF"]
Shapes = dict[str, tuple[int, ...]]
HEARD = {44: "wav2vec2-esperanto", 32: "wav2vec2-letters", 1024: "hubert"}
"""Our names of the features that an AudioNet of so many channels listens to."""
BOX = (-1.0, -0.5, -1.0, 1.0, 0.5, 1.0)
"""`aabb_infer` of `--bound 1`, the default: the box that rays are followed in."""
LEAVE = ("optimizer", "lr_scheduler", "scaler")
"""What a checkpoint holds for training to go on."""
CONVOLUTIONS, DENSE, ATTENTION = (0, 2, 4, 6), (0, 2), (0, 2, 4, 6, 8)  # layers that have weights
NEVER_DRAWN = ("step_counter", "density_grid", "camera_dR", "camera_dT")
"""What only training looks at, there or not."""
MOST_DIFFERENCES = 200


@dataclass(frozen=True)
class Original:
    """A checkpoint whose every tensor is known."""

    layout: Name
    tensors: Mapping[str, Tensor]
    """By their own names."""
    averaged: bool
    """Whether they are the running mean of the weights, which the original evaluates with, kept beside the weights."""

    @property
    def feature(self) -> str:
        """What it listens to, a name in `speech.RECIPES`."""
        return HEARD[self.tensors["audio_net.encoder_conv.0.weight"].shape[1]]

    @property
    def torso(self) -> bool:
        """Whether it draws the torso itself."""
        return "torso_net.net.0.weight" in self.tensors


@dataclass(frozen=True)
class _Sizes:
    """What options change."""

    channels: int
    code: int
    torso_code: int
    frames: int
    eyes: int
    attends: bool
    torso: bool

    @staticmethod
    def of(tensors: Mapping[str, Tensor], layout: Name) -> _Sizes:
        """From the widths of the layers that take what an option adds."""

        def size(name: str, axis: int, default: int) -> int:
            held = tensors.get(name)
            return held.shape[axis] if held is not None and held.ndim > axis else default

        rad = layout == "RAD-NeRF"
        torso_given = 96 if rad else 76
        return _Sizes(
            channels=size("audio_net.encoder_conv.0.weight", 1, 44),
            code=max(size("color_net.net.0.weight", 1, 84) - 80, 0),
            torso_code=min(max(size("torso_deform_net.net.0.weight", 1, torso_given + 8) - torso_given, 0), FRAME_CODE),
            frames=size("individual_codes", 0, size("individual_codes_torso", 0, 10000)),
            eyes=int(size("sigma_net.net.0.weight", 1, 0) != (64 if rad else 68)),
            attends=any(name.startswith("audio_att_net.") for name in tensors),
            torso=any(name.startswith("torso_") for name in tensors),
        )


def recognise(file: Foreign) -> Original:
    """The layout of a file read by `foreign.read(path, LEAVE)`.

    Raises BadInput where it is none of the published ones, with every difference from the nearest; and where it listens to
    what cannot be heard here, or holds numbers that are none.
    """
    held = file.below("model.") or file.tensors
    best: tuple[list[str], Name] | None = None
    for name in ("RAD-NeRF", "ER-NeRF"):
        found = differences(held, name)
        if best is None or len(found) < len(best[0]):
            best = found, name
    assert best is not None
    wrong, layout = best
    if wrong:
        more = [f"  and {len(wrong) - MOST_DIFFERENCES} more"] if len(wrong) > MOST_DIFFERENCES else []
        lines = "\n".join([f"  {line}" for line in wrong[:MOST_DIFFERENCES]] + more)
        raise BadInput(
            f"{file.path}: not the layout of RAD-NeRF or ER-NeRF. The nearest is {layout}; what differs:\n{lines}\n"
            "Import a checkpoint that the published code wrote with its own settings of the networks."
        )
    held, averaged = _averaged(held, file.below("ema.shadow_params."))
    _check_values(file, held)
    return Original(layout, held, averaged)


def differences(held: Mapping[str, Tensor], layout: Name) -> list[str]:
    """Every tensor that is missing, not known, or of another shape, a line each."""
    needed, optional = shapes(held, layout)
    lines = [f"{name}: missing; {list(shape)} wanted" for name, shape in needed.items() if name not in held]
    known = needed | optional
    for name, tensor in held.items():
        found = list(tensor.shape)
        if name not in known:
            lines.append(f"{name}: not part of it; {found} found")
        elif tuple(found) != known[name]:
            lines.append(f"{name}: {found} found, {list(known[name])} wanted")
        elif name.endswith(".offsets") and tensor.tolist() != _offsets(name):
            lines.append(f"{name}: {tensor.tolist()} found, {_offsets(name)} wanted")
    return lines


def shapes(held: Mapping[str, Tensor], layout: Name) -> tuple[Shapes, Shapes]:
    """Names and shapes that a checkpoint of these sizes must have, and those that it may have."""
    sizes = _Sizes.of(held, layout)
    spoken = 64 if layout == "RAD-NeRF" else 32
    needed: Shapes = {"aabb_train": (6,), "aabb_infer": (6,), "density_bitfield": (CELLS**3 // 8,)}
    optional: Shapes = {"step_counter": (16, 2), "density_grid": (1, CELLS**3)}
    optional |= {name: (sizes.frames, 3) for name in ("camera_dR", "camera_dT")}
    if sizes.code:
        needed["individual_codes"] = (sizes.frames, sizes.code)
    needed |= _audio(sizes, spoken)
    if layout == "RAD-NeRF":
        needed |= _grid("encoder") | _grid("encoder_ambient")
        needed |= _mlp("ambient_net", 32 + spoken, 64, 64, 2)
        given = 32 + 32 + sizes.eyes
    else:
        for plane in ("xy", "yz", "xz"):
            needed |= _grid(f"encoder_{plane}")
        needed |= _mlp("aud_ch_att_net", 36, 64, spoken) | _mlp("eye_att_net", 36, 16, 1)
        optional |= _mlp("unc_net", 36, 32, 1)
        given = 36 + spoken + sizes.eyes
    needed |= _mlp("sigma_net", given, 64, 64, 65) | _mlp("color_net", 16 + 64 + sizes.code, 64, 3)
    if sizes.torso:
        optional["density_grid_torso"] = (CELLS**2,)
        needed |= _torso(sizes, layout)
    return needed, optional


def _audio(sizes: _Sizes, spoken: int) -> Shapes:
    found: Shapes = {}
    widths = (sizes.channels, 32, 32, 64, 64)
    for i, before, after in zip(CONVOLUTIONS, widths, widths[1:]):
        found |= _layer(f"audio_net.encoder_conv.{i}", (after, before, 3))
    for i, after in zip(DENSE, (64, spoken)):
        found |= _layer(f"audio_net.encoder_fc1.{i}", (after, 64))
    if sizes.attends:
        widths = (spoken, 16, 8, 4, 2, 1)
        for i, before, after in zip(ATTENTION, widths, widths[1:]):
            found |= _layer(f"audio_att_net.attentionConvNet.{i}", (after, before, 3))
        found |= _layer("audio_att_net.attentionNet.0", (8, 8))
    return found


def _torso(sizes: _Sizes, layout: Name) -> Shapes:
    place, pose, hidden = (42, 54, 64) if layout == "RAD-NeRF" else (34, 42, 32)
    given = place + pose + sizes.torso_code
    found = _grid("torso_encoder") | _mlp("torso_deform_net", given, hidden, hidden, 2)
    found |= _mlp("torso_net", 32 + given, 32, 32, 4)
    if sizes.torso_code:
        found["individual_codes_torso"] = (sizes.frames, sizes.torso_code)
    if layout == "ER-NeRF":
        found["anchor_points"] = (3, 4)
    return found


def _layer(name: str, weight: tuple[int, ...]) -> Shapes:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


def _mlp(name: str, *widths: int) -> Shapes:
    return {f"{name}.net.{i}.weight": (after, before) for i, (before, after) in enumerate(pairwise(widths))}


def _grid(name: str) -> Shapes:
    shape = grid_shape(name)
    return {f"{name}.embeddings": (shape.rows, shape.features), f"{name}.offsets": (len(shape.levels) + 1,)}


def grid_shape(name: str) -> GridShape:
    """Of one of their grid encoders."""
    config = Config()
    if name == "encoder":
        return GridShape(3, geometric(16.0, 16, finest=2048.0), 2, 16, "tiled")
    if name in ("encoder_xy", "encoder_yz", "encoder_xz"):
        return GridShape(2, config.plane_sizes, 1, config.plane_log2_rows)
    return replace(SHAPE, crowded="tiled")


def _offsets(name: str) -> list[int]:
    shape = grid_shape(name.removesuffix(".offsets"))
    return [level.offset for level in shape.levels] + [shape.rows]


def _averaged(held: dict[str, Tensor], shadow: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """The running mean in place of the weights. It is a list in the order of the parameters: of all, or (older torch_ema)
    of those alone that were trained, which is the torso where there is one."""
    parameters = [name for name in held if not _is_buffer(name)]
    trained = [name for name in parameters if name.startswith(("torso_", "anchor_points", "individual_codes_torso"))]
    for names in (parameters, trained):
        if shadow and [held[name].shape for name in names] == [mean.shape for mean in shadow.values()]:
            return held | dict(zip(names, shadow.values())), True
    return held, False


def _is_buffer(name: str) -> bool:
    return name.startswith(("aabb_", "density_")) or name == "step_counter" or name.endswith(".offsets")


def _check_values(file: Foreign, held: Mapping[str, Tensor]) -> None:
    """Raises BadInput for values that cannot be what they stand for, and for features that do not exist here."""
    for name, tensor in held.items():
        if name not in NEVER_DRAWN and not torch.isfinite(tensor).all():
            raise BadInput(f"{file.path}: {name} holds numbers that are none: its training broke down. Take an earlier one.")
    box = held["aabb_infer"].tolist()
    if not torch.allclose(held["aabb_infer"].double(), torch.tensor(BOX).double()):
        raise BadInput(f"{file.path}: trained in the box {box}; only that of --bound 1, {list(BOX)}, can be imported.")
    if not held["density_bitfield"].any():
        raise BadInput(f"{file.path}: its density_bitfield marks no place as occupied: nothing was learned yet.")
    channels = held["audio_net.encoder_conv.0.weight"].shape[1]
    if channels not in HEARD:
        what = "DeepSpeech, which needs TensorFlow 1" if channels == 29 else f"a feature of {channels} numbers"
        raise BadInput(
            f"{file.path}: listens to {what}; that cannot be heard here. Portraits that listen to wav2vec 2.0's letters "
            "(44 of Esperanto, or 32 of English) or to HuBERT (1024) can."
        )
