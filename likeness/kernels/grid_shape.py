"""How a multiresolution grid is laid out in its table: levels, rows, and which node is in which row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

PRIMES = (1, 2654435761, 805459861)
"""Factors of the spatial hash (Müller et al. 2022, equation 4)."""
LARGEST = 2.0**20
"""A level with more cells a side could not tell, in float32, where in a cell a point is."""


class Level(NamedTuple):
    """One level. A point x in [0, 1] is at scale x + 1/2 on its nodes, which are numbered 0 to resolution."""

    scale: float
    resolution: int
    offset: int
    """First row in the table."""
    rows: int
    kind: Literal["dense", "tiled", "hash"]
    strides: tuple[int, ...]
    """Node (i, j, k) is in row (i, j, k) times these, summed, or for "hash" combined by exclusive or, modulo `rows`."""

    @property
    def mask(self) -> int:
        """A row's number modulo `rows`, as a bit mask: nothing is cut off where every node has its own row."""
        return 2**32 - 1 if self.kind == "dense" else self.rows - 1


@dataclass(frozen=True)
class GridShape:
    """Levels of square (2D) or cubic (3D) cells over [0, 1], as in Instant NGP (Müller et al. 2022, section 3).

    A level whose nodes all fit in 2^log2_rows rows is dense: each node has a row. Another is hashed. Raises ValueError
    for what no table can hold.
    """

    dims: int
    """2 or 3"""
    sizes: tuple[float, ...]
    """of every level, in nodes a side; need be neither whole nor rising. See `geometric`"""
    features: int = 2
    """per level"""
    log2_rows: int = 16
    """logarithm of the most rows a level may have"""
    crowded: Literal["hash", "tiled"] = "hash"
    """What a level does that does not fit. `tiled` is the rule of RAD-NeRF's code: nodes are numbered row by row, modulo
    the rows, and axes left out once the numbers exceed the table, so that fine 3D levels do not see the last axis (left
    and right, in RAD-NeRF). Only to reproduce it."""

    def __post_init__(self) -> None:
        if self.dims not in (2, 3):
            raise ValueError(f"GridShape: dims is {self.dims}; a grid has 2 or 3")
        if not self.sizes or not all(1 <= size <= LARGEST for size in self.sizes):
            raise ValueError(f"GridShape: sizes are {self.sizes}; give at least one, each from 1 to {LARGEST:.0f}")
        if self.features < 1 or not 3 <= self.log2_rows <= 28 or self.features * 2**self.log2_rows > 2**31:
            raise ValueError(
                f"GridShape: {self.features} features in 2^{self.log2_rows} rows; "
                "give at least 1 feature, 2^3 to 2^28 rows, and no more than 2^31 numbers a level"
            )
        if self.crowded not in ("hash", "tiled"):
            raise ValueError(f"GridShape: crowded is {self.crowded!r}; give 'hash' or 'tiled'")

    @property
    def levels(self) -> tuple[Level, ...]:
        return _levels(self)

    @property
    def rows(self) -> int:
        """Rows of the table, all levels together."""
        return self.levels[-1].offset + self.levels[-1].rows

    @property
    def width(self) -> int:
        """Numbers per point that come out."""
        return len(self.sizes) * self.features


def geometric(base: float, levels: int, finest: float | None = None, growth: float | None = None) -> tuple[float, ...]:
    """`sizes` that grow by a constant factor from base, given that factor or the last size."""
    if levels < 1 or (finest is None) == (growth is None):
        raise ValueError("geometric: give at least one level, and either `finest` or `growth`")
    if finest is not None:
        growth = (finest / base) ** (1 / (levels - 1)) if levels > 1 else 1.0
    assert growth is not None
    return tuple(base * growth**level for level in range(levels))


class LevelArrays(NamedTuple):
    """Levels as the CPU body reads them: in units, of which there are `units` in a row of features."""

    units: int

    scales: np.ndarray
    hashed: np.ndarray
    strides: np.ndarray
    masks: np.ndarray
    starts: np.ndarray


@lru_cache(maxsize=64)
def level_arrays(shape: GridShape) -> LevelArrays:
    levels = shape.levels
    units = shape.features // 2 if shape.features % 2 == 0 else shape.features
    return LevelArrays(
        units,
        np.array([level.scale for level in levels], np.float32),
        np.array([level.kind == "hash" for level in levels]),
        np.array([level.strides for level in levels], np.uint32),
        np.array([level.mask for level in levels], np.uint32),
        np.array([level.offset for level in levels] + [shape.rows], np.int64) * units,
    )


@lru_cache(maxsize=64)
def _levels(shape: GridShape) -> tuple[Level, ...]:
    levels: list[Level] = []
    offset = 0
    for size in shape.sizes:
        # Whole sizes that came out of a power are not rounded up to the next whole number.
        resolution = math.ceil(size * (1 - 1e-12))
        side = resolution + 1
        nodes = side**shape.dims
        rows = -(-min(nodes, 2**shape.log2_rows) // 8) * 8
        kind = "dense" if nodes <= rows else shape.crowded
        strides = PRIMES[: shape.dims] if kind == "hash" else _tiled_strides(side, shape.dims, rows)
        # The scale is what float32 makes of it, so that every body and precision agrees on where the nodes are.
        levels.append(Level(float(np.float32(size - 1)), resolution, offset, rows, kind, strides))
        offset += rows
    return tuple(levels)


def _tiled_strides(side: int, dims: int, rows: int) -> tuple[int, ...]:
    return tuple(side**axis if side**axis <= rows else 0 for axis in range(dims))


def parse(dims: int, features: int, sizes: Sequence[float], log2_rows: int, tiled: bool) -> GridShape:
    """The shape that its numbers stand for, as an operator's schema can carry no dataclass."""
    return GridShape(dims, tuple(sizes), features, log2_rows, "tiled" if tiled else "hash")
