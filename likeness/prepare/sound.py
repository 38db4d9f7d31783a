"""The sound of a clip, and how far it is from the lips: measured without any pretrained network, and by a sync expert where
the user has made one.

Phonetics says how far the mouth is open in each phone: closed for p, b, m and in silence, narrow for f, v, w, wide for
open vowels. Weighted by the phone posteriors this is an expected opening; where it correlates best with the tracked one
is the offset. The sign everywhere: *lip time minus sound time, in frames*. Negative: the lips are early, the sound is
too late. Moving the sound by the offset (later when positive) puts it right.

Measured on 36 files of real footage, against the offsets that a trained regressor found: address -5.3
(-5.5), teacher -2.5 (-2.2), senator -1.8 (-1.5), two clips of an address -3.8 and -1.6 (-3.8 .. -1.5), video-retalking +2.5
(+2), presenter +.2 (within 1). Pieces of 8 s agree with their file within 1.5 frames in 97 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.ndimage import gaussian_filter1d

from likeness import audio, mesh, speech
from likeness.displacement import displacement
from likeness.errors import BadInput, MissingAsset
from likeness.nn.sync import asset
from likeness.nn.sync.expert import Expert
from likeness.nn.sync.measure import Synchrony, measure
from likeness.phones import PHONES

if TYPE_CHECKING:
    from likeness.clip import Clip

ROWS = audio.ROWS_PER_FRAME
REACH = 15
"""Frames either way that are searched."""
FAR = 5
"""Frames from the best offset on which another one is a rival rather than its neighbour."""
CLEAR = 0.2
"""Margin over the best rival that counts as clear in a clip of 13 s or more."""
APART = 1.5
"""Frames by which the two measures may differ: of pieces of 8 s that many agree with their file in 97 %."""
CHANCE = 3.6  # a wrong sound reaches a margin of 3.6 / sqrt(frames) in 5 % of cases (4351 mismatched pairs, 3 to 24 s)
LEAD = 0.7
"""Frames by which lips run ahead in clips that are in step: half a frame since a picture shows the first moment of its
40 ms, the rest since lips prepare a sound. The median over the files listed above."""
SMOOTH_EXPECTED, SMOOTH_SEEN, SLOW = 0.75, 0.6, 12.0  # frames; slower changes are mood and head pose, not phones
SMALL = 0.5  # frames: less than the method can tell, the sound is left where it is

OPENING = {
    "P": 0.0, "B": 0.0, "M": 0.0, "SIL": 0.1, "+NSN+": 0.15, "+SPN+": 0.2,
    "F": 0.1, "V": 0.1, "W": 0.1, "UW": 0.15,
    "CH": 0.2, "SH": 0.2, "JH": 0.2, "ZH": 0.2, "S": 0.2, "Z": 0.2,
    "T": 0.25, "D": 0.25, "N": 0.25, "R": 0.25, "TH": 0.3, "DH": 0.3, "Y": 0.3,
    "K": 0.35, "G": 0.35, "NG": 0.35, "L": 0.4, "HH": 0.45,
    "IY": 0.35, "UH": 0.35, "IH": 0.45, "ER": 0.5, "OW": 0.5, "AH": 0.6, "EY": 0.6, "OY": 0.6,
    "EH": 0.75, "AO": 0.8, "AW": 0.9, "AA": 1.0, "AE": 1.0, "AY": 1.0,
}  # fmt: skip
"""How far the mouth is open in a phone, 0 closed to 1 wide open: jaw height of vowels and place of consonants, as any
phonetics textbook has them. Results hardly depend on the values (all variants tried agree within .5 frame)."""


@dataclass(frozen=True)
class Offset:
    """Where sound and lips agree best."""

    frames: float
    """Lip time minus sound time, by fractions of a frame; negative when the lips are early."""
    margin: float
    """The correlation at `frames` less the best one at least FAR frames away."""
    peak: float
    """The correlation at `frames`."""
    curve: Float[np.ndarray, " lags"]
    """Correlation for every lag from -REACH to +REACH, four a frame, LEAD taken off."""
    threshold: float
    """What `margin` has to reach in a clip of this length."""

    @property
    def clear(self) -> bool:
        """Whether the offset may be trusted."""
        return self.margin >= self.threshold


def late_rows(frames: float, clear: bool) -> int:
    """By how many rows of 10 ms a sound is moved, later when positive, whose offset is so many frames."""
    return round(frames * ROWS) if clear and abs(frames) > SMALL else 0


def lip_offset(
    phones: Float[np.ndarray, "rows 42"], opening: Float[np.ndarray, " time"], seen: Bool[np.ndarray, " time"]
) -> Offset:
    """How far the lips are from the sound, see the module docstring.

    phones: the feature `phones` (log posteriors, 100 rows a second) from frame 0 on; its length need not be that of
    the pictures.
    opening: distance of the inner lips in each frame, in any unit. seen: frames in which it is to be believed.
    """
    weights = np.array([OPENING[phone] for phone in PHONES])
    expected = np.clip(np.exp(phones.astype(np.float64)) - speech.PROBABILITY_FLOOR, 0, None) @ weights
    rows = min(len(expected), ROWS * len(opening))
    found = np.flatnonzero(seen)
    if len(found) < 2 * REACH or rows < 2 * ROWS * REACH:
        return Offset(0.0, 0.0, 0.0, np.zeros(2 * ROWS * REACH + 1), np.inf)
    # frame t is put in the middle of its four rows
    tracked = np.interp(np.arange(rows), ROWS * found + (ROWS - 1) / 2, opening[found].astype(np.float64))
    expected = _band(expected[:rows], SMOOTH_EXPECTED)
    tracked = _band(tracked, SMOOTH_SEEN)
    lags = np.arange(-ROWS * REACH, ROWS * REACH + 1)
    curve = np.array([_correlation(expected, tracked, np.repeat(seen, ROWS)[:rows], int(lag)) for lag in lags])
    best = int(curve.argmax())
    rivals = curve[np.abs(lags - lags[best]) >= ROWS * FAR]
    around = curve[best - 1 : best + 2]
    fraction = 0.0
    if len(around) == 3 and (bend := around[0] - 2 * around[1] + around[2]) < 0:
        fraction = float((around[0] - around[2]) / (2 * bend))
    threshold = max(CLEAR, CHANCE / np.sqrt(len(found)))
    frames = (float(lags[best]) + fraction) / ROWS + LEAD
    return Offset(frames, float(curve[best] - rivals.max()), float(curve[best]), curve, float(threshold))


def _band(signal: Float[np.ndarray, " rows"], smooth: float) -> Float[np.ndarray, " rows"]:
    """Without noise and without slow changes."""
    return gaussian_filter1d(signal, ROWS * smooth) - gaussian_filter1d(signal, ROWS * SLOW)


def _correlation(
    expected: Float[np.ndarray, " rows"], tracked: Float[np.ndarray, " rows"], seen: Bool[np.ndarray, " rows"], lag: int
) -> float:
    """Pearson correlation of `tracked[r + lag]` with `expected[r]` over seen rows; 0 where one of them stands still."""
    rows = len(expected)
    use = seen[max(0, lag) : rows + min(0, lag)]
    a = expected[max(0, -lag) : rows - max(0, lag)][use]
    b = tracked[max(0, lag) : rows + min(0, lag)][use]
    if len(a) < 2 * REACH or a.std() < 1e-6 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def lip_opening(landmarks: Float[np.ndarray, "time k xyz"]) -> Float[np.ndarray, " time"]:
    """Distance between the middles of the inner lips, in distances of the outer eye corners. 2D or 3D landmarks."""
    right, left = mesh.OUTER_EYE_CORNERS
    eyes = np.linalg.norm(landmarks[:, right] - landmarks[:, left], axis=-1)
    lips = np.linalg.norm(landmarks[:, mesh.UPPER_INNER_LIP] - landmarks[:, mesh.LOWER_INNER_LIP], axis=-1)
    return lips / np.maximum(eyes, 1e-9)


def moved(rows: Shaped[np.ndarray, "rows *dim"], by: int, length: int, fill: Any = 0.0) -> Shaped[np.ndarray, "{length} *dim"]:
    """`rows` later by `by` places (earlier when negative), then cut or filled to `length`."""
    out = np.empty((length, *rows.shape[1:]), rows.dtype)
    out[...] = fill
    start, stop = max(0, by), min(length, len(rows) + by)
    if stop > start:
        out[start:stop] = rows[start - by : stop - by]
    return out


def sync_expert() -> Expert | None:
    """The sync expert that the user has put in place, if any. Raises BadInput or Refused where it cannot be used."""
    try:
        return asset.in_place()
    except MissingAsset:
        return None


def expert_settings(expert: Expert | None) -> dict[str, str]:
    """What the step `offset` depends on besides the clip: another expert, and it is done anew."""
    return {} if expert is None else {"sync_expert": expert.id}


def expert_offset(
    expert: Expert, clip: Clip, waveform: Float[np.ndarray, " samples"], phones: Float[np.ndarray, "rows 42"]
) -> Synchrony | None:
    """How far the lips are from the sound by the expert; None where too few frames show a face."""
    seen = clip.seen.numpy()
    landmarks = clip.motion.landmarks.numpy()
    if seen.sum() < 2 * REACH:
        return None
    moves = np.zeros(landmarks.shape, np.float32)
    moves[seen] = displacement(landmarks[seen]).moves
    features = {name: phones if name == "phones" else speech.extract(name, waveform) for name in expert.settings.features}
    breaks = [*clip.breaks, *(start for start, _ in clip.scenes)]
    return measure(expert, moves, features, seen, breaks)


def place_sound(clip: Clip, expert: Expert | None = None) -> dict[str, Any]:
    """The step `offset`: write audio.wav and features/ of a clip from steps/sound.wav and steps/phones.npy, moved to
    where the lips say they belong (if that is clear and more than half a frame), as long as the pictures.

    Returns frames (by which the sound was moved; multiples of a row), measured, margin (scaled so that CLEAR is the
    threshold whatever the length), peak, clear; with an expert also expert {frames, margin (scaled likewise), confidence,
    clear}, and `by`, which of both measured what is said: "opening", or "expert" where that alone is clear.
    """
    from likeness.prepare.tasks import save_array

    steps = clip.folder / "steps"
    try:
        phones = np.load(steps / "phones.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{steps}/phones.npy: cannot be read ({error}). Delete steps/sound.json and prepare again.") from error
    waveform = audio.load(steps / "sound.wav")
    offset = lip_offset(phones, lip_opening(clip.motion.landmarks.numpy()), clip.seen.numpy())
    found = {
        "measured": round(offset.frames, 2),
        "margin": round(offset.margin * CLEAR / offset.threshold, 3),
        "peak": round(offset.peak, 3),
        "clear": offset.clear,
    }
    found |= {} if expert is None else _second_opinion(offset, expert_offset(expert, clip, waveform, phones))
    by = late_rows(found["measured"], found["clear"])
    length = len(clip) * ROWS
    waveform = moved(waveform, by * speech.STEP, length * speech.STEP)
    audio.save_wav(clip.audio, waveform)
    silence = np.log((np.array(PHONES) == "SIL") + speech.PROBABILITY_FLOOR).astype(np.float32)
    save_array(clip.folder / "features" / "mel.npy", speech.extract("mel", waveform))
    save_array(clip.folder / "features" / "phones.npy", moved(phones, by, length, silence))
    return {"frames": by / ROWS, **found}


def _second_opinion(opening: Offset, ours: Synchrony | None) -> dict[str, Any]:
    """What the expert adds to the expected opening's offset, and takes its place where it alone is clear."""
    if ours is None:
        return {"by": "opening"}
    said = {
        "frames": round(ours.frames, 2),
        "margin": round(ours.margin * CLEAR / ours.threshold, 3),
        "confidence": round(ours.confidence, 3),
        "clear": ours.clear,
    }
    if opening.clear or not ours.clear:
        return {"by": "opening", "expert": said}
    instead = {"measured": said["frames"], "margin": said["margin"], "clear": True}
    opinion = {"frames": round(opening.frames, 2), "margin": round(opening.margin * CLEAR / opening.threshold, 3)}
    return {"by": "expert", "expert": said, "opening": opinion} | instead
