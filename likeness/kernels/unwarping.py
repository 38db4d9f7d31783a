"""Where moved places were before the motion: the operator `unwarp`."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.library import custom_op

from likeness.kernels import unwarping_reference
from likeness.kernels.arrays import readable
from likeness.kernels.parallel import parallel
from likeness.kernels.unwarping_cpu import unwarp_places


def unwarp(
    xyz: Float[Tensor, "n 3"],
    motion: Float[Tensor, "depth height width 3"],
    low: Float[Tensor, " 3"],
    high: Float[Tensor, " 3"],
    turns: int,
) -> Float[Tensor, "n 3"]:
    """Takes a motion back: of what has come to xyz, where it was.

    The motion is known where things begin: `motion` holds displacements (x, y, z) at points that lie evenly in a box, the
    first at its corner `low`, the last at `high`, and in between they are interpolated linearly; beyond the box nothing
    moves. Where something was is found by repetition, `turns` times: x = xyz - motion(x), from x = xyz on, which
    converges where neighbours move by less than they are apart. There is no gradient. Raises ValueError where shapes do not
    match, the box has no volume, or it has fewer than two points along an axis.
    """
    if min(motion.shape[:3]) < 2 or motion.shape[3] != 3 or xyz.shape[1] != 3:
        raise ValueError(
            f"unwarp: places (n, 3) and a motion (z, y, x, 3) of at least two points along each axis wanted, not "
            f"{(*xyz.shape,)} and {(*motion.shape,)}"
        )
    if not bool((low < high).all()) or turns < 1:
        raise ValueError(f"unwarp: a box and at least one turn wanted, not {low.tolist()} to {high.tolist()} and {turns}")
    xyz, motion = xyz.detach(), motion.detach()
    if xyz.device.type != "cpu":
        return unwarping_reference.unwarp(xyz, motion, low, high, turns)
    return _unwarp(xyz, motion, low, high, turns)


@custom_op("likeness::unwarp", mutates_args=(), device_types="cpu")
def _unwarp(xyz: Tensor, motion: Tensor, low: Tensor, high: Tensor, turns: int) -> Tensor:
    sides = torch.tensor(motion.shape[2::-1]) - 1
    box = np.stack([readable(low), readable(sides / (high - low))])
    with parallel() as workers:
        return torch.from_numpy(unwarp_places(readable(xyz), readable(motion), box, turns, workers))
