"""Training of the voice on the clip itself: features of its sound against the tracked lips, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likeness import mesh
from likeness.audio import ROWS_PER_FRAME, Hearing
from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.nn.voice import FAMILIES, HEARING, SPREAD_FLOOR, Family, Memory, Voice, voice_distance
from likeness.phones import PHONES
from likeness.rig import LIP_COEFFICIENTS, LIP_POINTS, Rig
from likeness.run import Run
from likeness.speech import BANDS, FLOOR, PROBABILITY_FLOOR, Statistics, probabilities

KEYS = 1200  # of each family at most, spread evenly over the frames: 1000 of 1626 lose nothing, 600 lose .004 (presenter)
SHARPNESS = {"own": 0.5, "other": 0.2}
"""Over the median squared distance. Other speakers are farther away: a wide kernel still knows something there."""
RIDGE = {"own": 0.3, "other": 1.0}
"""Own: .2 to .5 are equal; 1 loses .01. Other, trained on one speaker and tried on another's lips: .468 against .450."""
JITTER = 1e-6
BLOCKS, GAP = 6, 12  # of the frames that are left out in turn, and frames on each side that are not used then
RATIO = 1.08  # of the opening's real movement, in frames left out, that the amplitude is set for: pictures show .92 of it
PUSHES = (0.0, 2.0)  # how much of the opening that was heard may be added to it
SILENCES = (0.5, 1.0)
"""How far down from the clip's quietest rows to digital silence. More levels, nearer to the quiet rows, contradict short
pauses, in which real mouths stay open (r .664 with four levels of 12 frames, .669 with two of 4; presenter.mp4 equal);
the gate closes the mouth in pauses that last."""
SILENCE_FRAMES = 8  # of each: longer than a window, and enough to outweigh the ridge
PIECE = 5 * 100
"""Rows of the pieces of sound that set the limit of the own voice. With 5 s it let through none of 20 other recordings and
kept held-out 3 to 19 s of the person's own, for three clips; with 2 s it took 7 and 12 of them for the own voice."""
SAME_FACE = 0.003  # metres root-mean-square of what lies above the mouth, between a scene's mean face and the rig's
MIN_FRAMES = 50


@dataclass(frozen=True)
class Lesson:
    """What is learned from: one stream of features, the lips, and in which frames they count."""

    features: Float[Tensor, "rows dim"]
    lips: Float[Tensor, "time lips"]
    usable: Bool[np.ndarray, " time"]
    judged: Bool[np.ndarray, " time"]
    """Usable frames that are left out in turn to measure: those asked for, not what other scenes added."""

    @staticmethod
    def of(clip: Clip, rig: Rig, frames: np.ndarray) -> Lesson:
        """`frames`, and the seen frames of other scenes with the same face. Those whose window reaches over a cut or a jump
        do not count, since sound breaks there too. Raises BadInput when too few are left to learn from."""
        parts = [np.asarray(clip.features(name)[: len(clip) * ROWS_PER_FRAME], np.float32) for name in HEARING.features]
        features = torch.from_numpy(np.concatenate(parts, axis=1))
        asked = np.zeros(len(clip), bool)
        asked[frames] = True
        usable = asked | _other_scenes(clip, rig)
        for start, stop in clip.scenes:
            usable[start : start + HEARING.past] = False
            usable[max(start, stop - HEARING.future) : stop] = False
        for jump in clip.breaks:
            usable[max(0, jump - HEARING.future) : jump + HEARING.past] = False
        usable &= clip.seen.numpy()
        if (judged := int((usable & asked).sum())) < MIN_FRAMES:
            raise BadInput(
                f"{clip.folder}: only {judged} frames to learn the voice from, and {MIN_FRAMES} are the least. "
                "Use a longer video, or one with fewer cuts."
            )
        lips = rig.encode(clip.motion)[:, :LIP_COEFFICIENTS]
        return Lesson(features, lips, usable, usable & asked)


def _other_scenes(clip: Clip, rig: Rig) -> Bool[np.ndarray, " time"]:
    """Frames of scenes other than the longest that show the same face. On presenter.mp4 they add .013 ± .010 to r."""
    found = np.zeros(len(clip), bool)
    still = torch.tensor(sorted(set(range(mesh.NODES)) - set(LIP_POINTS)))
    for start, stop in clip.scenes:
        if (start, stop) == clip.longest_scene or stop - start < MIN_FRAMES:
            continue
        shape = clip.motion.landmarks[start:stop, still].mean(0)
        if (shape - rig.mean[still]).square().sum(-1).mean().sqrt() < SAME_FACE:
            found[start:stop] = True
    return found


