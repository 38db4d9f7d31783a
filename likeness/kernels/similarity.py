"""How alike two pictures are in structure: the operators `ssim` and `ssim_map`."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.library import custom_op

from likeness.kernels import similarity_reference
from likeness.kernels.arrays import readable
from likeness.kernels.parallel import parallel
from likeness.kernels.similarity_cpu import similarity_backward, similarity_forward


def ssim(
    a: Float[Tensor, "*batch height width channels"], b: Float[Tensor, "*batch height width channels"]
) -> Float[Tensor, ""]:
    """Mean structural similarity of two pictures, or of two batches of pictures, with values in [0, 1].

    Wang et al. 2004, with the window of Kerbl et al. 2023: 11 x 11 Gaussian of sigma 1.5, zeros outside the picture. 1
    means equal. Only a gets a gradient: raises ValueError if b wants one, or if the shapes differ.
    """
    return _compare(a, b)[0]


def ssim_map(
    a: Float[Tensor, "*batch height width channels"], b: Float[Tensor, "*batch height width channels"]
) -> Float[Tensor, "*batch height width channels"]:
    """Structural similarity around each pixel of each channel; `ssim` is its mean."""
    return _compare(a, b)[1]


def _compare(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape != b.shape or a.dim() not in (3, 4) or a.numel() == 0:
        raise ValueError(
            f"ssim: two pictures [H W C] or batches [B H W C] of one shape wanted, not {tuple(a.shape)} and {tuple(b.shape)}"
        )
    keep = torch.is_grad_enabled() and a.requires_grad
    if torch.is_grad_enabled() and b.requires_grad:
        raise ValueError("ssim: only the first picture gets a gradient; put the picture being trained first, or detach b")
    batch_a, batch_b = (a, b) if a.dim() == 4 else (a[None], b[None])
    if a.device.type != "cpu":
        similarities = similarity_reference.similarity(batch_a, batch_b)
        return similarities.mean(), similarities.reshape(a.shape)
    mean, similarities, _ = _ssim(batch_a, batch_b, keep)
    return mean[0], similarities.reshape(a.shape)


@custom_op("likeness::ssim", mutates_args=(), device_types="cpu")
def _ssim(a: Tensor, b: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor]:
    with parallel() as workers:
        mean, similarities, derivatives = similarity_forward(readable(a), readable(b), keep, workers)
    return torch.from_numpy(mean), torch.from_numpy(similarities), torch.from_numpy(derivatives)


@custom_op("likeness::ssim_backward", mutates_args=(), device_types="cpu")
def _ssim_backward(a: Tensor, b: Tensor, derivatives: Tensor, v_mean: Tensor, v_map: Tensor) -> Tensor:
    share = readable(v_mean / a.numel())[0]
    with parallel() as workers:
        v_a = similarity_backward(readable(a), readable(b), readable(derivatives), share, readable(v_map), workers)
    return torch.from_numpy(v_a)


def _remember(ctx, inputs, output) -> None:
    a, b, _ = inputs
    ctx.save_for_backward(a, b, output[2])
    ctx.set_materialize_grads(False)


def _differentiate(ctx, v_mean, v_map, _):
    a, b, derivatives = ctx.saved_tensors
    v_mean = torch.zeros(1) if v_mean is None else v_mean
    v_map = torch.zeros(0, *a.shape[1:]) if v_map is None else v_map
    return _ssim_backward(a, b, derivatives, v_mean, v_map), None, None


_ssim.register_autograd(_differentiate, setup_context=_remember)
