"""import: a portrait that a method's original code trained becomes a portrait here.

A checkpoint holds the head, perhaps the torso, and nothing of where it stood: camera, head movement and background come
from a clip. What a clip's head frame is to the checkpoint's own is known of the dataset folder that it was trained on
(the camera of every frame is in both); for another clip of the person, faces are looked for in what the portrait draws.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likeness import foreign, methods
from likeness.camera import Camera, moved
from likeness.clip import Clip, Motion
from likeness.errors import BadInput
from likeness.methods import claim
from likeness.nn.torso import Torso
from likeness.portrait import Heard, Portrait, Stage
from likeness.prepare.bundle import View, rotation_matrix
from likeness.prepare.dataset import in_our_head_frame, read_transforms
from likeness.prepare.generic_face import generic_face
from likeness.prepare.landmarks import FaceMesh
from likeness.speech import RECIPES
from likeness.stance import nearest_turn

PLAIN = 450, 450 / 2 / np.tan(np.radians(21.24 / 2)), 3.35 * 0.25
"""Side (pixels), focal length (pixels) and distance (metres) of the view that the original's window opens with."""
SIDES = ((0, 0), (-10, 0), (-20, 0), (10, 0), (20, 0), (0, -10), (0, 10))
"""From which a portrait is drawn to find its face: degrees round the vertical and the level axis."""
LOOKS, ROUNDS = 6, 2
"""Of the clip's cameras, and how often. Of a portrait that had 400 steps on an actor's clip the pitch is then 3.5 degrees off,
the place 1 mm; 4 rounds are no better: what is left is the tracker's, which reads a blurred face."""
FEWEST_FACES = 3
RIDGE = 1e-9  # metres²: a head that never moved leaves its scale unknown; it is 1 then
RIGHT_EYE, LEFT_EYE = (33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380)  # the six points a detector of 68 has
WIDE = 0.9  # opening from which eyes count as open


@dataclass(frozen=True)
class Imported:
    """What came of an import."""

    portrait: Portrait
    layout: str
    weights: Literal["averaged", "as saved"]
    stage: Literal["dataset", "clip", "plain"]
    torso: Literal["the checkpoint's", "the clip's", "none"]

    def as_json(self) -> dict[str, Any]:
        """All but the portrait."""
        parts = {"layout": self.layout, "weights": self.weights, "stage": self.stage, "torso": self.torso}
        return parts | {"features": list(self.portrait.hearing.features)}


def import_portrait(
    method: str, checkpoint: str | os.PathLike, out: str | os.PathLike, clip: str | os.PathLike | None = None
) -> Imported:
    """Write the portrait file `out` of a checkpoint of the method's original code.

    `clip` is the dataset folder that it was trained on, or a clip of the person; without it the portrait stands still before
    white. Raises BadInput where the checkpoint is damaged or of another layout (with every difference), Exhausted where it
    takes too much memory, Refused where `out` is a file that is no portrait.
    """
    home, out = methods.get(method), Path(out)
    if not hasattr(home, "recognise"):
        able = [name for name in methods.names() if hasattr(methods.get(name), "recognise")]
        raise BadInput(f"no checkpoints of {method} can be imported, only of {', '.join(able)}.")
    claim(out)
    original = home.recognise(foreign.read(checkpoint, home.LEAVE))
    if clip is None:
        made, kind = home.adopt(original, plain_stage(), torch.eye(4)), "plain"
    else:
        made, kind = _on_the_stage_of(Path(clip), home, original)
    made.save(out)
    torso = "none" if made.stage.torso is None else "the clip's" if isinstance(made.stage.torso, Torso) else "the checkpoint's"
    return Imported(made, original.layout, "averaged" if original.averaged else "as saved", kind, torso)


def plain_stage() -> Stage:
    """A head that looks straight ahead and does not move, before white."""
    side, focal, distance = PLAIN
    pose = torch.eye(4)
    pose[2, 3] = -distance
    face = torch.from_numpy(generic_face()).float()
    motion = Motion(pose[None], torch.zeros(1, 0), torch.ones(1), face[None])
    white = torch.full((side, side, 3), 255, dtype=torch.uint8)
    return Stage(Camera(float(focal), (side / 2, side / 2), (side, side)), motion, white)


def _on_the_stage_of(folder: Path, home: Any, original: Any) -> tuple[Portrait, Literal["dataset", "clip"]]:
    """The portrait before the clip's background, moved as the clip's head. Its own torso belongs to the dataset's pictures;
    before others stands the clip's."""
    clip = Clip.open(folder)
    theirs = next((f for f in (folder, clip.folder.parent) if (f / "transforms_train.json").is_file()), None)
    motion = clip.motion[torch.from_numpy(clip.take)]
    stage = Stage(clip.camera, motion, torch.from_numpy(clip.background))
    if theirs is None or not original.torso:
        stage = replace(stage, torso=Torso.fit(clip, clip.camera.size[0], clip.train))
    if theirs is not None:
        poses = read_transforms(theirs).poses
        known = [t for t in np.flatnonzero(clip.seen.numpy()) if int(t) in poses]
        written = torch.from_numpy(np.stack([poses[int(t)] for t in known]))
        place = similarity(clip.motion.pose[torch.tensor(known)].double(), written)
    else:
        place = _by_faces(home.adopt(original, plain_stage(), torch.eye(4)), motion, clip)
    area = open_area(clip)
    made = home.adopt(original, stage, place) if area is None else home.adopt(original, stage, place, area)
    return made, "clip" if theirs is None else "dataset"


