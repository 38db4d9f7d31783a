"""How networks do on people that they never saw: frames whose hidden half they make, by the real shape of the mouth."""

from __future__ import annotations

import numpy as np
import torch

from likeness.methods.hyperlips.material import Part, Sampler
from likeness.methods.hyperlips.objective import enlarged, mouths
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.settings import SIDE

STRETCHES, TIME = 24, 5


@torch.no_grad()
def trial(net: LipNet, groups: list[list[Part]], refined: bool = True) -> dict[str, float]:
    """PSNR of what is made, decibels: of the lower face, and of the mouth's box; by the real shape."""
    size = net.size if refined else SIDE
    kept = [[part for part in group if not part.flip] for group in groups]
    sampler = Sampler([group for group in kept if group], net.settings, size, TIME)
    errors: dict[str, list[float]] = {"face_psnr": [], "mouth_psnr": []}
    for i in range(STRETCHES):
        batch = sampler.batch([np.random.default_rng([7, i])])
        made = net(batch.heads, refined=refined)
        picture = made.pictures if refined else made.base
        wrong = (picture.clamp(0, 1) - batch.heads.crops).square().mean(2)
        box = mouths(batch, size)
        errors["mouth_psnr"].append(float((wrong * box).sum() / box.sum()))
        skin = enlarged(batch.skin, size)
        errors["face_psnr"].append(float((wrong * skin).sum() / skin.sum()))
    return {name: round(float(np.mean([-10 * np.log10(max(e, 1e-10)) for e in values])), 2) for name, values in errors.items()}
