"""Which step of the post-net's training to keep: the rule that people applied by eye, as arithmetic.

GeneFace's authors look for the earliest step at which validation error and sync loss are low and the critic is undecided; later
ones collapse: one mouth whatever is said. Here every evaluation is a row of a curve, and the kept one is the least of

    score = mse / mse_0 + |D(own) - ½| + |D(adapted) - ½| (+ sync / sync_0 where there is an expert)

among those whose opening moves between LEAST and MOST times as much as the generic motion's; the earliest of equals. Row 0 is
the net that does nothing, so that there always is one. Training stops when PATIENCE rows in a row were no better than the best
before.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

COLUMNS = ("step", "own", "adapted", "mse", "sync", "opening")
"""Of a curve: step, running means of the critic's verdict on the person's own and on adapted motion, validation error, sync
loss (0 without an expert), and the opening's standard deviation over the generic motion's."""
LEAST, MOST = 0.7, 1.3
PATIENCE = 3


def scores(curve: Float[Tensor, "rows 6"]) -> Float[Tensor, " rows"]:
    """Of each row; infinite where the opening says that it collapsed or shouts."""
    _, own, adapted, mse, sync, opening = curve.double().T
    score = mse / mse[0].clamp_min(1e-12) + (own - 0.5).abs() + (adapted - 0.5).abs()
    if float(sync[0]) > 0:
        score = score + sync / sync[0]
    sound = (opening >= LEAST) & (opening <= MOST) & curve.isfinite().all(1)
    return torch.where(sound, score, torch.inf)


def chosen(curve: Float[Tensor, "rows 6"]) -> int:
    """The row to keep; 0, the net that does nothing, where no row may be taken."""
    return int(scores(curve).argmin())


def over(curve: Float[Tensor, "rows 6"]) -> bool:
    """Whether training is to stop."""
    return len(curve) - 1 - chosen(curve) >= PATIENCE
