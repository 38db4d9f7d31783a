"""Atomic writes: a file is either the old one or the whole new one. What cannot be written is said beforehand.

`lock` keeps two processes from working in one folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from likeness.errors import BadInput, Exhausted, Refused

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def must_be_writable(path: Path) -> None:
    """Raise BadInput or Exhausted where no file could be written at `path`: before the work whose result goes there."""
    if path.is_dir():
        raise BadInput(f"{path}: is a folder. Name a file.")
    if not path.parent.is_dir():
        raise BadInput(f"{path}: there is no folder {path.parent}. Make it first, or choose another place.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def must_be_ours(path: Path, read: Callable[[Path], object], what: str) -> None:
    """`must_be_writable`, where only a file of the same kind may be replaced: raises Refused for any other that is there, and
    what `read` raises but BadInput. `read` reads such a file's header; `what` names its kind."""
    must_be_writable(path)
    if path.exists():
        try:
            read(path)
        except BadInput as error:
            raise Refused(f"{path}: is there already and is not {what}. Name another file, or remove it first.") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there. Raises Exhausted on a full disk, BadInput on an unwritable path."""
    write_together({path: content})


def write_together(contents: Mapping[Path, bytes]) -> None:
    """`write_atomically` for files that belong together: none is moved to its place before all are written. They are moved one
    after the other, so that a failure just then can leave an old one beside a new one."""
    partials = {path: path.with_name(f".{path.name}.{os.getpid()}.partial") for path in contents}
    path = Path()
    try:
        for path, content in contents.items():
            with open(partials[path], "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, partial in partials.items():
            os.replace(partial, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:  # Ctrl-C leaves nothing behind either
        for partial in partials.values():
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def lock(path: Path, folder: Path, work: str) -> IO[str]:
    """Take the lock file at `path`, which guards `folder`, until the result is closed or the process ends, however it ends.

    Raises Refused, naming the `work`, where another holds it, BadInput or Exhausted where the file cannot be made. Where
    the system knows no such locks nothing is held.
    """
    try:
        file = open(path, "w")  # noqa: SIM115 - closing it is the caller's way to release the lock
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise Refused(f"{folder}: another {work} is at work in it. Wait for it to end, or choose another place.") from error
    except (ImportError, OSError):  # Windows, and network folders without locks
        pass
    return file


def unwritable(path: Path | str, error: BaseException) -> BadInput | Exhausted:
    """What a failed write means to the user; `error` is an OSError, or one of PyAV's that need not have its fields."""
    if getattr(error, "errno", None) in FULL:
        return Exhausted(f"{path}: the disk is full. Free some space, or choose another place, and run it again.")
    return BadInput(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}). Choose another place.")
