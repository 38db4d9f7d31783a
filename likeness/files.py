"""Atomic writes: a file is either the old one or the whole new one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from likeness.errors import BadInput, Exhausted


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there. Raises Exhausted on a full disk, BadInput on an unwritable path."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> BadInput | Exhausted:
    """What an OSError while writing means to the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Exhausted(f"{path}: the disk is full. Free some space, or choose another place, and run it again.")
    return BadInput(f"{path}: cannot be written ({error.strerror}). Choose another place.")
