"""What machine and which commit a figure was measured on."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numba
import torch

from likeness.kernels.parallel import parallel


def machine() -> dict[str, object]:
    cpu = next((line.split(":")[1].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")), "")
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    with parallel() as threads:
        layer = numba.threading_layer()
    return {
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "threading_layer": layer,
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "default"),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "commit": git.stdout.strip() or "none yet",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
