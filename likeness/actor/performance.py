"""Actor and Performance: who plays, and one take with its pictures, its sound and everything that is true about
them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, UInt8
from numpy import ndarray as Array

from likeness.actor import figure as figure_
from likeness.actor import motion as motion_
from likeness.actor import paint, texture, voice
from likeness.actor.face import AROUND, CONTROLS, LID_AROUND, Face
from likeness.actor.phones import SILENCE, Phone, sentence
from likeness.actor.traits import Traits
from likeness.camera import Camera
from likeness.clip import Motion
from likeness.video import FPS, Writer

FOCAL = 1.4
"""Focal length in picture widths."""
LANDMARKS = 478
"""As many as Motion holds. They are vertices of the actor's own mesh, in our order, not mediapipe's."""
AWAY = 0.75
"""Metres aside where the whole person is out of the picture."""


class Actor:
    """A drawn person. The same `seed` is the same person everywhere; building one takes a few seconds."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.traits = Traits.draw(seed)
        self.figure = figure_.Figure(self.traits, seed)
        self.landmark_groups, self.landmark_vertices = _choose_landmarks(self.figure.face)
        rest = self.figure.face.pose({}, (0.0, 0.0))
        self.origin: Float[Array, " 3"] = rest[self.landmark_vertices[self.landmark_groups["rigid"]]].mean(0).astype(float)
        """Origin of the head frame in design axes: the mean of the landmarks that no control moves much."""

    def perform(
        self,
        seconds: float | int,
        seed: int,
        size: int | tuple[int, int] = 512,
        fps: float | int = FPS,
        *,
        movement: float | int = 1.0,
        pause: float = 0.55,
        trouble: Trouble | None = None,
    ) -> Performance:
        """A take of round(seconds * fps) frames, saying random phones; another `seed` says and does something else.

        `size` is (width, height) in pixels or the side of a square; `movement` scales the head's motion (1: yaw within
        14 degrees, pitch 8; 1.5 is lively); `pause` is the usual silence between phrases in seconds; `trouble` is what
        goes wrong, for tests.
        """
        frames = round(seconds * fps)
        phones = sentence(frames / fps, np.random.default_rng([11, seed]), pause)
        score = motion_.compose(phones, frames, fps, movement, np.random.default_rng([12, seed, self.seed]))
        sound = voice.say(phones, frames / fps, self.traits, np.random.default_rng([13, seed, self.seed]))
        width, height = (size, size) if isinstance(size, int) else size
        camera = Camera(FOCAL * min(width, height), (width / 2, height / 2), (width, height))
        return Performance(self, camera, fps, phones, score, sound, trouble or Trouble())


@dataclass(frozen=True)
class Trouble:
    """What can go wrong in a video, on purpose. Frames are counted from 0."""

    sound_delay_frames: float | int = 0.0
    """Sound comes this many frames late (early when negative); `Performance.phones` keep the picture's time."""
    cuts: Sequence[int] = ()
    """Frames at which a new shot begins: another background, the person elsewhere and turned."""
    leave: tuple[int, int] | None = None
    """Frames in which nobody is in the picture."""
    cover: tuple[int, int] | None = None
    """Frames in which a card is held before the mouth."""
    companion: bool = False
    """A second, smaller face beside the actor's."""


