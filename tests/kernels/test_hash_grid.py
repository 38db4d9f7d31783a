"""`hash_grid`: the CPU body against the reference, the reference against hand values, and the layout of tables."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likeness.kernels import GridShape, geometric, hash_grid
from likeness.kernels import hash_grid_reference as reference

RAD_NERF = GridShape(3, geometric(16.0, 16, finest=2048.0), log2_rows=16, crowded="tiled")


def grid(n: int, shape: GridShape, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Points, a third of them on the border, beyond it or no numbers; a table; an upstream gradient."""
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(n, shape.dims, generator=random)
    special = torch.tensor([0.0, 1.0, 0.5, -1e-6, 1 + 1e-6, -3.0, 1e30, float("nan"), float("inf"), 1e-30])
    chosen = special[torch.randint(len(special), x.shape, generator=random)]
    x = torch.where(torch.rand(x.shape, generator=random) < 0.15, chosen, x)
    table = torch.randn(shape.rows, shape.features, generator=random)
    return x.requires_grad_(), table.requires_grad_(), torch.randn(n, shape.width, generator=random)


def close(ours: Tensor, wanted: Tensor, relative: float) -> bool:
    return bool((ours.double() - wanted.double()).norm() <= relative * wanted.double().norm() + 1e-7)


def in_a_cell(x: Tensor, shape: GridShape) -> Tensor:
    """Points that no level has so close to a cell's border that float32 could put them on its other side."""
    positions = torch.stack([x.detach().double() * level.scale + 0.5 for level in shape.levels])
    return ((positions - positions.round()).abs() > 1e-3).all(0).all(-1, keepdim=True) | ((x < 0) | (x > 1)).any(-1, True)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 400),
    dims=st.sampled_from([2, 3]),
    sizes=st.lists(st.floats(1, 200) | st.sampled_from([1.0, 2.0, 16.0, 199.0]), min_size=1, max_size=6),
    features=st.sampled_from([1, 2, 2, 3, 4, 5, 8]),
    log2_rows=st.integers(3, 14),
    crowded=st.sampled_from(["hash", "tiled"]),
    seed=st.integers(0, 99),
)
def test_body_and_reference_agree(n, dims, sizes, features, log2_rows, crowded, seed) -> None:
    shape = GridShape(dims, tuple(sizes), features, log2_rows, crowded)
    x, table, upstream = grid(n, shape, seed)
    exact_x, exact_table = (leaf.detach().double().requires_grad_() for leaf in (x, table))
    encoded, wanted = hash_grid(x, table, shape), reference.hash_grid(exact_x, exact_table, shape)
    assert encoded.shape == (n, shape.width)
    assert n == 0 or (encoded - wanted).abs().max() < 2e-4
    assert close(encoded, wanted, 2e-5)
    encoded.backward(upstream)
    wanted.backward(upstream.double())
    assert close(table.grad, exact_table.grad, 2e-5)
    same = in_a_cell(x, shape)
    assert close(x.grad.where(same, 0), exact_x.grad.where(same, 0), 1e-4)


@pytest.mark.parametrize("n", [127, 128, 129, 16384, 16385, 70001])
def test_chunks_blocks_and_stretches_do_not_show(n: int) -> None:
    """What one call gives for many points is what many calls give for a few."""
    shape = GridShape(3, (4.0, 9.5, 40.0), log2_rows=10)
    x, table, upstream = grid(n, shape)
    hash_grid(x, table, shape).backward(upstream)
    again = table.detach().clone().requires_grad_()
    leaves = [part.clone().requires_grad_() for part in x.detach().split(1000 if n > 1000 else 13)]
    pieces = torch.cat([hash_grid(leaf, again, shape) for leaf in leaves])
    assert torch.allclose(pieces, hash_grid(x, table, shape), atol=1e-5)
    pieces.backward(upstream)
    assert close(torch.cat([leaf.grad for leaf in leaves]), x.grad, 1e-5)
    assert close(again.grad, table.grad, 1e-5)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("crowded", ["hash", "tiled"])
def test_reference_gradients_are_right(dims: int, crowded: str) -> None:
    shape = GridShape(dims, (2.0, 3.4, 7.0), 2, log2_rows=4, crowded=crowded)
    x, table, _ = grid(40, shape, seed=1)
    x = x.detach()[in_a_cell(x, shape)[:, 0]][:8].double()
    x[0] = -0.5
    leaves = x.requires_grad_(), table.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, table: reference.hash_grid(x, table, shape), leaves)


@pytest.mark.parametrize("body", [hash_grid, reference.hash_grid])
@pytest.mark.parametrize("dims", [2, 3])
def test_nodes_give_their_rows_and_the_middle_their_mean(body: Callable[..., Tensor], dims: int) -> None:
    """Node i of a level of size 5 is at (i - 1/2) / 4; a dense level has its nodes in order, x first."""
    shape = GridShape(dims, (5.0,), 2)
    _, table, _ = grid(0, shape)
    nodes = torch.cartesian_prod(*[torch.arange(1, 5)] * dims)
    rows = sum(nodes[:, axis] * 6**axis for axis in range(dims))
    assert torch.allclose(body((nodes - 0.5) / 4, table, shape), table[rows], atol=1e-6)
    corners = torch.cartesian_prod(*[torch.arange(2, 4)] * dims)
    mean = table[sum(corners[:, axis] * 6**axis for axis in range(dims))].mean(0)
    assert torch.allclose(body(torch.full((1, dims), 0.5), table, shape)[0], mean, atol=1e-6)


