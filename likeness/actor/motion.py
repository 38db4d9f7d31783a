"""How the actor moves: head and torso, gaze, blinks, brows, and the lips' way through the phones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray as Array
from scipy.ndimage import gaussian_filter1d

from likeness.actor.body import SHOULDER
from likeness.actor.figure import NECK_PIVOT, Pose
from likeness.actor.phones import PHONES, Phone

LEAD_S = 0.04
"""Lips move this much before their sound, as people's do."""
FINE = 200
"""Lip tracks are computed at this rate before frames are taken from them."""
DISTANCE = 0.62
"""Metres from the camera to the design origin."""
LIMITS_DEG = {"yaw": 14.0, "pitch": 8.0, "roll": 5.0}
SHIFT = np.array([0.014, 0.008, 0.018])
"""Reach of the head's shifts, metres."""


@dataclass(frozen=True)
class Score:
    """Everything that moves, per frame: what a performance plays. Angles in radians, lengths in metres."""

    angles: Float[Array, "time 3"]
    """Yaw (to the right of the picture), pitch (down), roll (clockwise)."""
    shift: Float[Array, "time 3"]
    torso_angles: Float[Array, "time 3"]
    torso_shift: Float[Array, "time 3"]
    lips: dict[str, Float[Array, " time"]]
    """The face's CONTROLS and `tongue`."""
    blink: Float[Array, " time"]
    gaze: Float[Array, "time 2"]

    def pose(self, t: int | np.integer, offset: Float[Array, " 3"], turn: float | int) -> Pose:
        """Pose of frame t; `offset` (metres) and `turn` (yaw, radians) move the whole person."""
        base = np.array([0.0, -0.030, DISTANCE]) + offset
        extra = np.array([turn, 0.0, 0.0])
        controls = {k: float(v[t]) for k, v in self.lips.items() if k != "tongue"}
        return Pose(
            head=placed(rotation(self.angles[t] + extra), NECK_PIVOT, base + self.shift[t]),
            torso=placed(rotation(self.torso_angles[t] + extra), SHOULDER, base + self.torso_shift[t]),
            controls=controls,
            tongue=float(self.lips["tongue"][t]),
            blink=(float(self.blink[t]), float(self.blink[t])),
            gaze=(float(self.gaze[t, 0]), float(self.gaze[t, 1])),
        )


def rotation(angles: Float[Array, " 3"]) -> Float[Array, "3 3"]:
    """Yaw, pitch, roll (radians) to a rotation of design axes: positive yaw faces right in the picture, pitch down."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(angles), np.sin(angles)
    yaw = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return yaw @ pitch @ roll


def placed(turn: Float[Array, "3 3"], pivot: Float[Array, " 3"], shift: Float[Array, " 3"]) -> Float[Array, "4 4"]:
    """Rotate about `pivot`, then shift."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn, pivot - turn @ pivot + shift
    return out


def wander(
    t: Float[Array, " n"], rng: np.random.Generator, slow: float | int = 0.06, fast: float | int = 0.45
) -> Float[Array, " n"]:
    """Smooth random motion within -1 .. 1: sines whose size falls with their frequency (Hz)."""
    total = np.zeros_like(t)
    frequencies = np.geomspace(slow, fast, 6) * rng.uniform(0.85, 1.15, 6)
    for f in frequencies:
        total += (slow / f) ** 0.35 * np.sin(2 * np.pi * f * t + rng.uniform(0, 2 * np.pi))
    return np.tanh(0.62 * total)


def compose(phones: list[Phone], frames: int, fps: float | int, movement: float | int, rng: np.random.Generator) -> Score:
    """Motion of `frames` frames; `movement` scales the head's."""
    t = np.arange(frames) / fps
    accents = _accents(phones, t)
    yaw, pitch, roll = (np.radians(LIMITS_DEG[k]) * wander(t, rng) for k in ("yaw", "pitch", "roll"))
    pitch = pitch + np.radians(1.6) * accents
    angles = movement * np.column_stack([yaw, pitch, roll + 0.12 * yaw])
    shift = (
        movement * SHIFT * np.column_stack([0.5 * wander(t, rng) + 0.5 * yaw / np.radians(14), wander(t, rng), wander(t, rng)])
    )
    lagged = _lag(np.column_stack([angles, shift]), fps, 0.18)
    torso_angles = lagged[:, :3] * (0.28, 0.10, 0.22)
    torso_shift = 0.55 * lagged[:, 3:] + np.column_stack([0 * t, 0.0012 * np.sin(2 * np.pi * 0.27 * t), 0 * t])  # breath
    # the head sits on the spine: it takes the torso's shift along
    lips = lip_tracks(phones, t)
    lips["brow"] = 0.0036 * np.clip(_brows(phones, t, rng), 0, 1) + 0.0006 * wander(t, rng)
    lips["smile"] = 0.0016 + 0.0012 * wander(t, rng)
    return Score(angles, shift, torso_angles, torso_shift, lips, blinks(t, fps, rng), gazes(t, angles, rng))


def _lag(x: Float[Array, "n k"], fps: float | int, seconds: float | int) -> Float[Array, "n k"]:
    """First-order lag, twice: smooth and late."""
    share = 1 - np.exp(-1 / (fps * seconds))
    out = x.copy()
    for _ in range(2):
        for i in range(1, len(out)):
            out[i] = out[i - 1] + share * (out[i] - out[i - 1])
    return out


def _accents(phones: list[Phone], t: Array) -> Array:
    total = np.zeros_like(t)
    for p in phones:
        if p.stress > 0.75:
            total += p.stress * np.exp(-(((t - 0.5 * (p.start + p.stop)) / 0.12) ** 2))
    return total


