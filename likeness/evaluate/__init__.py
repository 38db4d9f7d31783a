"""How good a portrait is on the frames that it never saw: `evaluate(portrait, clip) -> Evaluation`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from likeness import speech
from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.evaluate import metrics
from likeness.evaluate.rows import DELIVERY, Row, all_rows, features, following, listen, nearest
from likeness.nn.backdrop import without_head
from likeness.portrait import Heard, Portrait
from likeness.prepare.landmarks import FaceMesh
from likeness.scenery import Scenery

SILENT_FRAMES = 50
SPEED_FRAMES = 100
Pictures = list[UInt8[np.ndarray, "height width 3"]]


@dataclass(frozen=True)
class Figures:
    """One row of the table; None where a figure does not apply. PSNR in dB, lengths in pixels of the stated size."""

    row: str
    full: float
    """PSNR of the whole frame, the real torso and background behind the head (the papers' protocol)."""
    face: float
    mouth: float
    ssim: float
    ssim_face: float
    ssim_mouth: float
    full_own: float | None = None
    """PSNR and SSIM of the whole frame with the portrait's own torso."""
    ssim_own: float | None = None
    lmd: float | None = None
    lmd_share: float | None = None
    """LMD as a share of the inter-ocular distance."""
    opening_r: float | None = None
    opening_ratio: float | None = None
    jitter: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Figures of one portrait on one clip."""

    method: str
    size: int
    frames: list[int]
    split: dict[str, list[list[int]]]
    """Ranges [start, stop) of the frames that were learned from ("train") and measured on ("test"), unseen ones left out."""
    table: list[Figures]
    real_jitter: float
    detector_missed: dict[str, int]
    silence: dict[str, float]
    """Lip opening with silent sound: mean and standard deviation, with the gate open too, and the real mean; pixels."""
    speed: dict[str, float]
    """Frames a second of rendering (head), and of everything but features and encoding."""
    delivery: dict[str, Any] = field(default_factory=lambda: dict(DELIVERY))
    """How the rows by sound are spoken."""
    recipes: dict[str, str] = field(default_factory=lambda: dict(metrics.RECIPES))
    boxes: list[dict[str, list[int]]] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Of the real frames: lip opening in pixels, eye opening, yaw in radians."""
    pictures: dict[str, Pictures] = field(default_factory=dict, repr=False)
    """Own-torso pictures of each row and the real ones; not part of `as_json`."""

    def __getitem__(self, row: str) -> Figures:
        return next(f for f in self.table if f.row == row)

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "pictures"}
        return values | {"table": [asdict(figures) for figures in self.table]}


@torch.no_grad()
def evaluate(portrait: Portrait, clip: Clip) -> Evaluation:
    """Figures on the clip's held-out tenth. Raises BadInput where the clip cannot be the portrait's."""
    size = portrait.stage.camera.size[0]
    frames = clip.test
    camera, tracked = portrait.stage.camera, clip.camera.scaled((size, size))
    if not np.allclose([camera.focal, *camera.centre], [tracked.focal, *tracked.centre], atol=0.01 * size):
        raise BadInput(f"{clip.folder}: not the clip that the portrait was trained on: its camera is another one.")
    if len(frames) < 10:
        raise BadInput(f"{clip.folder}: only {len(frames)} held-out frames show the face; at least 10 are needed.")
    judge = _Judge(portrait, clip, frames, size)
    table, pictures = [], {"real": judge.real}
    for row in all_rows(portrait, clip):
        figures, pictures[row.name] = judge.row(row)
        table.append(figures)
    table.append(judge.pictures("nearest frame", list(nearest(clip, size)), None))
    return Evaluation(
        method=portrait.method,
        size=size,
        frames=[int(t) for t in frames],
        split={"train": ranges(clip.train), "test": ranges(frames)},
        table=table,
        real_jitter=metrics.jitter(judge.real_pixels),
        detector_missed=judge.missed,
        silence=_silence(portrait, clip, judge),
        speed=_speed(portrait, clip),
        boxes=[{"face": list(f), "mouth": list(m)} for f, m in zip(judge.faces, judge.mouths)],
        curves={
            "opening": metrics.opening(judge.real_pixels).tolist(),
            "eyes": clip.motion.eyes[torch.from_numpy(frames)].tolist(),
            "yaw": torch.asin(clip.motion.pose[torch.from_numpy(frames), 0, 2].clamp(-1, 1)).tolist(),
        },
        pictures=pictures,
    )


