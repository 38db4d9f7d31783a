"""What HyperLips' networks are trained to: losses of a batch (Chen et al. 2023, section 3.4; the weights are the settings')."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from likeness.methods.hyperlips.config import Training
from likeness.methods.hyperlips.material import Batch
from likeness.nn.hyper.discriminator import BaseDiscriminator, DetailDiscriminator
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.settings import MADE, SIDE
from likeness.nn.perceptual import LaplacianDistance, Lpips
from likeness.nn.sync.pixels.loss import SyncLoss
from likeness.nn.sync.pixels.published import PublishedLoss

ROOM = 0.05  # weight of what lies outside the face: hardly any of it is put into a picture
PATCH = 8  # pixels to a side within which detail is counted
ROUND = 0.06
"""Round a mouth, of the picture's side, that counts as it."""


class Objective(nn.Module):
    """A network and the losses of what it makes: one module, so that processes can share it."""

    def __init__(
        self,
        net: LipNet,
        weights: Training,
        perceptual: Lpips | LaplacianDistance,
        judge: BaseDiscriminator | DetailDiscriminator | None = None,
        sync: SyncLoss | PublishedLoss | None = None,
    ) -> None:
        super().__init__()
        self.net, self.weights, self.perceptual, self.sync = net, weights, perceptual, sync
        self._judge = [judge]  # not a part of this module: it learns by itself

    def forward(self, batch: Batch, refined: bool) -> tuple[dict[str, Tensor], Float[Tensor, "batch time 3 size size"]]:
        """Losses by name, `loss` their weighted sum, and what was made. In the second stage the first learns no more."""
        real, weights, (judge,) = batch.heads.crops, self.weights, self._judge
        made = self._refined(batch) if refined else self.net(batch.heads, refined=False).base
        shown = slice(MADE * real.shape[-1] // SIDE, None)  # what is copied has no error
        mine, theirs = made[..., shown, :], real[..., shown, :]
        weight = ROOM + enlarged(batch.skin, real.shape[-1]) + weights.mouth_weight * mouths(batch, real.shape[-1])
        weight = weight[..., None, shown, :]
        losses = {"l1": _weighed((mine - theirs).abs(), weight)}
        skin = enlarged(batch.skin, real.shape[-1])[..., shown, :].flatten(0, 1)
        losses["perceptual"] = self.perceptual(_rows_last(mine), _rows_last(theirs), skin).mean()
        total = losses["l1"] + weights.perceptual_weight * losses["perceptual"]
        if weights.steady_weight:
            losses["steady"] = _weighed((mine.diff(dim=1) - theirs.diff(dim=1)).abs(), weight[:, 1:])
            total = total + weights.steady_weight * losses["steady"]
        if weights.texture_weight and refined:
            losses["texture"] = textures_apart(mine.flatten(0, 1), theirs.flatten(0, 1), skin)
            total = total + weights.texture_weight * losses["texture"]
        if judge is not None and weights.adversarial_weight:
            losses["adversarial"] = deceiving(judge, made.flatten(0, 1), real.flatten(0, 1), centres(batch, real.shape[-1]))
            total = total + weights.adversarial_weight * losses["adversarial"]
        if self.sync is not None and weights.sync_weight and not refined:
            losses["sync"] = self.sync(made, batch.rows, batch.faces)
            total = total + weights.sync_weight * losses["sync"]
        return losses | {"loss": total}, made

    def _refined(self, batch: Batch) -> Float[Tensor, "batch time 3 size size"]:
        with torch.no_grad():
            base = self.net(batch.heads, refined=False).base
        references, crops = (value.flatten(0, 1) for value in (batch.heads.references, batch.heads.crops))
        sketch = self.net.sketch(batch.heads)
        return self.net.refine(base.flatten(0, 1), sketch, references, crops).unflatten(0, base.shape[:2])


def textures_apart(
    made: Float[Tensor, "n 3 h w"], real: Float[Tensor, "n 3 h w"], skin: Float[Tensor, "n h w"]
) -> Float[Tensor, ""]:
    """How much fine detail there is, wherever exactly it lies: mean difference of how busy patches are. Absolute errors alone
    are least for a blur, since no detail of a warped picture lies where the real one has it."""
    apart = (_busy(made) - _busy(real)).abs()
    weight = F.avg_pool2d(skin[:, None], PATCH, PATCH // 2) + ROOM
    return (apart * weight).sum() / weight.sum()


def _busy(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 rows columns"]:
    """Mean absolute Laplacian of the brightness in overlapping patches."""
    grey = pictures.mean(1, keepdim=True)
    kernel = grey.new_tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    return F.avg_pool2d(F.conv2d(F.pad(grey, (1, 1, 1, 1), "replicate"), kernel).abs(), PATCH, PATCH // 2)


def mouths(batch: Batch, size: int) -> Float[Tensor, "batch time size size"]:
    """1 in the boxes round the mouths, 0 elsewhere."""
    place = (torch.arange(size) + 0.5) / size
    left, top, right, bottom = (edge[..., None] for edge in batch.boxes.unbind(-1))
    across = (place > left - ROUND) & (place < right + ROUND)
    down = (place > top - ROUND) & (place < bottom + ROUND)
    return (down[..., :, None] & across[..., None, :]).float()


def centres(batch: Batch, size: int) -> Float[Tensor, "n 2"]:
    """Middles of the mouths, in pixels, one a frame."""
    return ((batch.boxes[..., :2] + batch.boxes[..., 2:]) / 2 * size).flatten(0, 1)


def deceiving(
    judge: BaseDiscriminator | DetailDiscriminator,
    made: Float[Tensor, "n 3 size size"],
    real: Float[Tensor, "n 3 size size"],
    where: Float[Tensor, "n 2"],
) -> Float[Tensor, ""]:
    """The generator's part. Of base faces: cross entropy (Goodfellow et al. 2014); of refined ones: relativistic average
    (Jolicoeur-Martineau 2018), over logits: the original's sigmoids leave it hardly a gradient."""
    if isinstance(judge, BaseDiscriminator):
        return F.softplus(-judge(made)).mean()
    mine, theirs = judge(made, where), judge(real, where).detach()
    return (F.softplus(theirs - mine.mean()) + F.softplus(theirs.mean() - mine)).mean() / 2


def judging(
    judge: BaseDiscriminator | DetailDiscriminator,
    made: Float[Tensor, "n 3 size size"],
    real: Float[Tensor, "n 3 size size"],
    where: Float[Tensor, "n 2"],
) -> Float[Tensor, ""]:
    """The discriminator's part."""
    if isinstance(judge, BaseDiscriminator):
        return (F.softplus(-judge(real)).mean() + F.softplus(judge(made.detach())).mean()) / 2
    mine, theirs = judge(made.detach(), where), judge(real, where)
    return (F.softplus(mine.mean() - theirs) + F.softplus(mine - theirs.mean())).mean() / 2


def _weighed(error: Float[Tensor, "batch time 3 h w"], weight: Float[Tensor, "batch time 1 h w"]) -> Float[Tensor, ""]:
    return (error * weight).sum() / (3 * weight.sum())


def enlarged(skin: Float[Tensor, "batch time height width"], size: int) -> Float[Tensor, "batch time size size"]:
    return F.interpolate(skin, size=(size, size), mode="bilinear", align_corners=False) if size != SIDE else skin


def _rows_last(pictures: Float[Tensor, "batch time 3 h w"]) -> Float[Tensor, "n h w 3"]:
    return pictures.flatten(0, 1).permute(0, 2, 3, 1)
