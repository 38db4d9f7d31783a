"""FID: how far the pictures of a row are from the real ones as two clouds of features (Heusel et al. 2017)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def frechet(a: Float[np.ndarray, "rows dim"], b: Float[np.ndarray, "others dim"]) -> float:
    """Fréchet distance of two normal distributions (equation 6) that have these rows' means and covariances.

    The trace of the root of the product of both covariances is the sum of the singular values of A Bᵀ, where A and B
    are the centred rows over the root of their number less one: exact, and stable where there are fewer rows than numbers.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"frechet: {len(a)} and {len(b)} rows; at least 2 of each are needed")
    a, b = a.astype(np.float64), b.astype(np.float64)
    spread_a, spread_b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    shared = np.linalg.svd(spread_a @ spread_b.T, compute_uv=False).sum()
    means = np.square(a.mean(0) - b.mean(0)).sum()
    return float(max(0.0, means + np.square(spread_a).sum() + np.square(spread_b).sum() - 2 * shared))
