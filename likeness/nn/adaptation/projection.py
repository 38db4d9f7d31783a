"""Projection onto what a person was seen to do: locally linear embedding (Roweis & Saul 2000) as GeneFace++ uses it.

A row x is replaced by the mixture of its K nearest rows of the person that is nearest to it: with b_1 the nearest, B = x - b_1
and A = [b_2 - b_1 ... b_K - b_1], w_2..K = (AᵀA + λ tr(AᵀA)/(K-1) I)⁻¹ AᵀB and w_1 = 1 - Σ w_2..K. Then
x' = (1 - ρ) x + ρ Σ w_k b_k, ρ being the *share*.

Where the original fails, this differs: λ keeps duplicates from making AᵀA singular; weights, which reached -0.8 to 1.28, are
brought onto the simplex, so that x' lies within the person's rows; rows are frames at least APART frames from each other, since
neighbours in time are near-duplicates; distances are taken for CHUNK rows at a time.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from likeness.errors import BadInput

NEIGHBOURS = 10
APART = 3  # frames
PENALTY = 1e-3  # λ
CHUNK = 256  # queries whose distances to all rows are held at a time


class Manifold(nn.Module):
    """Rows that a person was seen in, and the projection onto them."""

    rows: Tensor
    scale: Tensor

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(count, dim))
        self.register_buffer("scale", torch.ones(dim))

    @staticmethod
    def of(rows: Float[Tensor, "n dim"], scale: Float[Tensor, " dim"] | None = None) -> Manifold:
        """Of rows that were seen; `scale`: what a unit of each column counts for in distances (None: 1).

        Raises BadInput for rows that hold no numbers, or none at all.
        """
        if not len(rows) or not bool(rows.isfinite().all()):
            raise BadInput("there is no motion to project onto, or it holds no numbers (NaN). Prepare the clip again.")
        made = Manifold(*rows.shape)
        made.rows.copy_(rows)
        if scale is not None:
            made.scale.copy_(scale)
        return made

    def __len__(self) -> int:
        return len(self.rows)

    @torch.no_grad()
    def forward(self, queries: Float[Tensor, "time dim"], share: float = 1.0) -> Float[Tensor, "time dim"]:
        """`share` 0 leaves rows as they are, 1 puts them onto the person's. Each row by itself: chunks do not show."""
        if share == 0 or not len(queries):
            return queries
        found = torch.cat([self._nearest(part) for part in queries.split(CHUNK)])
        return (1 - share) * queries + share * found

    def _nearest(self, queries: Float[Tensor, "time dim"]) -> Float[Tensor, "time dim"]:
        rows, x = self.rows.double() * self.scale.double(), queries.double() * self.scale.double()
        # Not by the product of matrices, whose rounding makes a row that is in the database look away from itself.
        distance = torch.cdist(x, rows, compute_mode="donot_use_mm_for_euclid_dist")
        near = distance.topk(min(NEIGHBOURS, len(rows)), dim=1, largest=False, sorted=True).indices
        weights = simplex(mixture(x, rows[near]))
        return torch.einsum("tk,tkd->td", weights, self.rows[near].double()).to(queries)


def mixture(x: Float[Tensor, "time dim"], near: Float[Tensor, "time k dim"]) -> Float[Tensor, "time k"]:
    """Weights that sum to 1 and whose mixture of `near` (nearest first) is nearest to x; they may be negative."""
    if near.shape[1] == 1:
        return x.new_ones(len(x), 1)
    b, a = x - near[:, 0], near[:, 1:] - near[:, :1]
    gram = a @ a.transpose(1, 2)
    size = gram.diagonal(dim1=1, dim2=2).sum(1) / gram.shape[1]
    eye = torch.eye(gram.shape[1], dtype=x.dtype)
    gram = gram + (PENALTY * size + 1e-12)[:, None, None] * eye  # where all are one row there is no trace either
    rest = torch.linalg.solve(gram, (a @ b[:, :, None]))[..., 0]
    return torch.cat([1 - rest.sum(1, keepdim=True), rest], dim=1)


def simplex(weights: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """The nearest weights that are not negative and sum to 1 (Duchi et al. 2008)."""
    falling = weights.sort(dim=1, descending=True).values
    beyond = falling.cumsum(1) - 1
    place = torch.arange(1, weights.shape[1] + 1, dtype=weights.dtype)
    last = (falling - beyond / place > 0).sum(1, keepdim=True)
    return (weights - beyond.gather(1, last - 1) / last).clamp_min(0)


def thinned(frames: Int[np.ndarray, " frames"]) -> Int[np.ndarray, " fewer"]:
    """Of rising frame numbers those at least APART from the one before."""
    kept: list[int] = []
    for frame in frames.tolist():
        if not kept or frame - kept[-1] >= APART:
            kept.append(frame)
    return np.array(kept, dtype=np.int64)
