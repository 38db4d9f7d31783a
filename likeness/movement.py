"""Head movement: a person's own, another clip's, an orbit, or what a file says, as poses for one person.

Files: `.csv` (`likeness.curves`) holds the six numbers of `likeness.stance`, from the person's mean pose; `.npy` holds
poses [T 4 4] as they are (`likeness.camera`); a NeRF-style `.json` holds `frames` with `transform_matrix` (camera-to-world,
OpenGL's axes) and maybe `img_id`: its turns and shifts from its own mean are put on the person's, in units of its distance.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from likeness.clip import UNREADABLE, Clip
from likeness.curves import read_curve
from likeness.errors import BadInput
from likeness.stance import NAMES, Stance, nearest_turn
from likeness.video import FPS

LIMITS = {"yaw": (-180.0, 180.0), "pitch": (-90.0, 90.0), "roll": (-180.0, 180.0)} | dict.fromkeys("xyz", (-10.0, 10.0))
FILES = (".csv", ".npy", ".json")
LONGEST_S = 3600.0
ORBIT_S = 8.0  # a turn about as quick as people look round while they speak
NOD = 1 / 3  # of an orbit's yaw is its pitch: heads nod less than they turn
USUAL = 0.02  # of a person's own frames on either side count as unusual
NEAR = 0.25  # of the usual distance: nearer, the camera would be in the head
SLACK = torch.tensor([3.0, 3.0, 3.0, 0.02, 0.02, 0.05]).double()  # beyond what was seen, in `NAMES`, before it is said
NOBODY = torch.eye(4).index_put((torch.tensor(2), torch.tensor(3)), torch.tensor(-0.7))[None]
"""A pose as anybody's: for seeing whether a movement can be read."""
FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).double()  # OpenGL's camera axes to ours


class Movement(NamedTuple):
    """Poses, 25 a second."""

    pose: Float[Tensor, "time 4 4"]
    closed: bool = False
    """The first follows the last; else it is played forwards and backwards."""
    eyes: Float[Tensor, " time"] | None = None
    """Those of another clip come with its head."""


def movement(wanted: str | Path, own: Float[Tensor, "own 4 4"]) -> Movement:
    """What `likeness.delivery.Delivery.pose` asks for, of a person whose own poses are given."""
    if wanted == "clip":
        return Movement(own)
    if wanted == "fixed":
        distance = (own - own.mean(0)).flatten(1).norm(dim=1)
        return Movement(own[distance.argmin()][None])
    if str(wanted).partition(":")[0] == "orbit":
        return Movement(orbit(str(wanted), own), closed=True)
    path = Path(wanted)
    if path.suffix.lower() not in FILES or path.is_dir():
        return _of_clip(path, own)
    if not path.is_file():
        raise BadInput(f"{path}: no such file of poses.")
    return Movement({".csv": _of_curve, ".npy": _of_matrices, ".json": _of_transforms}[path.suffix.lower()](path, own))


def orbit(text: str, own: Float[Tensor, "own 4 4"]) -> Float[Tensor, "time 4 4"]:
    """One round of orbit[:DEGREES[:SECONDS]]: yaw to both sides by so much, pitch by a third. By default as far as the person's
    own head usually turns."""
    words = text.split(":")[1:]
    stance, limits = Stance.of(own), ((0.0, 90.0), (1.0, 600.0))
    yaw, pitch = stance.numbers(own)[:, :2].T
    reach = [min(-float(x.quantile(USUAL)), float(x.quantile(1 - USUAL))) for x in (yaw, pitch)]
    numbers = [max(0.0, min(reach[0], reach[1] / NOD)), ORBIT_S]
    for i, word in enumerate(words):
        try:
            numbers[i] = float(word) if word else numbers[i]
            if not limits[i][0] <= numbers[i] <= limits[i][1]:
                raise ValueError
        except (ValueError, IndexError):
            raise BadInput(
                f"pose {text!r}: write orbit, orbit:DEGREES (0 to 90) or orbit:DEGREES:SECONDS (1 to 600)."
            ) from None
    angle = torch.arange(round(numbers[1] * FPS)).double() * (2 * math.pi / round(numbers[1] * FPS))
    turned = torch.zeros(len(angle), len(NAMES)).double()
    turned[:, 0], turned[:, 1] = numbers[0] * angle.sin(), NOD * numbers[0] * angle.cos()
    return stance.pose(turned)


def must_be_ahead(pose: Float[Tensor, "time 4 4"], own: Float[Tensor, "own 4 4"]) -> None:
    """Raise BadInput where a movement brings the head into the camera or behind it."""
    distance, usual = (-(p[:, :3, 3, None] * p[:, :3, :3]).sum(1)[:, 2] for p in (pose, own))
    near = torch.nonzero(~(distance >= NEAR * usual.mean()))[:, 0]
    if len(near):
        raise BadInput(
            f"at frame {int(near[0])} of its movement the head is {float(distance[near[0]]):.2f} m before the camera, usually "
            f"{float(usual.mean()):.2f} m. Nearer than a quarter of that it cannot be drawn."
        )


