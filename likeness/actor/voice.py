"""The actor's voice: a small formant synthesiser (after Klatt 1980) that says a list of phones.

A glottal pulse train and breath noise run through a cascade of five resonators whose frequencies glide between the
phones' targets; friction and bursts are noise through one more resonator beside the cascade.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray as Array
from scipy.ndimage import gaussian_filter1d

from likeness.actor.phones import PHONES, SILENCE, Number, Phone
from likeness.actor.traits import Traits
from likeness.kernels.compiled import compiled

RATE = 16000
CONTROL = 200
"""Control points a second."""
FLOOR = 2e-4
"""Amplitude of the room's noise: silence is not digital zero."""
LOUDNESS = {"vowel": 1.0, "glide": 0.62, "nasal": 0.42, "stop": 0.10, "fricative": 0.24, "silence": 0.0}
CLOSURE = 0.58
"""Share of a plosive that is closed; the rest is burst and breath."""


@compiled()
def _filter(tracks: Array, noise: Array, rate: float | int) -> Array:
    """Run source and filters sample by sample. tracks: f0, voicing, breath, friction, its centre and width, F1-F5,
    B1-B5."""
    n = tracks.shape[1]
    out = np.zeros(n, np.float32)
    memory = np.zeros((6, 2))
    phase, pulse, tilt, previous = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        f0 = tracks[0, i]
        phase += f0 / rate
        if phase >= 1.0:
            phase -= 1.0
        # Rosenberg pulse: opens over 40 %, closes over 16 % of the period; the filters want its derivative
        if phase < 0.40:
            pulse = 0.5 * (1 - np.cos(np.pi * phase / 0.40))
        elif phase < 0.56:
            pulse = np.cos(0.5 * np.pi * (phase - 0.40) / 0.16)
        else:
            pulse = 0.0
        flow = pulse - previous
        previous = pulse
        breath = noise[i] * (0.5 + 0.5 * pulse if tracks[1, i] > 0.05 else 1.0)
        tilt = 0.35 * tilt + 0.65 * (tracks[1, i] * flow * 2.2 + tracks[2, i] * breath * 0.055)
        value = tilt
        for k in range(5):
            c = -np.exp(-2 * np.pi * tracks[11 + k, i] / rate)
            b = 2 * np.exp(-np.pi * tracks[11 + k, i] / rate) * np.cos(2 * np.pi * tracks[6 + k, i] / rate)
            y = (1 - b - c) * value + b * memory[k, 0] + c * memory[k, 1]
            memory[k, 1], memory[k, 0] = memory[k, 0], y
            value = y
        c = -np.exp(-2 * np.pi * tracks[5, i] / rate)
        b = 2 * np.exp(-np.pi * tracks[5, i] / rate) * np.cos(2 * np.pi * tracks[4, i] / rate)
        y = noise[i] * np.sqrt(tracks[5, i] / rate) + b * memory[5, 0] + c * memory[5, 1]
        hiss = 0.25 * (y - memory[5, 1]) * tracks[3, i]
        memory[5, 1], memory[5, 0] = memory[5, 0], y
        out[i] = value + hiss
    return out


def _points(phones: list[Phone], pick, tail: float | int) -> tuple[Array, Array]:
    """Key points (time, value) that hold each phone's target over its middle; `pick` gives the target at its start
    and end."""
    times, values = [], []
    for phone in phones:
        length = phone.stop - phone.start
        first, last = pick(phone)
        hold = 0.12 if PHONES[phone.name].kind == "silence" else tail
        times += [phone.start + hold * length, phone.stop - hold * length]
        values += [first, last]
    return np.array(times), np.array(values)


