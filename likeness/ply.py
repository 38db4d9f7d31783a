"""Cloud: Gaussians that lie still, and the PLY file that viewers of 3D Gaussian splatting open (Kerbl et al. 2023).

The file is binary, little endian, one `vertex` a Gaussian, every property a float32, in the order of the original:

    x y z                       centre
    nx ny nz                    0; viewers want the columns
    f_dc_0 .. 2                 constant harmonic of red, green, blue: (colour - 0.5) / 0.28209...
    f_rest_0 .. 3 (bases - 1)   the other harmonics, all of red, then all of green, then all of blue; none at degree 0
    opacity                     logit
    scale_0 .. 2                log of the standard deviations
    rot_0 .. 3                  unit quaternion, w x y z

Lengths are metres in the head frame of `likeness.camera`: x to the right of the picture, y down, z into the head, which
looks along -z and has its origin between the rigid landmarks of the face. These are OpenCV's axes, in which the original's
scenes stand as well: some viewers turn them by 180 degrees round z when they open them, others show them upside down.
A head is 0.25 units large; a viewer that cuts it away close by has its near plane where rooms want it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.files import write_atomically
from likeness.kernels.harmonics import DEGREE_0, spherical_harmonics

CERTAIN = 1e-6  # opacities are kept this far from 0 and 1, whose logits are infinite


@dataclass(frozen=True)
class Cloud:
    """Gaussians that lie still, in the head frame; N of them."""

    means: Float[Tensor, "n 3"]
    """Metres."""
    quats: Float[Tensor, "n 4"]
    """w x y z, any length."""
    scales: Float[Tensor, "n 3"]
    """Standard deviations, metres."""
    opacities: Float[Tensor, " n"]
    """0..1"""
    sh: Float[Tensor, "n bases 3"]
    """Harmonics of colour minus 0.5, as `spherical_harmonics` takes them: 1, 4, 9 or 16 bases, degree 0 to 3."""

    def __len__(self) -> int:
        return len(self.means)

    def colors(self, eye: Float[Tensor, "3"]) -> Float[Tensor, "n 3"]:
        """RGB as seen from a point (metres, head frame), not clipped; viewers raise what is below 0 to 0."""
        return spherical_harmonics(self.sh, self.means - eye) + 0.5

    def flat(self, eye: Float[Tensor, "3"]) -> Cloud:
        """Of degree 0: from everywhere the colours that are seen from one point."""
        return replace(self, sh=(self.colors(eye) - 0.5)[:, None] / DEGREE_0)


def write_ply(cloud: Cloud, path: str | os.PathLike) -> Path:
    """Write the file, atomically; see the module docstring for its layout.

    Raises ValueError for harmonics of no whole degree from 0 to 3, and what `write_atomically` raises.
    """
    path = Path(path)
    if cloud.sh.shape[1] not in (1, 4, 9, 16):
        raise ValueError(f"write_ply: {cloud.sh.shape[1]} bases are no whole degree; give 1, 4, 9 or 16 (degrees 0 to 3)")
    rest = cloud.sh[:, 1:].transpose(1, 2).flatten(1)  # channel-major
    columns = {
        "x y z": cloud.means,
        "nx ny nz": torch.zeros_like(cloud.means),
        "f_dc_0 f_dc_1 f_dc_2": cloud.sh[:, 0],
        " ".join(f"f_rest_{i}" for i in range(rest.shape[1])): rest,
        "opacity": torch.logit(cloud.opacities, CERTAIN)[:, None],
        "scale_0 scale_1 scale_2": cloud.scales.log(),
        "rot_0 rot_1 rot_2 rot_3": torch.nn.functional.normalize(cloud.quats, dim=1),
    }
    properties = [f"property float {name}" for names in columns for name in names.split()]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(cloud)}", *properties, "end_header", ""]
    rows = torch.cat([values.detach().float().cpu() for values in columns.values()], dim=1).numpy()
    write_atomically(path, "\n".join(header).encode() + np.ascontiguousarray(rows, "<f4").tobytes())
    return path