def beyond(pose: Float[Tensor, "time 4 4"], own: Float[Tensor, "own 4 4"]) -> str | None:
    """Where a movement goes clearly beyond the person's own, in words; None where it does not."""
    stance = Stance.of(own)
    seen, asked = stance.numbers(own), stance.numbers(pose)
    low, high, least, most = seen.amin(0), seen.amax(0), asked.amin(0), asked.amax(0)
    found = []
    for i in torch.nonzero((least < low - SLACK) | (most > high + SLACK))[:, 0].tolist():
        a, b, c, d = (float(x[i]) for x in (least, most, low, high))
        form = (lambda v: f"{v:.0f}") if i < 3 else (lambda v: f"{v:.2f}")
        found.append(f"{NAMES[i]} {form(a)} to {form(b)} {'degrees' if i < 3 else 'm'} (seen: {form(c)} to {form(d)})")
    return f"the head goes where the video never showed it, and may look wrong there: {', '.join(found)}" if found else None


def _of_clip(folder: Path, own: Float[Tensor, "own 4 4"]) -> Movement:
    """Of another clip, shifted to where this person's camera has the head."""
    clip = Clip.open(folder)
    take = clip.motion[torch.from_numpy(clip.take)]
    pose = take.pose.clone()
    pose[:, :3, 3] += own[:, :3, 3].mean(0) - pose[:, :3, 3].mean(0)
    return Movement(pose, eyes=take.eyes)


def _of_curve(path: Path, own: Float[Tensor, "own 4 4"]) -> Float[Tensor, "time 4 4"]:
    curve, names = read_curve(path, LIMITS, FPS)
    if not names:
        raise BadInput(f"{path}: line 1: no column says how the head is. Columns: frame or time, and {', '.join(LIMITS)}.")
    numbers = torch.zeros(_short(path, len(curve)), len(NAMES)).double()
    numbers[:, [NAMES.index(name) for name in names]] = torch.from_numpy(curve.at(np.arange(float(len(curve)))))
    return Stance.of(own).pose(numbers)


def _of_matrices(path: Path, own: Float[Tensor, "own 4 4"]) -> Float[Tensor, "time 4 4"]:
    try:
        held = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise BadInput(f"{path}: cannot be read ({error}). It must hold an array [T 4 4].") from error
    if held.dtype.kind not in "fiu" or held.ndim != 3 or held.shape[1:] != (4, 4) or not len(held):
        raise BadInput(f"{path}: holds {held.dtype} {list(held.shape)}; numbers [T 4 4] are needed.")
    _short(path, len(held))
    return _rigid(path, torch.from_numpy(held.astype(np.float64)), list(range(len(held)))).float()


def _of_transforms(path: Path, own: Float[Tensor, "own 4 4"]) -> Float[Tensor, "time 4 4"]:
    try:
        frames = json.loads(path.read_text())["frames"]
        rows = {int(frame.get("img_id", n)): np.array(frame["transform_matrix"], np.float64) for n, frame in enumerate(frames)}
        if not rows or any(matrix.shape != (4, 4) for matrix in rows.values()):
            raise ValueError("a transform_matrix is not 4x4, or there is none")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: no transforms of NeRF ({error!r}): it needs frames with transform_matrix.") from error
    ids = sorted(rows)
    pose = _rigid(path, torch.from_numpy(np.stack([rows[i] for i in ids])), ids) @ FLIP
    turn, mine = (p[:, :3, :3].double().transpose(1, 2) for p in (pose, own))
    head, here = (-(t @ p[:, :3, 3:].double())[..., 0] for t, p in ((turn, pose), (mine, own)))
    far = head.mean(0).norm().clamp_min(1e-9)
    turn = turn @ nearest_turn(turn.mean(0)).T @ nearest_turn(mine.mean(0))
    head = here.mean(0) + (head - head.mean(0)) * (here.mean(0).norm() / far)
    turn, head = _filled(turn, head, np.array(ids) - ids[0], _short(path, ids[-1] - ids[0] + 1))
    made = torch.eye(4).double().repeat(len(turn), 1, 1)
    made[:, :3, :3], made[:, :3, 3] = turn.transpose(1, 2), -(head[:, None] @ turn)[:, 0]
    return made.float()


def _filled(turn: Tensor, head: Tensor, ids: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
    """Turns and places of every frame, where some are missing."""
    if len(ids) == length:
        return turn, head
    frames = np.arange(length)
    between = Slerp(ids, Rotation.from_matrix(turn.numpy()))(frames).as_matrix()
    return torch.from_numpy(between), torch.from_numpy(PchipInterpolator(ids, head.numpy())(frames))


def _rigid(path: Path, matrices: Float[Tensor, "time 4 4"], ids: list[int]) -> Float[Tensor, "time 4 4"]:
    """The matrices, once they are all seen to turn and shift and nothing else."""
    turn = matrices[:, :3, :3]
    off = (turn @ turn.transpose(1, 2) - torch.eye(3).double()).abs().amax((1, 2)) + (torch.linalg.det(turn) < 0)
    off = off + (matrices[:, 3] - torch.tensor([0.0, 0.0, 0.0, 1.0]).double()).abs().amax(1)
    wrong = torch.nonzero(~(off < 1e-2) | ~matrices.isfinite().all(2).all(1))[:, 0]
    if len(wrong):
        raise BadInput(f"{path}: frame {ids[int(wrong[0])]}: its matrix is no pose (a rotation and a shift over 0 0 0 1).")
    return matrices


def _short(path: Path, frames: int) -> int:
    if frames > LONGEST_S * FPS:
        raise BadInput(
            f"{path}: {frames} frames; a head's movement may be an hour long, {LONGEST_S * FPS:.0f}. It is repeated."
        )
    return frames
