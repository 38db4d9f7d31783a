"""The Gaussians of a head that is to be trained: placed, coloured, and bound to the mesh."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from likeness import mesh
from likeness.clip import Clip
from likeness.methods.rigged_gaussians.config import Config
from likeness.methods.rigged_gaussians.gaussians import Gaussians, Seed
from likeness.nn.placement import UNIT, in_mouth, log_scales, median_colors, mouth_color, on_ellipsoid, on_mesh
from likeness.rig import LIP_COEFFICIENTS, SIZE, Rig

VIEWS = 24
OWN_GAIN = 10.0  # of the own movement in the mouth, which no mesh carries; at lips and eyes it gained nothing or cost 0.5 dB


def initialise(clip: Clip, rig: Rig, frames: np.ndarray, config: Config) -> Seed:
    """Place and colour the Gaussians from 24 training frames; deterministic by seed."""
    rng = np.random.default_rng(config.seed)
    views = frames[np.linspace(0, len(frames) - 1, VIEWS).astype(int)]
    nodes = rig.mean.numpy().astype(np.float64) * UNIT
    skin, corners, weights = on_mesh(nodes, rig.triangles.numpy(), config.density, rng)
    hair = on_ellipsoid(clip, nodes, views, int(5000 * config.density), rng)
    mouth, is_lower = in_mouth(nodes, int(1500 * max(0.5, config.density)), rng)
    rest = np.concatenate([skin, hair, mouth])
    color = median_colors(clip, np.concatenate([skin, hair]) / UNIT, views)
    inside = mouth_color(clip, frames) + 0.03 * rng.standard_normal((len(mouth), 3))
    count = len(rest)
    response, gain = np.zeros((SIZE, count, 3)), np.ones(count)
    first_mouth = len(skin) + len(hair)
    jaw = rig.basis[:, list(mesh.JAW)].mean(1).numpy() * UNIT
    response[:LIP_COEFFICIENTS, first_mouth:][:, is_lower] = 0.8 * jaw[:LIP_COEFFICIENTS, None] / OWN_GAIN
    gain[first_mouth:] = OWN_GAIN

    def full(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros((count - len(values), 3))])

    as_tensor = lambda a: torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32))  # noqa: E731
    return Seed(
        rest=as_tensor(rest),
        log_scale=as_tensor(log_scales(rest)),
        color=as_tensor(np.clip(np.concatenate([color, inside]), 0, 1)),
        corners=torch.from_numpy(full(corners).astype(np.int32)),
        weights=as_tensor(full(weights)),
        response=as_tensor(response),
        gain=as_tensor(gain),
        above=as_tensor(_above(rest, nodes)),
    )


def _above(points: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """0 from the nose's base down, 1 from the lower lids up."""
    low, high = nodes[mesh.NOSE_BASE, 1], nodes[[lower for _, lower in mesh.LIDS], 1].mean()
    return np.clip((low - points[:, 1]) / (low - high), 0, 1)


def install(gaussians: Gaussians, seed: Seed, rig: Rig, poses: Tensor, rng_seed: int) -> None:
    """Fill a `Gaussians` of the right size with its seed."""
    generator = torch.Generator().manual_seed(rng_seed)
    with torch.no_grad():
        gaussians.rest.copy_(seed.rest)
        gaussians.log_scale.copy_(seed.log_scale)
        gaussians.quats.copy_(torch.tensor([1.0, 0, 0, 0]).expand(len(seed.rest), 4))
        gaussians.color.copy_(seed.color)
        gaussians.corners.copy_(seed.corners)
        gaussians.weights.copy_(seed.weights)
        gaussians.response.copy_(seed.response)
        gaussians.gain.copy_(seed.gain)
        gaussians.above.copy_(seed.above)
        nodes = rig.mean.numpy().astype(np.float64) * UNIT
        gaussians.node_above.copy_(torch.from_numpy(_above(nodes, nodes)))
        gaussians.basis.copy_(rig.basis * UNIT)
        gaussians.embedding.copy_(0.5 * torch.randn(gaussians.embedding.shape, generator=generator))
        for layer in (gaussians.node_first, gaussians.node_second):
            bound = layer.in_features**-0.5
            layer.weight.copy_((2 * torch.rand(layer.weight.shape, generator=generator) - 1) * bound)
            layer.bias.zero_()
        gaussians.node_out.weight.zero_()
        gaussians.node_out.bias.zero_()
        directions = gaussians.direction(poses)
        gaussians.view_centre.copy_(directions.mean(0))
        gaussians.view_spread.copy_(directions.std(0).clamp_min(1e-3))
