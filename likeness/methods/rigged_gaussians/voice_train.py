"""Training of the voice on the clip itself: features of its sound against the tracked lips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from likeness.audio import ROWS_PER_FRAME
from likeness.clip import Clip
from likeness.methods.rigged_gaussians.config import Config
from likeness.methods.rigged_gaussians.voice import FAMILIES, HEARING, MEL, PHONE_FLOOR, Voice, voice_distance
from likeness.rig import LIP_COEFFICIENTS, Rig
from likeness.run import Run, optimiser_state, restore_optimiser

BATCH, CROP = 8, 100  # sequences of 4 s
RATE, DECAY, DROPOUT, NOISE = 3e-3, 1e-2, 0.3, 0.1
GAIN_DB = 6.0  # standard deviation of the random loudness
SILENCES = 0.3  # share of the sequences with a silence put in
SILENCE_RANGE = (8, 30)  # frames
EDGE = 3  # frames at the ends of a silence in which the mouth may do what it likes
RATIO = 0.95  # size of the opening's movement, of the real one, that amplitude is set for
PIECE = 200  # rows of a piece of sound in the voice statistics: 2 s


@dataclass(frozen=True)
class Lesson:
    """What is learned from: one stream of features, the lips, and in which frames they count."""

    features: Float[Tensor, "rows dim"]
    lips: Float[Tensor, "time lips"]
    usable: Bool[np.ndarray, " time"]
    silence: Float[Tensor, "silence dim"]
    """Rows of features of silences of several loudnesses."""

    @staticmethod
    def of(clip: Clip, rig: Rig, frames: np.ndarray) -> Lesson:
        """Frames outside `frames`, and those whose sound window reaches over a cut or a jump, do not count."""
        names = [np.asarray(clip.features(name), np.float32) for name in HEARING.features]
        features = torch.from_numpy(np.concatenate([f[: len(clip) * ROWS_PER_FRAME] for f in names], axis=1))
        usable = np.zeros(len(clip), bool)
        usable[frames] = True
        for cut in [*(start for start, _ in clip.scenes), *(stop for _, stop in clip.scenes), *clip.breaks]:
            usable[max(0, cut - HEARING.future) : cut + HEARING.past] = False
        lips = rig.encode(clip.motion)[:, :LIP_COEFFICIENTS]
        return Lesson(features, lips, usable, silence_rows(features))


def silence_rows(features: Float[Tensor, "rows dim"]) -> Float[Tensor, "silence dim"]:
    """Rows of silence: the quietest of the clip, and the same fainter, down to digital silence."""
    loudness = features[:, :MEL].mean(1)
    quiet = features[loudness.argsort()[: max(8, len(features) // 100)]]
    floor = float(np.log(1e-10))
    phones = quiet[:, MEL:].exp().sub(PHONE_FLOOR).mean(0).add(PHONE_FLOOR).log()
    steps = [quiet]
    for share in (0.25, 0.5, 1.0):
        faint = quiet.clone()
        faint[:, :MEL] += share * (floor - faint[:, :MEL])
        faint[:, MEL:] = phones
        steps.append(faint)
    return torch.cat(steps)


def train_voice(clip: Clip, rig: Rig, frames: np.ndarray, config: Config, run: Run) -> Voice:
    """Fit both families at once; what is left out of each network's training sets the amplitude."""
    lesson = Lesson.of(clip, rig, frames)
    voice = Voice(config.voices, HEARING)
    return teach(voice, lesson, rig, config, run)


