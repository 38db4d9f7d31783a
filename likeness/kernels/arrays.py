"""Tensors as the NumPy arrays that the Numba bodies read."""

import numpy as np
import torch
from torch import Tensor


def readable(tensor: Tensor) -> np.ndarray:
    """A C-contiguous NumPy view of a CPU tensor (a copy only where it is not contiguous); floats must be float32."""
    if tensor.is_floating_point() and tensor.dtype != torch.float32:
        raise TypeError(f"likeness.kernels computes in float32 on the CPU, not {tensor.dtype}: call .float() on it first")
    return tensor.detach().contiguous().numpy()


def zeros_or(gradient: Tensor | None, *shape: int) -> Tensor:
    """The gradient, or zeros where nothing downstream used the output it belongs to."""
    return torch.zeros(shape) if gradient is None else gradient
