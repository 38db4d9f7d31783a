"""A reader of splat PLY files that shares no code with the writer: what an ordinary viewer does with one."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch

from likeness.ply import Cloud


def columns_of(path: Path) -> dict[str, np.ndarray]:
    """The properties of a binary little-endian PLY file of float vertices, by name, in the file's order."""
    content = path.read_bytes()
    header, body = content.split(b"end_header\n", 1)
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    count = int(lines[2].removeprefix("element vertex "))
    names = [line.removeprefix("property float ") for line in lines[3:]]
    assert len(body) == 4 * count * len(names)
    rows = np.array(list(struct.iter_unpack(f"<{len(names)}f", body)), np.float32)
    return {name: rows[:, i] for i, name in enumerate(names)}


def read_cloud(path: Path) -> Cloud:
    held = columns_of(path)

    def these(stem: str, count: int) -> torch.Tensor:
        return torch.tensor(np.stack([held[f"{stem}_{i}"] for i in range(count)], 1))

    rest = sum(name.startswith("f_rest") for name in held) // 3
    sh = these("f_dc", 3)[:, None]
    if rest:
        sh = torch.cat([sh, these("f_rest", 3 * rest).view(-1, 3, rest).mT], dim=1)
    return Cloud(
        means=torch.tensor(np.stack([held[axis] for axis in "xyz"], 1)),
        quats=these("rot", 4),
        scales=these("scale", 3).exp(),
        opacities=torch.tensor(held["opacity"]).sigmoid(),
        sh=sh,
    )