def teach(voice: Voice, lesson: Lesson, rig: Rig, config: Config, run: Run) -> Voice:
    """The loop."""
    start(voice, lesson, rig, config.seed)
    before = {k: v for k, v in run.resumed.items() if not k.startswith("voice")}
    optimiser = torch.optim.AdamW(voice.parameters(), lr=RATE, weight_decay=DECAY)
    if mine := {k[6:]: v for k, v in run.resumed.items() if k.startswith("voice.")}:
        voice.load_state_dict(mine)
        restore_optimiser(optimiser, run.resumed, "voice_adam.")
    state = lambda: before | {f"voice.{k}": v for k, v in voice.state_dict().items()}  # noqa: E731
    left_out = hold_out(lesson.usable, len(voice))
    mean, std = lesson.features.mean(0), lesson.features.std(0)
    weight = rig.lip_weight * LIP_COEFFICIENTS
    for step in run.steps("voice", config.voice_steps):
        rng = run.generator(step)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        features, lips, counts = batch(lesson, left_out, rig, rng)
        optimiser.param_groups[0]["lr"] = RATE * one_cycle(step / config.voice_steps)
        loss = torch.zeros(())
        for family, ensemble in voice.families.items():
            rows = voice.inputs(features, mean, std, family)
            rows = rows + NOISE * torch.randn(rows.shape, generator=generator)
            guess = ensemble(rows, DROPOUT, generator).transpose(2, 3)
            loss = loss + error(guess, lips, counts, weight)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 25 == 0:
            run.log(loss=loss.detach() / len(FAMILIES))
        run.keep(lambda: state() | optimiser_state(optimiser, "voice_adam."))
    calibrate(voice, lesson, rig, left_out)
    run.finish(state())
    return voice


def start(voice: Voice, lesson: Lesson, rig: Rig, seed: int) -> None:
    """Fresh weights by seed, and statistics of the clip."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in voice.parameters():
            if parameter.ndim == 3:
                bound = (parameter.shape[1] * parameter.shape[2]) ** -0.5
                parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * bound)
            else:
                parameter.zero_()
        rows = lesson.features[np.repeat(lesson.usable, ROWS_PER_FRAME)]
        phones = rows[:, MEL:]
        for i, values in enumerate((phones, phones.exp() - PHONE_FLOOR)):
            voice.phone_mean[i] = values.mean(0)
            voice.phone_std[i] = values.std(0).clamp_min(0.02)
        voice.rest.copy_(rig.rest)
        voice.mel_mean.copy_(rows[:, :MEL].mean(0))
        voice.mel_std.copy_(rows[:, :MEL].std(0).clamp_min(1e-3))
        pieces = rows[:, :MEL].unfold(0, min(PIECE, len(rows)), max(1, min(PIECE, len(rows)) // 4))
        far = voice_distance(pieces.mean(-1), pieces.std(-1), voice.mel_mean, voice.mel_std)
        voice.limit.copy_(torch.quantile(far, 0.99))


def one_cycle(share: float) -> float:
    """Up for a quarter of the run, down to nothing by a cosine."""
    if share < 0.25:
        return 0.04 + 0.96 * 0.5 * (1 - np.cos(np.pi * share / 0.25))
    return 0.5 * (1 + np.cos(np.pi * (share - 0.25) / 0.75))


def hold_out(usable: Bool[np.ndarray, " time"], count: int) -> Bool[np.ndarray, "nets time"]:
    """Frames that each network never learns from: one of `count` blocks each. None for a single network."""
    left_out = np.zeros((count, len(usable)), bool)
    if count > 1:
        for net, block in enumerate(np.array_split(np.flatnonzero(usable), count)):
            left_out[net, block] = True
    return left_out


def batch(
    lesson: Lesson, left_out: Bool[np.ndarray, "nets time"], rig: Rig, rng: np.random.Generator
) -> tuple[Float[Tensor, "batch nets rows dim"], Float[Tensor, "batch nets time lips"], Bool[Tensor, "batch nets time"]]:
    """Random sequences for every network, louder or fainter, some with a silence in which the mouth rests."""
    nets, time = left_out.shape
    crop = min(CROP, time)
    rows = (HEARING.past + crop + HEARING.future) * ROWS_PER_FRAME
    gain = rng.standard_normal((BATCH, nets)) * GAIN_DB * np.log(10) / 10
    features, lips, counts = [], [], []
    for b in range(BATCH):
        for net in range(nets):
            allowed = lesson.usable & ~left_out[net]
            first = int(rng.choice(np.flatnonzero(allowed))) - int(rng.integers(crop))
            first = int(np.clip(first, 0, time - crop))
            stretch = HEARING.window(lesson.features, first, first + crop).clone()
            stretch[:, :MEL] += float(gain[b, net])
            target = lesson.lips[first : first + crop].clone()
            count = torch.from_numpy(allowed[first : first + crop].copy())
            if rng.random() < SILENCES:
                put_silence(stretch, target, count, lesson.silence, rig.rest, rng)
            features.append(stretch), lips.append(target), counts.append(count)
    shape = (BATCH, nets)
    return (
        torch.stack(features).view(*shape, rows, -1),
        torch.stack(lips).view(*shape, crop, -1),
        torch.stack(counts).view(*shape, crop),
    )


def put_silence(stretch: Tensor, target: Tensor, count: Tensor, silence: Tensor, rest: Tensor, rng: np.random.Generator) -> None:
    """Replace some frames by silence, in place."""
    length = min(int(rng.integers(*SILENCE_RANGE)), len(target) - 1)
    first = int(rng.integers(len(target) - length))
    row = (first + HEARING.past) * ROWS_PER_FRAME
    kind = int(rng.integers(4)) * (len(silence) // 4)
    chosen = kind + rng.integers(len(silence) // 4, size=length * ROWS_PER_FRAME)
    stretch[row : row + length * ROWS_PER_FRAME] = silence[chosen]
    target[first : first + length] = rest
    count[first : first + length] = True
    for edge in (first, first + length):
        count[max(0, edge - EDGE) : edge + EDGE] = False


def error(
    guess: Float[Tensor, "batch nets time lips"],
    lips: Float[Tensor, "batch nets time lips"],
    counts: Bool[Tensor, "batch nets time"],
    weight: Float[Tensor, " lips"],
) -> Float[Tensor, ""]:
    """Squared error weighted by each coefficient's variance, and half as much on first differences."""
    miss = guess - lips
    value = (miss.square() * weight).mean(-1)[counts].sum() / counts.sum().clamp_min(1)
    both = counts[..., 1:] & counts[..., :-1]
    change = ((miss[..., 1:, :] - miss[..., :-1, :]).square() * weight).mean(-1)[both].sum() / both.sum().clamp_min(1)
    return value + 0.5 * change


