"""How fast the operators are on this machine, and how much faster than their plain-PyTorch references.

    python -m benchmarks.kernels            prints, and writes benchmarks/results/kernels.json

Scenes: Gaussians of 3 to 10 pixels radius covering about 55 % of the picture; grids at 200,000 random points; 65,536
rays, half of which meet a hollow head. `median_ms` and
`best_ms` are wall time on all threads; `cpu_ms` is the best processor time on one thread, which other processes disturb
least.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.machine import machine
from likeness.kernels import (
    GridShape,
    bricks,
    bricks_reference,
    composite,
    compositing_reference,
    geometric,
    hash_grid,
    hash_grid_reference,
    march,
    marching_reference,
    project,
    projection_reference,
    rasterisation_reference,
    rasterise,
    sample_positions,
    similarity_reference,
    splat,
    ssim,
    unwarp,
    unwarping_reference,
)
from likeness.kernels.bricks import CHANNELS

RESULTS = Path(__file__).parent / "results" / "kernels.json"


def measure(work: Callable[[], object], rounds: int = 40, patience_s: float = 1.5) -> dict[str, float]:
    """Repeats until `rounds` are done, or patience is at an end on a busy machine (but three times, if rounds allow)."""
    if rounds > 1:
        work()
    wall = _repeat(work, time.perf_counter, rounds, patience_s)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spent = _repeat(work, time.process_time, rounds, patience_s)
    torch.set_num_threads(threads)
    figures = {"median_ms": median(wall), "best_ms": min(wall), "cpu_ms": min(spent)}
    return {name: round(1e3 * seconds, 3) for name, seconds in figures.items()}


def _repeat(work: Callable[[], object], clock: Callable[[], float], rounds: int, patience_s: float) -> list[float]:
    begun, lengths = time.perf_counter(), []
    while len(lengths) < rounds and (len(lengths) < 3 or time.perf_counter() - begun < patience_s):
        start = clock()
        work()
        lengths.append(clock() - start)
    return lengths


def scene(n: int, size: int) -> tuple[list[Tensor], tuple]:
    """A disc of Gaussians, half its width the picture's 0.42, and the camera that sees it."""
    random = torch.Generator().manual_seed(1)
    radius, angle = torch.rand(n, generator=random).sqrt() * 0.33, torch.rand(n, generator=random) * 2 * torch.pi
    means = torch.stack([radius * angle.cos(), radius * angle.sin(), torch.rand(n, generator=random) * 0.1 - 0.05], -1)
    quats = torch.randn(n, 4, generator=random)
    scales = (1 + torch.rand(n, 3, generator=random) * 2.3) * 0.8 / size
    opacities = torch.rand(n, generator=random) * 0.75 + 0.2
    colors = torch.rand(n, 3, generator=random)
    viewmat = torch.eye(4)
    viewmat[2, 3] = 0.8
    view = viewmat, (float(size), float(size)), (size / 2, size / 2), (size, size)
    return [leaf.requires_grad_() for leaf in (means, quats, scales, opacities, colors)], view


def reference_splat(leaves: list[Tensor], view: tuple) -> Tensor:
    means, quats, scales, opacities, colors = leaves
    means2d, conics, depths, radii = projection_reference.project(means, quats, scales, *view)
    return rasterisation_reference.rasterise(means2d, conics, colors, opacities, depths, radii, view[3])[0]


def bench_splat(n: int, size: int) -> dict[str, object]:
    leaves, view = scene(n, size)
    means2d, conics, depths, radii = (tensor.detach() for tensor in project(*leaves[:3], *view))
    image, alpha, *_ = splat(*leaves, *view)
    weights = torch.rand(image.shape)

    def inference() -> None:
        with torch.no_grad():
            splat(*leaves, *view)

    def body() -> None:
        torch.autograd.grad(splat(*leaves, *view).image, leaves, weights)

    def reference() -> None:
        torch.autograd.grad(reference_splat(leaves, view), leaves, weights)

    flat = means2d, conics, leaves[4].detach(), leaves[3].detach(), depths, radii
    figures: dict[str, object] = {
        "coverage": round(alpha.mean().item(), 3),
        "mean_radius_px": round(radii.float().mean().item(), 2),
        "project": measure(lambda: project(*leaves[:3], *view)),
        "rasterise, sorting included": measure(lambda: rasterise(*flat, view[3])),
        "splat, no gradient": measure(inference),
        "splat, backward alone": measure(lambda: torch.autograd.grad(image, leaves, weights, retain_graph=True)),
    }
    return figures | compare("splat, forward and backward", body, reference)