class _Judge:
    """Holds the real frames and what is measured on them once."""

    def __init__(self, portrait: Portrait, clip: Clip, frames: np.ndarray, size: int) -> None:
        self.portrait, self.size = portrait, size
        self.missed: dict[str, int] = {}
        scale = size / clip.camera.size[0]
        self.real = [clip.image(int(t), size) for t in frames]
        plate = clip.plate(size)
        self.behind = [without_head(i, clip.parts(int(t)), plate)[0] for t, i in zip(frames, self.real)]
        tracked = clip.pixels[torch.from_numpy(frames)].numpy() * scale
        self.faces = [metrics.face_box(p, size) for p in tracked]
        self.mouths = [metrics.mouth_box(p, size) for p in tracked]
        self.scenery = Scenery(portrait, "clip")
        self.real_pixels = self.detect("real", self.real)

    def detect(self, name: str, pictures: Iterable[UInt8[np.ndarray, "height width 3"]]) -> Float[np.ndarray, "time k 2"]:
        """Landmarks of pictures by the tracker; a frame that it misses repeats the one before."""
        found: list[np.ndarray | None] = []
        with closing(FaceMesh()) as mesh:
            found = [mesh(picture) for picture in pictures]
        self.missed[name] = sum(f is None for f in found)
        first = next((f for f in found if f is not None), None)
        if first is None:
            raise BadInput(f"no face is found in the pictures of {name!r}: these figures would mean nothing.")
        for t, f in enumerate(found):
            found[t] = first = first if f is None else f
        return np.stack([f for f in found if f is not None])

    def row(self, row: Row) -> tuple[Figures, Pictures]:
        """Render a row over both torsos and measure it."""
        pasted, own = [], []
        for t, layer in enumerate(row.layers(self.portrait)):
            under = torch.from_numpy(self.behind[t]).float() / 255
            picture = layer.rgb[0] + (1 - layer.alpha[0, ..., None]) * under
            pasted.append((picture.clamp(0, 1) * 255).round().byte().numpy())
            own.append(self.scenery.compose(layer, row.motion[t : t + 1]))
        return self.pictures(row.name, pasted, own), own

    def pictures(self, name: str, pasted: Pictures, own: Pictures | None) -> Figures:
        """Figures of finished pictures."""
        pixels = self.detect(name, own or pasted)
        lmd, share = metrics.lmd(pixels, self.real_pixels)
        r, ratio = metrics.follows(metrics.opening(pixels), metrics.opening(self.real_pixels))
        pairs = list(zip(pasted, self.real))
        return Figures(
            row=name,
            full=_mean(metrics.psnr(a, b) for a, b in pairs),
            face=_mean(metrics.psnr(a, b, box) for (a, b), box in zip(pairs, self.faces)),
            mouth=_mean(metrics.psnr(a, b, box) for (a, b), box in zip(pairs, self.mouths)),
            ssim=_mean(metrics.ssim(a, b) for a, b in pairs),
            ssim_face=_mean(metrics.ssim(a, b, box) for (a, b), box in zip(pairs, self.faces)),
            ssim_mouth=_mean(metrics.ssim(a, b, box) for (a, b), box in zip(pairs, self.mouths)),
            full_own=_mean(metrics.psnr(a, b) for a, b in zip(own, self.real)) if own else None,
            ssim_own=_mean(metrics.ssim(a, b) for a, b in zip(own, self.real)) if own else None,
            lmd=lmd,
            lmd_share=share,
            opening_r=r,
            opening_ratio=ratio,
            jitter=metrics.jitter(pixels),
        )


def ranges(frames: np.ndarray) -> list[list[int]]:
    """Rising frame numbers as ranges [start, stop)."""
    pieces = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    return [[int(piece[0]), int(piece[-1]) + 1] for piece in pieces if len(piece)]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _silence(portrait: Portrait, clip: Clip, judge: _Judge) -> dict[str, float]:
    """Two seconds of digital silence, the head still: how far open the mouth is, and whether it moves; as served, and
    with the gate open, which shows what the voice itself makes of silence."""
    waveform = np.zeros(SILENT_FRAMES * 640, np.float32)
    heard = torch.from_numpy(np.concatenate([speech.extract(n, waveform) for n in portrait.hearing.features], axis=1))
    usual = speech.Statistics.of(features(portrait, clip))
    stretch = portrait.hearing.window(heard, 0, SILENT_FRAMES)
    motion = following(portrait, clip)[torch.from_numpy(clip.test[:1]).expand(SILENT_FRAMES)]
    found = {"real_mean": float(metrics.opening(judge.real_pixels).mean())}
    for name, gate in (("", torch.zeros(SILENT_FRAMES)), ("ungated_", torch.ones(SILENT_FRAMES))):
        row = Row(
            "silence",
            portrait.listen(Heard(stretch, usual.mean, usual.std, gate, DELIVERY["voice"], DELIVERY["amplitude"])),
            motion,
        )
        pixels = judge.detect("silence", [judge.scenery.compose(layer, motion[:1]) for layer in row.layers(portrait)])
        opening = metrics.opening(pixels)[5:]  # the tracker settles
        found |= {f"{name}mean": float(opening.mean()), f"{name}std": float(opening.std())}
    return found


def _speed(portrait: Portrait, clip: Clip) -> dict[str, float]:
    """Frames a second over the training frames' motion, features given; warmed up."""
    take = torch.from_numpy(clip.train[: SPEED_FRAMES + 10])
    motion = following(portrait, clip)[take]
    cond = portrait.follow(motion)
    if cond is None:
        cond = listen(portrait, clip, int(take[0]), int(take[-1]) + 1)[take - take[0]]
    scenery = Scenery(portrait, "clip")
    seconds = {"render": 0.0, "compose": 0.0}
    state = None
    for t in range(len(take)):
        began = time.perf_counter()
        layer, state = portrait.render(cond[t : t + 1], motion[t : t + 1], state)
        drawn = time.perf_counter()
        scenery.compose(layer, motion[t : t + 1])
        if t >= 10:
            seconds["render"] += drawn - began
            seconds["compose"] += time.perf_counter() - drawn
    count = len(take) - 10
    return {"render_fps": count / seconds["render"], "picture_fps": count / sum(seconds.values())}
