"""From samples along rays to what each ray sees: the operator `composite`."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.library import custom_op

from likeness.kernels import compositing_reference
from likeness.kernels.arrays import readable, zeros_or
from likeness.kernels.compositing_cpu import composite_backward, composite_forward
from likeness.kernels.parallel import parallel


class Composite(NamedTuple):
    """What rays see, and how much each sample has to do with it."""

    value: Float[Tensor, "n channels"]
    """Without background: add (1 - alpha) * background."""
    alpha: Float[Tensor, " n"]
    """Between 0 and 1: the sum of a ray's weights."""
    depth: Float[Tensor, " n"] | None
    """The sum of weight times t, not divided by alpha; None where no t was given."""
    weights: Float[Tensor, " m"]


def composite(
    density: Float[Tensor, " m"],
    values: Float[Tensor, "m channels"],
    widths: float | Float[Tensor, " m"],
    starts: Int[Tensor, " rays"],
    t: Float[Tensor, " m"] | None = None,
) -> Composite:
    """Composites the samples of each ray, given from near to far (Mildenhall et al. 2020, equation 3).

    Ray i has the samples starts[i] to starts[i + 1] of all m; starts is [n + 1], begins with 0 and ends with m. A sample
    of density >= 0 (per unit of length) and of some width has alpha = 1 - exp(-density width), and its weight is alpha
    times the transmittance before it, the product of all earlier 1 - alpha. Where that has fallen below 1e-4 a ray takes
    no more: later samples have weight 0 and get no gradient. A ray without samples gets zeros. Three channels are fastest.

    Gradients reach density and values, from all four results, weights included; widths and t get none. They are the same
    on any number of threads. Raises ValueError where shapes or starts do not fit.
    """
    lengths = [len(tensor) for tensor in (density, values, widths, t) if isinstance(tensor, Tensor)]
    if len(set(lengths)) > 1:
        raise ValueError(f"composite: as many of everything as there are samples wanted, not {lengths}")
    if len(starts) == 0 or starts[0] != 0 or starts[-1] != len(density) or bool((starts.diff() < 0).any()):
        raise ValueError(f"composite: starts must go from 0 up to the {len(density)} samples and never back")
    widths = widths.detach() if isinstance(widths, Tensor) else density.new_full((1,), widths)
    distances = density.new_zeros(0) if t is None else t.detach()
    if density.device.type != "cpu":
        distances = torch.zeros_like(density) if t is None else distances
        value, alpha, depth, weights = compositing_reference.composite(density, values, widths, starts, distances)
    else:
        value, alpha, depth, weights, _ = _composite(density, values, widths, starts, distances)
    return Composite(value, alpha, None if t is None else depth, weights)


@custom_op("likeness::composite", mutates_args=(), device_types="cpu")
def _composite(
    density: Tensor, values: Tensor, widths: Tensor, starts: Tensor, t: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """value, alpha, depth, weights, then what the backward pass needs: how many samples each ray took."""
    samples = readable(density), readable(values), readable(widths), readable(starts.long()), readable(t)
    with parallel() as workers:
        value, alpha, depth, weights, taken = map(torch.from_numpy, composite_forward(*samples, workers))
    return value, alpha, depth, weights, taken


@custom_op("likeness::composite_backward", mutates_args=(), device_types="cpu")
def _composite_backward(
    values: Tensor,
    widths: Tensor,
    starts: Tensor,
    t: Tensor,
    weights: Tensor,
    taken: Tensor,
    v_value: Tensor,
    v_alpha: Tensor,
    v_depth: Tensor,
    v_weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gradients of density and values; v_weights may be empty."""
    samples = readable(values), readable(widths), readable(starts.long()), readable(t), readable(weights), readable(taken)
    upstream = readable(v_value), readable(v_alpha), readable(v_depth), readable(v_weights)
    with parallel() as workers:
        v_density, v_values = map(torch.from_numpy, composite_backward(*samples, *upstream, workers))
    return v_density, v_values


def _remember(ctx, inputs, output) -> None:
    _, _, _, weights, taken = output
    ctx.save_for_backward(*inputs[1:], weights, taken)
    ctx.set_materialize_grads(False)


def _differentiate(ctx, v_value, v_alpha, v_depth, v_weights, _):
    saved = ctx.saved_tensors
    n, channels = len(saved[2]) - 1, saved[0].shape[1]
    upstream = zeros_or(v_value, n, channels), zeros_or(v_alpha, n), zeros_or(v_depth, n), zeros_or(v_weights, 0)
    v_density, v_values = _composite_backward(*saved, *upstream)
    return v_density, v_values, None, None, None


_composite.register_autograd(_differentiate, setup_context=_remember)
