"""The torso as a learned 2D field: RAD-NeRF (Tang et al. 2022, section 3.4), its pose read off anchor points as in ER-NeRF.

A pixel x and the head's pose give a small displacement; at x + dx a 2D hash grid knows opacity and colour:

    E = [Freq10(x), pose code, frame code]
    dx = MLP(E);  x' = clamp(x + dx);  [alpha, rgb] = sigmoid(MLP([grid(x'), E]))

Pose codes: `anchors` are three learned points of the head frame seen by the camera (Li et al. 2023, "Adaptive Pose
Encoding"); `pose` is RAD-NeRF's Euler angles and position. Both are scaled to their range in the training frames, without
which what a head moves (a few centimetres) is too small a number to be learned from in minutes. The frame code is one
vector per training frame, for what the pose does not tell; half of the time, and in drawing, it is zero (the original
draws with frame 0's: then, or with their mean, codes swallow what the pose could tell; measured, up to 7 dB worse).

The original's target is a torso picture whose neck was painted on. Ours is the real frame, and behind the head what
`likeness.nn.torso` draws there, so that nothing is hollow behind the chin.

A field that the original code trained (`Net(kind, original=True)`) keeps that code's tiled grid, and its axes, range of
values and frame code as buffers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from likeness.camera import moved, to_camera
from likeness.clip import HEAD, PARTS, Clip, Motion
from likeness.errors import BadInput
from likeness.kernels import GridShape
from likeness.kernels.grid_shape import geometric
from likeness.nn.canvas import LOOKS
from likeness.nn.encodings import HashGrid
from likeness.nn.mlp import in_stretches, mlp
from likeness.nn.torso import Torso
from likeness.run import Run, optimiser_state, restore_optimiser

SHAPE = GridShape(dims=2, sizes=geometric(16.0, 16, finest=2048.0), features=2, log2_rows=16)
SHRINK = 0.8  # of pixel coordinates, so that dx finds room beyond the picture's edge
ANCHORS = ((0.01, -0.01, -0.1), (-0.1, 0.1, -0.1), (0.1, 0.1, -0.1))  # ER-NeRF's, in our axes; metres
PLACE, FRAME_CODE = 42, 8  # numbers of Freq10(x) and of a frame's code
WHERE = 6  # numbers that tell the pose
OCTAVES, HIDDEN = {"anchors": 3, "pose": 4}, {"anchors": 32, "pose": 64}  # as published, of ER-NeRF and RAD-NeRF
RANGE = 0.1  # of the pose code: smaller is smoother in the pose. Two people's last training frames: 0.3 loses 0.2 dB, 0.03 more
BEYOND = 0.1 * RANGE  # how far past what training frames showed a pose code may go

PREFIX = "torso."  # of its state in a run
LOG_EVERY = 50
STEPS = 2000
FRAMES, PIXELS = 16, 512  # of a step
GRID_RATE, NET_RATE = 1e-2, 2e-3  # falling to a tenth; published 5e-3 and 5e-4, for 100 times the steps
ENTROPY, SOLID = 1e-4, 1e-3  # weights of alpha's entropy, and of what parts say: ER-NeRF's (1 - alpha)², and alpha² beyond,
# or the field paints the background that is near the torso itself
BEHIND = 0.2  # weight of a pixel that the head hides
OCCUPIED, POSES = 0.01, 64  # a pixel is drawn where alpha is above in any of so many training frames


class Net(nn.Module):
    """The field itself. Rows of `x` are pixels, rows of `where` and `code` are frames."""

    low: Tensor
    high: Tensor
    place: Tensor
    usual: Tensor
    beyond: Tensor
    stretch: Tensor

    def __init__(self, kind: Literal["anchors", "pose"], original: bool = False) -> None:
        super().__init__()
        self.kind, self.original = kind, original
        self.octaves = OCTAVES[kind]
        inputs = PLACE + WHERE * (1 + 2 * self.octaves) + FRAME_CODE
        self.anchors = nn.Parameter(torch.tensor(ANCHORS)) if kind == "anchors" else None
        self.deform = mlp(inputs, 2, HIDDEN[kind], 3)
        self.grid = HashGrid(replace(SHAPE, crowded="tiled") if original else SHAPE)
        self.paint = mlp(SHAPE.width + inputs, 4, 32, 3)
        self.register_buffer("low", -torch.ones(WHERE))
        self.register_buffer("high", torch.ones(WHERE))
        if original:
            self.register_buffer("place", torch.eye(4))  # points of the head frame to the frame of its poses
            self.register_buffer("usual", torch.zeros(FRAME_CODE))  # the frame code that it is drawn with
            self.register_buffer("beyond", torch.zeros(1))  # how far values may pass 0 and 1
            self.register_buffer("stretch", torch.ones(1))  # of pixel coordinates: its corners are pixel centres

    def numbers(self, pose: Float[Tensor, "time 4 4"]) -> Float[Tensor, "time 6"]:
        """What the pose code is made of, unscaled."""
        if self.original:
            pose = moved(pose, self.place)
        if self.anchors is None:
            return torch.cat([euler(pose[:, :3, :3]), pose[:, :3, 3]], -1)
        seen = to_camera(self.anchors.expand(len(pose), -1, -1), pose[:, None])
        return (seen[..., :2] / seen[..., 2:].clamp_min(1e-3)).flatten(1)

    def where(self, pose: Float[Tensor, "time 4 4"]) -> Float[Tensor, "time 6"]:
        """Scaled to -RANGE .. RANGE over the training frames (as the anchors were when training began)."""
        return RANGE * (2 * (self.numbers(pose) - self.low) / (self.high - self.low) - 1)

    def fit_range(self, pose: Float[Tensor, "time 4 4"]) -> None:
        """Learn the range of the pose code."""
        with torch.no_grad():
            numbers = self.numbers(pose)
            self.low.copy_(numbers.amin(0))
            self.high.copy_(torch.maximum(numbers.amax(0), self.low + 1e-4))

    def given(self, where: Float[Tensor, "m 6"], code: Float[Tensor, "m 8"] | None = None) -> Float[Tensor, "m given"]:
        """What is known of a frame: the part of E that no pixel changes."""
        if code is None:
            code = self.usual.expand(len(where), -1) if self.original else where.new_zeros(len(where), FRAME_CODE)
        return torch.cat([frequencies(where, self.octaves), code], -1)

    def pixelwise(self, place: Float[Tensor, "n 42"]) -> tuple[Tensor, Tensor]:
        """What both perceptrons' first layers make of pixels alone: of a still picture it is worked out once."""
        return place @ first_weight(self.deform)[:, :PLACE].T, place @ self._paint_rest()[:, :PLACE].T

    def framewise(self, given: Float[Tensor, "m given"]) -> tuple[Tensor, Tensor]:
        """What they make of the frame alone."""
        return given @ first_weight(self.deform)[:, PLACE:].T, given @ self._paint_rest()[:, PLACE:].T

    def forward(self, x: Float[Tensor, "n 2"], moving: Tensor, painting: Tensor) -> Float[Tensor, "n 4"]:
        """Colour and alpha at pixels x, given the first layers of both perceptrons."""
        x = (x + self.deform[1:](moving)).clamp(-1, 1)
        known = self.grid(x) @ first_weight(self.paint)[:, : SHAPE.width].T
        seen = torch.sigmoid(self.paint[1:](known + painting))
        return (seen * (1 + 2 * self.beyond) - self.beyond).clamp(0, 1) if self.original else seen

    def _paint_rest(self) -> Tensor:
        return first_weight(self.paint)[:, SHAPE.width :]


