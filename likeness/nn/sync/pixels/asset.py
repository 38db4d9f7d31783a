"""The file of a sync expert on pixels, see `likeness.nn.learned`. Its header holds

settings    of the network and its training
recipes     of the speech features that it hears
square      how the squares were laid that it learned from: others show another part of the face at another size
chance      what sound of other people reaches in 5 % of cases, times the root of the windows: margin, confidence
provenance  how much it learned from, the seed, and its trial on people whom it never heard
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from likeness import speech
from likeness.errors import BadInput, LikenessError, MissingAsset, Refused
from likeness.nn.learned import Kind
from likeness.nn.sync.asset import CHANCE
from likeness.nn.sync.pixels.expert import Expert, Settings

KIND = Kind(
    "likeness-sync-pixels", 1, "a sync expert on pixels", "likeness pretrain sync CORPUS/ FILE --look pixels",
    frozenset({"settings", "recipes", "square", "chance", "provenance"}),
)  # fmt: skip


def place() -> Path:
    """Where the expert has to lie that is used unless another is named."""
    return speech.assets() / "sync" / "pixels.safetensors"


def in_place(square: str) -> Expert:
    """The expert at `place`. Raises MissingAsset where there is none, and what `load` raises."""
    path = place()
    if not path.is_file():
        shown = f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
        raise MissingAsset(
            f"{shown}: is not there, which judging lips by their pixels needs. Make one from a corpus of many people with "
            f"`{KIND.made_by}` and put it there (or set LIKENESS_ASSETS)."
        )
    return load(path, square)


def write(path: Path, expert: Expert, square: str, provenance: dict[str, Any]) -> None:
    """Write the file, atomically."""
    header = {"settings": asdict(expert.settings), "recipes": recipes(expert.settings), "square": square}
    KIND.write(path, header | {"chance": expert.chance, "provenance": provenance}, expert)


def recipes(settings: Settings) -> dict[str, str]:
    """How everything that an expert hears is made."""
    return {name: speech.recipe_id(name) for name in settings.features}


def load(path: Path, square: str) -> Expert:
    """The expert of a file, frozen, for squares that are laid so. Raises BadInput for what is none or damaged, Refused for
    another version's, recipe's or square's."""
    header = KIND.read_header(path)
    try:
        held = header["settings"]
        if wrong := sorted(set(held) ^ {field.name for field in fields(Settings)}):
            raise BadInput(f"settings {', '.join(wrong)}")
        expert = Expert(Settings(**held | {"features": tuple(held["features"])}))
        expert.chance = {name: float(value) for name, value in header["chance"].items()}
        if set(expert.chance) != CHANCE or not all(math.isfinite(v) and v > 0 for v in expert.chance.values()):
            raise BadInput("chance")
    except (LikenessError, RuntimeError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise BadInput(f"{path}: its header does not fit ({error}). Make it again.") from error
    if header["recipes"] != recipes(expert.settings):
        raise Refused(f"{path}: hears speech features by another recipe than this likeness. Pretrain it again.")
    if header["square"] != square:
        raise Refused(f"{path}: learned from other squares ({header['square']}) than are cut here. Pretrain it again.")
    KIND.fill(path, expert)
    expert.id = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return expert.freeze()
