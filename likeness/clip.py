"""Clip, Frame and Motion: one person's prepared video.

A clip is a folder (version 1). Frame ids run from 0 without gaps; a frame without a face keeps its id and is marked unseen.

    clip.json              format "likeness-clip", version, source {name, sha256, fps, size}, fps 25, frames T, size [w h],
                           crop [x y side] in source pixels, camera {focal, centre, size}, scenes [[start, stop) ...],
                           breaks [t ...] (small jumps inside a scene: tracking and smoothing stop there),
                           sound_offset_frames (already corrected in audio.wav) and its margin
    frames/000000.jpg      cropped picture, RGB, JPEG 4:4:4 quality 97
    parts/000000.png       what each pixel is: PARTS below, uint8
    motion.npz             pose [T 4 4], expression [T E], eyes [T], landmarks [T 478 3], seen [T] bool; float32, metres
    audio.wav              mono, 16 kHz, PCM 16; sample 640 t is where frame t begins
    features/<name>.npy    speech features, 100 rows a second: rows 4t .. 4t+3 belong to frame t
    background.png         what is behind the person (median of background pixels, the rest inpainted)
    report.json, report.html   the capture report
    steps/<name>.json      marks a finished preparation step, with the settings that it was made with
    cache/<size>.rgb       frames at another size, raw uint8, made when first asked for; may be deleted
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from likeness import audio, speech
from likeness.camera import Camera, from_camera, to_camera
from likeness.errors import BadInput, Refused
from likeness.files import unwritable, write_atomically
from likeness.stance import nearest_turn

FORMAT = "likeness-clip"
VERSION = 1
Index = int | np.integer
PARTS = {"background": 0, "torso": 1, "neck": 2, "face": 3, "hair": 4, "mouth": 5}
HEAD = (PARTS["face"], PARTS["hair"], PARTS["mouth"])
TEST_SHARE = 10  # the last tenth of the longest scene is held out
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)  # what NumPy raises for a damaged file


@dataclass(frozen=True)
class Motion:
    """What a head does over time. Slices like a tensor; all lengths in metres."""

    pose: Float[Tensor, "time 4 4"]
    """Camera-to-world of the head-fixed frame."""
    expression: Float[Tensor, "time expression"]
    """AU-like signals, see `likeness.prepare.expression.NAMES`."""
    eyes: Float[Tensor, " time"]
    """Opening, 0 closed to 1 open."""
    landmarks: Float[Tensor, "time 478 3"]
    """Face mesh in the head frame; its projection with `pose` is what the tracker saw."""
    torso: Float[Tensor, "time torso"] | None = None
    """Where the clothes are, as `likeness.nn.torso` writes it; None until somebody asked it to follow the pose."""

    def __len__(self) -> int:
        return len(self.pose)

    def __getitem__(self, index: slice | Tensor | np.ndarray | list[int]) -> Motion:
        present = (f.name for f in fields(self) if getattr(self, f.name) is not None)
        return Motion(**{name: getattr(self, name)[index] for name in present})

    def loop(self, length: int, start: int = 0) -> Motion:
        """The first `length` frames of the motion played forwards and backwards without end, from frame `start`."""
        return self[ping_pong(len(self), length, start)]

    def smooth(self, sigma: float = 1.0, circular: bool = False) -> Motion:
        """Gaussian smoothing of the pose along time (`sigma` in frames); the rest is left alone. Rotations stay rotations.

        circular: the first frame follows the last one; else the ends go on as they are.
        """
        return replace(self, pose=smooth_poses(self.pose, sigma, circular))


def smooth_poses(pose: Float[Tensor, "time 4 4"], sigma: float, circular: bool = False) -> Float[Tensor, "time 4 4"]:
    """What `Motion.smooth` does to its pose."""
    radius = int(np.ceil(3 * sigma))
    if radius == 0 or len(pose) < 2:
        return pose
    rows, mode = pose[:, :3].double().numpy(), "wrap" if circular else "nearest"
    mean = torch.from_numpy(gaussian_filter1d(rows, sigma, axis=0, mode=mode, radius=radius)).to(pose)
    smooth = pose.clone()
    smooth[:, :3, :3], smooth[:, :3, 3] = nearest_turn(mean[:, :3, :3]), mean[:, :, 3]
    return smooth


def ping_pong(length: int, wanted: int, start: int = 0) -> Tensor:
    """Indices 0 .. length-1 .. 0 .. without repeating the turning frames, `wanted` of them from `start` on."""
    if length <= 1:
        return torch.zeros(wanted, dtype=torch.long)
    phase = (torch.arange(wanted) + start) % (2 * length - 2)
    return torch.where(phase < length, phase, 2 * length - 2 - phase)


@dataclass(frozen=True)
class Frame:
    """One moment of a clip."""

    image: UInt8[np.ndarray, "height width 3"]
    parts: UInt8[np.ndarray, "height width"]
    motion: Motion
    """Of length 1."""


class Clip:
    """A prepared video, see the module docstring for the folder. Pictures stay on disk; memory does not grow with length."""

    def __init__(self, folder: Path, header: dict) -> None:
        self.folder = folder
        self.header = header
        camera = header["camera"]
        self.camera = Camera(camera["focal"], tuple(camera["centre"]), tuple(camera["size"]))
        self.scenes: list[tuple[int, int]] = [tuple(s) for s in header["scenes"]]
        self.breaks: list[int] = list(header["breaks"])
        self._frames = int(header["frames"])
        self._caches: dict[int, PictureCache] = {}
        if not self.scenes or any(not 0 <= start < stop <= self._frames for start, stop in self.scenes):
            raise ValueError(f"scenes {self.scenes} of {self._frames} frames")

    @staticmethod
    def open(folder: str | os.PathLike) -> Clip:
        """Open a prepared clip, or a dataset folder of AD-NeRF, RAD-NeRF, ER-NeRF or TalkingGaussian (converted on first use).

        Raises BadInput when the folder is neither, Refused when another version of likeness made it.
        """
        folder = Path(folder)
        if folder.is_file():
            raise BadInput(f"{folder}: a file, not a clip. A clip is a folder made by `likeness prepare VIDEO CLIP/`.")
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder. A clip is a folder made by `likeness prepare VIDEO CLIP/`.")
        if not (folder / "clip.json").is_file():
            if (folder / "transforms_train.json").is_file():
                from likeness.prepare.dataset import convert  # the only way up the layers, and only for foreign folders

                return convert(folder)
            raise BadInput(f"{folder}: not a clip: it holds no clip.json. Make one with `likeness prepare VIDEO CLIP/`.")
        try:
            header = json.loads((folder / "clip.json").read_text())
        except (ValueError, OSError) as error:
            raise BadInput(f"{folder}/clip.json: cannot be read ({error}). Prepare the video again.") from error
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise BadInput(f"{folder}/clip.json: not the header of a clip. Prepare the video again.")
        if header.get("version") != VERSION:
            raise Refused(
                f"{folder}: prepared as version {header.get('version')}, this is version {VERSION}. "
                "Prepare the video again into another folder."
            )
        try:
            return Clip(folder, header)
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{folder}/clip.json: incomplete or damaged ({error!r}). Prepare the video again.") from error

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, t: Index) -> Frame:
        return Frame(self.image(t), self.parts(t), self.motion[int(t) : int(t) + 1])

    @property
    def fps(self) -> float:
        return self.header["fps"]

    @cached_property
    def _motion_file(self) -> dict[str, Tensor]:
        path = self.folder / "motion.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                held = {k: torch.from_numpy(file[k]) for k in ("pose", "expression", "eyes", "landmarks", "seen")}
        except UNREADABLE as error:
            raise BadInput(f"{path}: cannot be read ({error}). Delete steps/tracking.json and prepare again.") from error
        if any(len(rows) != len(self) for rows in held.values()):
            raise BadInput(f"{path}: not as long as the clip. Delete steps/tracking.json and prepare again.")
        return held

    @cached_property
    def motion(self) -> Motion:
        stored = ("pose", "expression", "eyes", "landmarks")
        return Motion(**{name: self._motion_file[name].float() for name in stored})

    @property
    def seen(self) -> Bool[Tensor, " time"]:
        """Frames in which the face was found; motion in the others is interpolated."""
        return self._motion_file["seen"]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a training depends on: other footage, or the same prepared in another way, is another clip."""
        motion = hashlib.sha256((self.folder / "motion.npz").read_bytes()).hexdigest()
        return {"clip": self.header["source"], "camera": self.header["camera"], "motion": motion}

    @cached_property
    def pixels(self) -> Float[Tensor, "time 478 2"]:
        """The tracked landmarks in pixels of `camera`."""
        motion = self.motion
        return self.camera.project(to_camera(motion.landmarks, motion.pose[:, None]))

    @property
    def longest_scene(self) -> tuple[int, int]:
        return max(self.scenes, key=lambda s: s[1] - s[0])

    @property
    def test(self) -> np.ndarray:
        """Held-out frames: the last tenth of the longest scene, seen ones."""
        start, stop = self.longest_scene
        frames = np.arange(stop - (stop - start) // TEST_SHARE, stop)
        return frames[self.seen.numpy()[frames]]

    @property
    def train(self) -> np.ndarray:
        """Frames to learn from: the rest of the longest scene, seen ones. Never on the other side of a cut."""
        start, stop = self.longest_scene
        frames = np.arange(start, stop - (stop - start) // TEST_SHARE)
        return frames[self.seen.numpy()[frames]]

    @property
    def runs(self) -> list[np.ndarray]:
        """The training frames, in runs without a jump or a gap."""
        frames = self.train
        cuts = np.flatnonzero((np.diff(frames) > 1) | np.isin(frames[1:], self.breaks)) + 1
        return np.split(frames, cuts)

    @property
    def take(self) -> np.ndarray:
        """The longest run of training frames: what a head can be moved by."""
        return max(self.runs, key=len)

    def image(self, t: Index, size: int | None = None) -> UInt8[np.ndarray, "height width 3"]:
        """The picture of frame t, RGB; `size` (pixels, square) reads it from the cache at that size."""
        if size is None or size == self.camera.size[0]:
            return read_picture(self.folder / f"frames/{t:06d}.jpg")
        return self.cached(size)[t]

    def parts(self, t: Index) -> UInt8[np.ndarray, "height width"]:
        """What each pixel of frame t is, see PARTS."""
        path = self.folder / f"parts/{t:06d}.png"
        parts = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if parts is None:
            raise BadInput(f"{path}: missing or damaged. Delete steps/parsing.json and prepare again.")
        return parts

    def cached(self, size: int) -> PictureCache:
        """All pictures at `size`² by random access; built on first use, and held open."""
        if size not in self._caches:
            self._caches[size] = PictureCache(self, size)
        return self._caches[size]

    def features(self, name: str) -> Float[np.ndarray, "rows dim"]:
        """Speech features, 100 rows a second: made by `prepare`, or, those of a pretrained network, when first asked for.
        Raises MissingAsset where its weights are not in place."""
        path = self.folder / f"features/{name}.npy"
        if not path.is_file() and name in set(speech.RECIPES) - set(speech.OFFLINE):
            rows = speech.extract(name, audio.load(self.audio))
            file = io.BytesIO()
            np.save(file, rows)
            write_atomically(path, file.getvalue())
        if not path.is_file():
            have = sorted(p.stem for p in path.parent.glob("*.npy"))
            raise BadInput(f"{path}: this clip has no features {name!r}; it has {', '.join(have) or 'none'}.")
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except UNREADABLE as error:
            raise BadInput(f"{path}: cannot be read ({error}). Delete steps/sound.json and prepare again.") from error

    @property
    def audio(self) -> Path:
        """The clip's sound, mono at 16 kHz, starting with frame 0."""
        return self.folder / "audio.wav"

    @cached_property
    def background(self) -> UInt8[np.ndarray, "height width 3"]:
        """What is behind the person, at the clip's own size."""
        return read_picture(self.folder / "background.png")

    def plate(self, size: int) -> UInt8[np.ndarray, "height width 3"]:
        """The background at `size`²."""
        return cv2.resize(self.background, (size, size), interpolation=cv2.INTER_AREA)


def read_picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read a picture as RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise BadInput(f"{path}: missing or not a picture. Prepare the video again, or name another file.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class PictureCache:
    """Frames of a clip at another size, raw on disk. Reads with `pread`, so that resident memory stays flat."""

    def __init__(self, clip: Clip, size: int) -> None:
        self.size = size
        self.path = clip.folder / "cache" / f"{size}.rgb"
        self._bytes = size * size * 3
        if not self.path.is_file() or self.path.stat().st_size != self._bytes * len(clip):
            self._build(clip)
        self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115 - lives as long as the cache

    def _build(self, clip: Clip) -> None:
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            self.path.parent.mkdir(exist_ok=True)
            with open(partial, "wb") as file:
                for t in range(len(clip)):
                    file.write(cv2.resize(clip.image(t), (self.size, self.size), interpolation=cv2.INTER_AREA).tobytes())
            os.replace(partial, self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error
        finally:
            partial.unlink(missing_ok=True)

    def __getitem__(self, t: Index) -> UInt8[np.ndarray, "height width 3"]:
        raw = os.pread(self._file.fileno(), self._bytes, self._bytes * int(t))
        return np.frombuffer(raw, np.uint8).reshape(self.size, self.size, 3)


def landmarks_from_pixels(
    pixels: Float[Tensor, "*time k 2"], depth: Float[Tensor, "*time k"], pose: Float[Tensor, "*time 4 4"], camera: Camera
) -> Float[Tensor, "*time k 3"]:
    """Landmarks in the head frame whose projection is exactly `pixels`; `depth` is metres along the camera's z."""
    return from_camera(camera.unproject(pixels, depth), pose[..., None, :, :])
