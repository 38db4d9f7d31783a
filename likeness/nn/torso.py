"""Our own torso: what is below the head, drawn without a pixel of the real frame and moved by the head's pose alone.

A canonical texture of torso and neck, on a canvas that reaches beyond the picture, is bent by a grid of control points
(`likeness.nn.alignment`) that follows the head: linear in the pose, plus a kernel on the pose and its recent past and
future that remembers how the clothes sat in the training frames. The head is drawn over it later, so the neck goes on
behind the chin. Its colours follow the pose too (`likeness.nn.shading`). Own construction; RAD-NeRF (Tang et al. 2022,
section 3.4) has the same idea as a deformed 2D field (`likeness.nn.torso_field`).

Where the torso is (`Motion.torso`) is one row of numbers a frame: displacements (x, y) of the control points in pixels
of a TRACK² picture, row by row, and the pose's POSE numbers, standardised. Live and offline agree as long as `follow`
sees the same whole stretch of motion: it looks AROUND frames to both sides, which a looped or recorded motion always
offers. For a pose that arrives frame by frame give what is there; the missing future only costs the smoothed terms
(measured: under 0.1 px).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likeness.camera import to_camera
from likeness.clip import Clip, Motion
from likeness.errors import BadInput
from likeness.nn import shading
from likeness.nn.alignment import Grid
from likeness.nn.canvas import TRACK, Aligned, align, first_row, make_texture
from likeness.nn.warping import draw_over, invert

SIGMAS = (5.0, 15.0)  # frames: the pose smoothed in time tells where the body is while the head moves
AROUND = int(3 * SIGMAS[-1])  # frames to either side that change where the torso is
RIDGE = 1e-4  # on the pose itself (z-scored, per frame): most of the motion, so hardly any shrinking
REACH = 1.0  # of the kernel, in standard deviations of the features (root mean square over them)
NOISE = 0.3  # of the kernel, against 1: smaller keeps nearer to how training frames were, larger to the ridge


class Torso:
    """A person's torso. `fit` learns it from a clip; `follow` says where it is, `draw` draws it over a background."""

    def __init__(self, size: int, tensors: Mapping[str, Tensor]) -> None:
        self.size = size
        self._tensors = dict(tensors)
        x0, y0, step = (float(v) for v in tensors["grid"][:3])
        rows, columns = (int(v) for v in tensors["grid"][3:])
        self.grid = Grid(x0, y0, step, (rows, columns))
        rgba = tensors["texture"].numpy().astype(np.float32) / 255
        rgba[..., :3] *= rgba[..., 3:]
        self._texture = rgba
        self._shading = tensors["shading"].numpy() if "shading" in tensors else None

    # ---- learning --------------------------------------------------------------------------------------------------

    @classmethod
    def fit(cls, clip: Clip, size: int, frames: Sequence[int] | np.ndarray) -> Torso:
        """Learn texture and motion from `frames` of a clip (training frames of one scene), drawn at `size`².

        About 6 s for 1100 frames on one core. Raises BadInput where no torso is in the picture.
        """
        frames = np.asarray(frames, int)
        if len(frames) == 0:
            raise BadInput(f"{clip.folder}: no frames to learn the torso from. The clip has no frame with a face.")
        aligned = align(clip, frames)
        texture, learned = make_texture(clip, aligned, size), cls._learn(clip, aligned)
        shade = shading.learn(clip, aligned, texture, learned["centres"][:, :POSE].numpy())
        learned |= {"texture": torch.from_numpy(texture), "shading": torch.from_numpy(shade), "size": torch.tensor([size])}
        return cls(size, learned)

    @staticmethod
    def _learn(clip: Clip, aligned: Aligned) -> dict[str, Tensor]:
        """Regression from pose to control points: ridge, then a kernel (Gaussian process mean) on what it leaves."""
        pose = clip.motion.pose
        scene = slice(int(aligned.frames[0]), int(aligned.frames[-1]) + 1)
        rows = torch.from_numpy(aligned.frames - aligned.frames[0])
        features = pose_features(pose[scene])[rows].double()
        mean, std = features.mean(0), features.std(0, correction=0).clamp_min(1e-5)
        x = (features - mean) / std
        y = torch.from_numpy(aligned.warps).double().flatten(1)
        offset, now = y.mean(0), x[:, :POSE]
        ridge = RIDGE * len(x) * torch.eye(POSE).double()
        weights = torch.linalg.solve(now.T @ now + ridge, now.T @ (y - offset))
        left = y - offset - now @ weights
        kernel = _kernel(x, x)
        memory = torch.linalg.solve(kernel + NOISE * torch.eye(len(x)).double(), left)
        grid = aligned.grid
        numbers = [grid.x0, grid.y0, grid.step, *map(float, grid.shape)]
        learned = {"mean": mean, "std": std, "weights": weights, "offset": offset, "centres": x, "memory": memory}
        learned |= {"low": x.amin(0), "high": x.amax(0)}
        return {k: v.float().contiguous() for k, v in learned.items()} | {"grid": torch.tensor(numbers)}

    # ---- use -------------------------------------------------------------------------------------------------------

    def follow(self, motion: Motion) -> Float[Tensor, "time torso"]:
        """Where the torso is while the head moves so. Poses unlike all in training are clipped to the nearest known."""
        t = self._tensors
        x = (pose_features(motion.pose) - t["mean"]) / t["std"]
        x = x.clamp(t["low"] - 0.2, t["high"] + 0.2)
        warp = t["offset"] + x[:, :POSE] @ t["weights"] + _kernel(x, t["centres"]) @ t["memory"]
        return torch.cat([warp, x[:, :POSE]], 1)

    def draw(
        self, where: Float[Tensor, " torso"], background: UInt8[np.ndarray, "h w 3"] | Float[np.ndarray, "h w 3"]
    ) -> UInt8[np.ndarray, "h w 3"] | Float[np.ndarray, "h w 3"]:
        """The torso at one row of `follow` over a background; uint8 0..255 or float32 0..1, as the background is."""
        if background.shape != (self.size, self.size, 3):
            raise ValueError(f"background is {list(background.shape)}, the torso was made for [{self.size} {self.size} 3]")
        return draw_over(self._shaded(where), self._lattice(where), self._place(), np.ascontiguousarray(background))

    def layer(self, where: Float[Tensor, " torso"]) -> Float[np.ndarray, "h w 4"]:
        """The torso by itself: float32 RGBA 0..1, colours premultiplied by alpha."""
        nothing = np.zeros((self.size, self.size, 4), np.float32)
        return draw_over(self._shaded(where), self._lattice(where), self._place(), nothing)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything as plain tensors, for a portrait file."""
        return dict(self._tensors)

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor]) -> Torso:
        """From `state_dict`. Raises BadInput for tensors that are missing or do not belong together."""
        try:
            rows, columns = (int(v) for v in tensors["grid"][3:])
            points, known = 2 * rows * columns, len(tensors["centres"])
            shapes = {"weights": (POSE, points), "offset": (points,), "memory": (known, points)}
            shapes |= {k: (FEATURES,) for k in ("mean", "std", "low", "high")} | {"centres": (known, FEATURES)}
            wrong = [k for k, shape in shapes.items() if tuple(tensors[k].shape) != shape]
            if "shading" in tensors and tensors["shading"].shape[::3] != (POSE, 3):
                wrong.append("shading")
            if wrong or tensors["texture"].ndim != 3 or tensors["texture"].shape[2] != 4:
                raise BadInput(f"the portrait's torso does not fit together: {', '.join(wrong) or 'texture'}. Train again.")
            return cls(int(tensors["size"][0]), tensors)
        except (KeyError, ValueError, IndexError) as error:
            raise BadInput(f"the portrait's torso is incomplete ({error}). Train it again.") from error

    def _lattice(self, where: Tensor) -> np.ndarray:
        rows, columns = self.grid.shape
        warp = np.ascontiguousarray(where.detach().numpy()[:-POSE].reshape(rows, columns, 2), np.float32)
        return invert(warp, self.grid.x0, self.grid.y0, self.grid.step, TRACK)

    def _shaded(self, where: Tensor) -> np.ndarray:
        """The texture as it looks in the pose. Portraits made before colours followed the pose have no shading."""
        if self._shading is None:
            return self._texture
        return shading.shade(self._texture, self._shading, where.detach().numpy()[-POSE:])

    def _place(self) -> tuple[float, float]:
        """Texture pixels per canvas pixel, and the canvas row where the texture begins."""
        return self.size / TRACK, float(first_row(self.grid))


POSE = 6
FEATURES = POSE * (1 + len(SIGMAS))


def pose_features(pose: Float[Tensor, "time 4 4"]) -> Float[Tensor, "time features"]:
    """Where the head is: direction and log distance seen from the camera, sine of the rotation vector; and how far each
    is from its mean over a while (`SIGMAS`). Of a lean, the smoothed pose tells what the present one cannot."""
    head = to_camera(torch.zeros(len(pose), 3).to(pose), pose)
    turn = pose[:, :3, :3].transpose(1, 2)
    vector = torch.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]], -1)
    now = torch.cat([head[:, :2] / head[:, 2:].clamp_min(1e-3), head[:, 2:].clamp_min(1e-3).log(), vector / 2], -1)
    return torch.cat([now, *(_smooth(now, sigma) - now for sigma in SIGMAS)], -1)


def _smooth(rows: Float[Tensor, "time d"], sigma: float) -> Float[Tensor, "time d"]:
    """Gaussian along time; at the ends the weights of what is there are made to sum to one."""
    radius = int(3 * sigma)
    offsets = torch.arange(-radius, radius + 1)
    weight = torch.exp(-0.5 * (offsets / sigma) ** 2).to(rows)
    index = torch.arange(len(rows))[:, None] + offsets
    weight = weight * ((index >= 0) & (index < len(rows)))
    return torch.einsum("tk,tkd->td", weight / weight.sum(1, keepdim=True), rows[index.clamp(0, len(rows) - 1)])


def _kernel(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return torch.exp(-0.5 * torch.cdist(a, b).square() / (REACH**2 * a.shape[1]))
