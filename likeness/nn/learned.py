"""What was learned over many people, as one safetensors file: a JSON text in the metadata, and the tensors of one module.

Nothing is unpickled; other formats, versions, keys, names, shapes and kinds of numbers are refused before a tensor is used.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from likeness.errors import BadInput, Refused
from likeness.files import write_atomically


class Kind(NamedTuple):
    """What a file is."""

    format: str
    version: int
    what: str
    """For messages, with its article."""
    made_by: str
    """The command that makes one."""
    keys: frozenset[str]
    """Of the header, besides format and version."""

    def write(self, path: Path, header: dict[str, Any], module: nn.Module) -> None:
        """Write the file, atomically. Raises Exhausted on a full disk."""
        if set(header) != self.keys:
            raise ValueError(f"header of {self.what}: {sorted(set(header) ^ self.keys)}")
        told = {"format": self.format, "version": self.version} | header
        tensors = {name: value.detach().contiguous().clone() for name, value in module.state_dict().items()}
        write_atomically(path, save(tensors, {"likeness": json.dumps(told, sort_keys=True)}))

    def read_header(self, path: Path) -> dict[str, Any]:
        """The header. Raises BadInput for what is none or damaged, Refused for another version's."""
        if not path.is_file():
            raise BadInput(f"{path}: no such file. Make {self.what} with `{self.made_by}`.")
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {}).get("likeness", "null"))
        except (SafetensorError, OSError, ValueError) as error:
            raise self._damaged(path, error) from error
        if not isinstance(header, dict) or header.get("format") != self.format:
            raise BadInput(f"{path}: a safetensors file, but not {self.what}. Make one with `{self.made_by}`.")
        if header.get("version") != self.version:
            raise Refused(f"{path}: made as version {header.get('version')}; this likeness reads version {self.version}.")
        if set(header) != self.keys | {"format", "version"}:
            raise BadInput(f"{path}: its header lacks or adds something. Make it again with `{self.made_by}`.")
        return header

    def fill(self, path: Path, module: nn.Module) -> None:
        """Give a module, of the sizes that the header says, the file's tensors. Raises BadInput where they do not fit."""
        expected = module.state_dict()
        try:
            with safe_open(path, framework="pt") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not iterable
                wrong = sorted(set(shapes) ^ set(expected))
                wrong += [name for name in set(shapes) & set(expected) if shapes[name] != tuple(expected[name].shape)]
                if wrong:
                    raise BadInput(f"{path}: its tensors do not fit its header ({', '.join(wrong[:4])}). Make it again.")
                tensors = {name: file.get_tensor(name) for name in expected}
        except (SafetensorError, OSError) as error:
            raise self._damaged(path, error) from error
        if bad := [n for n, t in tensors.items() if t.dtype != expected[n].dtype or not bool(t.isfinite().all())]:
            raise BadInput(f"{path}: {', '.join(bad[:4])} holds no numbers. Copy or make it again.")
        module.load_state_dict(tensors)

    def _damaged(self, path: Path, error: Exception) -> BadInput:
        return BadInput(f"{path}: not {self.what}, or cut short ({error}). Copy or make it again.")
