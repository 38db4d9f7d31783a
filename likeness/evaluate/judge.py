"""The judge: holds the real frames of a clip, and measures rows of finished pictures against them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from likeness import audio
from likeness.clip import Clip
from likeness.evaluate import floor, lips, metrics, seam, syncnet
from likeness.evaluate.detection import Landmarks, detect
from likeness.evaluate.experts import Experts
from likeness.evaluate.fid import frechet
from likeness.evaluate.figures import Figures, Pictures, ranges
from likeness.evaluate.flicker import Flow, flows, warping_errors
from likeness.evaluate.intervals import Sample
from likeness.evaluate.multiscale import SMALLEST, ms_ssim
from likeness.evaluate.signals import errors
from likeness.evaluate.sound import Sound

Pixels = Float[np.ndarray, "time 478 2"]
Picture = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Measured:
    """One row: what its figures are made of."""

    row: str
    samples: dict[str, Sample]
    """By field of `Figures`."""
    plain: dict[str, float]
    """Figures that no frame has by itself."""
    landmarks: Landmarks
    """That the tracker found."""
    sync: dict[str, Any] | None = None
    """See `Evaluation.sync`."""

    def with_samples(self, more: dict[str, Sample]) -> Measured:
        """The same row, with more figures."""
        return replace(self, samples=self.samples | more)

    def without_sound(self) -> Measured:
        """The same row, less the figures that need one."""
        heard = ("loudness_r", "loudness_lag", "sync_c", "sync_d", "sync_offset", "lip_sync", "lip_sync_offset")
        samples = {name: sample for name, sample in self.samples.items() if name not in heard}
        return replace(self, samples=samples, sync=None)

    @property
    def figures(self) -> Figures:
        return Figures(self.row, **{name: sample.figure for name, sample in self.samples.items()}, **self.plain)

    @cached_property
    def intervals(self) -> dict[str, list[float]]:
        return {name: sample.interval() for name, sample in self.samples.items()}


class Judge:
    """Of the frames `frames` of a clip at `size`²."""

    def __init__(self, clip: Clip, frames: np.ndarray, size: int, experts: Experts) -> None:
        self.clip, self.frames, self.size, self.experts = clip, frames, size, experts
        self.seen: dict[str, Landmarks] = {}
        self.missing = dict(experts.missing)
        self.real: Pictures = [clip.image(int(t), size) for t in frames]
        tracked = clip.pixels[torch.from_numpy(frames)].numpy() * (size / clip.camera.size[0])
        self.faces = [metrics.face_box(p, size) for p in tracked]
        self.mouths = [metrics.mouth_box(p, size) for p in tracked]
        self.real_landmarks = self.detect("real", self.real)
        self.sound = Sound(audio.load(clip.audio))
        if size < SMALLEST:
            self.missing["ms_ssim"] = f"MS-SSIM needs pictures of at least {SMALLEST} pixels to a side, these have {size}."

    @property
    def real_pixels(self) -> Pixels:
        """Landmarks of the real frames."""
        return self.real_landmarks.pixels

    @cached_property
    def pieces(self) -> list[tuple[slice, int, int]]:
        """Runs of frames without gaps, cuts and jumps: where they are among those measured, first and last (exclusive)."""
        edges = {*self.clip.breaks, *(start for start, _ in self.clip.scenes)}
        found, at = [], 0
        for start, stop in ranges(self.frames):
            for a, b in pairwise([start, *sorted(edge for edge in edges if start < edge < stop), stop]):
                found.append((slice(at, at + b - a), a, b))
                at += b - a
        return found

    @cached_property
    def bands(self) -> list[Bool[np.ndarray, "size size"]]:
        """Where head and body meet."""
        return [seam.band(self.clip.parts(int(t)), self.size) for t in self.frames]

    @cached_property
    def moved(self) -> list[Flow | None]:
        """Flow from each real frame to the next; None across cuts, jumps and gaps."""
        jumps = {*self.clip.breaks, *(start for start, _ in self.clip.scenes)}
        near = [b - a == 1 and int(b) not in jumps for a, b in zip(self.frames, self.frames[1:])]
        return flows(self.real, np.array(near, bool))

    @cached_property
    def real_features(self) -> Float[np.ndarray, "time 2048"]:
        """Inception's, for FID."""
        return self._features(self.real)

    def detect(self, name: str, pictures: Iterable[Picture]) -> Landmarks:
        """Landmarks of pictures, noted under `name`; where too often no face was found, so is what is not measured."""
        found = self.seen[name] = detect(name, pictures)
        if not found.enough:
            self.missing[f"landmarks, {name}"] = (
                f"In {found.missed} of {len(found.found)} pictures the tracker found no face, so that figures of landmarks "
                "would be of the better ones alone."
            )
        return found

    @property
    def missed(self) -> dict[str, int]:
        """By row: in how many pictures no face was found."""
        return {name: landmarks.missed for name, landmarks in self.seen.items()}

    def row(self, name: str, pasted: Pictures | None, own: Pictures | None, sound: Sound | None = None) -> Measured:
        """A row of finished pictures: over the real torso, with their own, or one of both. `sound` is what they are meant to
        say (None: what was really said)."""
        shown = own if own is not None else pasted
        if shown is None:
            raise ValueError(f"row {name!r}: no pictures")
        landmarks = self.detect(name, shown)
        samples = {} if pasted is None else self._frames(pasted, "")
        samples |= {} if own is None else self._frames(own, "_own")
        samples |= self._landmarks(landmarks) | self._time(shown)
        samples |= self._loudness(landmarks, sound or self.sound) | self._lip_sync(landmarks, sound or self.sound)
        synced = self._synced(shown, landmarks, sound or self.sound)
        plain = self._distance("fid", pasted) | self._distance("fid_own", own)
        return Measured(name, samples | synchrony(synced), plain, landmarks, agreement(synced))

    def real_row(self) -> tuple[Measured, dict[str, dict[str, float]]]:
        """The real frames themselves: their own movement, and where a row is compared with them, what is left when they
        are hardly changed (JPEG). Beside it, the floor of the detector by each change."""
        changed = floor.changed(self.real)
        found = {n: floor.unshifted(n, self.detect(f"real, {n}", pictures)) for n, pictures in changed.items()}
        floors = {n: self._landmarks(pixels) for n, pixels in found.items()}
        name = next(iter(changed))  # re-encoded
        samples = floors[name] | self._time(changed[name])
        samples |= {"jitter": Sample(metrics.jolts(self.real_pixels, self._known(self.real_landmarks)[1]))}
        # Against itself a seam is zero: the changed one's stays.
        samples |= {field: its for field, its in self._time(self.real).items() if field != "seam"}
        samples |= self._loudness(self.real_landmarks, self.sound) | self._lip_sync(self.real_landmarks, self.sound)
        synced = self._synced(self.real, self.real_landmarks, self.sound)
        compared = ("lmd", "lmd_share", "opening_r", "opening_ratio", "upper", "lower")
        values = {n: {f: its[f].figure for f in compared if f in its} for n, its in floors.items()}
        return Measured("real", samples | synchrony(synced), {}, self.real_landmarks, agreement(synced)), values

    def about(self, table: Sequence[Measured]) -> dict[str, Any]:
        """What the rows say, where on the real frames was looked, and what these show: fields of `Evaluation`."""
        at = torch.from_numpy(self.frames)
        return {
            "table": [measured.figures for measured in table],
            "intervals": {measured.row: measured.intervals for measured in table},
            "openings": {measured.row: measured.landmarks.opening for measured in table},
            "sync": {measured.row: measured.sync for measured in table if measured.sync is not None},
            "real_jitter": next(measured.figures.jitter for measured in table if measured.row == "real"),
            "detector_missed": self.missed,
            "boxes": [{"face": list(f), "mouth": list(m)} for f, m in zip(self.faces, self.mouths)],
            "curves": {
                "opening": metrics.opening(self.real_pixels).tolist(),
                "eyes": self.clip.motion.eyes[at].tolist(),
                "yaw": torch.asin(self.clip.motion.pose[at, 0, 2].clamp(-1, 1)).tolist(),
            },
        }

    # ---- what is measured

    def _frames(self, pictures: Pictures, ending: str) -> dict[str, Sample]:
        """Whole frames, faces and mouths against the real ones, in the fields with this ending."""
        pairs = list(zip(pictures, self.real))
        boxed = list(zip(pictures, self.real, self.faces, self.mouths))
        alike = np.array([metrics.ssims(a, b, (None, face, mouth)) for a, b, face, mouth in boxed])
        found = {
            f"full{ending}": _each(metrics.psnr, pairs),
            f"face{ending}": Sample(np.array([metrics.psnr(a, b, face) for a, b, face, _ in boxed])),
            f"mouth{ending}": Sample(np.array([metrics.psnr(a, b, mouth) for a, b, _, mouth in boxed])),
            f"ssim{ending}": Sample(alike[:, 0]),
            f"ssim_face{ending}": Sample(alike[:, 1]),
            f"ssim_mouth{ending}": Sample(alike[:, 2]),
        }
        if self.size >= SMALLEST:
            found[f"ms_ssim{ending}"] = _each(ms_ssim, pairs)
        if self.experts.lpips is not None:
            found[f"lpips{ending}"] = _each(self._lpips, pairs)
        return found

    def _known(self, landmarks: Landmarks) -> tuple[Bool[np.ndarray, " time"], Int[np.ndarray, " known"]]:
        """In which frames the tracker found both faces, and the numbers of these frames."""
        both = landmarks.found & self.real_landmarks.found
        return both, self.frames[both]

    def _landmarks(self, landmarks: Landmarks) -> dict[str, Sample]:
        """Against the real frames' landmarks, where both were found; nothing where the tracker missed too many."""
        if not landmarks.enough:
            return {}
        known, frames = self._known(landmarks)
        pixels, real = landmarks.pixels[known], self.real_pixels[known]
        both = np.stack([metrics.opening(pixels), metrics.opening(real)], axis=1).astype(np.float64)
        upper, lower = errors(pixels, real)
        # A value for every frame, so that rows can be compared frame by frame.
        distance = np.where(known, metrics.lip_distances(landmarks.pixels, self.real_pixels), np.nan)
        return {
            "lmd": Sample(distance),
            "lmd_share": Sample(distance / metrics.interocular(self.real_pixels)),
            "opening_r": Sample(both, lambda rows: metrics.follows(rows[:, 0], rows[:, 1])[0]),
            "opening_ratio": Sample(both, lambda rows: metrics.follows(rows[:, 0], rows[:, 1])[1]),
            "jitter": Sample(metrics.jolts(pixels, frames)),
            "upper": Sample(upper),
            "lower": Sample(lower),
        }

    def _time(self, pictures: Pictures) -> dict[str, Sample]:
        """What happens from frame to frame, and where head and body meet."""
        seen = [(a, b, where) for a, b, where in zip(pictures, self.real, self.bands) if where.any()]
        found = {}
        warped = warping_errors(pictures, self.moved)
        if len(warped):
            found["flicker"] = Sample(warped)
        if seen:
            found["seam"] = Sample(np.array([seam.error(a, b, where) for a, b, where in seen]))
            found["seam_edge"] = Sample(np.array([seam.edge(a, where) for a, _, where in seen]))
        else:
            self.missing["seam"] = "In no frame do head and body meet, so there is no seam."
        return found

    def _loudness(self, landmarks: Landmarks, sound: Sound) -> dict[str, Sample]:
        """Against the loudness of what the pictures are meant to say."""
        if not landmarks.enough:
            return {}
        rows = np.concatenate([
            metrics.with_loudness(metrics.opening(landmarks.pixels[at]), sound.decibels, start + sound.by)[landmarks.found[at]]
            for at, start, _ in self.pieces
        ])  # fmt: skip
        return {"loudness_r": Sample(rows, metrics.loudness_r), "loudness_lag": Sample(rows, metrics.loudness_lag)}

    def _synced(self, pictures: Pictures, landmarks: Landmarks, sound: Sound) -> Float[np.ndarray, "windows 31"] | None:
        """SyncNet's distances over the longest run of frames; None where it is not in place or that run is too short."""
        at, start, stop = max(self.pieces, key=lambda piece: piece[2] - piece[1])
        if self.experts.syncnet is None or not landmarks.enough:
            return None
        if stop - start < syncnet.SMALLEST_STRETCH:
            self.missing["sync"] = syncnet.too_short(stop - start)
            return None
        return syncnet.distances(self.experts.syncnet, pictures[at], landmarks.pixels[at], sound.piece(start, stop))

    def _lip_sync(self, landmarks: Landmarks, sound: Sound) -> dict[str, Sample]:
        """By the user's own sync expert, over the longest run of frames."""
        at, start, stop = max(self.pieces, key=lambda piece: piece[2] - piece[1])
        return self.lip_sync(landmarks[at], sound, start, stop) if landmarks.enough else {}

    def lip_sync(self, landmarks: Landmarks, sound: Sound, start: int, stop: int) -> dict[str, Sample]:
        """Of neighbouring pictures, which show the sound's frames start .. stop-1; nothing where no expert is in place."""
        expert = self.experts.landmarks
        if expert is None or not landmarks.enough:
            return {}
        if stop - start < lips.SHORTEST:
            self.missing[lips.NAME] = lips.too_short(stop - start)
            return {}
        camera = self.clip.camera.scaled((self.size, self.size))
        return lips.lip_sync(expert, lips.likenesses(expert, landmarks, camera, sound, start, stop))

    def _distance(self, name: str, pictures: Pictures | None) -> dict[str, float]:
        """FID of a row, where the network is in place."""
        if pictures is None or self.experts.inception is None:
            return {}
        return {name: frechet(self._features(pictures), self.real_features)}

    def _features(self, pictures: Pictures) -> Float[np.ndarray, "time 2048"]:
        net = self.experts.inception
        if net is None:
            raise ValueError("no Inception in place")
        return np.stack([net.features(picture) for picture in pictures])

    def _lpips(self, a: Picture, b: Picture) -> float:
        net = self.experts.lpips
        if net is None:
            raise ValueError("no LPIPS in place")
        x, y = (torch.from_numpy(np.array(p, np.float32)) / 255 for p in (a, b))
        return float(net(x, y))


def synchrony(apart: Float[np.ndarray, "windows 31"] | None) -> dict[str, Sample]:
    """The figures of SyncNet's distances."""
    if apart is None:
        return {}
    return {
        "sync_c": Sample(apart, syncnet.lse_c),
        "sync_d": Sample(apart, syncnet.lse_d),
        "sync_offset": Sample(apart, syncnet.offset),
    }


def agreement(apart: Float[np.ndarray, "windows 31"] | None) -> dict[str, Any] | None:
    """Of SyncNet's distances: over how many frames, and how many windows fit best at each offset."""
    if apart is None:
        return None
    offsets, counts = np.unique(syncnet.REACH - apart.argmin(1), return_counts=True)
    found = {str(offset): int(count) for offset, count in zip(offsets, counts)}
    return {"frames": len(apart) + syncnet.WINDOW, "offsets": found}


def _each(measure: Callable[[Picture, Picture], float], pairs: list[tuple[Picture, Picture]]) -> Sample:
    return Sample(np.array([measure(a, b) for a, b in pairs]))
