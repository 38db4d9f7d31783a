"""The hot loops are still compiled to packed fused multiply-adds: a refactoring that loses this is ten times slower."""

import platform
import re

import numpy as np
import pytest
from numba import njit

from likeness.kernels import compositing_cpu, hash_grid_cpu, marching_cpu, rasterisation_cpu, similarity_cpu

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="looks for x86 instructions (vfmadd...ps)"
)
PLANES = np.zeros(4096, np.float32)
GAUSSIAN = [np.float32(0.5)] * 11
CELLS, STRIDES = np.zeros(4096, np.uint32), np.ones(3, np.uint32)
NUMBERS = [CELLS, STRIDES, np.uint32(7), np.uint32(2), True, np.zeros(4096, np.uint32), 32]
LOOPS = {
    "composite": (rasterisation_cpu.composite, [PLANES, 32, *GAUSSIAN]),
    "differentiate": (rasterisation_cpu.differentiate, [PLANES, 32, *GAUSSIAN, np.zeros(10, np.float32)]),
    "absorb": (compositing_cpu.absorb, [PLANES, np.float32(0.1), np.zeros(4096, np.float32), 32]),
    "absorb_each": (compositing_cpu.absorb_each, [PLANES, PLANES, np.zeros(4096, np.float32), 32]),
    "blur_along": (similarity_cpu.blur_along, [PLANES, np.zeros(128, np.float32), 32]),
    "blur_across": (similarity_cpu.blur_across, [PLANES, np.zeros(128, np.float32), 32, similarity_cpu.RING_WEIGHTS]),
    "locate": (hash_grid_cpu.locate, [PLANES, np.float32(9), CELLS, np.zeros(128, np.float32), 32]),
    "slope_2d": (hash_grid_cpu.slope_2d, [PLANES, PLANES, np.float32(9), PLANES, np.zeros(4096, np.float32), 1024, 32]),
    "slope_3d": (hash_grid_cpu.slope_3d, [PLANES, PLANES, np.float32(9), PLANES, np.zeros(4096, np.float32), 1024, 32]),
    "compare": (similarity_cpu.compare, [PLANES, 32]),
}


def machine_code(loop, arguments: list) -> str:
    """Compiled anew, as code that comes from Numba's cache cannot be listed."""
    options = {name: value for name, value in loop.targetoptions.items() if name != "nopython"}
    fresh = njit(**options)(loop.py_func)
    fresh(*arguments)
    return "\n".join(fresh.inspect_asm().values())


@pytest.mark.parametrize("name", LOOPS)
def test_packed_fused_multiply_add(name: str) -> None:
    assert re.search(r"vfn?m(add|sub)\d+ps\b.*%[yz]mm", machine_code(*LOOPS[name]))


@pytest.mark.parametrize("dims", [2, 3])
def test_the_corners_of_a_cell_are_packed_too(dims: int) -> None:
    """Weights are packed products, row numbers packed products of integers; neither takes its planes number by number."""
    weigh = getattr(hash_grid_cpu, f"weigh_{dims}d"), [PLANES, PLANES, np.zeros(4096, np.float32), 32]
    number = getattr(hash_grid_cpu, f"number_{dims}d"), NUMBERS
    for work, instruction in ((weigh, "vmulps"), (number, "vpmulld")):
        code = machine_code(*work)
        assert re.search(rf"{instruction}\b.*%[yz]mm", code)
        assert "vgather" not in code


LINES = np.ones((marching_cpu.PLANES, marching_cpu.RAYS), np.float32)
RAY, FRAME, SHAPE, A = np.ones(8, np.float32), np.ones((7, 3), np.float32), np.array([8, 8, 8]), np.float32(0.5)
MARCHING = {
    "narrow": ([LINES[0], LINES[1], A, A, LINES[2], LINES[3], 256], "vdivps"),
    "lay": ([LINES.reshape(-1), A, 256], "vdivps"),
    "measure": ([LINES[0], LINES[1], LINES[2], A, A, LINES[3], 256], "vmulps"),
    "observe": ([LINES[0], LINES[1], LINES[2], A, A, A, A, A, LINES[3], 256], "vmulps"),
    "number": ([RAY, FRAME, SHAPE, A, 3, np.zeros(64, np.float32), np.zeros(64, np.int32), 64], "vcvttps2dq"),
}


@pytest.mark.parametrize("name", MARCHING)
def test_marching_is_packed_and_rounds_as_written(name: str) -> None:
    """Nothing is fused: the reference rounds every product."""
    arguments, instruction = MARCHING[name]
    code = machine_code(getattr(marching_cpu, name), arguments)
    assert re.search(rf"{instruction}\b.*%[yz]mm", code)
    assert "vfm" not in code and "vfnm" not in code


def test_the_guard_would_notice() -> None:
    """The same loop under Numba's defaults: division may raise, sums keep their order, nothing is packed."""
    loop, arguments = LOOPS["differentiate"]
    slow = njit(loop.py_func)
    slow(*arguments)
    assert not re.search(r"vfn?m(add|sub)\d+ps\b.*%[yz]mm", "\n".join(slow.inspect_asm().values()))
