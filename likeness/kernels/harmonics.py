"""Colour that depends on the direction of view: real spherical harmonics, ordered and signed as in Kerbl et al. 2023."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

DEGREE_0 = 0.28209479177387814
DEGREE_1 = 0.4886025119029199
DEGREE_2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
DEGREE_3 = (
    -0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154,
    -0.4570457994644658, 1.445305721320277, -0.5900435899266435,
)  # fmt: skip


def spherical_harmonics(coefficients: Float[Tensor, "n bases 3"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Sums coefficients times basis functions at the directions (any length; from the camera to the Gaussian).

    1, 4, 9 or 16 bases are degree 0, 1, 2 or 3. Nothing is added or clipped: the convention of 3D Gaussian splatting is
    (result + 0.5).clamp(min=0). Raises ValueError for another number of bases.
    """
    bases = coefficients.shape[1]
    values = [DEGREE_0 * coefficients[:, 0]]
    values += [factor * coefficients[:, k + 1] for k, factor in enumerate(_beyond_the_first(directions, bases))]
    return sum(values[1:], values[0])


def harmonics(directions: Float[Tensor, "n 3"], bases: int) -> Float[Tensor, "n bases"]:
    """The basis functions themselves at directions of any length. Raises ValueError as `spherical_harmonics` does."""
    factors = _beyond_the_first(directions, bases)
    return torch.cat([torch.full_like(directions[:, :1], DEGREE_0), *factors], dim=1)


def _beyond_the_first(directions: Float[Tensor, "n 3"], bases: int) -> list[Float[Tensor, "n 1"]]:
    """Basis functions of degree 1 and more at the directions."""
    if bases not in (1, 4, 9, 16):
        raise ValueError(f"spherical harmonics: {bases} bases are no whole degree; give 1, 4, 9 or 16 (degrees 0 to 3)")
    if bases == 1:
        return []
    x, y, z = F.normalize(directions, dim=-1)[..., None].unbind(-2)
    factors = [-DEGREE_1 * y, DEGREE_1 * z, -DEGREE_1 * x]
    if bases > 4:
        polynomials = x * y, y * z, 2 * z * z - x * x - y * y, x * z, x * x - y * y
        factors += [constant * polynomial for constant, polynomial in zip(DEGREE_2, polynomials, strict=True)]
    if bases > 9:
        polynomials = (
            y * (3 * x * x - y * y),
            x * y * z,
            y * (4 * z * z - x * x - y * y),
            z * (2 * z * z - 3 * x * x - 3 * y * y),
            x * (4 * z * z - x * x - y * y),
            z * (x * x - y * y),
            x * (x * x - 3 * y * y),
        )
        factors += [constant * polynomial for constant, polynomial in zip(DEGREE_3, polynomials, strict=True)]
    return factors
