"""The methods: a folder dropped in here is a method.

A method folder exports `Config` (frozen dataclass), `preset(name, size, seed)`, `Model` (a Portrait) and
`train(clip, out, config)`, with the arguments `start` where it can begin from a portrait and `motion` where a generator of
motion can move it; one that learns something over many people also `pretrain(corpus, out, preset, seed)`; one whose original
code's checkpoints can be imported also `LEAVE`, `recognise` and `adopt` (see `likeness.importing`).
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from likeness.clip import Clip
from likeness.corpus import Corpus
from likeness.errors import BadInput, LikenessError
from likeness.files import must_be_ours
from likeness.nn.adaptation.postnet_train import Settings as PostNet
from likeness.nn.adaptation.speaker_train import Adaptation, Generic
from likeness.nn.generator import asset
from likeness.portrait import Portrait, below, read_header, read_tensors

DEFAULT = "rigged_gaussians"


def names() -> list[str]:
    """The methods there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def get(name: str) -> ModuleType:
    """A method by name; hyphens and underscores are the same. Raises BadInput for an unknown one."""
    name = name.replace("-", "_")
    if name not in names():
        raise BadInput(f"there is no method {name!r}. Methods: {', '.join(names())}.")
    return importlib.import_module(f"likeness.methods.{name}")


def train(
    clip: Clip | str | os.PathLike,
    out: str | os.PathLike,
    method: str = DEFAULT,
    *,
    preset: str = "fast",
    size: int = 256,
    seed: int = 0,
    start: str | os.PathLike | None = None,
    motion: str | os.PathLike | None = None,
    postnet: bool = False,
) -> Portrait:
    """Make a portrait of a clip and write it to `out`; see the method's `preset` for what the presets mean. `start`: a portrait
    to begin from instead of from nothing, where the method can. `motion`: a generator of motion (`pretrain`) that shall speak
    for the person beside their own voice; `postnet`: with GeneFace's adversarial post-net among its adapters, which takes
    minutes.

    Raises Refused where `out` is a file that is no portrait, BadInput where it cannot be written, the method has no such
    preset or size, or `start`, `motion` or `postnet` do not fit: before the work.
    """
    home = get(method)
    claim(Path(out))
    more: dict[str, Any] = {} if start is None else {"start": _beginning(home, start)}
    if motion is not None:
        if "motion" not in signature(home.train).parameters:
            raise BadInput(f"{motion}: {method} moves without a generator of motion; leave it out.")
        more["motion"] = Generic(asset.load(motion), Adaptation(postnet=PostNet() if postnet else None))
    elif postnet:
        raise BadInput("a post-net adapts a generator of motion, and none is given. Give one with --motion, or leave it out.")
    clip = clip if isinstance(clip, Clip) else Clip.open(clip)
    try:
        config = home.preset(preset, size=size, seed=seed)
    except ValueError as error:
        raise BadInput(str(error)) from error
    return home.train(clip, out, config, **more)


def pretrain(
    corpus: Corpus | str | os.PathLike, out: str | os.PathLike, method: str, *, preset: str = "fast", seed: int = 0
) -> dict[str, Any]:
    """Learn over many people what a method learns once, and write it to `out`; returns figures of people left out.

    Raises BadInput for what is no method or learns nothing so, a preset that there is not, or a corpus with too little in it.
    """
    if method.replace("-", "_") not in names() or not hasattr(home := get(method), "pretrain"):
        able = [name.replace("_", "-") for name in names() if hasattr(get(name), "pretrain")]
        raise BadInput(
            f"{method}: nothing of that name is learned over many people. Methods that do: {', '.join(able)}; beside them "
            "there is the sync expert, `likeness pretrain sync CORPUS/ FILE`."
        )
    return home.pretrain(corpus if isinstance(corpus, Corpus) else Corpus.open(corpus), Path(out), preset, seed)


def _beginning(home: ModuleType, start: str | os.PathLike) -> Portrait:
    name = home.__name__.rpartition(".")[2].replace("_", "-")
    if "start" not in signature(home.train).parameters:
        raise BadInput(f"{start}: {name} always begins from nothing; leave the start out.")
    portrait = load(start)
    if (other := portrait.method.replace("_", "-")) != name:
        raise BadInput(f"{start}: a portrait of {other}, from which {name} cannot begin. Name one of {name}.")
    return portrait


def claim(out: Path) -> None:
    """A portrait may be replaced by a new one; whatever else is at `out` stays. Raises Refused, or BadInput where nothing can
    be written."""
    must_be_ours(out, read_header, "a portrait")


def load(path: str | os.PathLike) -> Portrait:
    """Read a portrait file. Raises BadInput or Refused where it does not fit; for shapes of the model, before they are
    read."""
    header = read_header(path)
    try:
        kind = get(header["method"]).Model
        with torch.device("meta"):
            expected = {f"model.{k}": tuple(v.shape) for k, v in kind.blank(header).state_dict().items()}
        tensors = read_tensors(path, expected)
        portrait = kind.blank(header)
        portrait.load_state_dict(below("model.", tensors))
        portrait.furnish(header, tensors)
    except LikenessError as error:
        raise error if str(path) in str(error) else type(error)(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"{path}: its header does not describe a portrait ({error}). Train it again.") from error
    return portrait.eval()
