"""A checkpoint of the original code as a portrait of ours: its tensors under our names, its conventions as data.

Their field's frame has y of the head upwards as its first axis, the way to the camera as its second, and left-right as its
third: `AXES`, in UNIT. Grids cannot be turned (their nodes are where they are), so cameras are: `place` takes points of the
head frame there. The rest of what differs stands in tensors: occupied cells are put in order (theirs is Morton's) and cut
to the box of rays; eyes come in their unit by the rig's scale; one row is the frame code; and where an option was off, its
columns are zeros. Their facts: nerf/network.py, nerf/renderer.py and gridencoder of the published code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from likeness import mesh
from likeness.errors import BadInput
from likeness.methods.radnerf.config import Config, preset
from likeness.methods.radnerf.head import Head, windows
from likeness.methods.radnerf.layouts import ATTENTION, CONVOLUTIONS, DENSE, Original
from likeness.methods.radnerf.model import Model
from likeness.nn.audio_code import AFTER, BEFORE, hearing
from likeness.nn.radiance.field import OVER
from likeness.nn.radiance.occupancy import BOUND, CELLS, UNIT
from likeness.nn.torso_field import FRAME_CODE, OCCUPIED, PLACE, RANGE, SHAPE, WHERE, Net, TorsoField
from likeness.portrait import Stage
from likeness.rig import LIP_COEFFICIENTS, LIP_POINTS, SIZE, Rig

AXES = torch.tensor([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
"""Points of a head frame with our axes (x right in the picture, y down, z into the head) in theirs."""
STEP = 2 * 3**0.5 / CELLS
"""Between samples of a ray: `dt` of `--max_steps 16`."""
MOST = 16
OPEN_EYES = 0.25
"""RAD-NeRF's eye feature of open eyes, where nothing better is known: their area in percent of the picture."""
EVER = 1e3  # no pose is so far that it would be clipped
OFF = -1e4  # a logit whose share is 0
TABLES = {
    "RAD-NeRF": {"encoder": "field.space", "encoder_ambient": "field.ambient"},
    "ER-NeRF": {f"encoder_{plane}": f"field.space.{plane}" for plane in ("xy", "yz", "xz")},
}
NETS = {
    "RAD-NeRF": {"ambient_net": "field.squeeze"},
    "ER-NeRF": {"aud_ch_att_net": "field.hears", "eye_att_net": "field.shows"},
}
BOTH = {"sigma_net": "field.density", "color_net": "field.color"}


def adopt(original: Original, stage: Stage, place: Float[Tensor, "4 4"], open_eyes: float = OPEN_EYES) -> Model:
    """The portrait on a stage. A stage without a torso gets the checkpoint's own, where it has one.

    `place` takes points of the stage's head frame to the head frame of the checkpoint's data set, both with our axes and in
    metres; `open_eyes` is RAD-NeRF's eye feature of this person's open eyes. Raises BadInput for a torso on a stage that is
    not square.
    """
    config = configure(original, stage.camera.size[0])
    head = Head(config, 1)
    head.load_state_dict(head_tensors(original, head) | {"place": AXES @ place})
    model = Model(config, hearing(config.features, windows(config)), head, None)
    model.rig = eye_rig(original, stage.motion.landmarks.mean(0), open_eyes)
    if original.torso and stage.torso is None:
        if stage.camera.size[0] != stage.camera.size[1]:
            raise BadInput(f"the checkpoint's torso can only be drawn in a square picture, not {stage.camera.size}.")
        stage = replace(stage, torso=own_torso(original, stage.camera.size[0], place))
    model.stage = stage
    return model.eval()


def configure(original: Original, size: int) -> Config:
    """The settings that the portrait is drawn by."""
    planes = original.layout == "ER-NeRF"
    codes = original.tensors.get("individual_codes")
    return replace(
        preset("paper"),
        original=original.layout,
        size=size,
        features=(original.feature,),
        space="planes" if planes else "grid",
        speech="attention" if planes else "ambient",
        appearance=0 if codes is None else codes.shape[1],
        step=STEP,
        most=MOST,
    )


