"""`spherical_harmonics`: orthonormal on the sphere, and what each degree says."""

import math

import pytest
import torch

from likeness.kernels import spherical_harmonics


def sphere(n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions and weights of a quadrature exact far beyond degree 6."""
    heights, weights = (torch.from_numpy(x) for x in __import__("numpy").polynomial.legendre.leggauss(n // 4))
    angles = torch.arange(n, dtype=torch.float64) * 2 * math.pi / n
    ring = (1 - heights**2).sqrt()
    x, y = ring[:, None] * angles.cos(), ring[:, None] * angles.sin()
    directions = torch.stack([x, y, heights[:, None].expand_as(x)], -1).reshape(-1, 3)
    return directions, (weights[:, None] * 2 * math.pi / n).expand_as(x).reshape(-1)


def test_the_bases_are_orthonormal() -> None:
    directions, weights = sphere()
    bases = []
    for k in range(16):
        coefficients = torch.zeros(directions.shape[0], 16, 3, dtype=torch.float64)
        coefficients[:, k, 0] = 1
        bases.append(spherical_harmonics(coefficients, directions)[:, 0])
    table = torch.stack(bases)
    assert torch.allclose(table * weights @ table.T, torch.eye(16, dtype=torch.float64), atol=1e-9)


def test_degree_0_is_the_same_from_everywhere_and_length_does_not_matter() -> None:
    coefficients = torch.rand(5, 9, 3)
    directions = torch.randn(5, 3)
    assert torch.allclose(spherical_harmonics(coefficients[:, :1], directions), 0.28209479 * coefficients[:, 0])
    once, thrice = (spherical_harmonics(coefficients, scale * directions) for scale in (1.0, 3.0))
    assert torch.allclose(once, thrice, atol=1e-6)


def test_other_numbers_of_bases_are_refused() -> None:
    with pytest.raises(ValueError, match="degree"):
        spherical_harmonics(torch.rand(2, 5, 3), torch.rand(2, 3))