def test_the_border_is_inside_and_beyond_is_nothing() -> None:
    shape = GridShape(2, (4.0, 30.0), 1)
    table = torch.ones(shape.rows, 1, requires_grad=True)
    inside = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert torch.allclose(hash_grid(inside, table, shape), torch.ones(3, 2))
    nan = float("nan")
    outside = torch.tensor([[-1e-7, 0.5], [0.5, 1.0000002], [nan, 0.5], [0.5, -float("inf")]], requires_grad=True)
    encoded = hash_grid(outside, table, shape)
    assert (encoded == 0).all()
    encoded.sum().backward()
    assert (outside.grad == 0).all() and (table.grad == 0).all()


def test_rows_are_those_of_the_published_systems() -> None:
    """radnerf.md, table 4.1; talking_gaussian.md, section 4.2."""
    assert RAD_NERF.rows == 903_480
    assert GridShape(2, geometric(16.0, 16, finest=2048.0), log2_rows=16, crowded="tiled").rows == 555_520
    assert GridShape(2, geometric(16.0, 12, finest=38.4), 1, 17).rows == 9_464
    assert GridShape(2, geometric(64.0, 12, finest=57.6), 1, 17).rows == 46_600
    assert geometric(16.0, 16, finest=2048.0)[1] / 16 == pytest.approx(1.38191, abs=1e-5)
    assert geometric(16.0, 3, growth=2.0) == (16.0, 32.0, 64.0)


def test_hashed_levels_see_every_axis_and_tiled_ones_do_not() -> None:
    """RAD-NeRF's fine levels cannot tell left from right (radnerf.md 4.1); ours can, unless asked to be like them."""
    hashed = GridShape(3, RAD_NERF.sizes)
    _, table, _ = grid(0, hashed)
    points = torch.tensor([[0.31, 0.42, 0.2], [0.31, 0.42, 0.8]])
    for shape, blind in ((RAD_NERF, 7), (hashed, 0)):
        left, right = hash_grid(points, table, shape).reshape(2, 16, 2)
        assert ((left - right).abs() < 1e-5).all(-1).sum() == blind
        assert sum(level.strides[2] == 0 for level in shape.levels) == blind


def test_it_is_the_same_on_any_number_of_threads() -> None:
    shape = GridShape(3, geometric(8.0, 7, finest=300.0), 2, 12)
    x, table, upstream = grid(40_000, shape)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, threads):
            torch.set_num_threads(number)
            encoded = hash_grid(x, table, shape)
            results.append((encoded, *torch.autograd.grad(encoded, (x, table), upstream)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for result in results for a, b in zip(result, results[0]))


def test_only_what_is_wanted_gets_a_gradient() -> None:
    shape = GridShape(2, (5.0, 9.0), 2)
    x, table, upstream = grid(50, shape)
    hash_grid(x, table, shape).backward(upstream)
    for frozen, trained in ((0, 1), (1, 0)):
        leaves = [leaf.detach().clone() for leaf in (x, table)]
        leaves[trained].requires_grad_()
        hash_grid(*leaves, shape).backward(upstream)
        assert leaves[frozen].grad is None
        assert torch.equal(leaves[trained].grad, (x, table)[trained].grad)


def test_strided_input_and_gradient() -> None:
    shape = GridShape(2, (5.0, 9.0), 2)
    x, table, upstream = grid(30, shape)
    encoded = hash_grid(x.detach().T.contiguous().T, table, shape)
    assert torch.equal(encoded, hash_grid(x, table, shape))
    encoded.sum().backward()
    summed = table.grad.clone()
    table.grad = None
    hash_grid(x, table, shape).backward(torch.ones_like(upstream))
    assert torch.equal(summed, table.grad)


@pytest.mark.parametrize("features", [1, 2])
def test_tensors_may_begin_anywhere_in_memory(features: int) -> None:
    shape = GridShape(2, (5.0, 9.0), features)
    x, table, upstream = grid(30, shape)
    results = []
    for shift in (0, 1):
        leaves = [
            torch.cat([t.new_zeros(shift), t.detach().reshape(-1)])[shift:].reshape(t.shape) for t in (x, table, upstream)
        ]
        encoded = hash_grid(leaves[0].requires_grad_(), leaves[1].requires_grad_(), shape)
        results.append((encoded, *torch.autograd.grad(encoded, leaves[:2], leaves[2])))
    assert all(torch.equal(a, b) for a, b in zip(*results))


def test_what_it_refuses() -> None:
    shape = GridShape(2, (5.0,), 2)
    x, table, _ = grid(3, shape)
    with pytest.raises(TypeError, match="float32"):
        hash_grid(x.double(), table, shape)
    with pytest.raises(ValueError, match="table"):
        hash_grid(x, table[:-1], shape)
    with pytest.raises(ValueError, match="points"):
        hash_grid(x[:, :1], table, shape)
    for wrong in ({"dims": 4}, {"sizes": ()}, {"sizes": (0.5,)}, {"sizes": (float("nan"),)}, {"features": 0}, {"log2_rows": 2}):
        with pytest.raises(ValueError, match="GridShape"):
            GridShape(**{"dims": 2, "sizes": (5.0,), **wrong})
    with pytest.raises(ValueError, match="geometric"):
        geometric(16.0, 4)