# ---- the head


def head_tensors(original: Original, head: Head) -> dict[str, Tensor]:
    """The state of our `Head` but for its place."""
    theirs, layout = original.tensors, original.layout
    found = {f"{ours}.table": theirs[f"{name}.embeddings"] for name, ours in TABLES[layout].items()}
    for name, ours in (NETS[layout] | BOTH).items():
        found |= _mlp(theirs, name, ours)
    first = "field.density.0.weight"
    found[first] = _wide(found[first], head.state_dict()[first].shape[1])  # narrower without --exp_eye
    found["appearance"] = theirs["individual_codes"][:1] if "individual_codes" in theirs else torch.zeros(1, 0)
    found |= {f"code.{name}": tensor for name, tensor in _audio(theirs, head.width).items()}
    found = {name: tensor.float() for name, tensor in found.items()}
    return found | {"occupancy.allowed": occupied(theirs["density_bitfield"])}


def _audio(theirs: Mapping[str, Tensor], width: int) -> dict[str, Tensor]:
    """The state of our `AudioCode`, which hears features as they are."""
    dim, near = theirs["audio_net.encoder_conv.0.weight"].shape[1], BEFORE + 1 + AFTER
    found = {"mean": torch.zeros(dim), "std": torch.ones(dim)}
    names = {f"audio_net.encoder_conv.{i}": f"convolutions.{i}" for i in CONVOLUTIONS}
    names |= {f"audio_net.encoder_fc1.{i}": f"dense.{i}" for i in DENSE}
    if "audio_att_net.attentionNet.0.weight" in theirs:
        names |= {f"audio_att_net.attentionConvNet.{i}": f"attention.{i}" for i in ATTENTION}
        names["audio_att_net.attentionNet.0"] = "weigh"
    else:  # --att 0: the frame itself has the whole share
        widths = (width, 16, 8, 4, 2, 1)
        for i, before, after in zip(ATTENTION, widths, widths[1:]):
            found |= {f"attention.{i}.weight": torch.zeros(after, before, 3), f"attention.{i}.bias": torch.zeros(after)}
        found |= {"weigh.weight": torch.zeros(near, near), "weigh.bias": torch.full((near,), OFF)}
        found["weigh.bias"][BEFORE] = 0
    for name, ours in names.items():
        found |= {f"{ours}.{part}": theirs[f"{name}.{part}"] for part in ("weight", "bias")}
    return found


def _mlp(theirs: Mapping[str, Tensor], name: str, ours: str) -> dict[str, Tensor]:
    """A perceptron's layers, between which ours has its activations."""
    layers = sum(key.startswith(f"{name}.net.") for key in theirs)
    return {f"{ours}.{2 * i}.weight": theirs[f"{name}.net.{i}.weight"] for i in range(layers)}


def _wide(weight: Float[Tensor, "out into"], width: int) -> Float[Tensor, "out width"]:
    """With columns of zeros for inputs that it does not know."""
    return F.pad(weight, (0, width - weight.shape[1]))


def occupied(bitfield: UInt8[Tensor, " bytes"]) -> Bool[Tensor, "x y z"]:
    """Cells that rays look into: those whose bit is set, a bit for each in Morton's order, within the box of rays."""
    bits = (bitfield[:, None] >> torch.arange(8, dtype=torch.uint8) & 1).bool().reshape(-1)
    line = torch.arange(CELLS)
    spread = sum((line >> i & 1) << 3 * i for i in range(CELLS.bit_length() - 1))
    assert isinstance(spread, Tensor)
    cells = bits[spread[:, None, None] | spread[None, :, None] << 1 | spread[None, None, :] << 2]
    deep = ((line + 0.5) * (2 * BOUND / CELLS) - BOUND).abs() < BOUND / 2
    return cells & deep[None, :, None]


# ---- eyes


