"""The operators: one signature each, a plain-PyTorch reference that is the definition, and a body per kind of device.

On the CPU the bodies are Numba kernels (`*_cpu.py`); on other devices the references (`*_reference.py`) run.
"""

from likeness.kernels.bricks import Kept, bricks
from likeness.kernels.compositing import Composite, composite
from likeness.kernels.grid_shape import GridShape, geometric
from likeness.kernels.harmonics import harmonics, spherical_harmonics
from likeness.kernels.hash_grid import hash_grid
from likeness.kernels.marching import Samples, march, sample_positions
from likeness.kernels.projection import project
from likeness.kernels.rasterisation import rasterise
from likeness.kernels.similarity import ssim, ssim_map
from likeness.kernels.splatting import Splats, splat
from likeness.kernels.unwarping import unwarp

__all__ = [
    "Composite",
    "GridShape",
    "Kept",
    "Samples",
    "Splats",
    "bricks",
    "composite",
    "geometric",
    "harmonics",
    "hash_grid",
    "march",
    "project",
    "rasterise",
    "sample_positions",
    "spherical_harmonics",
    "splat",
    "ssim",
    "ssim_map",
    "unwarp",
]
