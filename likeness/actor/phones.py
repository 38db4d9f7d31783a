"""What the actor says: phones with what they do to the voice and to the lips, and random sentences made of them.

ARPAbet names. Formants and durations follow the usual tables for an adult male (Peterson & Barney 1952, Klatt 1980);
lip shapes follow articulatory phonetics: closed for p b m, lower lip at the teeth for f v, narrow and forward for w
and uw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SILENCE = "SIL"
Number = float | int


@dataclass(frozen=True)
class Sort:
    """One phone of the language. Frequencies in Hz, lengths of lips in millimetres, durations in milliseconds."""

    kind: str
    """vowel, glide, nasal, stop, fricative, silence."""
    voiced: bool
    length: Number
    formants: tuple[Number, Number, Number]
    """Where F1, F2, F3 aim."""
    opening: Number
    wide: Number
    """Corners of the mouth outwards; negative narrows."""
    round: Number
    """Lips forward."""
    tongue: Number = 0.0
    noise: tuple[Number, Number, Number] = (0.0, 1.0, 0.0)
    """Friction or burst: centre, bandwidth, strength."""
    end: tuple[Number, Number, Number, Number, Number, Number] | None = None
    """Where a diphthong ends: F1, F2, F3, opening, wide, round."""
    grip: Number = 1.0
    """How strongly the lips insist on their shape against the neighbours."""
    shut: bool = False
    """Whether the lips must meet."""


def _v(length: Number, f: tuple, lips: tuple, end: tuple | None = None) -> Sort:
    return Sort("vowel", True, length, f, *lips, end=end, grip=1.0)


PHONES: dict[str, Sort] = {
    SILENCE: Sort("silence", False, 400, (500, 1500, 2500), 0.0, 0.0, 0.0, grip=1.2),
    "AA": _v(150, (730, 1090, 2440), (14.0, 0.0, 0.0)),
    "AE": _v(150, (660, 1720, 2410), (12.5, 2.0, 0.0)),
    "AH": _v(95, (620, 1190, 2390), (8.5, 0.0, 0.0)),
    "AO": _v(150, (570, 840, 2410), (11.0, -3.5, 3.0)),
    "AW": _v(190, (730, 1150, 2440), (14.0, 0.0, 0.0), (400, 950, 2350, 5.0, -5.0, 4.5)),
    "AY": _v(190, (730, 1150, 2440), (13.5, 0.5, 0.0), (370, 2050, 2600, 5.5, 2.5, 0.0)),
    "EH": _v(115, (530, 1840, 2480), (9.5, 1.5, 0.0)),
    "ER": _v(140, (490, 1350, 1690), (6.0, -2.5, 2.5)),
    "EY": _v(160, (490, 1950, 2550), (8.0, 2.0, 0.0), (330, 2200, 2750, 5.0, 2.8, 0.0)),
    "IH": _v(90, (390, 1990, 2550), (6.5, 1.8, 0.0)),
    "IY": _v(130, (270, 2290, 3010), (4.5, 3.2, 0.0)),
    "OW": _v(170, (500, 950, 2400), (9.0, -3.5, 3.5), (360, 850, 2300, 4.5, -6.0, 5.5)),
    "OY": _v(200, (520, 850, 2400), (9.5, -4.0, 4.0), (370, 2050, 2600, 5.5, 2.0, 0.0)),
    "UH": _v(100, (440, 1020, 2240), (5.5, -3.5, 3.0)),
    "UW": _v(140, (300, 870, 2240), (3.5, -6.5, 6.0)),
    "W": Sort("glide", True, 75, (290, 640, 2200), 2.5, -6.5, 6.0, grip=2.5),
    "Y": Sort("glide", True, 70, (270, 2250, 3000), 4.0, 2.5, 0.0, 0.3, grip=0.8),
    "R": Sort("glide", True, 80, (330, 1200, 1600), 4.5, -3.0, 3.5, 0.3, grip=1.4),
    "L": Sort("glide", True, 80, (360, 1100, 2700), 6.0, 0.5, 0.0, 1.0, grip=0.6),
    "M": Sort("nasal", True, 85, (260, 1000, 2200), 0.0, 0.0, 0.0, grip=2.0, shut=True),
    "N": Sort("nasal", True, 75, (260, 1600, 2600), 4.0, 0.8, 0.0, 0.9, grip=0.7),
    "NG": Sort("nasal", True, 85, (270, 2000, 2600), 5.5, 0.5, 0.0, grip=0.5),
    "P": Sort("stop", False, 100, (300, 850, 2300), 0.0, 0.0, 0.0, 0.0, (700, 900, 0.40), grip=2.0, shut=True),
    "B": Sort("stop", True, 85, (250, 850, 2300), 0.0, 0.0, 0.0, 0.0, (600, 800, 0.28), grip=2.0, shut=True),
    "T": Sort("stop", False, 95, (320, 1750, 2650), 3.5, 1.0, 0.0, 0.9, (4300, 2200, 0.60), grip=0.8),
    "D": Sort("stop", True, 75, (260, 1750, 2650), 3.8, 1.0, 0.0, 0.9, (3900, 2200, 0.40), grip=0.8),
    "K": Sort("stop", False, 100, (300, 1950, 2450), 5.5, 0.3, 0.0, 0.0, (1900, 700, 0.55), grip=0.5),
    "G": Sort("stop", True, 80, (260, 1950, 2450), 5.5, 0.3, 0.0, 0.0, (1850, 700, 0.40), grip=0.5),
    "F": Sort("fricative", False, 105, (340, 1100, 2300), 1.8, 1.0, -1.0, 0.0, (4500, 5000, 0.16), grip=2.4),
    "V": Sort("fricative", True, 75, (280, 1100, 2300), 1.8, 1.0, -1.0, 0.0, (4300, 5000, 0.09), grip=2.4),
    "TH": Sort("fricative", False, 100, (320, 1350, 2550), 4.5, 0.8, 0.0, 0.8, (5600, 4000, 0.13), grip=1.0),
    "DH": Sort("fricative", True, 60, (280, 1350, 2550), 4.5, 0.8, 0.0, 0.8, (5200, 4000, 0.07), grip=0.9),
    "S": Sort("fricative", False, 115, (320, 1500, 2600), 3.0, 2.0, 0.0, 0.5, (5900, 1900, 0.55), grip=1.4),
    "Z": Sort("fricative", True, 85, (270, 1500, 2600), 3.0, 2.0, 0.0, 0.5, (5700, 1900, 0.34), grip=1.4),
    "SH": Sort("fricative", False, 115, (310, 1750, 2400), 5.0, -3.5, 4.5, 0.4, (3000, 1400, 0.50), grip=1.7),
    "CH": Sort("stop", False, 120, (310, 1800, 2500), 5.0, -3.0, 4.0, 0.5, (3100, 1500, 0.65), grip=1.6),
    "JH": Sort("stop", True, 95, (270, 1800, 2500), 5.0, -3.0, 4.0, 0.5, (3000, 1500, 0.45), grip=1.6),
    "HH": Sort("fricative", False, 65, (550, 1450, 2500), 7.0, 0.0, 0.0, 0.0, (1500, 2500, 0.12), grip=0.2),
}
VOWELS = tuple(n for n, p in PHONES.items() if p.kind == "vowel")
ONSETS = (
    "",
    "P",
    "B",
    "M",
    "T",
    "D",
    "N",
    "K",
    "G",
    "F",
    "V",
    "S",
    "Z",
    "SH",
    "CH",
    "JH",
    "TH",
    "DH",
    "L",
    "R",
    "W",
    "Y",
    "HH",
)
CLUSTERS = (("S", "T"), ("P", "L"), ("B", "R"), ("T", "R"), ("K", "L"), ("F", "L"), ("S", "P"), ("G", "R"), ("S", "M"))
CODAS = ("N", "M", "T", "D", "S", "Z", "L", "R", "K", "P", "B", "F", "V", "NG", "SH", "TH")


@dataclass(frozen=True)
class Phone:
    """A phone that was said, from `start` to `stop` (seconds)."""

    name: str
    start: float
    stop: float
    stress: float
    """0 weak to 1 strong; 0 for consonants and silence."""
    phrase: float
    """Where in its phrase: 0 at the beginning, 1 at the end."""


def sentence(seconds: float | int, rng: np.random.Generator, pause: float | int = 0.55) -> list[Phone]:
    """Random speech of exactly `seconds`: silence, then phrases of syllables with silences of about `pause` seconds
    between."""
    said: list[Phone] = []
    clock = 0.0

    def silence(length: float) -> None:
        nonlocal clock
        said.append(Phone(SILENCE, clock, clock + length, 0.0, 0.0))
        clock += length

    silence(min(0.4 + 0.2 * rng.random(), seconds))
    while clock < seconds - 0.9:
        rate = rng.uniform(0.92, 1.18)
        names = _phrase(rng, int(rng.integers(4, 12)))
        for i, (name, stress) in enumerate(names):
            length = PHONES[name].length / 1000 * rate * rng.uniform(0.85, 1.15) * (1 + 0.30 * stress)
            length *= 1.35 if i >= len(names) - 2 else 1.0  # phrase-final lengthening
            if clock + length > seconds - 0.25:
                break
            said.append(Phone(name, clock, clock + length, stress, i / len(names)))
            clock += length
        silence(min(pause * rng.uniform(0.6, 1.7), max(seconds - clock, 0.01)))
    if clock < seconds:
        silence(seconds - clock)
    return [Phone(p.name, p.start, min(p.stop, seconds), p.stress, p.phrase) for p in said if p.start < seconds]


def _phrase(rng: np.random.Generator, syllables: int) -> list[tuple[str, float]]:
    """Phones of a phrase with the stress of its vowels."""
    out: list[tuple[str, float]] = []
    for i in range(syllables):
        strong = float(rng.random() < 0.45)
        onset = rng.choice(ONSETS)
        if rng.random() < 0.12:
            out += [(str(c), 0.0) for c in CLUSTERS[rng.integers(len(CLUSTERS))]]
        elif onset:
            out.append((str(onset), 0.0))
        vowel = str(rng.choice(VOWELS)) if strong or rng.random() < 0.6 else str(rng.choice(("AH", "IH")))
        out.append((vowel, strong * rng.uniform(0.6, 1.0)))
        if rng.random() < (0.7 if i == syllables - 1 else 0.35):
            out.append((str(rng.choice(CODAS)), 0.0))
    return out