def train_voice(clip: Clip, rig: Rig, frames: np.ndarray, run: Run) -> Voice:
    """Fit both families to the clip; seconds for a minute of it. Nothing is left to chance or choice.

    Raises BadInput when too few frames are left to learn from.
    """
    lesson = Lesson.of(clip, rig, frames)
    voice = begin(lesson, rig)
    for step in run.steps("voice", len(FAMILIES)):
        r, ratio = fit(voice, lesson, rig, FAMILIES[step])
        run.log(**{f"{FAMILIES[step]}_opening_r": r, f"{FAMILIES[step]}_amplitude": ratio})
    before = {k: v for k, v in run.resumed.items() if not k.startswith("voice.")}
    run.finish(before | {f"voice.{k}": v for k, v in voice.state_dict().items()})
    return voice


def begin(lesson: Lesson, rig: Rig) -> Voice:
    """A voice with the statistics of the clip, still without memory."""
    rows = lesson.features[torch.from_numpy(np.repeat(lesson.usable, ROWS_PER_FRAME))]
    voice = Voice(min(KEYS, int(lesson.usable.sum()) + len(SILENCES) * SILENCE_FRAMES))
    log_phones = rows[:, BANDS:]
    for i, (family, phones) in enumerate(zip(FAMILIES, (log_phones, probabilities(log_phones)))):
        voice.phone_mean[i] = phones.mean(0)
        voice.phone_std[i] = phones.std(0).clamp_min(SPREAD_FLOOR[family])
    voice.rest.copy_(rig.rest)
    mel = rows[:, :BANDS]
    voice.mel_mean.copy_(mel.mean(0))
    voice.mel_std.copy_(mel.std(0).clamp_min(1e-3))
    length = min(PIECE, len(mel))
    pieces = mel.unfold(0, length, max(1, length // 4))
    far = voice_distance(pieces.mean(-1), pieces.std(-1), voice.mel_mean, voice.mel_std)
    voice.limit.copy_(torch.quantile(far, 0.99))
    return voice


def fit(voice: Voice, lesson: Lesson, rig: Rig, family: Family) -> tuple[float, float]:
    """Fill a family's memory and set its calibration. Returns, from blocks left out in turn, the opening's correlation
    and the ratio of its standard deviation to the real one before the calibration."""
    guess = remember(voice, lesson, rig, family)
    real = lesson.lips[torch.from_numpy(lesson.judged)] - voice.memory(family).bias
    return calibrate(voice, rig, family, guess, real)


def remember(voice: Voice, lesson: Lesson, rig: Rig, family: Family) -> Float[Tensor, "judged lips"]:
    """Fill a family's memory. Returns what each judged frame gets when it is left out, without the bias, not calibrated."""
    statistics = Statistics.of(lesson.features)
    stretch = HEARING.window(lesson.features, 0, len(lesson.lips))
    windows = voice.windows(stretch, statistics.mean, statistics.std, family)
    chosen = torch.from_numpy(np.flatnonzero(lesson.usable))
    silent = voice.windows(silences(lesson.features), statistics.mean, statistics.std, family)
    memory = voice.memory(family)
    inputs = torch.cat([windows[chosen], silent])
    memory.bias.copy_(lesson.lips[chosen].mean(0))
    target = torch.cat([lesson.lips[chosen], rig.rest.expand(len(silent), -1)]) - memory.bias
    keyed = torch.linspace(0, len(inputs) - 1, len(memory.keys)).round().long()
    memory.keys.copy_(inputs[keyed])
    typical = torch.cdist(inputs[::7].double(), inputs[::7].double()).square().median()
    memory.sharpness.fill_(SHARPNESS[family] / float(typical.clamp_min(1e-6)))
    guess = regress(memory, inputs, target.double(), lesson, chosen, RIDGE[family])
    return guess[torch.from_numpy(lesson.judged)[chosen]]


def regress(
    memory: Memory,
    inputs: Float[Tensor, "examples dim"],
    target: Float[Tensor, "examples lips"],
    lesson: Lesson,
    chosen: Int[Tensor, " frames"],
    ridge: float,
) -> Float[Tensor, "frames lips"]:
    """Solve (KᵀK + λ Kₖₖ) w = Kᵀy, K between examples and keys, Kₖₖ between keys: kernel ridge regression when every
    example is a key. Returns what each judged frame gets when its block and GAP frames round it are left out."""
    alike = memory.similarity(inputs)
    penalty = ridge * memory.similarity(memory.keys.float())
    penalty = penalty + JITTER * len(inputs) * torch.eye(len(penalty), dtype=torch.float64)
    gram, pull = alike.T @ alike + penalty, alike.T @ target
    memory.weights.copy_(_solve(gram, pull))
    guess = torch.zeros(len(chosen), LIP_COEFFICIENTS, dtype=torch.float64)
    judged = np.flatnonzero(lesson.judged)
    for block in np.array_split(judged, BLOCKS):
        near = ((chosen >= int(block[0]) - GAP) & (chosen <= int(block[-1]) + GAP)).nonzero()[:, 0]
        block_rows = torch.from_numpy(np.isin(chosen.numpy(), block)).nonzero()[:, 0]
        gone = alike[near]
        weights = _solve(gram - gone.T @ gone, pull - gone.T @ target[near])
        guess[block_rows] = alike[block_rows] @ weights
    return guess.float()


def _solve(gram: Float[Tensor, "keys keys"], pull: Float[Tensor, "keys lips"]) -> Float[Tensor, "keys lips"]:
    """Both are of a positive definite system."""
    return torch.cholesky_solve(pull, torch.linalg.cholesky(gram))


def calibrate(
    voice: Voice, rig: Rig, family: Family, guess: Float[Tensor, "frames lips"], real: Float[Tensor, "frames lips"]
) -> tuple[float, float]:
    """Set a family's `calibration`. Both arguments lack the bias. Returns the opening's r and the ratio before."""
    bias = voice.memory(family).bias
    matrix, r, ratio = calibration(rig, bias, guess, real)
    voice.calibration[FAMILIES.index(family)] = matrix
    return r, ratio


def calibration(
    rig: Rig, bias: Float[Tensor, " lips"], guess: Float[Tensor, "frames lips"], real: Float[Tensor, "frames lips"]
) -> tuple[Float[Tensor, "lips lips"], float, float]:
    """What makes guesses for frames left out fit the real lips best, and open them as much as the real ones.

    Each coefficient counts as far as it was right (its least-squares slope, 0 to 1). Regression moves only as much as it is
    sure of: movement is then added along what the real lips do when they open, until the opening moves RATIO as much as
    the real one. Over three clips the lips' error at RATIO is .90 of that with all coefficients enlarged alike.
    `guess` and `real` lack the bias. Returns the matrix, and the opening's r and the ratio before.
    """
    truth, plain = opening(rig, real + bias), opening(rig, guess + bias)
    slopes = ((guess * real).sum(0) / guess.square().sum(0).clamp_min(1e-9)).clamp(0, 1)
    centred = truth - truth.mean()
    gram = (real.T @ real).double() + 1e-6 * len(real) * torch.eye(len(slopes), dtype=torch.float64)
    opens = torch.linalg.solve(gram, (real.T @ centred).double()).float()  # the opening is linear in the lips to some 2 %
    along = real.T @ centred / centred.square().sum()

    def matrix(push: float) -> Float[Tensor, "lips lips"]:
        return slopes[:, None] * (torch.eye(len(slopes)) + push * opens[:, None] * along)

    low, high = PUSHES
    for _ in range(20):
        push = (low + high) / 2
        moves = opening(rig, guess @ matrix(push) + bias).std()
        low, high = (push, high) if moves < RATIO * truth.std() else (low, push)
    return matrix(low), float(correlation(plain, truth)), float(plain.std() / truth.std())


def opening(rig: Rig, lips: Float[Tensor, "time lips"]) -> Float[Tensor, " time"]:
    """Opening of the inner lips under lip coefficients, metres, the rest of the face at its mean."""
    rest_of_face = torch.zeros(len(lips), len(rig.basis) - LIP_COEFFICIENTS)
    return rig.opening(torch.cat([lips, rest_of_face], dim=1))


def correlation(a: Float[Tensor, " time"], b: Float[Tensor, " time"]) -> Float[Tensor, ""]:
    """Pearson's; 0 where one of them does not move."""
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-12)


def silences(features: Float[Tensor, "rows dim"], hearing: Hearing = HEARING) -> Float[Tensor, "silence dim"]:
    """Stretches of silence, from the clip's quietest rows down to digital silence, as long as windows: without them the
    mouth hangs open at its mean where nothing is heard (5 mm on presenter.mp4). Columns: mel, phones, then others, which
    stay as in the quietest rows. `hearing`: whose past and future are round the SILENCE_FRAMES of each level."""
    quiet = features[features[:, :BANDS].mean(1).argsort()[: max(HEARING.rows, len(features) // 50)]].mean(0)
    nothing = torch.full((len(PHONES),), float(np.log(PROBABILITY_FLOOR)))
    nothing[PHONES.index("SIL")] = float(np.log(1 + PROBABILITY_FLOOR))
    digital = torch.cat([torch.full((BANDS,), float(np.log(FLOOR))), nothing, quiet[BANDS + len(PHONES) :]])
    levels = [quiet + share * (digital - quiet) for share in SILENCES for _ in range(SILENCE_FRAMES)]
    rows = torch.stack(levels).repeat_interleave(ROWS_PER_FRAME, 0)  # windows overlap into the next level: no harm
    before, after = hearing.past * ROWS_PER_FRAME, hearing.future * ROWS_PER_FRAME
    return torch.cat([rows[:1].expand(before, -1), rows, rows[-1:].expand(after, -1)])
