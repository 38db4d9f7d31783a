"""How fast a RAD-NeRF portrait is drawn, beside the renderer that it set out to replace.

    python -m benchmarks.radiance PORTRAIT CLIP/

AD-NeRF (Guo et al. 2021) asks a perceptron of 8 layers of 256 (Mildenhall et al. 2020, section 5.3, with 64 numbers of sound
beside the position) at 64 places along every ray, and at 128 more where the first 64 found something: both perceptrons with
random weights here, as time does not depend on them. Its cost is the same for every ray, so it is timed on every 15th row and
column of a 450² picture and multiplied. Ours is timed on whole frames of the held-out tenth, driven by sound, features given:
as it is drawn by default, and quickly, when what those frames need is kept. Both are measured against every sample of every
ray of the field, by `look`, and the quick way as `likeness evaluate` does.
Writes benchmarks/results/radiance-VIDEO.json.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor, nn
from tyro.conf import Positional

from benchmarks.machine import machine
from likeness import methods
from likeness.clip import Clip, Motion
from likeness.evaluate import evaluate
from likeness.evaluate.rows import Row, all_rows
from likeness.files import write_atomically
from likeness.methods.radnerf import Model
from likeness.nn.radiance.volume import Rays, look

RESULTS = Path(__file__).parent / "results"
SIDE, EVERY = 450, 15
COARSE, FINE = 64, 128
WIDTH, DEPTH, SKIP, SOUND = 256, 8, 4, 64
NEAR, FAR = 0.3, 0.9  # of AD-NeRF's frames
CHUNK = 2048  # rays, as published
FRAMES = 40
EXACT = 8  # frames that are drawn with every sample, too


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    portrait: Positional[Path]
    clip: Positional[Path]


class Vanilla(nn.Module):
    """The perceptron of Mildenhall et al. 2020, figure 7, with sound beside the position."""

    def __init__(self) -> None:
        super().__init__()
        place = 3 + 6 * 10 + SOUND
        sizes = [place] + [WIDTH + place * (i == SKIP) for i in range(DEPTH - 1)]
        self.layers = nn.ModuleList(nn.Linear(size, WIDTH) for size in sizes)
        self.density, self.feature = nn.Linear(WIDTH, 1), nn.Linear(WIDTH, WIDTH)
        self.side, self.color = nn.Linear(WIDTH + 3 + 6 * 4, WIDTH // 2), nn.Linear(WIDTH // 2, 3)

    def forward(self, xyz: Float[Tensor, "n 3"], towards: Float[Tensor, "n 3"], sound: Float[Tensor, " sound"]) -> Tensor:
        place = torch.cat([_waves(xyz, 10), sound.expand(len(xyz), -1)], 1)
        x = place
        for i, layer in enumerate(self.layers):
            x = layer(torch.cat([place, x], 1) if i == SKIP + 1 else x).relu()
        side = self.side(torch.cat([self.feature(x), _waves(towards, 4)], 1)).relu()
        return torch.cat([self.color(side).sigmoid(), self.density(x).relu()], 1)


def _waves(x: Float[Tensor, "n 3"], octaves: int) -> Tensor:
    scaled = [2.0**k * math.pi * x for k in range(octaves)]
    return torch.cat([x, *(wave for s in scaled for wave in (s.sin(), s.cos()))], 1)


@torch.no_grad()
def vanilla(coarse: Vanilla, fine: Vanilla, origins: Tensor, directions: Tensor, sound: Tensor) -> Float[Tensor, "rays 3"]:
    """Colours of rays: stratified samples, then more where those found something (equations 3 and 5)."""
    found = []
    for o, d in zip(origins.split(CHUNK), directions.split(CHUNK)):
        t = NEAR + (FAR - NEAR) * (torch.arange(COARSE) + torch.rand(len(o), COARSE)) / COARSE
        weights, _ = _composited(coarse, o, d, t, sound)
        share = (weights + 1e-5).cumsum(1)
        drawn = torch.rand(len(o), FINE) * share[:, -1:]
        more = t.gather(1, torch.searchsorted(share, drawn).clamp_max(COARSE - 1))
        _, color = _composited(fine, o, d, torch.cat([t, more], 1).sort(1).values, sound)
        found.append(color)
    return torch.cat(found)


def _composited(net: Vanilla, o: Tensor, d: Tensor, t: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
    xyz = (o[:, None] + t[..., None] * d[:, None]).reshape(-1, 3)
    seen = net(xyz, d[:, None].expand(-1, t.shape[1], -1).reshape(-1, 3), sound).reshape(*t.shape, 4)
    width = torch.cat([t.diff(dim=1), torch.full_like(t[:, :1], 1e10)], 1)
    alpha = 1 - (-seen[..., 3] * width).exp()
    through = torch.cat([torch.ones_like(alpha[:, :1]), (1 - alpha + 1e-10).cumprod(1)[:, :-1]], 1)
    weights = alpha * through
    return weights, (weights[..., None] * seen[..., :3]).sum(1)


def main(settings: Settings) -> None:
    about = machine()
    clip, portrait = Clip.open(settings.clip), methods.load(settings.portrait)
    if not isinstance(portrait, Model):
        raise SystemExit(f"{settings.portrait} is a portrait of {portrait.method}, not of radnerf")
    row = next(row for row in all_rows(portrait, clip) if row.name == "sound")
    found: dict[str, float] = {}
    stage = portrait.stage
    for side in (128, 256, SIDE):
        for name, quick in (("ours", False), ("ours, quick", True)):
            shown = portrait.on(replace(stage, camera=stage.camera.scaled((side, side)), quick=quick))
            draw = partial(one_frame, shown, row)
            if quick:
                shown.render(row.cond, row.motion)  # keeps what the frames need
            found[f"{name} {side}² ms"] = timed(draw, FRAMES)
    hasty = portrait.on(replace(stage, quick=True))
    every = np.linspace(0, len(row.cond) - 1, EXACT).astype(int)
    for name, shown in (("ours", portrait), ("ours, quick", hasty)):
        worse = mean(left_out(shown, row.cond[i : i + 1], row.motion[i : i + 1]) for i in every)
        found[f"{name} against every sample of the field, PSNR dB"] = worse
    judged = evaluate(hasty, clip)
    for driven in ("tracked", "sound"):
        figures = judged[driven]
        found |= {f"quick, {driven}, {name}": getattr(figures, name) for name in ("full", "face", "mouth", "lmd", "jitter")}
    torch.manual_seed(0)
    coarse, fine = Vanilla().eval(), Vanilla().eval()
    origins, directions = stage.camera.scaled((SIDE, SIDE)).rays(row.motion.pose[0])
    some = (origins[::EVERY, ::EVERY].reshape(-1, 3), directions[::EVERY, ::EVERY].reshape(-1, 3))
    spent = timed(lambda i: vanilla(coarse, fine, *some, torch.zeros(SOUND)), 3)
    found[f"AD-NeRF's renderer {SIDE}² ms"] = spent * SIDE**2 / len(some[0])
    found["ratio"] = found[f"AD-NeRF's renderer {SIDE}² ms"] / found[f"ours {SIDE}² ms"]
    video = Path(clip.header["source"]["name"])
    result = {**about, "video": video.name, "portrait": portrait.method, "found": {k: round(v, 2) for k, v in found.items()}}
    write_atomically(RESULTS / f"radiance-{video.stem}.json", json.dumps(result, indent=1).encode())
    print(json.dumps(result["found"], indent=1))


def one_frame(portrait: Model, row: Row, i: int) -> None:
    portrait.render(row.cond[i : i + 1], row.motion[i : i + 1])


@torch.no_grad()
def left_out(portrait: Model, cond: Tensor, motion: Motion) -> float:
    """PSNR of the head over black as it is drawn against the same with every sample."""
    drawn = portrait.render(cond, motion)[0].rgb[0]
    cond, upper = portrait.within(cond, motion)
    head = portrait.head
    origins, directions = portrait.stage.camera.rays(head.placed(motion.pose[0]))
    rays = Rays(origins.reshape(-1, 3), directions.reshape(-1, 3), torch.zeros(drawn[..., 0].numel(), dtype=torch.long))
    said, middle = head.said(cond, upper, None), torch.full((len(rays.frame),), 0.5)
    exact = look(head.field, head.occupancy, rays, said, portrait.config, middle, maps=False).color.reshape(drawn.shape)
    return float(-10 * (drawn - exact).square().mean().log10())


def timed(work: Callable[[int], object], rounds: int) -> float:
    """Median milliseconds of a call, after two to warm up."""
    spent = []
    for i in range(rounds + 2):
        began = time.perf_counter()
        work(i)
        spent.append(1000 * (time.perf_counter() - began))
    return median(spent[2:])


if __name__ == "__main__":
    main(tyro.cli(Settings))
