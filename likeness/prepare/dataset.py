"""Dataset folders of AD-NeRF, RAD-NeRF, ER-NeRF and TalkingGaussian, opened as clips.

Their pictures, masks, poses, background and sound are taken over; only the face mesh, which they do not have, is ours.
The clip is written to a folder `likeness` inside the dataset's (nothing of theirs is changed), once: it appears there
when it is whole. Ours differ from theirs in what is held out: the last tenth here, the last eleventh there.

Their camera is OpenGL's and their head frame has x to the right of the picture, y up, z towards the camera, metres up
to one unknown scale; turning y and z round on both sides gives our axes, and our mesh gives the scale. Formats: section
2 of the specifications of RAD-NeRF and TalkingGaussian.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.optimize import least_squares

from likeness import audio, speech
from likeness.camera import Camera
from likeness.clip import FORMAT, PARTS, VERSION, Clip, landmarks_from_pixels, read_picture
from likeness.errors import BadInput
from likeness.files import lock, unwritable, write_atomically
from likeness.mesh import FACE_OVAL, INNER_LIPS, SKULL
from likeness.prepare import pictures, tasks
from likeness.prepare.bundle import View, adjust, keyframes, rotation_matrix, solve_frames
from likeness.prepare.expression import express
from likeness.prepare.landmarks import FaceMesh
from likeness.prepare.scenes import Changes, find_scenes
from likeness.prepare.sound import place_sound
from likeness.prepare.steps import Steps
from likeness.video import FPS

INSIDE = "likeness"
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenGL's axes to OpenCV's, and their head frame to ours."""
COLOURS = {
    (255, 255, 255): "background",
    (0, 0, 255): "face",
    (0, 255, 0): "neck",
    (255, 0, 0): "torso",
    (100, 100, 100): "mouth",  # TalkingGaussian only
    (0, 0, 0): "hair",  # TalkingGaussian only
}


@dataclass(frozen=True)
class Dataset:
    """What a dataset's transforms say. Poses are already ours: camera-to-world, x right, y down, z into the head."""

    folder: Path
    camera: Camera
    frames: int
    poses: dict[int, Float[np.ndarray, "4 4"]]


def convert(folder: str | os.PathLike, say: Callable[[str], None] | None = None) -> Clip:
    """The clip of a dataset folder: made in `folder`/likeness when it is not there yet.

    Raises BadInput when the dataset is damaged or incomplete or its folder cannot be written, Exhausted on a full disk,
    Refused while another process converts it.
    """
    folder = Path(folder)
    place = folder / INSIDE
    if (place / "clip.json").is_file():
        return Clip.open(place)
    dataset = read_transforms(folder)
    partial = folder / f"{INSIDE}.partial"
    try:
        (partial / "steps").mkdir(parents=True, exist_ok=True)
        with lock(partial / "steps" / "lock", folder, "conversion"):
            if (place / "clip.json").is_file():  # another process has made it since
                shutil.rmtree(partial)
                return Clip.open(place)
            line = f"{folder}: a dataset folder; converting its {dataset.frames} frames into {place}"
            say(line) if say is not None else print(line, file=sys.stderr)
            try:
                _clear(partial)
                _Conversion(dataset, partial).run()
                pictures.replace_folder(partial, place)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise unwritable(place, error) from error
    return Clip.open(place)