@dataclass(frozen=True)
class Performance:
    """One take. Pictures are drawn when asked for; memory does not grow with length but for the motion tracks."""

    actor: Actor
    camera: Camera
    fps: float | int
    phones: list[Phone]
    """What is said and when, in seconds of the picture (the sound's own, unless `trouble` delays it)."""
    score: motion_.Score
    clean_sound: Float32[Array, " samples"]
    trouble: Trouble

    rate = voice.RATE
    """Samples a second of `waveform`."""

    def __len__(self) -> int:
        return len(self.score.blink)

    @property
    def waveform(self) -> Float32[Array, " samples"]:
        """The sound, mono; as long as the pictures to the nearest sample."""
        delay = round(self.trouble.sound_delay_frames / self.fps * self.rate)
        if not delay:
            return self.clean_sound
        rest = voice.FLOOR * np.random.default_rng(5).standard_normal(abs(delay)).astype(np.float32)
        if delay > 0:
            return np.concatenate([rest, self.clean_sound])[: len(self.clean_sound)]
        return np.concatenate([self.clean_sound[-delay:], rest])[-len(self.clean_sound) :]

    def shot(self, t: int | np.integer) -> int:
        """Number of the shot that frame t belongs to."""
        return sum(int(t >= cut) for cut in self.trouble.cuts)

    def pose_of(self, t: int | np.integer) -> figure_.Pose:
        """Everything that moves at frame t, in the actor's own terms."""
        shot = self.shot(t)
        offset, turn = np.zeros(3), 0.0
        if shot:
            rng = np.random.default_rng([17, shot])
            offset, turn = rng.uniform((-0.05, -0.015, -0.06), (0.05, 0.015, 0.06)), rng.uniform(-0.14, 0.14)
            offset[0] += 0.03 * np.sign(offset[0])
        leave = self.trouble.leave
        if leave is not None and leave[0] <= t < leave[1]:
            offset[0] += AWAY
        return self.score.pose(t, offset, turn)

    def draw(self, t: int | np.integer) -> tuple[UInt8[Array, "height width 3"], UInt8[Array, "height width"]]:
        """Picture and parts of frame t in one go: cheaper than asking for each."""
        if not 0 <= t < len(self):
            raise IndexError(f"frame {t}: the performance has {len(self)} frames")
        figure = self.actor.figure
        view, surface = figure.vertices(self.pose_of(t))
        backdrop = self._backdrops[self.shot(t)]
        if self._companion is not None:
            backdrop = (self._companion.draw(t)[0].astype(np.float32) / 255) ** 2
        camera = (self.camera.focal, self.camera.centre)
        image, parts = paint.paint(figure.scene, view, surface, backdrop, camera)
        cover = self.trouble.cover
        if cover is not None and cover[0] <= t < cover[1]:
            self._hold_card(image, parts, t)
        return image, parts

    def image(self, t: int | np.integer) -> UInt8[Array, "height width 3"]:
        """The picture of frame t, RGB."""
        return self.draw(t)[0]

    def parts(self, t: int | np.integer) -> UInt8[Array, "height width"]:
        """What each pixel of frame t shows, see `likeness.clip.PARTS`; a companion and a card are background."""
        return self.draw(t)[1]

    def _hold_card(self, image: Array, parts: Array, t: int | np.integer) -> None:
        centre = self.pixels[t, self.actor.landmark_groups["lips_inner"]].mean(0).numpy()
        scale = self.camera.focal / motion_.DISTANCE
        corners = np.array([[-0.045, -0.022], [0.045, -0.030], [0.047, 0.055], [-0.043, 0.060]]) * scale + centre
        cv2.fillConvexPoly(image, corners.astype(np.int32), (214, 206, 190), cv2.LINE_AA)
        cv2.fillConvexPoly(parts, corners.astype(np.int32), (0,))

    @cached_property
    def _backdrops(self) -> list[Float32[Array, "height width 3"]]:
        seeds = [self.actor.seed + 100 * k for k in range(len(self.trouble.cuts) + 1)]
        rooms = [self.actor.traits] + [Traits.draw(s) for s in seeds[1:]]
        return [texture.backdrop(r, s, self.camera.size) for r, s in zip(rooms, seeds, strict=True)]

    @cached_property
    def _companion(self) -> Performance | None:
        if not self.trouble.companion:
            return None
        other = Actor(self.actor.seed + 1).perform(len(self) / self.fps, 999, self.camera.size, self.fps)
        aside = np.array([0.30, 0.06, 0.45])
        moved = replace(other.score, shift=other.score.shift + aside, torso_shift=other.score.torso_shift + aside)
        other = replace(other, score=moved)
        other.__dict__["_backdrops"] = self._backdrops[:1]
        return other

    # ---- truth -----------------------------------------------------------------------------------------------------

    @cached_property
    def motion(self) -> Motion:
        """True pose (camera-to-world, head frame), expression (the face's CONTROLS in metres, then tongue), eyes,
        landmarks."""
        frames = len(self)
        pose = np.tile(np.eye(4), (frames, 1, 1))
        landmarks = np.empty((frames, LANDMARKS, 3), np.float32)
        eyes = np.empty(frames, np.float32)
        rest = self._eye_gap(self.actor.figure.face.pose({}, (0.0, 0.0)))
        for t in range(frames):
            moment = self.pose_of(t)
            turn = moment.head[:3, :3]
            shift = turn @ self.actor.origin + moment.head[:3, 3]
            pose[t, :3, :3], pose[t, :3, 3] = turn.T, -turn.T @ shift
            face = self.actor.figure.face_at(moment)
            landmarks[t] = face[self.actor.landmark_vertices] - self.actor.origin
            eyes[t] = self._eye_gap(face) / rest
        controls = np.column_stack([self.score.lips[k] for k in (*CONTROLS, "tongue")])
        as_float = [torch.from_numpy(np.asarray(x, np.float32)) for x in (pose, controls, eyes, landmarks)]
        return Motion(*as_float)

    def _eye_gap(self, face: Array) -> float:
        """Mean opening of the two eyes in their middle, metres."""
        gaps = []
        for name in ("eye_left", "eye_right"):
            margin = face[self.actor.figure.face.groups[name]]
            gaps.append(np.linalg.norm(margin[LID_AROUND // 4] - margin[3 * LID_AROUND // 4]))
        return float(np.mean(gaps))

    @cached_property
    def pixels(self) -> Float[torch.Tensor, "time 478 2"]:
        """The landmarks in pixels."""
        from likeness.camera import to_camera

        return self.camera.project(to_camera(self.motion.landmarks, self.motion.pose[:, None]))

    def _middle_of_lips(self) -> tuple[int, int]:
        inner = self.actor.landmark_groups["lips_inner"]
        return int(inner[AROUND // 4]), int(inner[3 * AROUND // 4])

    @property
    def lips_m(self) -> Float[Array, " time"]:
        """Opening between the inner lips in their middle, metres."""
        low, high = self._middle_of_lips()
        points = self.motion.landmarks.numpy()
        return np.linalg.norm(points[:, low] - points[:, high], axis=-1)

    @property
    def lips_px(self) -> Float[Array, " time"]:
        """The same in the picture, pixels."""
        low, high = self._middle_of_lips()
        return (self.pixels[:, low] - self.pixels[:, high]).norm(dim=-1).numpy()

    @property
    def eyes(self) -> Float[Array, " time"]:
        """Opening of the eyes against the rest: 0 shut, 1 as when looking ahead, a little more when looking up."""
        return self.motion.eyes.numpy()

    @property
    def gaze(self) -> Float[Array, "time 2"]:
        """Direction of the eyes in the head: radians to the right of the picture, and down."""
        return self.score.gaze

    @property
    def brows(self) -> Float[Array, " time"]:
        """How far the brows are raised, metres."""
        return self.score.lips["brow"]

    @property
    def silence(self) -> Bool[Array, " time"]:
        """Frames that lie wholly in a silence (of the picture's time)."""
        start = np.arange(len(self)) / self.fps
        out = np.zeros(len(self), bool)
        for phone in self.phones:
            if phone.name == SILENCE:
                out |= (start >= phone.start - 1e-9) & (start + 1 / self.fps <= phone.stop + 1e-9)
        return out

    @property
    def seen(self) -> Bool[Array, " time"]:
        """Frames in which the actor is in the picture and uncovered."""
        out = np.ones(len(self), bool)
        for span in (self.trouble.leave, self.trouble.cover):
            if span is not None:
                out[slice(*span)] = False
        return out

    # ---- files -----------------------------------------------------------------------------------------------------

    def write(self, path: str | os.PathLike) -> None:
        """Write a video with sound (see `likeness.video.Writer` for what endings it knows)."""
        with Writer(path, self.camera.size, self.fps, sound=(self.waveform, self.rate)) as video:
            for t in range(len(self)):
                video.write(self.image(t))

    def save_truth(self, path: str | os.PathLike) -> None:
        """Write what is true to one .npz: the fields of Motion, camera, lips_m, lips_px, gaze, brows, silence, seen,
        phones."""
        motion = self.motion
        np.savez_compressed(
            path,
            pose=motion.pose.numpy(),
            expression=motion.expression.numpy(),
            eyes=motion.eyes.numpy(),
            landmarks=motion.landmarks.numpy(),
            camera=np.array([self.camera.focal, *self.camera.centre, *self.camera.size]),
            fps=self.fps,
            lips_m=self.lips_m,
            lips_px=self.lips_px,
            gaze=self.gaze,
            brows=self.brows,
            silence=self.silence,
            seen=self.seen,
            phone_names=np.array([p.name for p in self.phones]),
            phone_spans=np.array([[p.start, p.stop] for p in self.phones]),
        )


def _choose_landmarks(face: Face) -> tuple[dict[str, Int32[Array, " n"]], Int32[Array, " k"]]:
    """LANDMARKS vertices of the visible face: mouth, eyes, brows, then the rest spread evenly. Groups index into
    them."""
    groups: dict[str, Array] = {k: face.groups[k] for k in ("lips_inner", "lips_outer", "eye_left", "eye_right")}
    chosen = list(np.concatenate(list(groups.values())))
    _, y, z = face.rest.T
    for side, name in ((-1, "brow_left"), (1, "brow_right")):
        spine = np.column_stack([side * np.linspace(0.016, 0.050, 8), -0.019 - 0.005 * np.sin(np.linspace(0.2, 2.4, 8))])
        groups[name] = np.array([np.argmin(np.hypot(*(face.rest[:, :2] - p).T) + (z > 0.06)) for p in spine])
        chosen += list(groups[name])
    candidates = np.flatnonzero((z < 0.075) & (y > -0.055) & (y < 0.112))
    candidates = np.setdiff1d(candidates, np.r_[face.groups["lips_back"], chosen])
    moves = np.sum([np.abs(d).max(-1) for d in face.deltas.values()], axis=0)
    far = np.full(len(candidates), np.inf)
    for taken in chosen:
        far = np.minimum(far, np.linalg.norm(face.rest[candidates] - face.rest[taken], axis=-1))
    spread = []
    while len(chosen) + len(spread) < LANDMARKS:
        pick = int(np.argmax(far))
        spread.append(candidates[pick])
        far = np.minimum(far, np.linalg.norm(face.rest[candidates] - face.rest[spread[-1]], axis=-1))
    chosen += spread
    order = {int(v): i for i, v in reversed(list(enumerate(chosen)))}
    out = {k: np.array([order[int(v)] for v in vertices], np.int32) for k, vertices in groups.items()}
    lids = np.isin(chosen, face.lids["index"])
    rigid = (moves[chosen] < 0.08) & ~lids & (y[chosen] < 0.05) & (z[chosen] < 0.03)
    out["rigid"] = np.flatnonzero(rigid).astype(np.int32)
    return out, np.array(chosen, np.int32)
