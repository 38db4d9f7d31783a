"""What is good and what is bad about a clip, measured before anything is trained on it.

Every finding compares one measured value with two thresholds and says what to do. Thresholds come from the clips that
the project is measured on (README of the clips) and from the experiments on sound, as the comments say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from likeness import audio
from likeness.clip import HEAD, PARTS, Clip
from likeness.errors import BadInput
from likeness.mesh import FACE_OVAL
from likeness.prepare.sound import APART, lip_opening

Level = Literal["good", "warn", "bad"]
Number = int | float
SAMPLES = 48  # pictures looked at
FACE = 200  # pixels: faces are brought to this height before sharpness is measured, so that clips compare
CLOSED = 0.017  # inner-lip opening over eye distance below which a mouth is closed: 1.5 mm where that is 89 mm
BLINK = 0.25  # eye opening
HEARD_ROWS = 30  # a phone has been heard enough when its probabilities sum to .3 s


@dataclass(frozen=True)
class Finding:
    """One measured property of a clip."""

    key: str
    title: str
    level: Level
    value: float
    shown: str
    """The value with its unit."""
    threshold: str
    """What would be good."""
    advice: str
    """What to do; empty when good."""


@dataclass(frozen=True)
class Capture:
    """All findings, and the frames that show them."""

    findings: list[Finding]
    moments: dict[str, int]
    """Caption: frame."""
    opening: Float[np.ndarray, " time"]
    """Inner-lip opening over the distance of the outer eye corners, NaN where unseen."""
    speaking: Bool[np.ndarray, " time"]

    @property
    def expected(self) -> Level:
        """Quality to expect from a portrait of this clip: its worst finding among those that limit it."""
        limits = [f.level for f in self.findings if f.key in LIMITING]
        warned = sum(level == "warn" for level in limits)
        if "bad" in limits:
            return "bad"
        return "warn" if warned >= 3 else "good"


LIMITING = ("usable", "face_px", "sharpness", "speech", "offset", "seen", "phones", "exposure", "still", "mesh")


def measure(clip: Clip) -> Capture:
    """Measure a prepared clip; reads up to SAMPLES pictures, so it takes seconds whatever the length."""
    seen, motion = clip.seen.numpy(), clip.motion
    pixels = clip.pixels.numpy()
    opening = np.where(seen, lip_opening(pixels), np.nan)
    waveform = audio.load(clip.audio)
    speaking = _fitted(audio.activity(waveform), len(clip))
    start, stop = clip.longest_scene
    usable = np.arange(start, stop)[seen[start:stop]]
    sampled = usable[np.unique(np.linspace(0, len(usable) - 1, SAMPLES).round().astype(int))]
    looks = [look(clip, int(t), pixels[t]) for t in sampled]
    angles = head_angles(motion.pose.numpy())
    findings = [
        *_length_findings(clip, seen),
        *_picture_findings(clip, looks, pixels[usable]),
        *_motion_findings(clip, angles[usable]),
        *_sound_findings(clip, waveform, speaking, opening, usable),
    ]
    blurred = sampled[int(np.argmin([s.sharpness for s in looks]))]
    moments = _moments(usable, opening, motion.eyes.numpy(), angles) | {"least sharp": int(blurred)}
    return Capture(findings, moments, opening.astype(np.float32), speaking)


def found(clip: Clip, step: str) -> dict[str, Any]:
    """What a finished step found."""
    path = clip.folder / "steps" / f"{step}.json"
    try:
        return json.loads(path.read_text())["found"]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{path}: cannot be read ({error!r}). Delete it and prepare again.") from error


def head_angles(pose: Float[np.ndarray, "time 4 4"]) -> Float[np.ndarray, "time 3"]:
    """Yaw (to the picture's right positive), pitch (down positive) and roll in degrees."""
    head = np.swapaxes(pose[:, :3, :3], 1, 2)  # head axes in camera axes
    ahead = -head[:, :, 2]
    yaw = np.arctan2(ahead[:, 0], -ahead[:, 2])
    pitch = np.arctan2(ahead[:, 1], np.hypot(ahead[:, 0], ahead[:, 2]))
    roll = np.arctan2(head[:, 1, 0], head[:, 0, 0])
    return np.degrees(np.stack([yaw, pitch, roll], 1))


@dataclass(frozen=True)
class Look:
    """What one picture shows."""

    sharpness: float
    luma: float
    clipped: float
    noise: float
    away: float
    """Median distance of background pixels from the plate, grey levels; NaN without background."""
    hand: float
    """Share of the lower face's outline where the parser sees no head; NaN without a mesh there."""


def look(clip: Clip, t: int, pixels: Float[np.ndarray, "478 2"]) -> Look:
    """Measure frame t."""
    image, parts = clip.image(t), clip.parts(t)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    oval = pixels[list(FACE_OVAL)]
    (x0, y0), (x1, y1) = np.maximum(oval.min(0), 0).astype(int), oval.max(0).astype(int) + 1
    face = grey[y0:y1, x0:x1]
    background = cv2.erode((parts == PARTS["background"]).astype(np.uint8), np.ones((9, 9))) > 0
    away = np.nan
    if background.mean() > 0.01:
        away = float(np.median(np.abs(image[background].astype(np.int16) - clip.background[background])))
    skin = face[parts[y0:y1, x0:x1] == PARTS["face"]]
    skin = skin if len(skin) else face.ravel()
    covered = ~np.isin(parts, (*HEAD, PARTS["neck"]))
    mask = np.zeros_like(parts)
    cv2.fillPoly(mask, [oval.astype(np.int32)], (1,))
    return Look(
        sharpness=sharpness(face),
        luma=float(skin.mean()),
        clipped=float(((skin > 250) | (skin < 5)).mean()),
        noise=noise(grey),
        away=away,
        hand=float(covered[mask > 0].mean()) if mask.any() else float("nan"),
    )


def sharpness(face: UInt8[np.ndarray, "height width"]) -> float:
    """Strength of the finest detail over contrast, at a face height of FACE pixels.

    Measured: .12-.24 in sharp clips, .6 of it after blurring by one pixel, .06-.09 in soft or enlarged ones.
    """
    if min(face.shape) < 8:
        return 0.0
    scale = FACE / face.shape[0]
    size = (max(8, round(face.shape[1] * scale)), FACE)
    grey = cv2.resize(face, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC).astype(np.float32)
    fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_32F)
    return float(fine.std() / max(float(grey.std()), 1.0))


