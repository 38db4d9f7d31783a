"""lips.safetensors: HyperLips' networks as many people taught them. Its header holds

settings    of the networks, see `likeness.nn.hyper.settings`
recipes     of the speech features that they hear
provenance  what they were learned from, and the figures of people left out
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from likeness import speech
from likeness.errors import BadInput, LikenessError, Refused
from likeness.nn.hyper.lipnet import HEARD, LipNet
from likeness.nn.hyper.settings import Judging, Refining, Settings
from likeness.nn.learned import Kind

KIND = Kind(
    "likeness-lips", 3, "lips of many people", "likeness pretrain hyperlips CORPUS/ FILE",
    frozenset({"settings", "recipes", "provenance"}),
)  # fmt: skip


def place() -> Path:
    """Where lips have to lie that `dub` and `train` use unless others are named."""
    return speech.assets() / "hyperlips" / "lips.safetensors"


def save(path: Path, net: LipNet, provenance: dict[str, Any]) -> None:
    """Write the file, atomically."""
    KIND.write(path, {"settings": asdict(net.settings), "recipes": recipes(net.settings), "provenance": provenance}, net)


def load(path: Path) -> LipNet:
    """Networks ready for use. Raises BadInput for what is none or damaged, Refused for another version's or recipe's."""
    header = KIND.read_header(path)
    try:
        net = LipNet(from_dictionary(header["settings"]))
    except (LikenessError, RuntimeError, TypeError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: its settings make no networks ({error}). Make it again.") from error
    if header["recipes"] != recipes(net.settings):
        raise Refused(f"{path}: hears speech features by another recipe than this likeness. Pretrain it again.")
    KIND.fill(path, net)
    return net.eval().requires_grad_(False)


def recipes(settings: Settings) -> dict[str, str]:
    """How everything that the networks hear is made."""
    return {name: speech.recipe_id(name) for name in dict.fromkeys((*HEARD.features, *settings.features))}


def from_dictionary(held: dict[str, Any]) -> Settings:
    """What `dataclasses.asdict` made of Settings. Raises BadInput for fields that do not exist or are missing."""
    inner = {"refining": Refining, "judging": Judging}
    kinds = {name: {f.name for f in fields(kind)} for name, kind in inner.items()}
    if set(held) != {f.name for f in fields(Settings)} or any(set(held[name]) != kinds[name] for name in inner):
        raise BadInput("settings that are not those of this likeness' lip networks")
    own: dict[str, Any] = {name: kind(**held[name]) for name, kind in inner.items()}
    own["features"] = tuple(held["features"])
    return Settings(**(held | own))
