"""How the CPU bodies are compiled, and how their threads share work."""

import inspect
from collections.abc import Callable
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

EXPLICIT: Any = {
    name: name == "prange"
    for name in ("prange", "comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion")
}
"""Only written-out pranges run in parallel: zeroing a small array needs no threads."""
CAREFUL = {"contract", "reassoc", "nsz", "arcp"}
"""Fast-math that keeps NaN and infinity meaningful, so that broken input is culled and never becomes an index."""


def compiled(parallel: bool = False, inline: bool = False, finite: bool = False) -> Callable:
    """Decorator: Numba with one set of options. `finite` promises that neither NaN nor infinity comes in.

    Division must not raise (`error_model`), or no loop with a division is vectorised. The type checker that tests put
    around every function is taken off again, as Numba could not compile it.
    """

    def decorate(function: Callable) -> Callable:
        return njit(
            cache=True,
            nogil=True,
            parallel=EXPLICIT if parallel else False,
            inline="always" if inline else "never",
            fastmath=CAREFUL | {"nnan", "ninf"} if finite else CAREFUL,
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
