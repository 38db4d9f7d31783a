"""Where figures come from: machine, versions, and the commit of a checkout."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import likeness

PACKAGES = ("likeness", "torch", "numba", "numpy", "opencv-contrib-python", "mediapipe", "av")


def provenance() -> dict[str, str | int | float | None]:
    """What a figure of speed or quality may depend on, by name. No host, no path."""
    return {
        "machine": _cpu(),
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def commit() -> str | None:
    """The commit that likeness runs from, "+" behind it where files were changed since; None outside a git checkout of it."""
    home = Path(likeness.__file__).parent
    if _git(home, "ls-files", "--error-unmatch", "__init__.py") is None:  # a repository round an installed package
        return None
    head = _git(home, "rev-parse", "--short", "HEAD")
    changed = _git(home, "status", "--porcelain", "--", ".")
    return head and head + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a folder, not installed
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.processor() or platform.machine()
