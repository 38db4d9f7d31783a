"""The file of a sync expert: one safetensors file whose metadata holds one JSON text under "likeness-sync".

    format      "likeness-sync"
    version     1
    settings    `expert.Settings` as a dictionary
    features    {name: recipe} of what it hears, and "landmarks"
    corpus      what it learned from: people, samples, hours, recipes, and `keys`, a hash of the samples' names
    seed        of the training
    chance      what sound of other people reaches in 5 % of cases, times the root of the windows: margin, confidence
    trial       how it does on people that it never heard (`trial.trial`), empty where the corpus has none

Nothing is unpickled. Other versions, recipes, unknown keys and tensors of other shapes are refused before any is read.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from likeness import speech
from likeness.errors import BadInput, LikenessError, MissingAsset, Refused
from likeness.files import write_atomically
from likeness.nn.sync.expert import Expert, Settings

FORMAT, VERSION = "likeness-sync", 1
KEYS = {"format", "version", "settings", "features", "corpus", "seed", "chance", "trial"}
LANDMARKS = "mediapipe 0.10.21, displacement from one mean face, 20 mouth points, centimetres; 1"
CHANCE = {"margin", "confidence"}


def place() -> Path:
    """Where the expert that `prepare` and `evaluate` use has to lie."""
    return speech.assets() / "sync" / "landmarks.safetensors"


def in_place() -> Expert:
    """The expert at `place`. Raises MissingAsset where there is none, and what `load` raises."""
    path = place()
    if not path.is_file():
        shown = f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
        raise MissingAsset(
            f"{shown}: is not there, which judging lips by their landmarks needs. Make one from a corpus of many people with "
            "`likeness pretrain sync CORPUS/ FILE` and put it there (or set LIKENESS_ASSETS)."
        )
    return load(path)


def write(path: Path, expert: Expert, corpus: dict[str, Any], seed: int, trial: dict[str, Any]) -> None:
    """Write the file, atomically."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "settings": asdict(expert.settings),
        "features": recipes(expert.settings),
        "corpus": corpus,
        "seed": seed,
        "chance": expert.chance,
        "trial": trial,
    }
    tensors = {key: value.detach().clone().contiguous() for key, value in expert.state_dict().items()}
    write_atomically(path, save(tensors, {FORMAT: json.dumps(header, sort_keys=True)}))


def recipes(settings: Settings) -> dict[str, str]:
    """How everything that an expert hears and sees is made."""
    return {name: speech.recipe_id(name) for name in settings.features} | {"landmarks": LANDMARKS}


def read_header(path: Path) -> dict[str, Any]:
    """The header, checked. Raises BadInput, or Refused for another version or features made in another way."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file. Make one with `likeness pretrain sync CORPUS/ {path}`.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(FORMAT, "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadInput(f"{path}: not a sync expert, or cut short ({error}). Copy or make it again.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BadInput(f"{path}: a safetensors file, but not a sync expert of likeness.")
    if header.get("version") != VERSION:
        raise Refused(f"{path}: sync expert of version {header.get('version')}; this likeness reads version {VERSION}.")
    if wrong := sorted(set(header) ^ KEYS):
        raise BadInput(f"{path}: its header does not fit ({', '.join(wrong)}). Make it again.")
    return header


def load(path: Path) -> Expert:
    """The expert of a file, frozen. Raises BadInput and Refused as `read_header`, and BadInput for other tensors."""
    header = read_header(path)
    try:
        known = {field.name for field in fields(Settings)}
        if unknown := sorted(set(header["settings"]) ^ known):
            raise BadInput(f"settings {', '.join(unknown)}")
        expert = Expert(Settings(**header["settings"] | {"features": tuple(header["settings"]["features"])}))
        expert.chance = {name: float(value) for name, value in header["chance"].items()}
        if set(expert.chance) != CHANCE or not all(math.isfinite(v) and v > 0 for v in expert.chance.values()):
            raise BadInput("chance")
    except (LikenessError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise BadInput(f"{path}: its header does not fit ({error}). Make it again.") from error
    if header["features"] != recipes(expert.settings):
        raise Refused(f"{path}: it hears or sees by another recipe than this likeness. Pretrain it again.")
    expected = {key: (tuple(value.shape), value.dtype) for key, value in expert.state_dict().items()}
    with safe_open(path, framework="pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - not iterable
        wrong = [f"{k}: {shapes.get(k, 'missing')} instead of {s}" for k, (s, _) in expected.items() if shapes.get(k) != s]
        wrong += [f"unknown {key}" for key in sorted(set(shapes) - set(expected))]
        if wrong:
            raise BadInput(f"{path}: its tensors do not fit its header ({'; '.join(wrong[:4])}). Make it again.")
        state = {key: file.get_tensor(key) for key in shapes}
    bad = [key for key, value in state.items() if value.dtype != expected[key][1] or not bool(value.isfinite().all())]
    if bad:
        raise BadInput(f"{path}: {', '.join(bad[:4])}: numbers that are none, or of another kind. Make it again.")
    expert.load_state_dict(state)
    expert.id = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return expert.freeze()
