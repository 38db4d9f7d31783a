"""RAD-NeRF's and ER-NeRF's networks as their specification has them: slow, plain, and with their names of tensors.

Nothing here is shared with `likeness`, so that an import can be held against it.
"""

from __future__ import annotations

import math
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

PRIMES = (1, 2654435761, 805459861)
CELLS = 128
STEP = 2 * math.sqrt(3) / CELLS


class Grid(nn.Module):
    """A grid encoder over [-1, 1]."""

    offsets: Tensor

    def __init__(self, dims: int, levels: int, features: int, base: int, finest: int, log2_rows: int, tiled: bool) -> None:
        super().__init__()
        self.dims, self.tiled, self.base = dims, tiled, base
        self.growth = 2 ** (math.log2(finest / base) / (levels - 1))
        offsets = [0]
        for level in range(levels):
            nodes = (math.ceil(round(base * self.growth**level, 6)) + 1) ** dims
            offsets.append(offsets[-1] + math.ceil(min(2**log2_rows, nodes) / 8) * 8)
        self.embeddings = nn.Parameter(0.5 * torch.randn(offsets[-1], features))
        self.register_buffer("offsets", torch.tensor(offsets, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.point([(c + 1) / 2 for c in row]) for row in x.double().tolist()])

    def point(self, x: list[float]) -> Tensor:
        levels = len(self.offsets) - 1
        if any(not 0 <= c <= 1 for c in x):
            return torch.zeros(levels * self.embeddings.shape[1])
        found = []
        for level in range(levels):
            first, rows = int(self.offsets[level]), int(self.offsets[level + 1] - self.offsets[level])
            scale = round(self.base * self.growth**level, 6) - 1
            side = math.ceil(scale) + 2
            at = [c * scale + 0.5 for c in x]
            total = torch.zeros(self.embeddings.shape[1])
            for corner in product((0, 1), repeat=self.dims):
                node = [math.floor(a) + step for a, step in zip(at, corner)]
                weight = math.prod(a % 1 if step else 1 - a % 1 for a, step in zip(at, corner))
                total = total + weight * self.embeddings[first + self.row(node, side, rows)].detach()
            found.append(total)
        return torch.cat(found)

    def row(self, node: list[int], side: int, rows: int) -> int:
        number, stride = 0, 1
        for n in node:
            if stride > rows:
                break
            number, stride = number + n * stride, stride * side
        if stride > rows and not self.tiled:
            number = 0
            for n, prime in zip(node, PRIMES):
                number ^= n * prime % 2**32
        return number % rows


class Mlp(nn.Module):
    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.net = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net[:-1]:
            x = layer(x).relu()
        return self.net[-1](x)


class AudioNet(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in ((channels, 32), (32, 32), (32, 64), (64, 64)):
            layers += [nn.Conv1d(a, b, 3, 2, 1), nn.LeakyReLU(0.02)]
        self.encoder_conv = nn.Sequential(*layers)
        self.encoder_fc1 = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(0.02), nn.Linear(64, width))

    def forward(self, windows: Tensor) -> Tensor:
        return self.encoder_fc1(self.encoder_conv(windows).squeeze(-1))


