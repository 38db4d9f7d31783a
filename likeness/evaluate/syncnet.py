"""LSE-C, LSE-D and the offset of lips and sound, by SyncNet (Chung and Zisserman 2016) and the procedure of its authors.

The network tells how far five pictures of a face (224², BGR 0 .. 255) are from 0.2 s of sound (13 x 20 MFCC). Distances of
all windows to the sound up to 15 frames earlier and later are averaged: the smallest is LSE-D, the median less the
smallest LSE-C, and where the smallest lies is the offset (Prajwal et al. 2020 gave the two their names).

Differences to the reference, which the recipe's id stands for: raw frames instead of JPEG files, and the face's box from the
face mesh instead of S3FD. Rows of one evaluation compare; published figures do not, nor do the LRS variants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.signal import medfilt
from torch import Tensor, nn
from torch.nn import functional as F

from likeness import mesh
from likeness.audio import HOP
from likeness.evaluate.mfcc import mfcc
from likeness.published import Published

SYNCNET = Published(
    what="lip sync (LSE-C, LSE-D, offset)",
    folder="syncnet",
    names=("syncnet_v2.model", "syncnet_v2.safetensors"),
    source="www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
    ignored=("*.num_batches_tracked",),
)
REACH = 15  # frames to either side: `vshift`
WINDOW = 5  # frames
SIDE = 224
ROWS = 4 * WINDOW  # of MFCC in a window
MARGIN = 0.4  # `crop_scale`: of the half box, beyond it at both sides and at the chin
GREY = 110  # beyond the picture
MEDIAN = 13  # frames: of the boxes
BATCH = 8
SMALLEST_STRETCH = 100
"""Frames: the reference drops shorter tracks, of which the zeros beyond both ends are too large a part."""

# Convolutions: index in the published file's list of layers, channels in and out, kernel, stride, padding; pooling after
# it: kernel, stride, padding, or None. Batch norm and a rectifier follow every one, at the next two indices.
LIPS = (
    (0, 3, 96, (5, 7, 7), (1, 2, 2), (0, 0, 0), ((1, 3, 3), (1, 2, 2), (0, 0, 0))),
    (4, 96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 1, 1))),
    (8, 256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1), None),
    (11, 256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1), None),
    (14, 256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 0, 0))),
    (18, 256, 512, (1, 6, 6), (1, 1, 1), (0, 0, 0), None),
)
SOUND = (
    (0, 1, 64, (3, 3), (1, 1), (1, 1), None),
    (4, 64, 192, (3, 3), (1, 1), (1, 1), ((3, 3), (1, 2), (0, 0))),
    (8, 192, 384, (3, 3), (1, 1), (1, 1), None),
    (11, 384, 256, (3, 3), (1, 1), (1, 1), None),
    (14, 256, 256, (3, 3), (1, 1), (1, 1), ((3, 3), (2, 2), (0, 0))),
    (18, 256, 512, (5, 4), (1, 1), (0, 0), None),
)
NORM = ("weight", "bias", "running_mean", "running_var")


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of the published file."""
    found: dict[str, tuple[int, ...]] = {}
    for stream, layers in (("lip", LIPS), ("aud", SOUND)):
        for at, into, out, kernel, *_ in layers:
            found |= {f"netcnn{stream}.{at}.weight": (out, into, *kernel), f"netcnn{stream}.{at}.bias": (out,)}
            found |= {f"netcnn{stream}.{at + 1}.{name}": (out,) for name in NORM}
        found |= {f"netfc{stream}.0.weight": (512, 512), f"netfc{stream}.0.bias": (512,)}
        found |= {f"netfc{stream}.1.{name}": (512,) for name in NORM}
        found |= {f"netfc{stream}.3.weight": (1024, 512), f"netfc{stream}.3.bias": (1024,)}
    return found