def similarity(ours: Float[Tensor, "time 4 4"], theirs: Float[Tensor, "time 4 4"]) -> Float[Tensor, "4 4"]:
    """What takes points of our head frame to theirs (turn, scale, shift), from the same cameras in both."""
    turn = nearest_turn((theirs[:, :3, :3] @ ours[:, :3, :3].mT).sum(0))
    turned = ours[:, :3, 3] @ turn.T
    a, b = turned - turned.mean(0), theirs[:, :3, 3] - theirs[:, :3, 3].mean(0)
    scale = ((a * b).sum() + RIDGE) / (a.square().sum() + RIDGE)
    found = torch.eye(4)
    found[:3, :3] = scale * turn
    found[:3, 3] = theirs[:, :3, 3].mean(0) - scale * turned.mean(0)
    return found


def _by_faces(portrait: Portrait, motion: Motion, clip: Clip) -> Float[Tensor, "4 4"]:
    """`similarity` of the clip's head frame to the portrait's own, by where its face is in what it draws: first from sides
    round its front, then from the clip's own cameras, where the tracker errs on the drawn face as on the real one.

    Raises BadInput where too few of these pictures show a face.
    """
    stage = portrait.stage
    sides = stage.motion.pose[0].repeat(len(SIDES), 1, 1)
    turns = torch.from_numpy(rotation_matrix(np.radians([[nod, turn, 0.0] for turn, nod in SIDES]))).float()
    sides[:, :3] = turns @ sides[:, :3]
    found = _matched(portrait, sides, motion, clip)
    portrait.stage = replace(stage, camera=clip.camera)
    rows = torch.linspace(0, len(motion) - 1, LOOKS).round().long()
    for _ in range(ROUNDS):
        found = _matched(portrait, moved(motion.pose[rows], found), motion, clip)
    portrait.stage = stage
    return found


def _matched(portrait: Portrait, cameras: Float[Tensor, "views 4 4"], motion: Motion, clip: Clip) -> Float[Tensor, "4 4"]:
    """The same by what is drawn from some cameras in the portrait's own head frame."""
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    with closing(FaceMesh()) as mesh:
        for pose in cameras:
            mesh.reset()
            points = mesh(_drawn(portrait, pose))
            if points is not None:
                seen.append((pose.double().numpy(), points))
    if len(seen) < FEWEST_FACES:
        raise BadInput(
            f"{clip.folder}: how its head lies to the checkpoint's cannot be found: of {len(cameras)} pictures that the "
            f"portrait draws, {len(seen)} show a face. Name the dataset folder that it was trained on as the clip."
        )
    poses, pixels = (np.stack(some) for some in zip(*seen))
    rotation = np.swapaxes(poses[:, :3, :3], 1, 2)
    theirs = View(rotation, np.negative(rotation @ poses[:, :3, 3:])[..., 0])
    view = in_our_head_frame(theirs, pixels, motion.landmarks.mean(0).double().numpy(), portrait.stage.camera)
    ours = np.tile(np.eye(4), (len(seen), 1, 1))
    ours[:, :3, :3] = np.swapaxes(view.rotation, 1, 2)
    ours[:, :3, 3] = np.negative(ours[:, :3, :3] @ view.shift[..., None])[..., 0]
    return similarity(torch.from_numpy(ours), torch.from_numpy(poses))


def _drawn(portrait: Portrait, pose: Float[Tensor, "4 4"]) -> UInt8[np.ndarray, "height width 3"]:
    """The head before white, hearing nothing."""
    hearing = portrait.hearing
    dim = sum(RECIPES[name].dim for name in hearing.features)
    nothing = Heard(torch.zeros(hearing.rows, dim), torch.zeros(dim), torch.ones(dim), torch.zeros(1))
    motion = replace(portrait.stage.motion[:1], pose=pose[None])
    layer, _ = portrait.render(portrait.listen(nothing), motion)
    picture = layer.rgb[0] + (1 - layer.alpha[0, ..., None])
    return (picture.clamp(0, 1) * 255).round().byte().numpy()


def open_area(clip: Clip) -> float | None:
    """The area of both open eyes in percent of the picture, in the middle of a clip's frames; None where they never are."""
    frames = clip.train[clip.motion.eyes.numpy()[clip.train] >= WIDE]
    if len(frames) == 0:
        return None
    points = clip.pixels[torch.from_numpy(frames)]
    area = sum(_area(points[:, eye]) for eye in (RIGHT_EYE, LEFT_EYE))
    assert isinstance(area, Tensor)
    return float(area.median()) / (clip.camera.size[0] * clip.camera.size[1]) * 100


def _area(points: Float[Tensor, "time k 2"]) -> Float[Tensor, " time"]:
    """Of a polygon (the shoelace formula)."""
    x, y = points.unbind(-1)
    return 0.5 * (x * y.roll(-1, 1) - y * x.roll(-1, 1)).sum(1).abs()
