"""Portrait: the interface that every method fulfils; Stage: what it performs on; and the portrait file.

A portrait file is one safetensors file. Its metadata holds one JSON text under "likeness":

    format      "likeness-portrait"
    version     1
    method      folder name under likeness/methods
    config      the method's Config as a dictionary
    sizes       whatever the method needs to know to lay out its tensors before reading them
    fps         25
    hearing     {features, past, future, recipes}: which speech features, and the recipe of each
    camera      {focal, centre, size}

Its tensors are `model.*` (the state of the module), `rig.*`, `stage.motion.*`, `stage.torso.*` and `stage.background`.
Nothing is unpickled. Other versions, unknown keys and `model.*` of other shapes are refused before any tensor is read;
`rig.*` and `stage.*` are checked when the method takes them over.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from likeness import speech
from likeness.audio import Hearing
from likeness.camera import Camera
from likeness.clip import Clip, Motion
from likeness.errors import BadInput, Refused
from likeness.files import write_atomically
from likeness.ply import Cloud
from likeness.video import FPS

FORMAT = "likeness-portrait"
VERSION = 1


@dataclass(frozen=True)
class Heard:
    """One stretch of sound as a portrait hears it: `past` rows, the rows of T frames, `future` rows."""

    features: Float[Tensor, "rows dim"]
    mean: Float[Tensor, " dim"]
    """Statistics for normalising: of the whole file offline, running live."""
    std: Float[Tensor, " dim"]
    activity: Float[Tensor, " time"]
    """1 where somebody speaks, 0 in silence, gliding between."""
    voice: Literal["own", "other"] = "own"
    """Whether the speaker is the person of the portrait."""
    amplitude: float = 1.0
    """Factor on mouth movement round the rest position."""
    projection: float = 0.0
    """How far lips are brought onto what the person was seen to do: 0 not at all, 1 wholly."""
    start: int = 0
    """Number of the first of the T frames in the sound: what noise hangs on where motion comes from a generator."""
    temperature: float = 0.0
    """Spread of that noise; 0 the likeliest motion."""
    seed: int = 0
    """Of that noise."""


@dataclass(frozen=True)
class Stage:
    """What a portrait performs on: where the camera stands, how the person moves, what is behind."""

    camera: Camera
    motion: Motion
    """Of the training scene; speaking plays it forwards and backwards."""
    background: UInt8[Tensor, "height width 3"]
    torso: Any = None
    """A `likeness.nn.torso.Torso`, or None where the method draws it itself."""
    appearance: int | None = None
    """The training frame whose light it stands in; None the mean light."""
    quick: bool = False
    """Whether what changes little is worked out once and kept, at some quality."""


class Layer(NamedTuple):
    """Pictures that may be seen through."""

    rgb: Float[Tensor, "time height width 3"]
    """Premultiplied by alpha, 0..1."""
    alpha: Float[Tensor, "time height width"]


class Portrait(nn.Module, ABC):
    """A trained, runnable person. Methods are stateless towards viewers: what a stream needs goes in and out of `render`."""

    method: ClassVar[str]
    config: Any
    hearing: Hearing
    stage: Stage

    @abstractmethod
    def listen(self, heard: Heard) -> Float[Tensor, "time *cond"]:
        """Sound to the method's conditioning, one row a frame."""

    @abstractmethod
    def follow(self, motion: Motion) -> Float[Tensor, "time *cond"] | None:
        """Tracked motion instead of sound; None where a method cannot."""

    @abstractmethod
    def recognise(self, mean: Float[Tensor, " dim"], std: Float[Tensor, " dim"]) -> Literal["own", "other"]:
        """Whether a sound of these feature statistics is the person's own voice."""

    @abstractmethod
    def render(self, cond: Float[Tensor, "time *cond"], motion: Motion, state: Any = None) -> tuple[Layer, Any]:
        """The head before torso and background, and the state to pass on (None where a method needs none)."""

    def splats(self, cond: Float[Tensor, "1 *cond"] | None = None, motion: Motion | None = None) -> Cloud:
        """The head as Gaussians that lie still: under one row of conditioning, and the rest of the face (eyes, brows) of
        one frame of motion; what is None is as on average. Raises BadInput where a method has no Gaussians."""
        raise BadInput(
            f"a portrait of {self.method.replace('_', '-')} holds no Gaussians, so there is no cloud of splats to export. "
            "Train one with the method rigged-gaussians or talking-gaussian."
        )

    def maps(self, cond: Float[Tensor, "1 *cond"] | None, motion: Motion) -> dict[str, Float[Tensor, "height width"]]:
        """What a method knows of each pixel of one frame besides its colour, by name; without conditioning, the mean."""
        raise BadInput(
            f"a portrait of {self.method.replace('_', '-')} has no attention to show. Train one with talking-gaussian, or "
            "radnerf or geneface by a preset other than geneface's paper."
        )

    def measured_on(self, clip: Clip, frames: Int[np.ndarray, " time"]) -> tuple[Portrait, str]:
        """The portrait as it is measured on frames of the person that it has not seen, and what it is then given of their
        pictures: nothing, but by a method that makes a part of a picture anew."""
        return self, ""

    def on(self, stage: Stage) -> Portrait:
        """The same person on another stage; what was learned is shared, and this portrait stays where it is. Raises BadInput
        for a light that it does not have, and where it has no quick way."""
        wanted, lights = stage.appearance, self.lights
        if wanted is not None and not lights:
            raise BadInput(
                f"a portrait of {self.method.replace('_', '-')} has one appearance only. Leave it at mean; portraits of "
                "radnerf and geneface (but for its preset paper) know the light of each frame that they were trained on."
            )
        if wanted is not None and not 0 <= wanted < lights:
            raise BadInput(f"there is no appearance {wanted}: the portrait was trained on the frames 0 to {lights - 1}.")
        if stage.quick and not self.has_quick_way:
            raise BadInput(
                f"this portrait of {self.method.replace('_', '-')} has no quicker way to be drawn. Leave quick out; "
                "portraits of radnerf and geneface by the presets fast and standard have one."
            )
        other = copy(self)
        other.stage = stage
        return other

    @property
    def lights(self) -> int:
        """Training frames whose own light was learned; 0 where a method tells no lights apart."""
        return 0

    @property
    def has_quick_way(self) -> bool:
        """Whether it can be drawn faster at some quality."""
        return False

    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """What `blank` needs to lay out the tensors, as JSON holds it."""

    @classmethod
    @abstractmethod
    def blank(cls, header: Mapping[str, Any]) -> Portrait:
        """A portrait of the header's sizes; its tensors are still to be filled."""

    @abstractmethod
    def furnish(self, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `extra_state` wrote: rig and stage, from a file's header and tensors."""

    @abstractmethod
    def extra_state(self) -> dict[str, Tensor]:
        """Tensors outside the module's own: `rig.*` and `stage.*`, see `stage_tensors`."""

    def save(self, path: str | os.PathLike) -> Path:
        """Write the portrait file, atomically."""
        path = Path(path)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "method": self.method,
            "config": asdict(self.config),
            "sizes": self.sizes(),
            "fps": FPS,
            "hearing": asdict(self.hearing) | {"recipes": {n: speech.recipe_id(n) for n in self.hearing.features}},
            "camera": asdict(self.stage.camera),
        }
        tensors = {f"model.{k}": v.detach().contiguous().clone() for k, v in self.state_dict().items()}
        tensors |= {k: v.detach().contiguous().clone() for k, v in self.extra_state().items()}
        write_atomically(path, save(tensors, {"likeness": json.dumps(header)}))
        return path