class SyncNet(nn.Module):
    """Both streams, frozen."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """`tensors` as in `shapes`."""
        super().__init__()
        for key, value in tensors.items():
            self.register_buffer(key.replace(".", "_"), value)

    @staticmethod
    def in_place() -> SyncNet:
        """From the file that the user put in place. Raises MissingAsset, or BadInput for another file."""
        return SyncNet(SYNCNET.read(shapes()))

    def lips(self, pictures: Float[Tensor, "batch 3 5 224 224"]) -> Float[Tensor, "batch 1024"]:
        """Of windows of five pictures, BGR 0 .. 255."""
        return self._last("lip", self._convolved("lip", LIPS, pictures))

    def sound(self, cepstra: Float[Tensor, "batch 1 13 20"]) -> Float[Tensor, "batch 1024"]:
        """Of the MFCC of 0.2 s."""
        return self._last("aud", self._convolved("aud", SOUND, cepstra))

    def _convolved(self, stream: str, layers: Sequence[tuple], x: Tensor) -> Tensor:
        convolve, pool = (F.conv3d, F.max_pool3d) if x.dim() == 5 else (F.conv2d, F.max_pool2d)
        for at, _, _, _, stride, padding, pooling in layers:
            weight, bias = (self.get_buffer(f"netcnn{stream}_{at}_{name}") for name in ("weight", "bias"))
            x = F.relu(self._normed(f"netcnn{stream}_{at + 1}", convolve(x, weight, bias, stride, padding)))
            x = x if pooling is None else pool(x, *pooling)
        return x.flatten(1)

    def _last(self, stream: str, x: Tensor) -> Tensor:
        for at, follows in ((0, True), (3, False)):
            weight, bias = (self.get_buffer(f"netfc{stream}_{at}_{name}") for name in ("weight", "bias"))
            x = F.linear(x, weight, bias)
            x = F.relu(self._normed(f"netfc{stream}_1", x)) if follows else x
        return x

    def _normed(self, name: str, x: Tensor) -> Tensor:
        weight, bias, mean, variance = (self.get_buffer(f"{name}_{n}") for n in NORM)
        return F.batch_norm(x, mean, variance, weight, bias)


# ---- the procedure


@torch.no_grad()
def distances(
    net: SyncNet,
    pictures: Sequence[UInt8[np.ndarray, "height width 3"]],
    pixels: Float[np.ndarray, "time 478 2"],
    waveform: Float[np.ndarray, " samples"],
) -> Float[np.ndarray, "windows 31"]:
    """How far each window of five frames is from the sound up to 15 frames around it; column 15 is its own time.

    `pixels` are landmarks of the pictures, RGB; `waveform` is their sound at 16 kHz and begins with the first.
    """
    cepstra = mfcc(waveform)
    windows = min(len(pictures), len(waveform) // HOP) - WINDOW
    if windows < 1:
        raise ValueError(f"distances: {len(pictures)} pictures; more than {WINDOW} with their sound are needed")
    faces = torch.from_numpy(np.stack(list(crops(pictures, pixels))))  # uint8: a float a value would be gigabytes
    heard = torch.from_numpy(cepstra.T.astype(np.float32))
    lips, sound = [], []
    for start in range(0, windows, BATCH):
        at = range(start, min(start + BATCH, windows))
        lips.append(net.lips(torch.stack([faces[t : t + WINDOW] for t in at]).permute(0, 4, 1, 2, 3).float()))
        sound.append(net.sound(torch.stack([heard[None, :, 4 * t : 4 * t + ROWS] for t in at])))
    return apart(torch.cat(lips), torch.cat(sound)).numpy().astype(np.float64)


def apart(lips: Float[Tensor, "windows dim"], sound: Float[Tensor, "windows dim"]) -> Float[Tensor, "windows 31"]:
    """Distances to the sound REACH windows around each; beyond the ends the sound's vector is zero, as in the reference."""
    around = F.pad(sound, (0, 0, REACH, REACH)).unfold(0, 2 * REACH + 1, 1)  # [windows dim 31]
    return torch.linalg.vector_norm(lips[:, :, None] - around + 1e-6, dim=1)


def too_short(frames: int) -> str:
    """Why so few frames are not judged."""
    return f"LSE-C and LSE-D need {SMALLEST_STRETCH} frames without a gap; the longest run measured has {frames}."


def lse_d(distance: Float[np.ndarray, "windows 31"]) -> float:
    """The smallest mean distance: lower is better in step."""
    return float(distance.mean(0).min())


def lse_c(distance: Float[np.ndarray, "windows 31"]) -> float:
    """How clearly the smallest mean distance stands out: the median of all 31 less it."""
    means = distance.mean(0)
    return float(np.median(means) - means.min())


def offset(distance: Float[np.ndarray, "windows 31"]) -> float:
    """15 less the place of the smallest, in frames: positive where the sound that fits best comes earlier."""
    return float(REACH - int(distance.mean(0).argmin()))


def crops(
    pictures: Sequence[UInt8[np.ndarray, "height width 3"]], pixels: Float[np.ndarray, "time 478 2"]
) -> Iterator[UInt8[np.ndarray, "224 224 3"]]:
    """Faces as the reference cuts them out: boxes by a median over 13 frames (zeros beyond the ends, as there), 40 % larger
    at the sides and below, grey beyond the picture; BGR."""
    skin = pixels[:, : mesh.NODES]
    low, high = skin.min(1), skin.max(1)
    centre, half = (low + high) / 2, (high - low).max(1) / 2
    steady = [medfilt(values.astype(np.float64), MEDIAN) for values in (centre[:, 0], centre[:, 1], half)]
    for image, x, y, s in zip(pictures, *steady):
        border = int(s * (1 + 2 * MARGIN))
        padded = np.pad(image, ((border, border), (border, border), (0, 0)), constant_values=GREY)
        top, bottom = int(y + border - s), int(y + border + s * (1 + 2 * MARGIN))
        left, right = int(x + border - s * (1 + MARGIN)), int(x + border + s * (1 + MARGIN))
        face = padded[max(top, 0) : bottom, max(left, 0) : right]
        yield cv2.cvtColor(cv2.resize(face, (SIDE, SIDE)), cv2.COLOR_RGB2BGR)
