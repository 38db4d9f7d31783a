"""From 2D Gaussians to a picture: the operator `rasterise`."""

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.library import custom_op

from likeness.kernels import rasterisation_reference
from likeness.kernels.arrays import readable, zeros_or
from likeness.kernels.parallel import parallel
from likeness.kernels.rasterisation_cpu import gather_gradients, rasterise_backward, rasterise_forward
from likeness.kernels.tiles_cpu import BLUE, RED, assign_tiles


def rasterise(
    means2d: Float[Tensor, "n 2"],
    conics: Float[Tensor, "n 3"],
    colors: Float[Tensor, "n channels"],
    opacities: Float[Tensor, " n"],
    depths: Float[Tensor, " n"],
    radii: Num[Tensor, " n"],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "height width channels"], Float[Tensor, "height width"], Float[Tensor, "height width"]]:
    """Composites 2D Gaussians front to back (Kerbl et al. 2023, equation 3). size is (width, height).

    At a pixel centre d away from its mean a Gaussian has alpha = min(0.999, opacity exp(-d^T conic d / 2)), and none
    where that is below 1/255; a pixel whose transmittance has fallen below 1e-4 takes no more. Gaussians of radius 0,
    opacity outside (1/255, 1] or with values that are not finite are left out. Three channels are fastest; others run
    in groups of three.

    Returns image, without background: add (1 - alpha) * background; alpha, between 0 and 1; depth, the sum of depth
    weighted by alpha and transmittance, in metres, not divided by alpha.
    Gradients reach means2d, conics, colors, opacities and depths.
    """
    if means2d.device.type != "cpu":
        return rasterisation_reference.rasterise(means2d, conics, colors, opacities, depths, radii, size)
    tensors = means2d, conics, colors, opacities, depths
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    image, alpha, depth, *_ = _rasterise(*tensors, radii, *size, keep)
    return image, alpha, depth


@custom_op("likeness::rasterise", mutates_args=(), device_types="cpu")
def _rasterise(
    means2d: Tensor,
    conics: Tensor,
    colors: Tensor,
    opacities: Tensor,
    depths: Tensor,
    radii: Tensor,
    width: int,
    height: int,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """image, alpha, depth, then what the backward pass needs: packed, offsets, starts, members, slots, used."""
    channels = colors.shape[1]
    values = readable(colors)
    means2d_, conics_, opacities_ = readable(means2d), readable(conics), readable(opacities)
    order = readable(depths), readable(radii)
    with parallel() as workers:
        packed, offsets, starts, members, slots = assign_tiles(
            means2d_, conics_, _triple(values, 0), opacities_, *order, width, height, workers, keep
        )
        image, alpha, depth, used = rasterise_forward(packed, starts, members, width, height, workers)
        if channels != 3:
            images = [image]
            for group in range(3, channels, 3):
                packed[:, RED : BLUE + 1] = _triple(values, group)
                images.append(rasterise_forward(packed, starts, members, width, height, workers)[0])
            image = np.ascontiguousarray(np.concatenate(images, -1)[..., :channels])
    arrays = image, alpha, depth, packed, offsets, starts, members, slots, used
    return tuple(map(torch.from_numpy, arrays))  # pyright: ignore[reportReturnType]


@custom_op("likeness::rasterise_backward", mutates_args=(), device_types="cpu")
def _rasterise_backward(
    colors: Tensor, outputs: list[Tensor], v_image: Tensor, v_alpha: Tensor, v_depth: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of means2d, conics, colors, opacities, depths; outputs are those of `_rasterise`."""
    image, alpha, depth, packed, offsets, starts, members, slots, used = map(readable, outputs)
    upstream, v_alpha_, v_depth_ = map(readable, (v_image, v_alpha, v_depth))
    values = readable(colors)
    channels = values.shape[1]
    if channels != 3:
        packed = packed.copy()
    sums = []
    with parallel() as workers:
        for group in range(0, channels, 3):
            v_picture = upstream, v_alpha_, v_depth_
            picture = image, alpha, depth
            if channels != 3:
                packed[:, RED : BLUE + 1] = _triple(values, group)
                picture = _triple(image, group), alpha, depth
                v_picture = _triple(upstream, group), v_alpha_, v_depth_
            if group > 0:
                v_picture = v_picture[0], np.zeros_like(v_alpha_), np.zeros_like(v_depth_)
            per_slot = rasterise_backward(packed, starts, members, slots, used, *picture, *v_picture, workers)
            sums.append(gather_gradients(packed, offsets, per_slot))
    v_means2d, v_conics, v_colors, v_opacities, v_depths = zip(*sums, strict=True)
    v_values = np.ascontiguousarray(np.concatenate(v_colors, -1)[:, :channels])
    gradients = sum(v_means2d), sum(v_conics), v_values, sum(v_opacities), sum(v_depths)
    return tuple(map(torch.from_numpy, gradients))  # pyright: ignore[reportReturnType]


def _triple(values: np.ndarray, group: int) -> np.ndarray:
    """Channels group, group + 1 and group + 2, with zeros where there are no more."""
    if values.shape[-1] == 3:
        return values
    triple = np.zeros((*values.shape[:-1], 3), np.float32)
    channels = values[..., group : group + 3]
    triple[..., : channels.shape[-1]] = channels
    return triple


def _remember(ctx, inputs, output) -> None:
    ctx.save_for_backward(inputs[2], *output)
    ctx.set_materialize_grads(False)


def _differentiate(ctx, v_image, v_alpha, v_depth, *_):
    colors, *outputs = ctx.saved_tensors
    image, alpha = outputs[0], outputs[1]
    v_image, v_alpha, v_depth = (
        zeros_or(v_image, *image.shape),
        zeros_or(v_alpha, *alpha.shape),
        zeros_or(v_depth, *alpha.shape),
    )
    gradients = _rasterise_backward(colors, outputs, v_image, v_alpha, v_depth)
    return *gradients, None, None, None, None


_rasterise.register_autograd(_differentiate, setup_context=_remember)
