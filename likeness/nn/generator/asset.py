"""motion.safetensors: a motion generator as one file. Its metadata holds one JSON text under "likeness":

    format, version   "likeness-motion", 1
    settings          of the network and of its training, see `likeness.nn.generator.settings`
    hearing           {features, past, future, rows_per_frame, recipes}: which speech features, and the recipe of each
    displacement      what its motion is in, see DISPLACEMENT
    provenance        what it was learned from (recipes of the corpus, hours, people) and the figures of its validation

Its tensors are the state of the module. Nothing is unpickled; other formats, versions, recipes, settings and shapes are
refused before any tensor is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from likeness import speech
from likeness.errors import BadInput, LikenessError, Refused
from likeness.files import write_atomically
from likeness.nn.generator.model import Generator
from likeness.nn.generator.settings import from_dictionary

FORMAT, VERSION = "likeness-motion", 1
DISPLACEMENT = "68 landmarks from the person's mean face, cm, outer eye corners 8.9 apart, x right, y down, z into the head; 1"
KEYS = {"format", "version", "settings", "hearing", "displacement", "provenance"}


def save(path: str | os.PathLike, generator: Generator, provenance: dict[str, Any]) -> Path:
    """Write motion.safetensors. provenance: anything that JSON can hold. Raises Exhausted on a full disk."""
    path = Path(path)
    header = {"format": FORMAT, "version": VERSION, "settings": asdict(generator.settings), "hearing": _heard(generator)}
    header |= {"displacement": DISPLACEMENT, "provenance": provenance}
    tensors = {name: value.detach().contiguous().clone() for name, value in generator.state_dict().items()}
    write_atomically(path, to_bytes(tensors, {"likeness": json.dumps(header)}))
    return path


def load(path: str | os.PathLike) -> Generator:
    """A generator, ready for use. Raises BadInput for what is none or damaged, Refused for another version's or recipe's."""
    path = Path(path)
    header = read_header(path)
    try:
        with torch.device("meta"):  # shapes alone: a foreign header must not ask for memory
            generator = Generator(from_dictionary(header["settings"]))
    except LikenessError as error:
        raise BadInput(f"{path}: {error}") from error
    except (RuntimeError, TypeError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: its settings make no generator ({error}). Copy or pretrain it again.") from error
    if header["hearing"] != _heard(generator):
        raise Refused(f"{path}: hears speech features by another recipe than this likeness. Pretrain it again.")
    expected = {name: (tuple(value.shape), value.dtype) for name, value in generator.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not iterable
            wrong = sorted(set(slices) ^ set(expected))
            wrong += [name for name in set(slices) & set(expected) if tuple(slices[name].get_shape()) != expected[name][0]]
            if wrong:
                raise BadInput(f"{path}: its tensors do not fit its header ({', '.join(wrong[:4])}). Pretrain it again.")
            tensors = {name: file.get_tensor(name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    if bad := [n for n, t in tensors.items() if t.dtype != expected[n][1] or not t.isfinite().all()]:
        raise BadInput(f"{path}: {', '.join(bad[:4])} holds no numbers. Copy or pretrain it again.")
    generator.load_state_dict(tensors, assign=True)
    generator.origin = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return generator.eval().requires_grad_(False)


def read_header(path: str | os.PathLike) -> dict[str, Any]:
    """The header, checked but for its settings. Raises BadInput, or Refused for another version's."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file. Make a motion generator with `likeness pretrain geneface CORPUS/ {path}`.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("likeness", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BadInput(f"{path}: a safetensors file, but not a motion generator. Make one with `likeness pretrain geneface`.")
    if header.get("version") != VERSION:
        raise Refused(f"{path}: made as version {header.get('version')}; this likeness reads version {VERSION}.")
    if set(header) != KEYS or not isinstance(header["settings"], dict):
        raise BadInput(f"{path}: its header lacks or adds something. Pretrain it again.")
    if header["displacement"] != DISPLACEMENT:
        raise Refused(f"{path}: its motion is in other terms than this likeness'. Pretrain it again.")
    return header


def _heard(generator: Generator) -> dict[str, Any]:
    hearing = asdict(generator.hearing)
    recipes = {name: speech.recipe_id(name) for name in generator.hearing.features}
    return json.loads(json.dumps(hearing | {"recipes": recipes}))


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput(f"{path}: not a motion generator, or cut short ({error}). Copy or pretrain it again.")