def _clear(partial: Path) -> None:
    """Take away what a killed conversion left, all but the lock."""
    for path in [*partial.iterdir(), *(partial / "steps").iterdir()]:
        if path.name not in ("steps", "lock"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def read_transforms(folder: Path) -> Dataset:
    """Camera and poses from transforms_train.json and transforms_val.json. Raises BadInput when they make no sense."""
    poses: dict[int, np.ndarray] = {}
    header: dict[str, Any] = {}
    for name in ("transforms_train.json", "transforms_val.json"):
        path = folder / name
        if not path.is_file():
            if name == "transforms_train.json":
                raise BadInput(f"{path}: missing. A dataset folder needs it.")
            continue
        try:
            held = json.loads(path.read_text())
            header = header or held
            for frame in held["frames"]:
                matrix = np.array(frame["transform_matrix"], np.float64)
                if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
                    raise ValueError(f"img_id {frame['img_id']}: transform_matrix is no 4x4 matrix of numbers")
                poses[int(frame["img_id"])] = FLIP @ matrix @ FLIP
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{path}: cannot be read ({error!r}). Process the video again.") from error
    if not poses or min(poses) < 0:
        raise BadInput(f"{folder}/transforms_train.json: holds no frames. Process the video again.")
    frames = max(poses) + 1
    first = picture_path(folder, 0)
    if first is None:
        begin = next((t for t in sorted(poses) if picture_path(folder, t) is not None), None)
        if begin is None:
            raise BadInput(f"{folder}: no pictures. They are expected in ori_imgs/ (or gt_imgs/).")
        raise BadInput(  # whether the sound begins with this picture or `begin` frames earlier cannot be known
            f"{folder}: its pictures begin with number {begin}; they must begin with 0, where the sound begins. "
            "Number pictures, parsing and img_id anew, and cut what lies before them off the sound."
        )
    height, width = read_picture(first).shape[:2]
    if width != height:
        raise BadInput(f"{folder}: pictures of {width}x{height}; only square ones can be used, as these datasets have them.")
    return Dataset(folder, _camera(header, width, height, folder), frames, poses)


def _camera(header: dict[str, Any], width: int, height: int, folder: Path) -> Camera:
    """Intrinsics in any of the spellings that the loaders of these methods accept."""
    try:
        if "focal_len" in header or "fl_x" in header:
            focal = float(header["focal_len"] if "focal_len" in header else header["fl_x"])
        else:
            focal = width / (2 * np.tan(float(header["camera_angle_x"]) / 2))
        centre = (float(header.get("cx", width / 2)), float(header.get("cy", height / 2)))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder}/transforms_train.json: no focal length in it ({error!r}).") from error
    if not focal > 0:
        raise BadInput(f"{folder}/transforms_train.json: focal length {focal}.")
    return Camera(float(focal), centre, (width, height))


def picture_path(folder: Path, t: int) -> Path | None:
    """Where picture t is; None when there is none. The original comes before the one with a replaced background."""
    for name in (f"ori_imgs/{t}.jpg", f"ori_imgs/{t}.png", f"gt_imgs/{t}.jpg", f"gt_imgs/{t}.png"):
        if (folder / name).is_file():
            return folder / name
    return None