def read_header(path: str | os.PathLike) -> dict[str, Any]:
    """The header of a portrait file, checked. Raises BadInput, or Refused for another version."""
    path = Path(path)
    if path.is_dir():
        raise BadInput(f"{path}: a folder, not a portrait file. Name the file that `likeness train` wrote.")
    if not path.is_file():
        raise BadInput(f"{path}: no such portrait. Make one with `likeness train CLIP/ {path}`.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("likeness", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{path}: not a portrait, or cut short ({error}). Copy or train it again.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BadInput(f"{path}: a safetensors file, but not a portrait of likeness.")
    if header.get("version") != VERSION:
        raise Refused(f"{path}: portrait of version {header.get('version')}; this likeness reads version {VERSION}.")
    return header


def header_hearing(header: Mapping[str, Any]) -> Hearing:
    """The hearing in a portrait's header. Raises Refused where its features are made by another recipe here."""
    hearing = dict(header["hearing"])
    recipes = hearing.pop("recipes", {})
    hearing["features"] = tuple(hearing["features"])
    other = [name for name, recipe in recipes.items() if speech.recipe_id(name) != recipe]
    if other:
        raise Refused(f"the portrait hears {', '.join(other)} by another recipe than this likeness. Train it again.")
    return Hearing(**hearing)


def read_tensors(path: str | os.PathLike, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of a portrait file. `expected` maps each `model.*` key to its shape; differences raise BadInput
    before any tensor is read."""
    path = Path(path)
    with safe_open(path, framework="pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - not iterable
        model = {key: shape for key, shape in shapes.items() if key.startswith("model.")}
        foreign = [key for key in shapes if not key.startswith(("model.", "rig.", "stage."))]
        wrong = [f"{k}: {model.get(k, 'missing')} instead of {v}" for k, v in expected.items() if model.get(k) != tuple(v)]
        unknown = sorted(set(model) - set(expected)) + foreign
        if wrong or unknown:
            detail = "; ".join([*wrong[:4], *(f"unknown {k}" for k in unknown[:4])])
            raise BadInput(f"{path}: its tensors do not fit its header ({detail}). Train it again.")
        return {key: file.get_tensor(key) for key in shapes}


def stage_tensors(stage: Stage) -> dict[str, Tensor]:
    """A Stage as named tensors. Landmarks are halved in precision: 0.05 mm at most."""
    motion = stage.motion
    tensors = {
        "stage.motion.pose": motion.pose.float(),
        "stage.motion.expression": motion.expression.float(),
        "stage.motion.eyes": motion.eyes.float(),
        "stage.motion.landmarks": motion.landmarks.half(),
        "stage.background": stage.background,
    }
    if stage.torso is not None:
        tensors |= {f"stage.torso.{k}": v for k, v in stage.torso.state_dict().items()}
    return tensors


def stage_motion(tensors: Mapping[str, Tensor]) -> Motion:
    """The Motion among the tensors of a portrait file."""
    shapes = {"pose": (4, 4), "expression": (None,), "eyes": (), "landmarks": (478, 3)}
    held = below("stage.motion.", tensors)
    require("stage", held, {name: (None, *shape) for name, shape in shapes.items()})
    if len({len(rows) for rows in held.values()}) != 1 or not len(held["pose"]):
        raise BadInput("the portrait's motion is empty or not of one length. Train it again.")
    return Motion(**{name: rows.float() for name, rows in held.items()})


def stage_background(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> UInt8[Tensor, "height width 3"]:
    """The picture behind the person, as large as the header's camera says."""
    width, height = header_camera(header).size
    held = {key: value for key, value in tensors.items() if key == "stage.background"}
    require("stage", held, {"stage.background": (height, width, 3)})
    if held["stage.background"].dtype != torch.uint8:
        raise BadInput("the portrait's background is no picture of 8 bits. Train it again.")
    return held["stage.background"]


def require(what: str, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int | None, ...]]) -> None:
    """Raise BadInput unless `tensors` are exactly these, of these shapes (None: any size)."""
    wrong = sorted(set(tensors) ^ set(shapes))
    for name in set(tensors) & set(shapes):
        shape = tuple(tensors[name].shape)
        if len(shape) != len(shapes[name]) or any(b not in (None, a) for a, b in zip(shape, shapes[name])):
            wrong.append(f"{name} {list(shape)}")
    if wrong:
        raise BadInput(f"the portrait's {what} does not fit together: {', '.join(wrong)}. Train it again.")


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


def header_camera(header: Mapping[str, Any]) -> Camera:
    """The camera in a portrait's header."""
    camera = header["camera"]
    return Camera(float(camera["focal"]), tuple(camera["centre"]), tuple(camera["size"]))