def bench_ssim(size: int) -> dict[str, object]:
    random = torch.Generator().manual_seed(1)
    a = torch.rand(size, size, 3, generator=random).requires_grad_()
    b = torch.rand(size, size, 3, generator=random)

    def reference() -> None:
        torch.autograd.grad(similarity_reference.similarity(a[None], b[None]).mean(), a)

    figures: dict[str, object] = {"ssim, no gradient": measure(lambda: ssim(a.detach(), b))}
    return figures | compare("ssim, forward and backward", lambda: torch.autograd.grad(ssim(a, b), a), reference)


def bench_hash_grid(dims: int, features: int) -> dict[str, object]:
    """16 levels from 16 to 2048 nodes a side, 2^16 rows each at most: RAD-NeRF's grids, hashed."""
    shape = GridShape(dims, geometric(16.0, 16, finest=2048.0), features, 16)
    random = torch.Generator().manual_seed(1)
    x = torch.rand(200_000, dims, generator=random)
    table = torch.randn(shape.rows, features, generator=random).requires_grad_()
    weights = torch.rand(len(x), shape.width, generator=random)
    moving = x.clone().requires_grad_()
    encoded, from_moving = hash_grid(x, table, shape), hash_grid(moving, table, shape)

    def backward(encoded: Tensor, *leaves: Tensor) -> dict[str, float]:
        return measure(lambda: torch.autograd.grad(encoded, leaves, weights, retain_graph=True))

    def both(body: Callable[..., Tensor]) -> None:
        torch.autograd.grad(body(moving, table, shape), (moving, table), weights)

    figures: dict[str, object] = {
        "hash_grid, no gradient": measure(lambda: hash_grid(x, table.detach(), shape)),
        "hash_grid, backward alone, table": backward(encoded, table),
        "hash_grid, backward alone, table and x": backward(from_moving, moving, table),
    }
    name = "hash_grid, forward and backward"
    return figures | compare(name, lambda: both(hash_grid), lambda: both(hash_grid_reference.hash_grid))


