"""How the CPU bodies are compiled, and how their threads share work."""

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

EXPLICIT: Any = {
    name: name == "prange"
    for name in ("prange", "comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion")
}
"""Only written-out pranges run in parallel: zeroing a small array needs no threads."""
CAREFUL = {"contract", "reassoc", "nsz", "arcp"}
"""Fast-math that keeps NaN and infinity meaningful, so that broken input is culled and never becomes an index."""


def compiled(parallel: bool = False, inline: bool = False, finite: bool = False, exact: bool = False) -> Callable:
    """Decorator: Numba with one set of options. `finite` promises that neither NaN nor infinity comes in; `exact` rounds
    every operation as IEEE 754 and so as PyTorch does, in the order it is written in.

    Division must not raise (`error_model`), or no loop with a division is vectorised. The type checker that tests put
    around every function is taken off again, as Numba could not compile it.
    """

    def decorate(function: Callable) -> Callable:
        return njit(
            cache=True,
            nogil=True,
            parallel=EXPLICIT if parallel else False,
            inline="always" if inline else "never",
            fastmath=False if exact else CAREFUL | {"nnan", "ninf"} if finite else CAREFUL,
            error_model="numpy",
        )(inspect.unwrap(function))

    return decorate


def _fetch_and_add(typing_context, counter):
    """Adds 1 to counter[0] (an int64 array) in one indivisible step; returns what it was."""

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", array.data, one, "monotonic")

    return types.int64(counter), inspect.unwrap(generate)


_add_one: Any = intrinsic(inspect.unwrap(_fetch_and_add))


@compiled()
def take(counter):
    """The next ticket of a shared counter: 0, 1, 2 ..., each given out once, so that a slow thread holds nobody up.

    Who takes which ticket varies from run to run; every ticket has to write its own rows.
    """
    return _add_one(counter)


# Two neighbouring float32 in one float64, which is how arrays of them are viewed: LLVM makes no vectors of two by itself.
_PAIR = ir.VectorType(ir.FloatType(), 2)
_FUSED = ("contract",)
_LANES = [ir.Constant(ir.IntType(32), lane) for lane in (0, 1)]


def _multiply_and_add(typing_context, weight, value, total):
    """weight * value + total. weight is a float32; value and total are float32 too, or float64 that stand for pairs."""

    def generate(context, builder, signature, arguments):
        weight, value, total = arguments
        if signature.return_type == types.float32:
            return builder.fadd(builder.fmul(weight, value, flags=_FUSED), total, flags=_FUSED)
        weights = ir.Constant(_PAIR, ir.Undefined)
        for lane in _LANES:
            weights = builder.insert_element(weights, weight, lane)
        value, total = builder.bitcast(value, _PAIR), builder.bitcast(total, _PAIR)
        sums = builder.fadd(builder.fmul(weights, value, flags=_FUSED), total, flags=_FUSED)
        return builder.bitcast(sums, ir.DoubleType())

    return value(types.float32, value, value), inspect.unwrap(generate)


def _multiply_and_sum(typing_context, a, b):
    """The product of two float32, or the sum of both products of two pairs; a float32."""

    def generate(context, builder, signature, arguments):
        a, b = arguments
        if signature.args[0] == types.float32:
            return builder.fmul(a, b)
        products = builder.fmul(builder.bitcast(a, _PAIR), builder.bitcast(b, _PAIR))
        return builder.fadd(*(builder.extract_element(products, lane) for lane in _LANES))

    return types.float32(a, b), inspect.unwrap(generate)


multiply_add: Any = intrinsic(inspect.unwrap(_multiply_and_add))
multiply_sum: Any = intrinsic(inspect.unwrap(_multiply_and_sum))
