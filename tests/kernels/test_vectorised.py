"""The hot loops are still compiled to packed fused multiply-adds: a refactoring that loses this is ten times slower."""

import platform
import re

import numpy as np
import pytest
from numba import njit

from likeness.kernels import rasterisation_cpu, similarity_cpu

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="looks for x86 instructions (vfmadd...ps)"
)
PLANES = np.zeros(4096, np.float32)
GAUSSIAN = [np.float32(0.5)] * 11
LOOPS = {
    "composite": (rasterisation_cpu.composite, [PLANES, 32, *GAUSSIAN]),
    "differentiate": (rasterisation_cpu.differentiate, [PLANES, 32, *GAUSSIAN, np.zeros(10, np.float32)]),
    "blur_along": (similarity_cpu.blur_along, [PLANES, np.zeros(128, np.float32), 32]),
    "blur_across": (similarity_cpu.blur_across, [PLANES, np.zeros(128, np.float32), 32, similarity_cpu.RING_WEIGHTS]),
    "compare": (similarity_cpu.compare, [PLANES, 32]),
}


def machine_code(name: str) -> str:
    """Compiled anew, as code that comes from Numba's cache cannot be listed."""
    loop, arguments = LOOPS[name]
    options = {name: value for name, value in loop.targetoptions.items() if name != "nopython"}
    fresh = njit(**options)(loop.py_func)
    fresh(*arguments)
    return "\n".join(fresh.inspect_asm().values())


@pytest.mark.parametrize("name", LOOPS)
def test_packed_fused_multiply_add(name: str) -> None:
    assert re.search(r"vfn?m(add|sub)\d+ps\b.*%[yz]mm", machine_code(name))


def test_the_guard_would_notice() -> None:
    """The same loop under Numba's defaults: division may raise, sums keep their order, nothing is packed."""
    loop, arguments = LOOPS["differentiate"]
    slow = njit(loop.py_func)
    slow(*arguments)
    assert not re.search(r"vfn?m(add|sub)\d+ps\b.*%[yz]mm", "\n".join(slow.inspect_asm().values()))
