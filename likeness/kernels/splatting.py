"""From 3D Gaussians to a picture: `project` and `rasterise`, one after the other."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from likeness.kernels.projection import project
from likeness.kernels.rasterisation import rasterise


class Splats(NamedTuple):
    """A picture of Gaussians, and where they landed (`means2d.retain_grad()` serves densification)."""

    image: Float[Tensor, "height width channels"]
    alpha: Float[Tensor, "height width"]
    depth: Float[Tensor, "height width"]
    means2d: Float[Tensor, "n 2"]
    radii: Int[Tensor, " n"]


def splat(
    means: Float[Tensor, "n 3"],
    quats: Float[Tensor, "n 4"],
    scales: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    colors: Float[Tensor, "n channels"],
    viewmat: Float[Tensor, "4 4"],
    focal: tuple[float, float],
    centre: tuple[float, float],
    size: tuple[int, int],
) -> Splats:
    """Draws 3D Gaussians (Kerbl et al. 2023). Units, shapes and gradients are those of `project` and `rasterise`.

    The picture has no background: add (1 - alpha) * background.
    """
    means2d, conics, depths, radii = project(means, quats, scales, viewmat, focal, centre, size)
    image, alpha, depth = rasterise(means2d, conics, colors, opacities, depths, radii, size)
    return Splats(image, alpha, depth, means2d, radii)