@torch.no_grad()
def calibrate(voice: Voice, lesson: Lesson, rig: Rig, left_out: Bool[np.ndarray, "nets time"]) -> None:
    """Set the amplitude so that the opening moves RATIO as much as the real one in frames that were not learned from."""
    mean, std = lesson.features.mean(0), lesson.features.std(0)
    stretch = HEARING.window(lesson.features, 0, len(lesson.lips))
    real = torch.cat([lesson.lips, torch.zeros(len(lesson.lips), rig.basis.shape[0] - LIP_COEFFICIENTS)], dim=1)
    for i, family in enumerate(FAMILIES):
        ensemble = voice.families[family]
        rows = voice.inputs(stretch, mean, std, family)
        guesses = ensemble(rows.expand(1, ensemble.count, -1, -1))[0].transpose(1, 2)
        chosen = left_out if left_out.any() else lesson.usable[None]
        guess = torch.cat([g[torch.from_numpy(c)] for g, c in zip(guesses, chosen)])
        truth = torch.cat([real[torch.from_numpy(c)] for c in chosen])
        padded = torch.cat([guess, torch.zeros(len(guess), real.shape[1] - LIP_COEFFICIENTS)], dim=1)
        ratio = rig.opening(truth).std() / rig.opening(padded).std().clamp_min(1e-6)
        voice.amplitude[i] = float((RATIO * ratio).clamp(0.8, 2.0))