def eye_rig(original: Original, landmarks: Float[Tensor, "478 3"], open_eyes: float) -> Rig:
    """A rig that only knows how far the eyes are open, in the unit of the field's eye feature."""
    blink = LIP_COEFFICIENTS
    centre, spread, low, high = torch.zeros(SIZE), torch.ones(SIZE), torch.zeros(SIZE), torch.zeros(SIZE)
    if original.layout == "RAD-NeRF":  # 0 closed; of 1 - opening
        centre[blink], spread[blink], high[blink] = 1.0, -1 / open_eyes, open_eyes
    else:  # 0 open, 1 closed
        high[blink] = 1.0
    lips = LIP_COEFFICIENTS
    return Rig(
        mean=landmarks[: mesh.NODES].clone(),
        triangles=torch.zeros(0, 3, dtype=torch.long),
        components=torch.zeros(lips, 3 * len(LIP_POINTS)),
        basis=torch.zeros(SIZE, mesh.NODES, 3),
        centre=centre, spread=spread, low=low, high=high,
        rest=torch.zeros(lips), lip_weight=torch.full((lips,), 1 / lips), open_lids=torch.ones(1),
    )  # fmt: skip


# ---- the torso


def own_torso(original: Original, size: int, place: Float[Tensor, "4 4"]) -> TorsoField:
    """The checkpoint's torso, drawn at `size`² as it was there."""
    theirs, anchored = original.tensors, original.layout == "ER-NeRF"
    net = Net("anchors" if anchored else "pose", original=True)
    pixel = theirs["torso_deform_net.net.0.weight"].shape[1] - WHERE * (1 + 2 * net.octaves)
    codes = theirs["individual_codes_torso"][0] if "individual_codes_torso" in theirs else torch.zeros(0)
    pixel -= len(codes)
    found = _mlp(theirs, "torso_deform_net", "deform") | _mlp(theirs, "torso_net", "paint")
    for name, before in (("deform.0.weight", 0), ("paint.0.weight", SHAPE.width)):
        grid, x, rest = found[name].tensor_split((before, before + pixel), 1)
        found[name] = torch.cat([grid, _wide(x, PLACE), _wide(rest, rest.shape[1] + FRAME_CODE - len(codes))], 1)
    found["paint.4.weight"] = found["paint.4.weight"].roll(-1, 0)  # theirs is alpha, then colour
    found["grid.table"] = theirs["torso_encoder.embeddings"]
    scale = torch.ones(WHERE)
    if anchored:
        points = theirs["anchor_points"].float()  # homogeneous; their camera divides by the last number once more
        found["anchors"], scale = points[:, :3] / points[:, 3:], points[:, 3].repeat_interleave(2)
    found |= {"low": -RANGE * scale, "high": RANGE * scale}  # so that what is scaled to RANGE comes out as it is
    found["place"] = torch.diag(torch.tensor([UNIT, UNIT, UNIT, 1])) @ AXES @ place
    found |= {"usual": F.pad(codes, (0, FRAME_CODE - len(codes))), "stretch": torch.tensor([size / (size - 1)])}
    found["beyond"] = torch.tensor([OVER if anchored else 0.0])
    net.load_state_dict({name: tensor.float() for name, tensor in found.items()})
    held = {"occupied": _torso_occupied(theirs, size), "size": torch.tensor([size])}
    held |= {"least": torch.full((WHERE,), -EVER), "most": torch.full((WHERE,), EVER)}
    return TorsoField(size, net, held)


def _torso_occupied(theirs: Mapping[str, Tensor], size: int) -> UInt8[Tensor, "size size"]:
    """Pixels that it is looked up in; all of them where the grid that says so was left out."""
    if "density_grid_torso" not in theirs:
        return torch.ones(size, size, dtype=torch.uint8)
    grid = theirs["density_grid_torso"].float().reshape(CELLS, CELLS)  # [column, row]
    line = torch.linspace(-1, 1, size)
    at = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)  # row, column: x and y of grid_sample
    found = F.grid_sample(grid[None, None], at[None], align_corners=True)[0, 0]
    return (found > min(OCCUPIED, float(grid.mean()))).to(torch.uint8)
