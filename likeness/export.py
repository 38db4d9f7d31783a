"""export: a portrait's head as Gaussian splats that ordinary 3D viewers open, what it attends to as a picture, or the networks
that make lips as ONNX."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from likeness.clip import Motion
from likeness.errors import BadInput
from likeness.files import must_be_writable, write_atomically, write_together
from likeness.methods import load
from likeness.methods.hyperlips import load_lips
from likeness.nn.hyper import onnx
from likeness.ply import Cloud, write_ply
from likeness.portrait import Portrait


def export(portrait: str | os.PathLike, out: str | os.PathLike, *, frame: int | None = None, flat: bool = False) -> Cloud:
    """Write the head of a portrait file as `out`, a PLY file; see `likeness.ply` for its layout, axes and units.

    frame: a frame of the portrait's own motion, under tracked lips; None is the average face. flat: every Gaussian has the
    colour that the mean camera of that motion sees, instead of one that changes with the view. Raises BadInput for a
    method without Gaussians, a frame that is none, and a place that cannot be written.
    """
    portrait, out = Path(portrait), Path(out)
    if out.suffix.lower() != ".ply":
        raise BadInput(f"{out}: splats are written as .ply, maps as .png, lip networks as .onnx. Name such a file.")
    must_be_writable(out)
    if out.exists() and portrait.exists() and out.samefile(portrait):
        raise BadInput(f"{out}: is the portrait itself. Name another file for the result.")
    person = load(portrait)
    cloud = _chosen(person, frame)
    if flat:
        cloud = cloud.flat(person.stage.motion.pose[:, :3, 3].mean(0))
    write_ply(cloud, out)
    return cloud


def export_maps(portrait: str | os.PathLike, out: str | os.PathLike, *, frame: int = 0) -> list[str]:
    """Write a PNG with a frame of a portrait's own motion and, beside it, each of its `maps`, brightest at its most; returns
    their names. Raises BadInput as `export` does, and for a method without maps."""
    portrait, out = Path(portrait), Path(out)
    if out.suffix.lower() != ".png":
        raise BadInput(f"{out}: maps are written as .png. Name a file that ends in .png.")
    must_be_writable(out)
    person = load(portrait)
    one = _frame(person, frame)
    cond = person.follow(one)
    if cond is None:
        raise BadInput(f"{portrait}: only its own sound moves this portrait, so there is no tracked frame to show.")
    maps = person.maps(cond, one)
    layer, _ = person.render(cond, one)
    panels = [(layer.rgb[0].clamp(0, 1) * 255).byte().numpy()[..., ::-1]]
    for values in maps.values():
        bright = (values / values.max().clamp_min(1e-9) * 255).clamp(0, 255).byte().numpy()
        panels.append(cv2.applyColorMap(bright, cv2.COLORMAP_VIRIDIS))
    _, png = cv2.imencode(".png", np.concatenate(panels, axis=1))
    write_atomically(out, png.tobytes())
    return list(maps)


def export_networks(lips: str | os.PathLike, out: str | os.PathLike) -> tuple[list[Path], float]:
    """Write both stages of HyperLips' networks, of lips.safetensors or of a portrait: A.base.onnx and A.detail.onnx for A.onnx,
    none before both are written. Returns their paths, and the most by which ONNX Runtime differed from PyTorch on an example.

    Raises BadInput for a place that cannot be written and what has no lips for a video, MissingAsset without the packages.
    """
    lips, out = Path(lips), Path(out)
    if out.suffix.lower() != ".onnx":
        raise BadInput(f"{out}: lip networks are written as .onnx. Name a file that ends in .onnx.")
    paths = [out.with_name(f"{out.stem}.{stage}.onnx") for stage in ("base", "detail")]
    for path in paths:
        must_be_writable(path)
    made = onnx.export(load_lips(lips).net)
    write_together(dict(zip(paths, (made.base, made.detail))))
    return paths, made.apart


def _frame(portrait: Portrait, frame: int) -> Motion:
    motion = portrait.stage.motion
    if not 0 <= frame < len(motion):
        raise BadInput(f"there is no frame {frame}: the portrait's own motion has the frames 0 to {len(motion) - 1}.")
    return motion[frame : frame + 1]


def _chosen(portrait: Portrait, frame: int | None) -> Cloud:
    if frame is None:
        return portrait.splats()
    one = _frame(portrait, frame)
    return portrait.splats(portrait.follow(one), one)
