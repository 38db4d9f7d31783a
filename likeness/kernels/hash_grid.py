"""Features of points from grids of many resolutions: the operator `hash_grid`."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.library import custom_op

from likeness.kernels import hash_grid_reference
from likeness.kernels.arrays import readable
from likeness.kernels.grid_shape import GridShape, level_arrays, parse
from likeness.kernels.hash_grid_cpu import grid_backward, grid_forward
from likeness.kernels.parallel import parallel


def hash_grid(x: Float[Tensor, "n dims"], table: Float[Tensor, "rows features"], shape: GridShape) -> Float[Tensor, "n width"]:
    """Looks up points in every level of a grid, interpolating linearly between nodes (Müller et al. 2022, section 3).

    x is in [0, 1]; a point outside (0 and 1 are inside), or that is no number, gets zeros and gives no gradient. Its
    coordinate on a level of size s is x (s - 1) + 1/2 between nodes 0 and ceil(s), as in Instant NGP. The table holds
    the levels one after the other, `shape.rows` rows of `shape.features`; the result has them level by level.
    Gradients reach table and x, and are the same on any number of threads. Raises ValueError where shapes do not match.
    """
    if x.shape[1] != shape.dims or tuple(table.shape) != (shape.rows, shape.features):
        raise ValueError(
            f"hash_grid: points {tuple(x.shape)} and table {tuple(table.shape)} given, "
            f"but the shape wants points (n, {shape.dims}) and a table {shape.rows, shape.features}"
        )
    if x.device.type != "cpu":
        return hash_grid_reference.hash_grid(x, table, shape)
    return _hash_grid(x, table, list(shape.sizes), shape.log2_rows, shape.crowded == "tiled")


@custom_op("likeness::hash_grid", mutates_args=(), device_types="cpu")
def _hash_grid(x: Tensor, table: Tensor, sizes: list[float], log2_rows: int, tiled: bool) -> Tensor:
    shape = parse(x.shape[1], table.shape[1], sizes, log2_rows, tiled)
    with parallel() as workers:
        encoded = grid_forward(readable(x), _units(table, shape), *level_arrays(shape), workers)
    return torch.from_numpy(encoded.view(np.float32)).reshape(-1, shape.width)


@custom_op("likeness::hash_grid_backward", mutates_args=(), device_types="cpu")
def _hash_grid_backward(
    x: Tensor,
    table: Tensor,
    sizes: list[float],
    log2_rows: int,
    tiled: bool,
    upstream: Tensor,
    want_x: bool,
    want_table: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of x and table; those that nobody wants are empty."""
    shape = parse(x.shape[1], table.shape[1], sizes, log2_rows, tiled)
    v_x = torch.empty(x.shape if want_x else (0, shape.dims))
    v_table = torch.zeros(table.shape if want_table else (0, shape.features))
    tables = _units(table, shape), _units(upstream, shape)
    gradients = v_x.numpy(), _units(v_table, shape)
    with parallel() as workers:
        grid_backward(readable(x), *tables, *level_arrays(shape), *gradients, workers)
    return v_x, v_table


def _units(tensor: Tensor, shape: GridShape) -> np.ndarray:
    """A flat view as the CPU body wants it: in pairs, each seen as one float64, where features come in pairs."""
    flat = readable(tensor).reshape(-1)
    return flat.view(np.float64) if shape.features % 2 == 0 else flat


def _remember(ctx, inputs, output) -> None:
    x, table, *ctx.grid = inputs
    ctx.save_for_backward(x, table)


def _differentiate(ctx, upstream):
    x, table = ctx.saved_tensors
    want_x, want_table = ctx.needs_input_grad[:2]
    v_x, v_table = _hash_grid_backward(x, table, *ctx.grid, upstream, want_x, want_table)
    return v_x if want_x else None, v_table if want_table else None, None, None, None


_hash_grid.register_autograd(_differentiate, setup_context=_remember)
