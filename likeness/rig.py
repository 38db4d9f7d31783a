"""Rig: motion <-> a small conditioning vector.

The conditioning of a frame is 8 lip and jaw coefficients, blink, 3 brow values (right height, left height, frown),
2 gaze values and how far the eyes are opened beyond the usual, each z-scored over the training frames. It is all that a
method needs to know of a face; tracked motion, sound, or a hand-drawn curve can all fill it. Lengths are metres.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import Delaunay
from torch import Tensor

from likeness import mesh
from likeness.clip import Motion

LIP_COEFFICIENTS = 8
LIP_NAMES = tuple(f"lips {i}" for i in range(LIP_COEFFICIENTS))
NAMES = (*LIP_NAMES, "blink", "right brow", "left brow", "frown", "gaze x", "gaze y", "wide eyes")
SIZE = len(NAMES)
UPPER_COEFFICIENTS = SIZE - LIP_COEFFICIENTS
LIP_POINTS = mesh.LIPS + mesh.JAW + mesh.CHIN + mesh.CHEEKS


@dataclass(frozen=True)
class Rig:
    """The personal face that every method with motion between sound and picture shares."""

    mean: Float[Tensor, "nodes 3"]
    """Mean shape over the training frames."""
    triangles: Int[Tensor, "faces 3"]
    components: Float[Tensor, "lips flat"]
    """Principal components of the lip and jaw points, orthonormal rows."""
    basis: Float[Tensor, "cond nodes 3"]
    """Node displacement per unit of conditioning."""
    centre: Float[Tensor, " cond"]
    spread: Float[Tensor, " cond"]
    low: Float[Tensor, " cond"]
    """0.3 and 99.7 percentiles of the training conditioning: use outside of them is clipped."""
    high: Float[Tensor, " cond"]
    rest: Float[Tensor, " lips"]
    """Lip coefficients of the mouth at rest: frames round the 10th percentile of opening."""
    lip_weight: Float[Tensor, " lips"]
    """Share of each lip coefficient in the variance of the lips; sums to 1."""
    open_lids: Float[Tensor, " 1"]
    """Distance of the lids in usually open eyes, as a share of the eyes' width."""

    @staticmethod
    def fit(motion: Motion) -> Rig:
        """Learn the rig from training motion (`time` >= 50)."""
        nodes = motion.landmarks[:, : mesh.NODES].double()
        mean = nodes.mean(0)
        lips = (nodes - mean)[:, LIP_POINTS].flatten(1)
        _, _, vt = torch.linalg.svd(lips - lips.mean(0), full_matrices=False)
        components = vt[:LIP_COEFFICIENTS]
        open_lids = torch.quantile(_lids(motion.landmarks), 0.8)
        raw = torch.cat([lips @ components.T, _upper_face(motion, open_lids).double()], dim=1)
        centre, spread = raw.mean(0), raw.std(0).clamp_min(1e-6)
        cond = (raw - centre) / spread
        ones = torch.cat([cond, torch.ones_like(cond[:, :1])], dim=1)
        gram = ones.T @ ones + 0.1 * torch.eye(ones.shape[1], dtype=ones.dtype)
        basis = torch.linalg.solve(gram, ones.T @ (nodes - mean).flatten(1))[:-1].reshape(-1, mesh.NODES, 3)
        opening = lip_opening(motion.landmarks)
        at_rest = (opening - torch.quantile(opening, 0.1)).abs().argsort()[: max(5, len(opening) // 20)]
        variance = raw[:, :LIP_COEFFICIENTS].var(0)
        return Rig(
            mean=mean.float(),
            triangles=_triangulate(mean.numpy()),
            components=components.float(),
            basis=basis.float(),
            centre=centre.float(),
            spread=spread.float(),
            low=torch.quantile(cond, 0.003, dim=0).float(),
            high=torch.quantile(cond, 0.997, dim=0).float(),
            rest=cond[at_rest, :LIP_COEFFICIENTS].mean(0).float(),
            lip_weight=(variance / variance.sum()).float(),
            open_lids=open_lids[None].float(),
        )

    def encode(self, motion: Motion) -> Float[Tensor, "time cond"]:
        """Conditioning of tracked motion."""
        lips = (motion.landmarks[:, : mesh.NODES] - self.mean)[:, LIP_POINTS].flatten(1)
        raw = torch.cat([lips @ self.components.T, _upper_face(motion, self.open_lids)], dim=1)
        return (raw - self.centre) / self.spread

    def decode(self, cond: Float[Tensor, "time cond"]) -> Float[Tensor, "time nodes 3"]:
        """Nodes of the face mesh under a conditioning."""
        return self.mean + torch.einsum("tc,cnd->tnd", cond, self.basis)

    def clip(self, cond: Float[Tensor, "*time cond"]) -> Float[Tensor, "*time cond"]:
        """Keep a conditioning within what the training frames showed."""
        return torch.minimum(torch.maximum(cond, self.low), self.high)

    def opening(self, cond: Float[Tensor, "time cond"]) -> Float[Tensor, " time"]:
        """Opening of the inner lips, metres, by the linear basis."""
        return lip_opening(self.decode(cond))

    @staticmethod
    def shapes() -> dict[str, tuple[int | None, ...]]:
        """Of the tensors of `state`; None is any size."""
        nodes, flat, lips = mesh.NODES, 3 * len(LIP_POINTS), (LIP_COEFFICIENTS,)
        shapes: dict[str, tuple[int | None, ...]] = {name: (SIZE,) for name in ("centre", "spread", "low", "high")}
        shapes |= {"mean": (nodes, 3), "triangles": (None, 3), "basis": (SIZE, nodes, 3)}
        return shapes | {"components": (*lips, flat), "rest": lips, "lip_weight": lips, "open_lids": (1,)}

    def state(self) -> dict[str, Tensor]:
        """Its tensors by name, for a portrait file."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def lip_opening(landmarks: Float[Tensor, "time k 3"]) -> Float[Tensor, " time"]:
    """Distance between the middle of the inner lips, in the unit of the landmarks."""
    return (landmarks[:, mesh.UPPER_INNER_LIP] - landmarks[:, mesh.LOWER_INNER_LIP]).norm(dim=-1)


def _lids(landmarks: Float[Tensor, "time k 3"]) -> Float[Tensor, " time"]:
    """Distance of the lids over the width of the eye, mean of both eyes."""

    def total(pairs: tuple[tuple[int, int], ...]) -> Tensor:
        upper, lower = zip(*pairs)
        return (landmarks[:, upper] - landmarks[:, lower]).norm(dim=-1).sum(1)

    return total(mesh.LIDS) / total((mesh.RIGHT_EYE_CORNERS, mesh.LEFT_EYE_CORNERS))


def _upper_face(motion: Motion, open_lids: Tensor) -> Float[Tensor, "time 7"]:
    """Blink, brow heights and frown, gaze, wide eyes: raw values, metres but for blink and lids."""
    points = motion.landmarks
    right, left = points[:, mesh.RIGHT_EYE_CORNERS].mean(1), points[:, mesh.LEFT_EYE_CORNERS].mean(1)
    right_brow, left_brow = points[:, mesh.RIGHT_BROW].mean(1), points[:, mesh.LEFT_BROW].mean(1)
    gaze = (points[:, mesh.RIGHT_IRIS[0]] - right + points[:, mesh.LEFT_IRIS[0]] - left)[:, :2] / 2
    frown = points[:, mesh.RIGHT_INNER_BROW[1], 0] - points[:, mesh.LEFT_INNER_BROW[1], 0]
    # Only of open eyes: a blink, or eyes that somebody else moves, are not to be widened by the landmarks.
    wide = (_lids(points) - open_lids).clamp_min(0) * (motion.eyes >= 0.95)
    columns = [1 - motion.eyes, right[:, 1] - right_brow[:, 1], left[:, 1] - left_brow[:, 1], frown, *gaze.T, wide]
    return torch.stack(columns, dim=1)


def _triangulate(mean: np.ndarray) -> Int[Tensor, "faces 3"]:
    """Delaunay on x, y; triangles whose corners all lie on the inner lip would close the mouth and are left out."""
    triangles = Delaunay(mean[:, :2]).simplices
    inside = np.isin(triangles, mesh.INNER_LIPS).all(1)
    return torch.from_numpy(triangles[~inside].astype(np.int64))
