"""Training of the head: Gaussians fitted to the pictures, driven by tracked motion."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from likeness.clip import Clip, Motion
from likeness.kernels import ssim
from likeness.methods.rigged_gaussians.config import Config
from likeness.methods.rigged_gaussians.densify import Growth, densify
from likeness.methods.rigged_gaussians.gaussians import Gaussians
from likeness.methods.rigged_gaussians.initialise import initialise, install
from likeness.nn.pictures import Picture, Pictures
from likeness.rig import Rig, lip_opening
from likeness.run import Run, optimiser_state, restore_optimiser

GROW_AT = (0.08, 0.17)  # share of the run at which Gaussians are multiplied
LOG_EVERY = 50


def train_head(clip: Clip, rig: Rig, frames: np.ndarray, config: Config, run: Run) -> Gaussians:
    """Fit the Gaussians to the pictures, driven by tracked motion."""
    motion = clip.motion
    cond = rig.encode(motion)
    gaussians, growth = _start(clip, rig, frames, config, run)
    optimiser, rates = _optimiser(gaussians, config)
    restore_optimiser(optimiser, run.resumed, "adam.")
    odds = _odds(motion[torch.from_numpy(frames)])
    pictures: Pictures | None = None
    for step in run.steps("head", config.steps):
        size = config.size // 2 if step < config.small_steps else config.size
        if pictures is None or pictures.size != size:
            pictures = Pictures(clip, frames, size, run.folder / f"pictures-{size}.raw", config.lip_weight)
        rng = run.generator(step)
        t = int(rng.choice(frames, p=odds))
        noise = torch.from_numpy(rng.standard_normal(cond.shape[1]).astype(np.float32)) * config.noise
        _set_rates(optimiser, rates, step / config.steps, config)
        picture = pictures[t]
        drawn = gaussians(rig.clip((cond[t] + noise)[None])[0], motion.pose[t], picture.camera)
        loss, parts = photometric(drawn.image, drawn.alpha, picture, config)
        drawn.means2d.retain_grad()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step < GROW_AT[-1] * config.steps:
            growth.watch(drawn.means2d.grad, size)
        if step + 1 in [int(share * config.steps) for share in GROW_AT]:
            gaussians, optimiser, growth = densify(gaussians, optimiser, growth, rng)
        if step % LOG_EVERY == 0:
            run.log(loss=loss.detach(), gaussians=len(gaussians), **parts)
        run.keep(
            lambda: {**_named(gaussians), **optimiser_state(optimiser, "adam."), **growth.state()},
            lambda: _preview(drawn.image, drawn.alpha, picture),
        )
    run.finish(_named(gaussians))
    return gaussians


def photometric(
    image: Float[Tensor, "height width 3"], alpha: Float[Tensor, "height width"], picture: Picture, config: Config
) -> tuple[Tensor, dict[str, Tensor]]:
    """L1 (weighted) + SSIM of the composed picture, and L1 of alpha against the head mask."""
    composed = image + (1 - alpha[..., None]) * picture.behind
    color = ((composed - picture.image).abs().mean(-1) * picture.weight).mean()
    structure = 1 - ssim(composed, picture.image)
    mask = (alpha - picture.head).abs().mean()
    loss = (1 - config.ssim_weight) * color + config.ssim_weight * structure + config.alpha_weight * mask
    return loss, {"color": color.detach(), "structure": structure.detach(), "mask": mask.detach()}


def _start(clip: Clip, rig: Rig, frames: np.ndarray, config: Config, run: Run) -> tuple[Gaussians, Growth]:
    """Fresh Gaussians, or those of the run that is resumed."""
    if "gaussians.rest" in run.resumed:
        gaussians = Gaussians.restored(run.resumed)
        return gaussians, Growth.restore(run.resumed, len(gaussians))
    seed = initialise(clip, rig, frames, config)
    gaussians = Gaussians(len(seed.rest))
    install(gaussians, seed, rig, clip.motion.pose[torch.from_numpy(frames)], config.seed)
    return gaussians, Growth(len(gaussians))


def _named(gaussians: Gaussians) -> dict[str, Tensor]:
    return {f"gaussians.{k}": v for k, v in gaussians.state_dict().items()}


def _optimiser(gaussians: Gaussians, config: Config) -> tuple[torch.optim.Adam, list[tuple[float, bool]]]:
    """Adam with a rate for each kind of parameter, and for each group its rate and whether it is geometry."""
    kinds = {
        "rest": (config.rest_rate, True),
        "log_scale": (config.log_scale_rate, True),
        "quats": (config.quats_rate, True),
        "opacity_logits": (config.opacity_rate, False),
        "color": (config.color_rate, False),
        "color_by_view": (config.color_rate, False),
        "response": (config.response_rate, True),
        "basis": (config.basis_rate, True),
        "embedding": (config.network_rate, True),
    }
    groups, rates = [], []
    for name, parameter in gaussians.named_parameters():
        rate = kinds.get(name, (config.network_rate, True))
        groups.append({"params": [parameter], "lr": rate[0]})
        rates.append(rate)
    return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=True), rates


def _set_rates(optimiser: torch.optim.Adam, rates: list[tuple[float, bool]], share: float, config: Config) -> None:
    for group, (rate, is_geometry) in zip(optimiser.param_groups, rates):
        group["lr"] = rate * (config.geometry_decay if is_geometry else config.color_decay) ** share


def _odds(motion: Motion) -> Float[np.ndarray, " frames"]:
    """How often each training frame is drawn: twice for wide-open mouths, and once more for blinks."""
    opening = lip_opening(motion.landmarks)
    odds = 1.0 + (opening > torch.quantile(opening, 0.85)).double() + (motion.eyes < 0.3).double()
    return (odds / odds.sum()).numpy()


def _preview(image: Tensor, alpha: Tensor, picture: Picture) -> np.ndarray:
    """The real crop beside the drawn one."""
    with torch.no_grad():
        composed = image + (1 - alpha[..., None]) * picture.behind
        pair = torch.cat([picture.image, composed], dim=1)
    return (pair.clamp(0, 1) * 255).byte().numpy()