class AudioAttNet(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in ((width, 16), (16, 8), (8, 4), (4, 2), (2, 1)):
            layers += [nn.Conv1d(a, b, 3, 1, 1), nn.LeakyReLU(0.02)]
        self.attentionConvNet = nn.Sequential(*layers)
        self.attentionNet = nn.Sequential(nn.Linear(8, 8), nn.Softmax(dim=1))

    def forward(self, eight: Tensor) -> Tensor:
        share = self.attentionNet(self.attentionConvNet(eight.T[None])[:, 0])
        return share @ eight


class Original(nn.Module):
    """What both have; `eyes`, `code`, `attends` and `torso` are options of theirs."""

    spoken = 64

    def __init__(self, channels: int, eyes: bool, code: int, attends: bool, torso: bool, frames: int = 50) -> None:
        super().__init__()
        self.eyes, self.torso = eyes, torso
        self.individual_codes = nn.Parameter(torch.randn(frames, code)) if code else None
        if torso:
            self.individual_codes_torso = nn.Parameter(torch.randn(frames, 8))
        self.extra()
        box = torch.tensor([-1, -0.5, -1, 1, 0.5, 1])
        self.register_buffer("aabb_train", box)
        self.register_buffer("aabb_infer", box.clone())
        full = torch.rand(1, CELLS**3) < 0.3
        bits = (full.reshape(-1, 8).to(torch.uint8) << torch.arange(8, dtype=torch.uint8)).sum(1).to(torch.uint8)
        self.register_buffer("density_grid", 20 * full.float())
        self.register_buffer("density_bitfield", bits)
        if torso:
            self.register_buffer("density_grid_torso", (torch.rand(CELLS**2) < 0.7).float())
        self.register_buffer("step_counter", torch.zeros(16, 2, dtype=torch.int32))
        self.audio_net = AudioNet(channels, self.spoken)
        self.attends = attends
        if attends:
            self.audio_att_net = AudioAttNet(self.spoken)
        self.networks(code, int(eyes))
        if torso:
            self.torso_networks()

    def extra(self) -> None:
        """Parameters that stand before the networks."""

    def networks(self, code: int, eyes: int) -> None: ...

    def torso_networks(self) -> None: ...

    @torch.no_grad()
    def heard(self, stream: Tensor, t: int) -> Tensor:
        """The code of frame t of features [N C] that come 50 times a second."""
        return self.attended(torch.stack([self.window(stream, n) for n in range(t - 4, t + 4)]))

    def attended(self, windows: Tensor) -> Tensor:
        codes = self.audio_net(windows)
        return self.audio_att_net(codes) if self.attends else codes[4:5]

    def window(self, stream: Tensor, n: int) -> Tensor:
        if stream.shape[1] == 1024:
            return stream[2 * n : 2 * n + 2].T
        return stream[2 * n - 8 : 2 * n + 8].T

    def light(self, points: int) -> list[Tensor]:
        return [] if self.individual_codes is None else [self.individual_codes[:1].expand(points, -1)]

    def occupied(self, x: Tensor) -> bool:
        """Whether a point of the cube lies in an occupied cell and in the box."""
        low, high = self.aabb_infer[:3], self.aabb_infer[3:]
        if not ((x >= low) & (x <= high)).all():
            return False
        cell = [min(int((c + 1) / 2 * CELLS), CELLS - 1) for c in x.tolist()]
        morton = sum((c >> bit & 1) << (3 * bit + axis) for axis, c in enumerate(cell) for bit in range(7))
        return bool(int(self.density_bitfield[morton // 8]) >> morton % 8 & 1)


class RadNerf(Original):
    def networks(self, code: int, eyes: int) -> None:
        self.encoder = Grid(3, 16, 2, 16, 2048, 16, tiled=True)
        self.encoder_ambient = Grid(2, 16, 2, 16, 2048, 16, tiled=True)
        self.ambient_net = Mlp(96, 64, 64, 2)
        self.sigma_net = Mlp(64 + eyes, 64, 64, 65)
        self.color_net = Mlp(80 + code, 64, 3)

    def torso_networks(self) -> None:
        self.torso_deform_net = Mlp(104, 64, 64, 2)
        self.torso_encoder = Grid(2, 16, 2, 16, 2048, 16, tiled=True)
        self.torso_net = Mlp(136, 32, 32, 4)

    @torch.no_grad()
    def forward(self, x: Tensor, d: Tensor, audio: Tensor, e: float) -> tuple[Tensor, Tensor]:
        f = self.encoder(x)
        w = torch.tanh(self.ambient_net(torch.cat([f, audio.expand(len(x), -1)], 1)))
        eye = [torch.full((len(x), 1), e)] if self.eyes else []
        h = self.sigma_net(torch.cat([f, self.encoder_ambient(w), *eye], 1))
        rgb = torch.sigmoid(self.color_net(torch.cat([harmonics(d), h[:, 1:], *self.light(len(x))], 1)))
        return h[:, 0].exp(), rgb

    @torch.no_grad()
    def torso_at(self, x: Tensor, pose: Tensor) -> Tensor:
        """Colour and alpha at (row, column) in [-1, 1], from a camera in the field's frame."""
        x = 0.8 * x
        r, t = pose[:3, :3], pose[:3, 3]
        angles = [torch.atan2(-r[1, 2], r[2, 2]), torch.asin(r[0, 2]), torch.atan2(-r[0, 1], r[0, 0])]
        given = torch.cat([waves(torch.cat([torch.stack(angles), t])[None], 4), self.individual_codes_torso[:1]], 1)
        e = torch.cat([waves(x, 10), given.expand(len(x), -1)], 1)
        moved = (x + self.torso_deform_net(e)).clamp(-1, 1)
        h = torch.sigmoid(self.torso_net(torch.cat([self.torso_encoder(moved), e], 1)))
        return torch.cat([h[:, 1:], h[:, :1]], 1)


class ErNerf(Original):
    spoken = 32

    def extra(self) -> None:
        if self.torso:
            points = torch.tensor([[0.01, 0.01, 0.1, 1], [-0.1, -0.1, 0.1, 1], [0.1, -0.1, 0.1, 1]])
            self.anchor_points = nn.Parameter(points + 0.05 * torch.randn(3, 4))

    def networks(self, code: int, eyes: int) -> None:
        self.encoder_xy, self.encoder_yz, self.encoder_xz = (Grid(2, 12, 1, 64, 512, 14, tiled=False) for _ in range(3))
        self.eye_att_net = Mlp(36, 16, 1)
        self.sigma_net = Mlp(68 + eyes, 64, 64, 65)
        self.color_net = Mlp(80 + code, 64, 3)
        self.unc_net = Mlp(36, 32, 1)
        self.aud_ch_att_net = Mlp(36, 64, 32)

    def torso_networks(self) -> None:
        self.torso_deform_net = Mlp(84, 32, 32, 2)
        self.torso_encoder = Grid(2, 16, 2, 16, 2048, 16, tiled=True)
        self.torso_net = Mlp(116, 32, 32, 4)

    @torch.no_grad()
    def forward(self, x: Tensor, d: Tensor, audio: Tensor, e: float) -> tuple[Tensor, Tensor]:
        f = torch.cat([self.encoder_xy(x[:, [0, 1]]), self.encoder_yz(x[:, [1, 2]]), self.encoder_xz(x[:, [0, 2]])], 1)
        eye = [e * torch.sigmoid(self.eye_att_net(f))] if self.eyes else []
        h = self.sigma_net(torch.cat([f, audio * self.aud_ch_att_net(f), *eye], 1))
        rgb = torch.sigmoid(self.color_net(torch.cat([harmonics(d), h[:, 1:], *self.light(len(x))], 1))) * 1.002 - 0.001
        return h[:, 0].exp(), rgb

    @torch.no_grad()
    def torso_at(self, x: Tensor, pose: Tensor) -> Tensor:
        x = 0.8 * x
        seen = self.anchor_points @ torch.linalg.inv(pose).T
        seen = (seen[:, :2] / seen[:, 3:] / seen[:, 2:3]).reshape(1, 6)
        given = torch.cat([waves(seen, 3), self.individual_codes_torso[:1]], 1)
        e = torch.cat([waves(x, 8), given.expand(len(x), -1)], 1)
        moved = (x + self.torso_deform_net(e)).clamp(-1, 1)
        h = torch.sigmoid(self.torso_net(torch.cat([self.torso_encoder(moved), e], 1))) * 1.002 - 0.001
        return torch.cat([h[:, 1:], h[:, :1]], 1)


def waves(x: Tensor, octaves: int) -> Tensor:
    """The frequency encoding."""
    return torch.cat([x, *(f(2**k * x) for k in range(octaves) for f in (torch.sin, torch.cos))], 1)


def harmonics(d: Tensor) -> Tensor:
    """Real spherical harmonics of degree 4, by associated Legendre polynomials: order -l..l of each l, with the sign
    (-1)^m of Condon and Shortley, polar axis z."""
    x, y, z = d.double().T
    angle = torch.atan2(y, x)
    legendre = {
        (0, 0): torch.ones_like(z), (1, 0): z, (2, 0): (3 * z**2 - 1) / 2, (3, 0): (5 * z**3 - 3 * z) / 2,
    }  # fmt: skip
    s = (1 - z**2).clamp_min(0).sqrt()
    legendre |= {(1, 1): -s, (2, 1): -3 * z * s, (2, 2): 3 * s**2}
    legendre |= {(3, 1): -1.5 * (5 * z**2 - 1) * s, (3, 2): 15 * z * s**2, (3, 3): -15 * s**3}
    found = []
    for degree in range(4):
        for order in range(-degree, degree + 1):
            m = abs(order)
            size = math.sqrt((2 * degree + 1) / (4 * math.pi) * math.factorial(degree - m) / math.factorial(degree + m))
            wave = torch.ones_like(z) if m == 0 else math.sqrt(2) * (torch.sin if order < 0 else torch.cos)(m * angle)
            found.append(size * legendre[degree, m] * wave)
    return torch.stack(found, 1).float()


def made(kind: str, seed: int = 0, torso: bool = False, **options) -> Original:
    """A network with random weights; by default as its scripts train it, on letters of Esperanto or HuBERT."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        usual = {"channels": 44 if kind == "RAD-NeRF" else 1024, "eyes": True, "code": 4, "attends": True}
        return {"RAD-NeRF": RadNerf, "ER-NeRF": ErNerf}[kind](**(usual | options), torso=torso)


def write(network: Original, path: Path, **more) -> Path:
    """A checkpoint as the original's trainer writes it."""
    stats = {"loss": [0.1], "valid_loss": [np.float64(0.2)], "results": [np.float32(0.3)], "checkpoints": ["a"]}
    state = {"epoch": 3, "global_step": 1200, "stats": stats | {"best_result": None}, "mean_count": 9, "mean_density": 1.5}
    torch.save(state | {"model": network.state_dict()} | more, path)
    return path
