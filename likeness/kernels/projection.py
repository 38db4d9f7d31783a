"""Where 3D Gaussians land in the picture, and in what shape: the operator `project`."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.library import custom_op

from likeness.kernels import projection_cpu, projection_reference
from likeness.kernels.arrays import readable, zeros_or
from likeness.kernels.parallel import parallel


def project(
    means: Float[Tensor, "n 3"],
    quats: Float[Tensor, "n 4"],
    scales: Float[Tensor, "n 3"],
    viewmat: Float[Tensor, "4 4"],
    focal: tuple[float, float],
    centre: tuple[float, float],
    size: tuple[int, int],
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 3"], Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Projects 3D Gaussians to 2D ones (EWA splatting; Zwicker et al. 2001, Kerbl et al. 2023 section 4).

    means (metres) and quats (w x y z, any length) are in the world, scales are positive standard deviations in metres.
    viewmat is world-to-camera in OpenCV axes and gets no gradient; focal (fx, fy) and centre (cx, cy) are in pixels,
    size is (width, height). The centre of the top left pixel is at (0.5, 0.5).

    Returns means2d in pixels; conics (a, b, c), the inverse covariances [[a, b], [b, c]] after a low-pass filter of
    0.3 square pixels; depths (z in the camera) in metres; radii (3 standard deviations, whole pixels). A Gaussian that
    is behind the camera, off the picture or not finite is culled: its radius and its whole row are 0.
    Gradients reach means, quats and scales through means2d, conics and depths.
    """
    if means.device.type != "cpu":
        return projection_reference.project(means, quats, scales, viewmat, focal, centre, size)
    limits = projection_reference.slope_limits(focal, centre, size)
    lens = [*focal, *centre, *limits]
    return _project(means, quats, scales, viewmat, lens, *size)


@custom_op("likeness::project", mutates_args=(), device_types="cpu")
def _project(
    means: Tensor, quats: Tensor, scales: Tensor, viewmat: Tensor, lens: list[float], width: int, height: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    view, focal, centre, limits = _camera(viewmat, lens)
    gaussians = readable(means), readable(quats), readable(scales)
    with parallel():
        arrays = projection_cpu.project_forward(*gaussians, view, limits, focal, centre, width, height)
    means2d, conics, depths, radii = map(torch.from_numpy, arrays)
    return means2d, conics, depths, radii


@custom_op("likeness::project_backward", mutates_args=(), device_types="cpu")
def _project_backward(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    viewmat: Tensor,
    lens: list[float],
    conics: Tensor,
    radii: Tensor,
    v_means2d: Tensor,
    v_conics: Tensor,
    v_depths: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    view, focal, _, limits = _camera(viewmat, lens)
    gradients = torch.zeros_like(means), torch.zeros_like(quats), torch.zeros_like(scales)
    tensors = conics, radii, v_means2d, v_conics, v_depths
    gaussians = readable(means), readable(quats), readable(scales)
    with parallel():
        projection_cpu.project_backward(
            *gaussians, view, limits, focal, *map(readable, tensors), *(g.numpy() for g in gradients)
        )
    return gradients


def _camera(viewmat: Tensor, lens: list[float]):
    numbers = torch.tensor(lens, dtype=torch.float32).numpy()
    return readable(viewmat), numbers[:2], numbers[2:4], numbers[4:]


def _remember(ctx, inputs, output) -> None:
    means, quats, scales, viewmat, ctx.lens, _, _ = inputs
    _, conics, _, radii = output
    ctx.save_for_backward(means, quats, scales, viewmat, conics, radii)
    ctx.set_materialize_grads(False)


def _differentiate(ctx, v_means2d, v_conics, v_depths, _):
    means, quats, scales, viewmat, conics, radii = ctx.saved_tensors
    n = means.shape[0]
    v_means2d, v_conics, v_depths = zeros_or(v_means2d, n, 2), zeros_or(v_conics, n, 3), zeros_or(v_depths, n)
    v_means, v_quats, v_scales = _project_backward(
        means, quats, scales, viewmat, ctx.lens, conics, radii, v_means2d, v_conics, v_depths
    )
    return v_means, v_quats, v_scales, None, None, None, None


_project.register_autograd(_differentiate, setup_context=_remember)