def noise(grey: UInt8[np.ndarray, "height width"]) -> float:
    """Standard deviation of the noise in grey levels (Immerkaer 1996), by the median so that edges do not count."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    return float(1.4826 * np.median(np.abs(cv2.filter2D(grey.astype(np.float32), -1, kernel))))


def _level(value: Number, good: Number, warn: Number) -> Level:
    """Whether larger is better follows from good > warn."""
    sign = 1 if good > warn else -1
    if not np.isfinite(value) or sign * value < sign * warn:
        return "bad"
    return "good" if sign * value >= sign * good else "warn"


def _finding(key: str, title: str, value: Number, limits: tuple[Number, Number], texts: tuple[str, str, str]) -> Finding:
    """`limits` (good, warn); `texts` the value shown, what is good, what to do."""
    level = _level(value, *limits)
    return Finding(key, title, level, float(value), texts[0], texts[1], "" if level == "good" else texts[2])


def _length_findings(clip: Clip, seen: Bool[np.ndarray, " time"]) -> list[Finding]:
    start, stop = clip.longest_scene
    usable = float(seen[start:stop].sum()) / clip.fps
    gap = longest_run(~seen) / clip.fps
    with np.load(clip.folder / "steps" / "frames.npz") as held:
        repeated = float(held["repeated"].mean())
    minutes = len(clip) / clip.fps / 60
    share = (stop - start) / len(clip)
    cuts, breaks = len(clip.scenes) - 1, len(clip.breaks)
    return [
        _finding("usable", "Footage to learn from", usable, (60, 15),
                 (f"{usable:.0f} s", "60 s or more in one scene with the face in view",
                  "Film one to five minutes in one take: below 15 s a portrait learns neither lips nor voice.")),
        _finding("cuts", "Cuts", share, (0.95, 0.5),
                 (f"{cuts} cut(s); the longest scene is {share:.0%} of the video", "one take",
                  "Only the longest scene is used. Cut the video to one take, or give a longer one.")),
        _finding("breaks", "Small jumps", breaks / max(minutes, 1 / 60), (1, 6),
                 (f"{breaks} ({', '.join(f'{b / clip.fps:.2f} s' for b in clip.breaks[:4])})" if breaks else "none",
                  "at most one a minute", "Use footage without jump cuts: motion is not learned across them.")),
        _finding("seen", "Face in view", float(seen.mean()), (0.98, 0.9),
                 (f"{seen.mean():.1%} of the frames, longest gap {gap:.1f} s", "98 % or more",
                  "Keep the face in the picture, turned less than 40° from the camera, and free of hands.")),
        _finding("repeats", "Repeated pictures", repeated, (0.02, 0.1),
                 (f"{repeated:.1%}", "under 2 %",
                  "Export at the frame rate that it was filmed at; repeats make lips stutter.")),
    ]  # fmt: skip


def _picture_findings(clip: Clip, looks: list[Look], pixels: Float[np.ndarray, "n 478 2"]) -> list[Finding]:
    oval = pixels[:, list(FACE_OVAL)]
    height = float(np.median(oval[..., 1].max(1) - oval[..., 1].min(1)))
    scale = clip.header["crop"][2] / clip.header["size"][0]
    sharp = np.array([s.sharpness for s in looks])
    blurred = float((sharp < 0.6 * np.median(sharp)).mean())
    luma = np.array([s.luma for s in looks])
    clipped, grain = float(np.median([s.clipped for s in looks])), float(np.median([s.noise for s in looks]))
    away = [s.away for s in looks if np.isfinite(s.away)]
    still = float(np.median(away)) if away else 0.0
    middle = float(np.median(luma))
    off = max(0.0, 75 - middle, middle - 190) + 400 * max(0.0, clipped - 0.02)
    light = float(luma.std() / max(middle, 1))
    hand = float(np.mean([s.hand > 0.12 for s in looks]))
    return [
        _finding("face_px", "Face in the video", height * scale, (200, 110),
                 (f"{height * scale:.0f} pixels high", "200 pixels or more",
                  "Film closer, or use the original resolution: detail that is not there cannot be learned.")),
        _finding("face_share", "Face in the frame", height / clip.header["size"][1], (0.36, 0.25),
                 (f"{height / clip.header['size'][1]:.0%} of the frame's height", "36 to 60 %",
                  "The head moves so far that the window is wide. Film with the head in one place.")),
        _finding("sharpness", "Sharpness", float(np.median(sharp)), (0.11, 0.065),
                 (f"{np.median(sharp):.3f}", ".11 or more (fine detail over contrast)",
                  "Focus on the eyes, clean the lens, use a higher bit rate; soft footage makes a soft portrait.")),
        _finding("blurred", "Motion blur", blurred, (0.05, 0.2),
                 (f"{blurred:.0%} of the frames", "under 5 %",
                  "Use more light or a shorter exposure; move more calmly.")),
        _finding("exposure", "Exposure", off, (0.5, 25),
                 (f"face at {middle:.0f} of 255, {clipped:.1%} clipped", "75 to 190, under 2 % clipped",
                  "Light the face evenly from the front, and lock the exposure.")),
        _finding("light", "Steady light", light, (0.05, 0.12),
                 (f"brightness of the face varies by {light:.1%}", "under 5 %",
                  "Lock exposure and white balance; avoid screens and passing shadows.")),
        _finding("noise", "Noise", grain, (2.5, 6),
                 (f"{grain:.1f} grey levels", "under 2.5", "Use more light, or a lower ISO.")),
        _finding("still", "Still background", still, (8, 20),
                 (f"background moves by {still:.1f} grey levels", "under 8",
                  "Put the camera on a stand before a background that does not move: a portrait has one still plate.")),
        _finding("hand", "Face uncovered", hand, (0.02, 0.15),
                 (f"{hand:.0%} of the frames have much of the face covered", "under 2 %",
                  "Keep hands, microphone and hair out of the face.")),
    ]  # fmt: skip


def _motion_findings(clip: Clip, angles: Float[np.ndarray, "n 3"]) -> list[Finding]:
    low, high = np.quantile(angles, 0.02, axis=0), np.quantile(angles, 0.98, axis=0)
    turned = float(max(abs(low[0]), abs(high[0])))
    spread = float(high[0] - low[0])
    error = found(clip, "tracking").get("quality", {}).get("reprojection_px")
    findings = [
        _finding("turn", "Head turns", turned, (35, 50),
                 (f"yaw {low[0]:.0f}° to {high[0]:.0f}°, pitch {low[1]:.0f}° to {high[1]:.0f}°", "yaw within 35°",
                  "Look towards the camera: landmarks are poor in profile.")),
        _finding("range", "Variety of poses", spread, (6, 2),
                 (f"{spread:.0f}° of yaw", "6° or more",
                  "Let the head move naturally: the portrait can only be shown in poses like those in the clip.")),
    ]  # fmt: skip
    if error is not None:
        relative = 512 * error / clip.header["size"][0]
        findings.append(
            _finding("mesh", "Fit of the face mesh", relative, (2.0, 4.0),
                     (f"{relative:.2f} px at 512²", "under 2 px",
                      "The face is hard to follow: use sharper, closer footage."))
        )  # fmt: skip
    return findings


def _sound_findings(
    clip: Clip, waveform: Float[np.ndarray, " n"], speaking: np.ndarray, opening: np.ndarray, usable: np.ndarray
) -> list[Finding]:
    seconds = float(speaking[usable].sum()) / clip.fps
    closed = float((opening[usable] < CLOSED).mean())
    decibels = audio.loudness(waveform)
    quiet, loud = np.percentile(decibels, [5, 95])
    clipped = float((np.abs(waveform) > 0.99).mean())
    heard, rare = phone_cover(np.asarray(clip.features("phones")), usable)
    missing = f"; too little of {', '.join(rare[:8])}" if rare else ""
    return [
        _finding("speech", "Speech", seconds, (42, 15),
                 (f"{seconds / 60:.1f} min ({seconds:.0f} s) with the face in view", "0.7 min or more",
                  "Speak for at least a minute; the voice is learned from this clip alone.")),
        _finding("phones", "Sounds of speech heard", heard, (0.9, 0.7),
                 (f"{heard:.0%} of the phones{missing}", "90 % or more",
                  "Read a varied text, in which every sound of the language occurs several times.")),
        _finding("closed", "Closed mouth", closed, (0.03, 0.005),
                 (f"{closed:.1%} of the frames", "3 % or more",
                  "Begin and end with closed lips and pause between sentences, so that rest and p, b, m are seen.")),
        _offset_finding(found(clip, "offset")),
        _finding("silence", "Speech over noise", float(loud - quiet), (30, 15),
                 (f"{loud - quiet:.0f} dB", "30 dB or more",
                  "Record close to the mouth in a quiet room, without music.")),
        _finding("overdriven", "Sound level", clipped, (1e-4, 5e-3),
                 (f"{clipped:.2%} of the samples clipped", "none", "Lower the recording level.")),
    ]  # fmt: skip


def _offset_finding(offset: dict[str, Any]) -> Finding:
    """The sound against the lips; `prepare` has moved the sound when that was clear."""
    measured, margin, moved = offset["measured"], offset["margin"], offset["frames"]
    title, threshold = "Sound against lips", "within one frame, margin .2 or more"
    where = "late" if measured < 0 else "early"
    shown = f"sound {abs(measured):.1f} frames ({40 * abs(measured):.0f} ms) {where}, margin {margin:.2f}"
    expert = offset.get("expert")
    if expert is not None:
        shown += f" by {'the sync expert' if offset['by'] == 'expert' else 'expected opening'}"
        shown += _second_opinion(offset, expert)
        apart = abs(expert["frames"] - measured)
        if offset["clear"] and expert["clear"] and apart > APART:
            advice = (
                f"The two measures differ by {apart:.1f} frames. The sound was moved by {moved:+.2f} frames, as expected "
                "opening has it: watch the lips of the first result closely, or align the sound by hand."
            )
            return Finding("offset", title, "warn", measured, shown, threshold, advice)
    if not offset["clear"]:
        advice = "Sound and lips do not clearly belong together: check for dubbing, music or another speaker. Left as it is."
        return Finding("offset", title, "warn", measured, f"not clear ({shown})", threshold, advice)
    if abs(measured) > 1:
        advice = f"Corrected: the sound was moved by {moved:+.2f} frames. Watch the lips of the first result."
        return Finding("offset", title, "warn", measured, shown, threshold, advice)
    return Finding("offset", title, "good", measured, shown, threshold, "")


def _second_opinion(offset: dict[str, Any], expert: dict[str, Any]) -> str:
    """What the other of the two measures says."""
    if offset["by"] == "expert":
        other = offset["opening"]
        return f"; expected opening is not clear ({other['frames']:+.1f} frames, margin {other['margin']:.2f})"
    clear = "" if expert["clear"] else " is not clear"
    return f"; the sync expert{clear}: {expert['frames']:+.1f} frames, margin {expert['margin']:.2f}"


def phone_cover(phones: Float[np.ndarray, "rows 42"], frames: np.ndarray) -> tuple[float, list[str]]:
    """Share of the phones that were heard for .3 s or more in these frames, and the names of the others."""
    from likeness import speech

    names = list(speech.PHONES)
    rows = (4 * frames[:, None] + np.arange(4)).ravel()
    rows = rows[rows < len(phones)]
    total = np.maximum(np.exp(phones[rows]) - speech.PROBABILITY_FLOOR, 0).sum(0)
    spoken = [i for i, name in enumerate(names) if name.isalpha() and name != "SIL"]  # not +NOISE+, +SPN+
    rare = [names[i] for i in spoken if total[i] < HEARD_ROWS]
    return 1 - len(rare) / len(spoken), rare


def longest_run(mask: Bool[np.ndarray, " n"]) -> int:
    """Length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _moments(usable: np.ndarray, opening: np.ndarray, eyes: np.ndarray, angles: np.ndarray) -> dict[str, int]:
    """Frames chosen by rule, for the thumbnails."""
    frontal = np.abs(angles[usable] - np.median(angles[usable], axis=0)).sum(1)
    return {
        "usual pose": int(usable[np.argmin(frontal)]),
        "mouth widest": int(usable[np.nanargmax(opening[usable])]),
        "mouth closed": int(usable[np.nanargmin(opening[usable])]),
        "eyes closed": int(usable[np.argmin(eyes[usable])]),
        "farthest left": int(usable[np.argmin(angles[usable, 0])]),
        "farthest right": int(usable[np.argmax(angles[usable, 0])]),
        "farthest down": int(usable[np.argmax(angles[usable, 1])]),
    }


def _fitted(values: Any, length: int) -> np.ndarray:
    """Cut or filled with False to a length."""
    values = np.asarray(values, bool)[:length]
    return np.pad(values, (0, length - len(values)))
