"""Weights files of other projects (`torch.save`), read as weights only, in a child process.

A file that somebody else made may be broken or hostile: the child cannot run what is pickled in it, has little memory and
time, and hands the tensors back as a safetensors file; whatever happens to it, the caller gets an error with a reason.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from likeness.errors import BadInput, Exhausted

LIMIT_S = 120.0
"""Processor time that a file may take, beyond a second for each 10 MB of it."""
PATIENCE = 5.0
"""How much longer it may take by the clock, as other programs may be at work."""
ROOM = 2**30
"""Bytes of memory that the child may take, beyond SHARES times the file's size and what it has when it begins."""
SHARES = 6
Plain = bool | int | float | str | None


@dataclass(frozen=True)
class Foreign:
    """What a file holds. Names of nested dictionaries and lists are joined by dots: `model.encoder.weight`, `ema.0`."""

    path: Path
    tensors: dict[str, Tensor]
    """In the file's order."""
    values: dict[str, Plain] = field(default_factory=dict)
    """Plain numbers and texts that stand beside them."""

    def below(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, without it."""
        return {name[len(prefix) :]: held for name, held in self.tensors.items() if name.startswith(prefix)}


def read(path: str | os.PathLike, leave: Sequence[str] = ()) -> Foreign:
    """The tensors of a weights file but for what is below the names in `leave`.

    Raises BadInput for a file that is missing, damaged, no weights, or holds anything that would have to run; Exhausted
    where reading it takes more memory than there is.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file. Name the checkpoint that the original code wrote, ending in .pth.")
    with tempfile.TemporaryDirectory(prefix="likeness-") as folder:
        out = Path(folder) / "weights.safetensors"
        answer = _answer(path, out, leave)
        if "refused" in answer:
            raise BadInput(f"{path}: {answer['refused']}")
        if "exhausted" in answer:
            raise Exhausted(f"{path}: {answer['exhausted']}")
        with safe_open(out, framework="pt") as file:
            tensors = {name: file.get_tensor(key).clone() for name, key in answer["tensors"].items()}
    return Foreign(path, tensors, answer["values"])


def _command(path: Path, out: Path, leave: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "likeness.foreign", str(path.absolute()), str(out), *leave]


def _answer(path: Path, out: Path, leave: Sequence[str]) -> dict[str, Any]:
    """What the child says; an end of it without a word is an error that says how it ended."""
    root = str(Path(__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    limit = PATIENCE * (LIMIT_S + path.stat().st_size / 10e6)
    try:
        child = subprocess.run(
            _command(path, out, leave), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment, timeout=limit, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BadInput(f"{path}: reading it did not end within {limit:.0f} s. It is damaged, or no checkpoint.") from error
    with contextlib.suppress(ValueError):
        answer = json.loads(child.stdout)
        if isinstance(answer, dict):
            return answer
    if child.returncode == -9:
        raise Exhausted(f"{path}: the system ended the process that read it, as it does when memory runs out.")
    raise BadInput(
        f"{path}: the process that read it ended with code {child.returncode}. The file is damaged, or no checkpoint; "
        "copy it again."
    )


# ---- the child


def main() -> None:
    """`python -m likeness.foreign FILE OUT [NAME ...]`: write FILE's tensors to OUT, and one line of JSON about them."""
    path, out, leave = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    answer = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is not the answer
    _limit(path.stat().st_size)
    print(json.dumps(_converted(path, out, leave)), file=answer)


def _limit(size: int) -> None:
    """Memory and time for a file of so many bytes; systems without such limits have the parent's clock alone."""
    try:
        import resource

        have = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        memory, seconds = have + ROOM + SHARES * size, int(LIMIT_S + size / 10e6)
        for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
            soft, hard = resource.getrlimit(kind)
            limits = [most, *(known for known in (soft, hard) if known != resource.RLIM_INFINITY)]
            resource.setrlimit(kind, (min(limits), hard))
    except (ImportError, OSError, ValueError):
        pass


def _converted(path: Path, out: Path, leave: Sequence[str]) -> dict[str, Any]:
    """See `main`: {tensors: name to key in OUT, values}, or {refused or exhausted: why}."""
    try:
        with torch.serialization.safe_globals(_numbers()):
            held = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 - refuses, unread, all but tensors
        if not isinstance(held, dict):
            return {"refused": f"holds no weights by name, but one object of class {type(held).__name__}."}
        found = dict(_flat({key: value for key, value in held.items() if key not in leave}))
        tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
        # Keys of their own: names may be anything. Copies: safetensors takes no two tensors in one storage.
        keys = {name: str(i) for i, name in enumerate(tensors)}
        save_file({keys[name]: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, out)
    except MemoryError:
        return {"exhausted": _TOO_LARGE}
    except Exception as error:  # bytes that are no weights fail in any way there is
        return _reason(error)
    if not tensors:
        return {"refused": "holds no weights by name."}
    return {"tensors": keys, "values": {name: value for name, value in found.items() if name not in tensors}}


_TOO_LARGE = "reading it takes more memory than its size allows for. It is damaged, or made to do harm."


def _reason(error: Exception) -> dict[str, str]:
    """Why a file was not read, for the user."""
    text = str(error)
    if "allocate memory" in text or "not enough memory" in text:
        return {"exhausted": _TOO_LARGE}
    held = re.search(r"GLOBAL ([\w.]+)|(?:class|function|type) ['\"]?([\w.]+)", text)
    if "eights only" in text and held:
        name = held[1] or held[2]
        return {"refused": f"holds {name}, which is no weights: it would be run to be read. It was not, and nothing was read."}
    return {"refused": f"holds no weights that can be read ({type(error).__name__}): cut short, or another kind of file."}


def _numbers() -> list[Any]:
    """What NumPy's numbers are unpickled by: the statistics beside the weights hold some. Nothing that runs."""
    scalar = np.core.multiarray.scalar  # pyright: ignore[reportAttributeAccessIssue]
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # before and since NumPy 2
    return [*((scalar, name) for name in names), np.dtype, *kinds]


def _flat(held: Any, name: str = "") -> Iterator[tuple[str, Tensor | Plain]]:
    """Tensors and plain values by their names; what is neither is left out."""
    if isinstance(held, dict | list | tuple):
        parts = held.items() if isinstance(held, dict) else enumerate(held)
        for key, value in parts:
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(held, np.generic):
        yield name, held.item()
    elif isinstance(held, Tensor | bool | int | float | str | None):
        yield name, held


if __name__ == "__main__":
    main()