class _Conversion:
    """One conversion; a method for every part of the clip."""

    def __init__(self, dataset: Dataset, out: Path) -> None:
        self.dataset, self.out = dataset, out
        self.frames = dataset.frames
        self.steps = Steps(out, f"dataset:{dataset.folder.name}")

    def run(self) -> None:
        from likeness.prepare.report import write_report

        pixels, seen, scenes = self._frames()
        if seen.sum() < 10:
            raise BadInput(f"{self.dataset.folder}: a face was found in {seen.sum()} pictures only.")
        pose, landmarks = self._motion(pixels, seen)
        said = express(landmarks.astype(np.float32), pose, seen)
        motion = {"pose": pose, "expression": said.units, "eyes": said.eyes, "landmarks": landmarks}
        motion = {key: np.asarray(value, np.float32) for key, value in motion.items()}
        pictures.write_arrays(self.out / "motion.npz", motion | {"seen": seen})
        self._parts(pixels, seen, scenes)
        clip = Clip(self.out, self._header(scenes))
        self._background(clip)
        self._sound(clip)
        write_atomically(self.out / "clip.json", json.dumps(clip.header, indent=1).encode())
        write_report(clip)

    def _mark(self, name: str, found: dict[str, Any]) -> None:
        self.steps.mark(name, {"dataset": self.dataset.folder.name}, found, (0.0, 0.0))

    def _frames(self) -> tuple[Float[np.ndarray, "t 478 2"], Bool[np.ndarray, " t"], dict[str, Any]]:
        """frames/ (linked where the picture is a JPEG), the mesh in each, cuts."""
        (self.out / "frames").mkdir()
        pixels = np.full((self.frames, 478, 2), np.nan, np.float32)
        seen = np.zeros(self.frames, bool)
        changes, held = Changes(), None
        with FaceMesh() as mesh:
            for t in range(self.frames):
                source = picture_path(self.dataset.folder, t)
                image = held if source is None else read_picture(source)
                if image is None or image.shape[:2] != self.dataset.camera.size[::-1]:
                    raise BadInput(f"{source or self.dataset.folder / 'ori_imgs'}: picture {t} is missing or of another size.")
                held = image
                changes.add(image)
                _place(source, self.out / f"frames/{t:06d}.jpg", image)
                points = mesh(image)
                # A frame that their tracker left out has no pose: it keeps its id and is marked unseen.
                if points is not None and source is not None and t in self.dataset.poses:
                    pixels[t], seen[t] = points, True
        found = find_scenes(changes.differences, changes.shares)
        arrays = {"pixels": pixels, "seen": seen, "repeated": found.repeated, "source_index": np.arange(self.frames)}
        pictures.write_arrays(self.out / "steps" / "frames.npz", arrays | {"difference": changes.differences[:, 0]})
        scenes = {
            "frames": self.frames,
            "scenes": [list(s) for s in found.scenes],
            "breaks": found.breaks,
            "problems": [],
        }
        self._mark("frames", scenes)
        return pixels, seen, scenes

    def _motion(
        self, pixels: Float[np.ndarray, "t 478 2"], seen: Bool[np.ndarray, " t"]
    ) -> tuple[Float[np.ndarray, "t 4 4"], Float[np.ndarray, "t 478 3"]]:
        """Their poses in our head frame, and our landmarks in it."""
        camera = self.dataset.camera
        frames = np.flatnonzero(seen)
        poses = np.stack([self.dataset.poses[int(t)] for t in frames])
        rotation = np.swapaxes(poses[:, :3, :3], 1, 2)
        theirs = View(rotation, np.negative(rotation @ poses[:, :3, 3:])[..., 0])
        keys = keyframes(seen)
        shape, _ = adjust(pixels[keys], camera)
        view = in_our_head_frame(theirs, pixels[frames], shape.mean, camera)
        none = np.zeros((len(frames), len(shape.directions)))
        fit = solve_frames(pixels[frames], shape, camera, view, none, 3, pose_free=False)
        pose = np.tile(np.eye(4), (self.frames, 1, 1))
        landmarks = np.tile(shape.mean, (self.frames, 1, 1))
        turned = np.swapaxes(view.rotation, 1, 2)
        seen_pose = np.tile(np.eye(4), (len(frames), 1, 1))
        seen_pose[:, :3, :3], seen_pose[:, :3, 3] = turned, np.negative(turned @ view.shift[..., None])[..., 0]
        depth = (shape.at(fit.coefficients) @ turned)[..., 2] + view.shift[:, 2:]
        seen_pixels, far, where = (torch.from_numpy(np.asarray(a, np.float64)) for a in (pixels[frames], depth, seen_pose))
        landmarks[frames] = landmarks_from_pixels(seen_pixels, far, where, camera).numpy()
        nearest = frames[np.searchsorted((frames[:-1] + frames[1:]) / 2, np.arange(self.frames))]
        pose[frames] = seen_pose
        self._mark("tracking", {"quality": {"reprojection_px": float(np.sqrt((fit.error**2).mean()))}})
        return pose[nearest], landmarks[nearest]

    def _parts(self, pixels: Float[np.ndarray, "t 478 2"], seen: Bool[np.ndarray, " t"], scenes: dict[str, Any]) -> None:
        """parts/ from parsing/ where it is complete, else by our own parser."""
        sources = [self.dataset.folder / f"parsing/{t}.png" for t in range(self.frames)]
        if not all(path.is_file() for path in sources):
            (self.out / "parts.partial").mkdir()
            tasks.learn_parser(self.out)
            breaks = scenes["breaks"] + [s[0] for s in scenes["scenes"]]
            share = {"folder": str(self.out), "frames": self.frames, "breaks": breaks, "share": 0, "of": 1}
            tasks.parse_share(share, lambda _: None)
            pictures.replace_folder(self.out / "parts.partial", self.out / "parts")
            return
        (self.out / "parts").mkdir()
        for t, path in enumerate(sources):
            parts = parts_from_colours(read_picture(path), pixels[t] if seen[t] else None)
            if parts.shape != self.dataset.camera.size[::-1]:
                parts = cv2.resize(parts, self.dataset.camera.size, interpolation=cv2.INTER_NEAREST)
            encoded = cv2.imencode(".png", parts, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
            pictures.write_bytes(self.out / f"parts/{t:06d}.png", encoded.tobytes())

    def _header(self, scenes: dict[str, Any]) -> dict[str, Any]:
        camera = self.dataset.camera
        size = list(camera.size)
        return {
            "format": FORMAT, "version": VERSION,
            "source": {"name": self.dataset.folder.name, "sha256": "", "fps": FPS, "size": size},
            "fps": FPS, "frames": self.frames, "size": size, "crop": [0, 0, size[0]],
            "camera": {"focal": camera.focal, "centre": list(camera.centre), "size": size},
            "scenes": scenes["scenes"], "breaks": scenes["breaks"],
            "sound_offset_frames": 0.0, "sound_offset_margin": 0.0,
        }  # fmt: skip

    def _background(self, clip: Clip) -> None:
        """background.png from bc.jpg, else our own."""
        from likeness.prepare.background import make_background

        path = self.dataset.folder / "bc.jpg"
        if not path.is_file():
            make_background(clip)
            return
        plate = cv2.resize(read_picture(path), self.dataset.camera.size, interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode(".png", cv2.cvtColor(plate, cv2.COLOR_RGB2BGR))[1]
        pictures.write_bytes(self.out / "background.png", encoded.tobytes())

    def _sound(self, clip: Clip) -> None:
        """Sound and features, moved to the lips like any clip's."""
        folder = self.dataset.folder
        candidates = [folder / "aud.wav", *sorted(folder.glob("*.wav")), *sorted(folder.glob("*.mp4"))]
        path = next((p for p in candidates if p.is_file()), None)
        if path is None:
            raise BadInput(f"{folder}: no sound. aud.wav or the video itself is expected there.")
        waveform = audio.load(path)
        audio.save_wav(self.out / "steps" / "sound.wav", waveform)
        for name in tasks.FEATURES:
            tasks.save_array(self.out / "steps" / f"{name}.npy", np.asarray(speech.extract(name, waveform), np.float32))
        found = place_sound(clip)
        self._mark("offset", found)
        clip.header |= {"sound_offset_frames": found["frames"], "sound_offset_margin": found["margin"]}


def _place(source: Path | None, target: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """A JPEG is linked (no second copy, nothing lost by encoding again), or copied where links are not possible."""
    if source is None or source.suffix != ".jpg":
        pictures.write_jpeg(target, image)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def in_our_head_frame(
    theirs: View, pixels: Float[np.ndarray, "t 478 2"], mean: Float[np.ndarray, "478 3"], camera: Camera
) -> View:
    """The same motion seen from our head frame: a turn, shift and scale of theirs, found so that our mean face,
    moved by their poses, falls onto the mesh. Every pose changes by the same similarity; the motion stays theirs.
    """
    rigid = list(SKULL)
    chosen = np.unique(np.linspace(0, len(theirs) - 1, 60).round().astype(int))
    target, view = pixels[chosen][:, rigid].astype(np.float64), theirs[chosen]
    centre = np.asarray(camera.centre)

    def residual(x: np.ndarray) -> np.ndarray:
        head = np.exp(x[6]) * mean[rigid] @ rotation_matrix(x[:3]).T + x[3:6] / 10  # decimetres: like the turn in size
        points = np.einsum("tij,kj->tki", view.rotation, head) + view.shift[:, None]
        return ((points[..., :2] / np.maximum(points[..., 2:], 1e-3) * camera.focal + centre - target) / camera.size[0]).ravel()

    best = least_squares(residual, np.zeros(7), loss="soft_l1", f_scale=0.01).x
    scale, turn, shift = np.exp(best[6]), rotation_matrix(best[:3]), best[3:6] / 10
    return View(theirs.rotation @ turn, (theirs.rotation @ shift + theirs.shift) / scale)


def parts_from_colours(
    colours: UInt8[np.ndarray, "h w 3"], pixels: Float[np.ndarray, "478 2"] | None
) -> UInt8[np.ndarray, "h w"]:
    """PARTS from the colours of parsing/ (the nearest one: some sets were scaled).

    The older sets paint hair and mouth like the face: there the mesh tells them apart, hair being what lies outside its
    oval (ears included), mouth what lies inside the inner lips.
    """
    table = np.array(list(COLOURS), np.int32)
    values = np.array([PARTS[name] for name in COLOURS.values()], np.uint8)
    flat, inverse = np.unique(colours.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = ((flat[:, None].astype(np.int32) - table[None]) ** 2).sum(-1).argmin(1)
    parts = values[nearest][inverse.reshape(-1)].reshape(colours.shape[:2])
    if pixels is None or (parts == PARTS["hair"]).any():
        return parts
    face = parts == PARTS["face"]
    inside = np.zeros(parts.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(pixels[list(FACE_OVAL)]).astype(np.int32)], (1,))
    parts[face & (inside == 0)] = PARTS["hair"]
    inside[:] = 0
    cv2.fillPoly(inside, [np.round(pixels[list(INNER_LIPS)]).astype(np.int32)], (1,))
    parts[(parts == PARTS["face"]) & (inside > 0)] = PARTS["mouth"]
    return parts