def shell(size: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """size x size rays towards a shell the shape of a head, in a box from -1 to 1 of 128^3 cells."""
    middles = (torch.arange(128) + 0.5) / 64 - 1
    x, y, z = torch.meshgrid(middles, middles, middles, indexing="ij")
    radius = ((x / 0.5) ** 2 + (y / 0.65) ** 2 + (z / 0.55) ** 2).sqrt()
    v, u = torch.meshgrid(*[(torch.arange(size) + 0.5) / size - 0.5] * 2, indexing="ij")
    directions = torch.stack([0.33 * u, 0.4 * v, torch.ones_like(u)], -1).reshape(-1, 3)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    return (torch.tensor([[0.0, 0.0, -3.5]]).expand_as(directions).contiguous(), directions), (radius > 0.82) & (radius < 1)


def bench_march(size: int) -> dict[str, object]:
    """RAD-NeRF's step, jittered; at most 16 samples a ray."""
    rays, occupancy = shell(size)
    random = torch.Generator().manual_seed(1)
    box = (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)
    how = 2 * 3**0.5 / 128, 16, torch.rand(size * size, generator=random)
    samples = march(*rays, occupancy, *box, *how)
    figures: dict[str, object] = {
        "samples_per_ray": round(len(samples.t) / size**2, 2),
        "sample_positions": measure(lambda: sample_positions(samples, *rays)),
    }

    def reference() -> None:
        marching_reference.march(*rays, occupancy, *box, *how, 0.0)

    return figures | compare("march", lambda: march(*rays, occupancy, *box, *how), reference)


def bench_composite(rays: int, channels: int) -> dict[str, object]:
    """0 to 16 samples a ray, 8 on average, of up to half an optical thickness each."""
    random = torch.Generator().manual_seed(1)
    counts = torch.randint(0, 17, (rays,), generator=random)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    density, t = (torch.rand(int(starts[-1]), generator=random) for _ in range(2))
    leaves = density.requires_grad_(), torch.rand(len(t), channels, generator=random).requires_grad_()
    weights = [torch.rand(picture.shape, generator=random) for picture in composite(*leaves, 0.5, starts, t)[:3]]
    pictures = composite(*leaves, 0.5, starts, t)[:3]

    def inference() -> None:
        with torch.no_grad():
            composite(*leaves, 0.5, starts, t)

    def both(body: Callable[..., tuple], width: float | Tensor) -> None:
        torch.autograd.grad(body(*leaves, width, starts, t)[:3], leaves, weights)

    figures: dict[str, object] = {
        "composite, no gradient": measure(inference),
        "composite, backward alone": measure(lambda: torch.autograd.grad(pictures, leaves, weights, retain_graph=True)),
    }
    wide = torch.tensor([0.5])
    name = "composite, forward and backward"
    return figures | compare(name, lambda: both(composite, 0.5), lambda: both(compositing_reference.composite, wide))


def bench_keeping(size: int) -> dict[str, object]:
    """A shell that is kept in bricks, seen through a motion: every place is taken back, then looked up."""
    rays, occupancy = shell(size)
    random = torch.Generator().manual_seed(1)
    samples = march(*rays, occupancy, (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0), 0.032, 16)
    xyz, _ = sample_positions(samples, *rays)
    motion, box = 0.02 * torch.randn(50, 60, 50, 3, generator=random), (torch.full((3,), -0.6), torch.full((3,), 0.6))
    nodes = torch.randn(int(occupancy.sum()), 4, 4, 4, CHANNELS, generator=random)
    index = torch.full(occupancy.shape, -1, dtype=torch.int32)
    index[occupancy] = torch.arange(len(nodes), dtype=torch.int32)
    given = xyz, samples.rays_start, rays[1], torch.zeros(len(xyz), dtype=torch.uint8), index, nodes
    figures: dict[str, object] = {"samples": len(xyz)}
    return (
        figures
        | compare("unwarp", lambda: unwarp(xyz, motion, *box, 2), lambda: unwarping_reference.unwarp(xyz, motion, *box, 2))
        | compare("bricks", lambda: bricks(*given, 0.032, 4.5), lambda: bricks_reference.bricks(*given, 0.032, 4.5))
    )


def compare(name: str, body: Callable[[], object], reference: Callable[[], object]) -> dict[str, object]:
    ours, theirs = measure(body), measure(reference, rounds=1)
    ratio = {key.removesuffix("_ms"): round(theirs[key] / ours[key], 1) for key in ours}
    return {name: ours, f"{name}: reference": theirs, f"{name}: times faster": ratio}


def main() -> None:
    results: dict[str, object] = {"machine": machine()}
    benches = {f"ssim {size}x{size}x3": partial(bench_ssim, size) for size in (256, 512)}
    scenes = (30_000, 256), (30_000, 512), (100_000, 512)
    benches |= {f"splat {n} at {size}x{size}": partial(bench_splat, n, size) for n, size in scenes}
    grids = (3, 2), (2, 1)
    benches |= {f"hash grid {dims}D x {features}": partial(bench_hash_grid, dims, features) for dims, features in grids}
    benches["march 65536 rays through 128^3"] = partial(bench_march, 256)
    benches |= {f"composite 65536 rays x {channels}": partial(bench_composite, 65536, channels) for channels in (3, 16)}
    benches["bricks and unwarp, 65536 rays"] = partial(bench_keeping, 256)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    for name, bench in benches.items():
        results[name] = bench()
        print(name, json.dumps(results[name], indent=2), flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