def _tracks(phones: list[Phone], seconds: float | int, traits: Traits, rng: np.random.Generator) -> Float[Array, "16 n"]:
    count = int(np.ceil(seconds * CONTROL)) + 1
    t = np.arange(count) / CONTROL
    tracks = np.zeros((16, count))
    for k in range(3):

        def formant(phone: Phone, k: int = k) -> tuple[Number, Number]:
            sort = PHONES[phone.name]
            return sort.formants[k], sort.end[k] if sort.end else sort.formants[k]

        tracks[6 + k] = gaussian_filter1d(np.interp(t, *_points(phones, formant, 0.32)), 2.2) / traits.tract
    tracks[9], tracks[10] = 3400 / traits.tract, 4300 / traits.tract
    tracks[11:] = np.array([70, 95, 140, 230, 300])[:, None]
    vocal = np.zeros((3, count))  # voicing, breath, friction
    tracks[4], tracks[5] = 3000.0, 1000.0
    for phone in phones:
        _excite(phone, t, vocal, tracks)
    for row, sigma in enumerate((1.6, 1.4, 0.8)):
        tracks[1 + row] = gaussian_filter1d(vocal[row], sigma)
    tracks[0] = _pitch(phones, t, traits, rng)
    return tracks


def _excite(phone: Phone, t: Array, vocal: Array, tracks: Array) -> None:
    """Write one phone's voicing, breath and friction between its start and stop."""
    sort = PHONES[phone.name]
    inside = (t >= phone.start) & (t < phone.stop)
    level = LOUDNESS[sort.kind]
    if sort.kind == "vowel":
        level *= 0.72 + 0.38 * phone.stress - 0.18 * phone.phrase
    if sort.voiced:
        vocal[0, inside] = level
        vocal[1, inside] = 0.10 * level
    if sort.kind == "nasal":
        tracks[11][inside], tracks[12][inside], tracks[13][inside] = 110, 300, 320
    centre, width, strength = sort.noise
    if not strength:
        return
    released = inside if sort.kind == "fricative" else inside & (t >= phone.start + CLOSURE * (phone.stop - phone.start))
    tracks[4, released], tracks[5, released] = centre, width
    if sort.kind == "fricative":
        vocal[2, released] = strength
        if phone.name == "HH":
            vocal[1, released] = 0.7
        return
    since = t[released] - (phone.start + CLOSURE * (phone.stop - phone.start))
    slow = 0.045 if phone.name in ("CH", "JH") else 0.016
    vocal[2, released] = strength * np.exp(-since / slow)
    vocal[1, released] += 0.15 if sort.voiced else 0.55
    if sort.voiced:
        vocal[0, released] = 0.5


def _pitch(phones: list[Phone], t: Array, traits: Traits, rng: np.random.Generator) -> Float[Array, " n"]:
    """Declination over each phrase, a rise on every stressed vowel, a final fall, and a little jitter."""
    cents = np.zeros_like(t)
    for phone in phones:
        inside = (t >= phone.start) & (t < phone.stop)
        cents[inside] = 250 - 500 * phone.phrase
        if phone.stress:
            middle = 0.5 * (phone.start + phone.stop)
            cents += 320 * phone.stress * np.exp(-(((t - middle) / 0.09) ** 2))
    cents = gaussian_filter1d(cents, 6.0) + gaussian_filter1d(rng.standard_normal(len(t)), 4.0) * 55
    return traits.pitch_hz * 2 ** (cents / 1200)


def say(phones: list[Phone], seconds: float | int, traits: Traits, rng: np.random.Generator) -> Float32[Array, " n"]:
    """The sound of `phones`: mono, RATE samples a second, exactly round(seconds * RATE) of them, peak about 0.7."""
    count = round(seconds * RATE)
    coarse = _tracks(phones, seconds, traits, rng)
    at = np.arange(count) / RATE * CONTROL
    index = np.minimum(at.astype(int), coarse.shape[1] - 2)
    share = at - index
    tracks = coarse[:, index] * (1 - share) + coarse[:, index + 1] * share
    out = _filter(tracks, rng.standard_normal(count), RATE)
    gate = silence_gate(phones, count)
    out = out * gate
    out *= 0.7 / max(float(np.abs(out).max()), 1e-6) if gate.any() else 0.0
    return (out + FLOOR * rng.standard_normal(count)).astype(np.float32)


def silence_gate(phones: list[Phone], count: int) -> Float32[Array, " n"]:
    """0 in silences, 1 in speech, with 5 ms slopes inside the speech: the filters' ringing ends where speech does."""
    t = np.arange(count) / RATE
    gate = np.ones(count, np.float32)
    for phone in phones:
        if phone.name == SILENCE:
            away = np.maximum(phone.start - t, t - phone.stop)
            gate = np.minimum(gate, np.clip(away / 0.005, 0, 1)).astype(np.float32)
    return gate
