"""Weights that others published and that the user puts in place: nothing is ever fetched, nothing else stands in for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from likeness import foreign
from likeness.errors import BadInput, LikenessError, MissingAsset
from likeness.speech import assets


@dataclass(frozen=True)
class Published:
    """A weights file that others published."""

    what: str
    """Who needs it."""
    folder: str
    """Below `likeness.speech.assets`."""
    names: tuple[str, ...]
    """The file's name, and the same tensors as safetensors."""
    source: str
    """Where to get it."""
    ignored: tuple[str, ...] = ()
    """Keys that it holds besides, where * stands for anything."""
    within: str = ""
    """Under what name a .pth that holds more, such as an optimiser's state, keeps them; all else in it is passed over."""

    @property
    def path(self) -> Path | None:
        """The file that is in place, if any."""
        places = (assets() / self.folder / name for name in self.names)
        return next((path for path in places if path.is_file()), None)

    def read(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """Its tensors, which must be of these shapes and no others. Raises MissingAsset where it is not in place, BadInput
        where it holds something else."""
        path = self.path
        if path is None:
            raise MissingAsset(
                f"{_from_home(assets() / self.folder)}: {self.names[0]} is not there, which {self.what} needs. Download it "
                f"from {self.source} into this folder (or set LIKENESS_ASSETS)."
            )
        advice = "It was cut short or is another file: download it again."
        try:
            held = load_file(path) if path.suffix == ".safetensors" else self._inner(foreign.read(path))
        except BadInput as error:
            raise BadInput(f"{error} {advice}") from error
        except LikenessError:
            raise
        except Exception as error:  # bytes that are no weights fail in any way there is
            raise BadInput(f"{path}: holds no weights that can be read ({type(error).__name__}). {advice}") from error
        wrong = [f"no {key}" for key in shapes if key not in held]
        for key, value in held.items():
            if key in shapes and tuple(value.shape) != shapes[key]:
                wrong.append(f"{key} {list(value.shape)} instead of {list(shapes[key])}")
            elif key not in shapes and not any(fnmatchcase(key, pattern) for pattern in self.ignored):
                wrong.append(f"unknown {key}")
        if wrong:
            raise BadInput(f"{path}: not the weights that {self.what} needs ({'; '.join(wrong[:4])}). {advice}")
        return {key: held[key].float() for key in shapes}

    def _inner(self, file: foreign.Foreign) -> dict[str, Tensor]:
        """Its weights, wherever they are kept."""
        return (file.below(f"{self.within}.") if self.within else {}) or file.tensors


def _from_home(path: Path) -> str:
    """A path as it may stand in a report that is passed on."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
