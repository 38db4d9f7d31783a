"""Who an actor is: proportions, colours and clothes, all drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

SKINS: tuple[Colour, ...] = (
    (0.93, 0.75, 0.64),
    (0.88, 0.67, 0.54),
    (0.80, 0.58, 0.43),
    (0.66, 0.45, 0.32),
    (0.50, 0.33, 0.24),
)
HAIRS: tuple[Colour, ...] = (
    (0.20, 0.13, 0.09),
    (0.33, 0.20, 0.11),
    (0.10, 0.085, 0.09),
    (0.52, 0.27, 0.13),
    (0.55, 0.44, 0.30),
)
EYES: tuple[Colour, ...] = ((0.25, 0.47, 0.62), (0.30, 0.46, 0.28), (0.42, 0.26, 0.12), (0.36, 0.42, 0.45))
CLOTHES: tuple[tuple[Colour, Colour], ...] = (
    ((0.17, 0.33, 0.42), (0.86, 0.82, 0.72)),
    ((0.56, 0.20, 0.18), (0.88, 0.80, 0.68)),
    ((0.22, 0.36, 0.27), (0.80, 0.76, 0.55)),
    ((0.30, 0.26, 0.42), (0.84, 0.66, 0.52)),
)
ROOMS: tuple[Colour, ...] = ((0.66, 0.70, 0.70), (0.72, 0.66, 0.58), (0.58, 0.64, 0.60), (0.70, 0.62, 0.60))


@dataclass(frozen=True)
class Traits:
    """Everything that makes one actor differ from another. Colours are sRGB, 0 to 1; scales are relative to the
    standard head."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    cloth: Colour
    cloth_second: Colour
    room: Colour
    long_hair: bool
    parting: float
    """Side of the hair parting: -1 (left in the picture) to 1."""
    jaw: float
    nose: float
    lip_fullness: float
    brow_weight: float
    pattern: int
    """0 stripes, 1 knitted zigzag, 2 checks."""
    pitch_hz: float
    """Middle of the voice."""
    tract: float
    """Length of the vocal tract against the standard: formants scale by its inverse."""

    @staticmethod
    def draw(seed: int) -> Traits:
        """The traits of actor `seed`; the same seed gives the same person on every machine."""
        rng = np.random.default_rng([7919, seed])
        skin_index = int(rng.choice(len(SKINS), p=(0.28, 0.27, 0.2, 0.15, 0.1))) if seed else 1
        hair_index = int(rng.integers(3 if skin_index > 2 else len(HAIRS))) if seed else 1
        skin = SKINS[skin_index]
        lips = tuple(float(c) for c in np.array(skin) * (0.86, 0.58, 0.60))
        cloth = CLOTHES[int(rng.integers(len(CLOTHES)))] if seed else CLOTHES[0]
        long_hair = bool(rng.random() < 0.5) if seed else False
        return Traits(
            skin=skin,
            hair=HAIRS[hair_index],
            iris=EYES[int(rng.integers(len(EYES)))] if seed else EYES[0],
            lips=lips,  # type: ignore[arg-type]
            cloth=cloth[0],
            cloth_second=cloth[1],
            room=ROOMS[int(rng.integers(len(ROOMS)))] if seed else ROOMS[0],
            long_hair=long_hair,
            parting=float(rng.choice((-1.0, 1.0))),
            jaw=float((0.86 if long_hair else 1.00) + 0.05 * rng.uniform(-1, 1)),
            nose=float(1.0 + 0.1 * rng.uniform(-1, 1)),
            lip_fullness=float((1.1 if long_hair else 0.98) + 0.1 * rng.uniform(-1, 1)),
            brow_weight=float((0.8 if long_hair else 1.0) + 0.15 * rng.uniform(-1, 1)),
            pattern=int(rng.integers(3)),
            pitch_hz=float((195 if long_hair else 118) * (1 + 0.1 * rng.uniform(-1, 1))),
            tract=float((0.87 if long_hair else 1.0) * (1 + 0.04 * rng.uniform(-1, 1))),
        )