def _brows(phones: list[Phone], t: Array, rng: np.random.Generator) -> Array:
    """Brows go up with some accents and stay up for a while."""
    total = np.zeros_like(t)
    for p in phones:
        if p.stress > 0.8 and rng.random() < 0.35:
            middle, width = 0.5 * (p.start + p.stop), rng.uniform(0.15, 0.4)
            total += np.exp(-(((t - middle) / width) ** 4)) * rng.uniform(0.5, 1.0)
    return total


def blinks(t: Float[Array, " n"], fps: float | int, rng: np.random.Generator) -> Float[Array, " n"]:
    """How far the lids are shut. Every blink has at least one fully shut frame, whatever the frame rate."""
    out = np.zeros_like(t)
    hold = max(0.05, 1.02 / fps)
    at = rng.uniform(0.8, 2.2)
    while len(t) and at < t[-1]:
        since = t - at
        closing = np.clip(since / 0.09, 0, 1)
        opening = np.clip(1 - (since - 0.09 - hold) / 0.16, 0, 1)
        wave = np.minimum(closing, opening)
        out = np.maximum(out, wave * wave * (3 - 2 * wave))
        at += rng.uniform(1.6, 4.6) if rng.random() > 0.12 else 0.45
    return out


def gazes(t: Float[Array, " n"], angles: Float[Array, "n 3"], rng: np.random.Generator) -> Float[Array, "n 2"]:
    """Eyes rest on the viewer most of the time, against the head's motion, and glance aside in quick jumps."""
    target = np.zeros((len(t), 2))
    at = 0.0
    while len(t) and at <= t[-1]:
        stop = at + rng.uniform(0.5, 2.6)
        aside = rng.normal(0, (0.16, 0.07)) if rng.random() < 0.35 else rng.normal(0, 0.018, 2)
        target[(t >= at) & (t < stop)] = aside
        at = stop
    return np.clip(target - 0.85 * angles[:, :2], -0.40, 0.40)


def lip_tracks(phones: list[Phone], t: Float[Array, " n"]) -> dict[str, Float[Array, " n"]]:
    """Jaw, lips and tongue at times t (seconds): blended targets (Cohen and Massaro 1993), then closures that hold.

    Each phone pulls with a strength that falls off in time from its middle; p, b, m shut the lips and f, v bring
    them to the teeth whatever the neighbours want. Everything comes LEAD_S before its sound.
    """
    if not len(t):
        return {k: np.zeros(0) for k in ("jaw", "upper", "lower", "wide", "round", "tongue")}
    fine = np.arange(int(np.ceil(t[-1] * FINE)) + 2) / FINE
    centres, spans, targets, grips = _targets(phones)
    pull = np.zeros((5, len(fine)))
    for centre, span, target, grip in zip(centres, spans, targets, grips, strict=True):
        first, last = np.searchsorted(fine, [centre - LEAD_S - 6 * span - 0.3, centre - LEAD_S + 6 * span + 0.3])
        d = np.abs(fine[first:last] + LEAD_S - centre)
        strength = grip * np.exp(-np.maximum(d - 0.35 * span, 0) / (0.030 + 0.30 * span))
        pull[:4, first:last] += strength * np.array(target)[:, None]
        pull[4, first:last] += strength
    opening, wide, forward, tongue = pull[:4] / np.maximum(pull[4], 1e-9)
    opening, wide, forward, tongue = (gaussian_filter1d(x, 2.6) for x in (opening, wide, forward, tongue))
    jaw_wish = gaussian_filter1d(opening, 9.0)  # the jaw is heavier than the lips
    for phone in phones:
        shut = PHONES[phone.name].shut
        if not shut and phone.name not in ("F", "V"):
            continue
        start, stop = phone.start - LEAD_S, phone.start - LEAD_S + 0.72 * (phone.stop - phone.start)
        away = np.maximum(np.maximum(start - fine, fine - stop), 0)
        most = (0.0 if shut else 1.8) + 14.0 * (away / 0.045) ** 1.5
        opening = np.minimum(opening, most)
    opening = np.where(opening < 0.25, 0.0, opening) * 1e-3
    jaw, upper = 0.62 * jaw_wish * 1e-3, 0.14 * opening
    tracks = {
        "jaw": jaw,
        "upper": upper,
        "lower": opening - jaw - upper,
        "wide": 1e-3 * wide,
        "round": 1e-3 * forward,
        "tongue": tongue,
    }
    return {k: np.interp(t, fine, v) for k, v in tracks.items()}


def _targets(phones: list[Phone]) -> tuple[list, list, list, list]:
    """Middle, length, (opening, wide, round, tongue) and grip of every target; diphthongs have two, silences
    stay."""
    centres, spans, targets, grips = [], [], [], []
    for p in phones:
        sort, length = PHONES[p.name], p.stop - p.start
        size = 0.88 + 0.25 * p.stress if sort.kind == "vowel" else 1.0
        first = (sort.opening * size, sort.wide, sort.round, sort.tongue)
        steps = [(0.5, length, first)]
        if sort.end is not None:
            steps = [
                (0.28, 0.55 * length, first),
                (0.80, 0.4 * length, (sort.end[3] * size, *sort.end[4:], sort.tongue)),
            ]
        if sort.kind == "silence" and length > 0.3:
            steps = [((k + 0.5) / int(length / 0.12), 0.12, first) for k in range(int(length / 0.12))]
        for where, span, target in steps:
            centres.append(p.start + where * length)
            spans.append(min(span, 0.22))
            targets.append(target)
            grips.append(sort.grip)
    return centres, spans, targets, grips