class TorsoField:
    """A person's torso as a field. Its face is that of `likeness.nn.torso.Torso`."""

    def __init__(self, size: int, net: Net, tensors: Mapping[str, Tensor]) -> None:
        self.size, self.net = size, net.requires_grad_(False)
        self._tensors = dict(tensors)
        self._pixels = torch.nonzero(tensors["occupied"].flatten())[:, 0]
        self._x = positions(size)[self._pixels]
        if net.original:
            self._x = self._x * net.stretch
        with torch.no_grad():
            self._still = net.pixelwise(frequencies(self._x, 10))

    # ---- learning --------------------------------------------------------------------------------------------------

    @classmethod
    def fit(
        cls,
        clip: Clip,
        size: int,
        frames: Sequence[int] | np.ndarray,
        kind: Literal["anchors", "pose"] = "anchors",
        steps: int = STEPS,
        *,
        run: Run,
    ) -> TorsoField:
        """Learn from `frames` of a clip, drawn at `size`², in the stage "torso" of a run, beside whose state it keeps its own.
        The same seed gives the same field.

        Raises BadInput where no torso is in the picture.
        """
        frames = np.asarray(frames, int)
        lesson = Lesson(clip, size, Torso.fit(clip, size, frames), frames[:: -(-len(frames) // LOOKS) if len(frames) else 1])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            net = Net(kind)
            codes = nn.Parameter(0.1 * torch.randn(len(lesson.frames), FRAME_CODE))
        net.fit_range(lesson.pose)
        groups = [
            {"params": [net.grid.table], "lr": GRID_RATE, "start": GRID_RATE},
            {"params": [p for p in net.parameters() if p is not net.grid.table] + [codes], "lr": NET_RATE, "start": NET_RATE},
        ]
        optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=True)
        mine = {key.removeprefix(PREFIX): value for key, value in run.resumed.items() if key.startswith(PREFIX)}
        others = {key: value for key, value in run.resumed.items() if not key.startswith(PREFIX)}
        if mine:
            net.load_state_dict({key[4:]: value for key, value in mine.items() if key.startswith("net.")})
            codes.data.copy_(mine["codes"])
            restore_optimiser(optimiser, mine, "adam.")

        def state() -> dict[str, Tensor]:
            held = {f"net.{key}": value for key, value in net.state_dict().items()} | {"codes": codes.detach()}
            return others | {PREFIX + key: v for key, v in (held | optimiser_state(optimiser, "adam.")).items()}

        for step in run.steps("torso", steps) if not run.done("torso") else ():
            for group in optimiser.param_groups:
                group["lr"] = group["start"] * 0.1 ** (step / steps)
            optimiser.zero_grad(set_to_none=True)
            loss = lesson.loss(net, codes, run.generator(step))
            loss.backward()
            optimiser.step()
            if step % LOG_EVERY == 0:
                run.log(loss=loss.detach())
            run.keep(state)
        if not run.done("torso"):
            run.finish(state())
        held = {"occupied": lesson.occupied(net), "size": torch.tensor([size])}
        with torch.no_grad():
            where = net.where(lesson.pose)
        held |= {"least": where.amin(0), "most": where.amax(0)}
        return cls(size, net, held)

    # ---- use -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def follow(self, motion: Motion) -> Float[Tensor, "time 6"]:
        """The pose code. Poses unlike all in training are clipped to the nearest known."""
        t = self._tensors
        return self.net.where(motion.pose).clamp(t["least"] - BEYOND, t["most"] + BEYOND)

    def draw(
        self, where: Float[Tensor, " torso"], background: UInt8[np.ndarray, "h w 3"] | Float[np.ndarray, "h w 3"]
    ) -> UInt8[np.ndarray, "h w 3"] | Float[np.ndarray, "h w 3"]:
        """The torso at one row of `follow` over a background; uint8 0..255 or float32 0..1, as the background is."""
        if background.shape != (self.size, self.size, 3):
            raise ValueError(f"background is {list(background.shape)}, the torso was made for [{self.size} {self.size} 3]")
        seen, out = self.at(where, torch.arange(len(self._pixels))).numpy(), background.copy()
        rows, alpha = out.reshape(-1, 3), seen[:, 3:]
        under = rows[self._pixels.numpy()]
        if background.dtype == np.uint8:
            rows[self._pixels.numpy()] = (seen[:, :3] * alpha * 255 + (1 - alpha) * under + 0.5).astype(np.uint8)
        else:
            rows[self._pixels.numpy()] = seen[:, :3] * alpha + (1 - alpha) * under
        return out

    def layer(self, where: Float[Tensor, " torso"]) -> Float[np.ndarray, "h w 4"]:
        """The torso by itself: float32 RGBA 0..1, colours premultiplied by alpha."""
        out = np.zeros((self.size * self.size, 4), np.float32)
        seen = self.at(where, torch.arange(len(self._pixels))).numpy()
        out[self._pixels.numpy()] = np.concatenate([seen[:, :3] * seen[:, 3:], seen[:, 3:]], 1)
        return out.reshape(self.size, self.size, 4)

    @torch.no_grad()
    def at(self, where: Float[Tensor, " torso"], rows: Int[Tensor, " n"]) -> Float[Tensor, "n 4"]:
        """Straight colour and alpha at some of the pixels where there can be torso, by their number among these."""
        moving, painting = self.net.framewise(self.net.given(where[None]))

        def run(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
            return self.net(x, a + moving, b + painting)

        return in_stretches(run, self._x[rows], self._still[0][rows], self._still[1][rows])

    def state_dict(self) -> dict[str, Tensor]:
        """Everything as plain tensors, for a portrait file."""
        return dict(self._tensors) | {f"net.{k}": v for k, v in self.net.state_dict().items()}

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor]) -> TorsoField:
        """From `state_dict`. Raises BadInput for tensors that are missing or do not belong together."""
        try:
            size = int(tensors["size"][0])
            net = Net("anchors" if "net.anchors" in tensors else "pose", original="net.usual" in tensors)
            shapes = {f"net.{k}": tuple(v.shape) for k, v in net.state_dict().items()}
            shapes |= {"occupied": (size, size), "least": (WHERE,), "most": (WHERE,)}
            wrong = [k for k, shape in shapes.items() if tuple(tensors[k].shape) != shape]
        except (KeyError, ValueError, IndexError) as error:
            raise BadInput(f"the portrait's torso is incomplete ({error}). Train it again.") from error
        if wrong:
            raise BadInput(f"the portrait's torso does not fit together: {', '.join(wrong)}. Train again.")
        net.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")})
        return cls(size, net, {k: v for k, v in tensors.items() if not k.startswith("net.")})


class Lesson:
    """What the field is to look like in some frames of a clip, below where any torso begins."""

    def __init__(self, clip: Clip, size: int, torso: Torso, frames: np.ndarray) -> None:
        self.frames, self.size = frames, size
        self.pose = clip.motion.pose[torch.from_numpy(frames)]
        start, stop = int(frames[0]), int(frames[-1]) + 1
        where = torso.follow(clip.motion[start:stop])
        plate, layers, seen, body = clip.plate(size), [], [], []
        for t in frames:
            image = cv2.resize(clip.image(int(t)), (size, size), interpolation=cv2.INTER_AREA)
            parts = cv2.resize(clip.parts(int(t)), (size, size), interpolation=cv2.INTER_NEAREST)
            head = cv2.dilate(np.isin(parts, HEAD).astype(np.uint8), np.ones((3, 3)), iterations=max(1, round(size / 128)))
            layers.append(np.where(head[..., None] > 0, torso.draw(where[t - start], plate), image))
            hidden = torso.layer(where[t - start])[..., 3] > 0.5
            body.append(np.where(head > 0, hidden, np.isin(parts, (PARTS["torso"], PARTS["neck"]))))
            seen.append(head == 0)
        rows = np.nonzero(np.any(body, axis=(0, 2)))[0]
        self.first = max(int(rows[0]) - size // 32, 0) * size  # pixel from which on there can be torso
        self._rgb, self._body, self._seen = (
            torch.from_numpy(np.stack(x).reshape(len(frames), size * size, -1)[:, self.first :]) for x in (layers, body, seen)
        )
        self._plate = torch.from_numpy(plate.reshape(-1, 3)[self.first :]).float() / 255
        self._x = positions(size)[self.first :]
        self._place = frequencies(self._x, 10)

    def loss(self, net: Net, codes: Tensor, generator: np.random.Generator) -> Tensor:
        """Of random pixels of random frames."""
        t = torch.from_numpy(generator.integers(0, len(self.frames), FRAMES)).repeat_interleave(PIXELS)
        p = torch.from_numpy(generator.integers(0, len(self._x), FRAMES * PIXELS))
        few = t[::PIXELS]
        kept = torch.from_numpy(generator.integers(0, 2, (FRAMES, 1))).float()
        given = net.framewise(net.given(net.where(self.pose[few]), kept * codes[few]))
        still = net.pixelwise(self._place[p])
        moving, painting = (a + b.repeat_interleave(PIXELS, 0) for a, b in zip(still, given, strict=True))
        seen = net(self._x[p], moving, painting)
        rgb, alpha = seen[:, :3], seen[:, 3:]
        error = alpha * rgb + (1 - alpha) * self._plate[p] - self._rgb[t, p].float() / 255
        weight = torch.where(self._seen[t, p], 1.0, BEHIND)
        solid = ((alpha - self._body[t, p].float()).square() * weight).mean()
        sure = alpha.clamp(1e-5, 1 - 1e-5)
        entropy = -(sure * sure.log2() + (1 - sure) * (1 - sure).log2()).mean()
        return (error.square() * weight).mean() + SOLID * solid + ENTROPY * entropy

    @torch.no_grad()
    def occupied(self, net: Net) -> UInt8[Tensor, "size size"]:
        """Where there can be torso: what is opaque in any of some frames, and a little round it."""
        most = torch.zeros(len(self._x))
        still = net.pixelwise(self._place)
        for t in np.linspace(0, len(self.frames) - 1, min(POSES, len(self.frames))).round().astype(int):
            moving, painting = net.framewise(net.given(net.where(self.pose[t : t + 1])))
            seen = in_stretches(lambda x, a, b: net(x, a + moving, b + painting), self._x, *still)
            most = torch.maximum(most, seen[:, 3])
        grid = np.zeros(self.size * self.size, np.uint8)
        grid[self.first :] = (most > OCCUPIED).numpy()
        reach = 2 * max(1, round(self.size / 128)) + 1
        return torch.from_numpy(cv2.dilate(grid.reshape(self.size, self.size), np.ones((reach, reach))))


def first_weight(layers: nn.Sequential) -> Tensor:
    first = layers[0]
    assert isinstance(first, nn.Linear)
    return first.weight


def positions(size: int) -> Float[Tensor, "n 2"]:
    """Pixel centres as (row, column), row by row, in -SHRINK .. SHRINK."""
    line = ((torch.arange(size) + 0.5) / size * 2 - 1) * SHRINK
    return torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)


def frequencies(x: Float[Tensor, "*n d"], octaves: int) -> Float[Tensor, "*n width"]:
    """x and, of each octave, sine and cosine (Mildenhall et al. 2020, equation 4, without its factor of pi)."""
    waves: list[Any] = [x]
    for k in range(octaves):
        waves += [torch.sin(2**k * x), torch.cos(2**k * x)]
    return torch.cat(waves, -1)


def euler(rotation: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 3"]:
    """Angles round x, y and z of R = Rx Ry Rz."""
    x = torch.atan2(-rotation[:, 1, 2], rotation[:, 2, 2])
    y = torch.asin(rotation[:, 0, 2].clamp(-1, 1))
    z = torch.atan2(-rotation[:, 0, 1], rotation[:, 0, 0])
    return torch.stack([x, y, z], -1)
