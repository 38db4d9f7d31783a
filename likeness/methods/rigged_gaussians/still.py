"""The head as a cloud that lies still: what rigged Gaussians look like in a viewer of 3D Gaussian splatting.

Their colour is c0 + 0.1 C1 v, and v = clamp((d - centre) / spread), with d the direction from the origin of the head to
the camera: one for all Gaussians. Harmonics see the direction u from each Gaussian's own centre, and of degree 1 they
are the affine functions of u. For a camera far away u = d, and they say the same up to the clamp. At the distance of a
desk u and d differ by several standard deviations of d, by other amounts at each Gaussian, so v is fitted by a + B u at
each of them, by least squares over views of the training. What is left is the curvature of the sphere (1.5 % of what the
view does to the colours, root mean square, at 0.6 m) and the clamp (21 % with the tenth of the views that it bends);
what that does to pictures is in docs/exporting.md.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from likeness.kernels.harmonics import DEGREE_0, DEGREE_1
from likeness.methods.rigged_gaussians.gaussians import UNIT, VIEW_GAIN, Gaussians
from likeness.ply import Cloud

VIEWS = 64
RIDGE = 1e-3  # of the mean variance of u: holds what the views do not tell at the far camera's solution


@torch.no_grad()
def still(gaussians: Gaussians, cond: Float[Tensor, " cond"], poses: Float[Tensor, "time 4 4"]) -> Cloud:
    """The Gaussians under a conditioning, with harmonics of degree 1 for the views of `poses` (camera-to-world, metres).

    Beyond these views the harmonics go on where the model's colours are clamped: use `Cloud.flat` to walk round a head.
    """
    means = gaussians.means(cond) / UNIT
    chosen = torch.linspace(0, len(poses) - 1, min(VIEWS, len(poses))).round().long()
    constant, slope = _by_own_direction(gaussians, means, poses[chosen])
    by_view = VIEW_GAIN * gaussians.color_by_view
    color = gaussians.color + (by_view @ constant[..., None])[..., 0]
    x, y, z = (by_view @ slope).unbind(-1)
    # Harmonics take the direction from the camera, -u: hence the signs.
    sh = torch.stack([(color - 0.5) / DEGREE_0, y / DEGREE_1, -z / DEGREE_1, x / DEGREE_1], dim=1)
    scales = gaussians.log_scale.exp() / UNIT
    return Cloud(means, gaussians.quats.clone(), scales, gaussians.opacity_logits.sigmoid(), sh)


def _by_own_direction(
    gaussians: Gaussians, means: Float[Tensor, "n 3"], poses: Float[Tensor, "time 4 4"]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3 3"]]:
    """a and B of each Gaussian, so that v = a + B u over the poses: ridge regression of what the far camera's solution,
    B = 1 / spread, leaves over."""
    u = F.normalize((poses[:, None, :3, 3] - means).double(), dim=-1)
    far = (1 / gaussians.view_spread).double()
    mean = u.mean(0)
    left = gaussians.view(poses).double()[:, None] - far * u
    offset = left.mean(0)
    u, left = u - mean, left - offset
    gram = torch.einsum("tni,tnj->nij", u, u)
    ridge = RIDGE * gram.diagonal(dim1=1, dim2=2).mean(1) + 1e-9  # the last is for heads that never turn
    gram = gram + ridge[:, None, None] * torch.eye(3, dtype=gram.dtype)
    slope = torch.linalg.solve(gram, torch.einsum("tni,tnj->nij", u, left)).transpose(1, 2) + torch.diag(far)
    constant = offset + far * mean - (slope @ mean[..., None])[..., 0]
    return constant.float(), slope.float()
