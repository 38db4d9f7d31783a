"""What `unwarp` means, in plain PyTorch."""

import torch
from torch import Tensor


def unwarp(xyz: Tensor, motion: Tensor, low: Tensor, high: Tensor, turns: int) -> Tensor:
    """The definition of `likeness.kernels.unwarp`, for any device."""
    sides = torch.tensor(motion.shape[2::-1], device=xyz.device) - 1
    flat, found = motion.reshape(-1, 3), xyz
    for _ in range(turns):
        u = (found - low) * (sides / (high - low))
        inside = ((u >= 0) & (u < sides)).all(1, keepdim=True)
        u = u.where(inside, 0)
        node, part = u.floor().long(), u - u.floor()
        moved = torch.zeros_like(xyz)
        for corner in range(8):
            at = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], device=xyz.device)
            x, y, z = (node + at).unbind(1)
            weight = torch.where(at == 1, part, 1 - part).prod(1, keepdim=True)
            moved = moved + weight * flat[(z * motion.shape[1] + y) * motion.shape[2] + x]
        found = xyz - moved.where(inside, 0)
    return found
