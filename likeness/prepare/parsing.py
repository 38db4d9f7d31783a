"""Parsing without a download: what each pixel of a frame is (`PARTS` in `likeness.camera`'s clip format).

Person from mediapipe's selfie segmentation; skin, hair and clothes from Lab colour histograms of this very person
times a spatial prior in face coordinates, both learned from about ten frames and refitted twice; edges from a colour
guided filter (He, Sun, Tang 2013; its fast form of 2015) at a quarter of the size; face against neck from the jaw line
of the face mesh, the mouth interior from its inner lips. No learned face parser is needed, and none is in the wheel.

Scores are made at WORK² and only the edges are drawn at the size of the picture: that is what makes it fast.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from likeness.clip import PARTS
from likeness.mesh import (
    BROW_LINE,
    CHIN_BOTTOM,
    FACE_OVAL,
    FOREHEAD_TOP,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LOWER_INNER_LIP,
    RIGHT_BROW,
    RIGHT_EYE,
    SKULL,
    UPPER_INNER_LIP,
)
from likeness.prepare.guided import COARSE, guided_labels, posterior, winners

WORK = 256  # scores are made at this size
BACKGROUND, SKIN, HAIR, CLOTHES = range(4)
TAPS = np.array([1, 2, 4, 2, 1], np.float32) / 10  # temporal filter of the scores; two frames of delay

LOWER_JAW = FACE_OVAL[25:10:-1]  # from under the right ear round the chin to the left one
LOWER_OVAL = FACE_OVAL[7:30]  # from the left temple round the chin to the right one

GRID, LOW, HIGH = 96, (-1.6, -1.3), (1.6, 1.9)  # the prior's grid; its corners in face heights from the face's middle
BINS = (16, 20, 20)  # Lab histogram; 5 units of a and b to a bin, from 78 on: more saturated colours share the last bin
SHARPNESS = 1.6  # exponent on colour likelihoods: neighbouring pixels are not independent, 1 trusts the prior too much


LOOPS = (INNER_LIPS, LEFT_BROW, RIGHT_BROW, LEFT_EYE, RIGHT_EYE)  # in the face, but not skin-coloured


def similarity(source: Float[np.ndarray, "n 2"], target: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "2 3"]:
    """Least-squares rotation, scale and shift that takes `source` to `target`, as cv2.warpAffine wants it."""
    a, b = source @ [1, 1j], target @ [1, 1j]
    centred = a - a.mean()
    factor = (centred.conj() @ (b - b.mean())) / max((np.abs(centred) ** 2).sum(), 1e-12)
    shift = b.mean() - factor * a.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def colour_bins(image: UInt8[np.ndarray, "height width 3"]) -> np.ndarray:
    """The histogram bin of every pixel of an RGB picture."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.int32)
    lightness = lab[..., 0] * BINS[0] >> 8
    a, b = (np.clip((lab[..., i] - 78) // 5, 0, BINS[i] - 1) for i in (1, 2))
    return (lightness * BINS[1] + a) * BINS[2] + b


def _ramp(x: np.ndarray, centre: float | np.ndarray, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip((x - centre) / width, -30, 30)))


def generic_prior() -> Float[np.ndarray, "grid grid 4"]:
    """Where background, skin, hair and clothes are on anybody, on the grid of face coordinates (1 = face height)."""
    u, v = np.meshgrid(np.linspace(LOW[0], HIGH[0], GRID), np.linspace(LOW[1], HIGH[1], GRID))
    radius = np.hypot(u / 0.40, v / 0.52)
    inside = _ramp(-radius, -1.0, 0.06)
    ears = np.exp(-(((np.abs(u) - 0.44) / 0.09) ** 2) - (v / 0.25) ** 2)
    neck = _ramp(-np.abs(u), -0.36, 0.04) * _ramp(v, 0.4, 0.04) * _ramp(-v, -0.75, 0.06)
    skin = 0.9 * inside + 0.35 * ears + 0.6 * neck + 0.12 * _ramp(v, 0.75, 0.1) + 0.004
    crown = _ramp(radius, 0.97, 0.04) * _ramp(-radius, -1.75, 0.12) * _ramp(-v, 0.1, 0.12)
    long = _ramp(np.abs(u), 0.33, 0.05) * _ramp(v, 0.0, 0.15) * _ramp(-v, -1.3, 0.2) * _ramp(-np.abs(u), -0.8, 0.1)
    hair = 0.8 * crown + 0.18 * inside * _ramp(-v, 0.3, 0.03) + 0.2 * long + 0.003
    start = np.where(np.abs(u) < 0.4, 0.62, 0.42)  # shoulders begin higher than the collar
    clothes = 0.8 * _ramp(v, start, 0.05) + 0.06 * _ramp(v, 0.42, 0.03) + 0.001
    background = 0.4 * (1 - inside) + 0.002
    prior = np.stack([background, skin, hair, clothes], -1)
    return (prior / prior.sum(-1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Look:
    """One frame at WORK²: what the scores are computed from."""

    bins: np.ndarray
    person: Float[np.ndarray, "work work"]
    pixels: Float[np.ndarray, "478 2"] | None
    """Landmarks in pixels at WORK²; None without a face."""
    to_face: Float[np.ndarray, "2 3"]
    """From pixels at WORK² to the prior's grid."""


class Parser:
    """Labels frames of one person. Made by `Parser.fit`; `scores` then `label`, or both at once by calling it."""

    def __init__(self, template: Float[np.ndarray, "478 2"]) -> None:
        import mediapipe  # here, since importing it takes seconds

        self.template = template
        self.prior = generic_prior()
        self.colours = np.ones((int(np.prod(BINS)), 4), np.float32)
        self._person = mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
        self._last = None

    @classmethod
    def fit(cls, images: list[np.ndarray], pixels: list[np.ndarray], refits: int = 2) -> Parser:
        """Learn one person's colours and shape.

        images: about ten RGB frames spread over the clip, [H W 3] uint8; pixels: their face-mesh landmarks [478 2] in
        pixels of these frames, all with a face (ValueError when there is none).
        """
        if not images:
            raise ValueError("Parser.fit needs at least one frame with a face")
        shapes = np.stack([p[:, :2] * WORK / image.shape[0] for p, image in zip(pixels, images, strict=True)])
        parser = cls(_face_template(shapes))
        looks = [parser.look(image, p) for image, p in zip(images, pixels, strict=True)]
        posteriors = [parser._seeds(look) for look in looks]
        for round_ in range(refits + 1):
            parser._learn_colours(looks, posteriors)
            if round_:
                parser._learn_prior(looks, posteriors)
            posteriors = [parser._posterior(look) for look in looks]
        return parser

    def state(self) -> dict[str, np.ndarray]:
        """What was learned, as plain arrays, for another process."""
        return {"template": self.template, "prior": self.prior, "colours": self.colours}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> Parser:
        parser = cls(state["template"])
        parser.prior, parser.colours = state["prior"], state["colours"]
        return parser

    def __call__(self, image: np.ndarray, pixels: np.ndarray | None) -> UInt8[np.ndarray, "height width"]:
        """Labels of one frame, without the temporal filter. `pixels` [478 2] of `image`, None without a face."""
        return self.label(image, self.scores(image, pixels), pixels)

    def look(self, image: np.ndarray, pixels: np.ndarray | None) -> Look:
        small = cv2.resize(image, (WORK, WORK), interpolation=cv2.INTER_AREA)
        person = self._person.process(small).segmentation_mask
        person = person * _largest(person > 0.5, grow=4)
        if pixels is not None:
            pixels = np.asarray(pixels[:, :2], np.float64) * (WORK / np.array([image.shape[1], image.shape[0]]))
            self._last = similarity(pixels[list(SKULL)], self.template[list(SKULL)])
        to_face = self._last if self._last is not None else np.array([[0.4, 0, 0], [0, 0.4, 0]])
        return Look(colour_bins(small), person, pixels, to_face)

    def scores(self, image: np.ndarray, pixels: np.ndarray | None) -> Float[np.ndarray, "coarse coarse 4"]:
        """Probability of background, skin, hair and clothes at COARSE², before edges and time have their say."""
        return cv2.resize(self._posterior(self.look(image, pixels)), (COARSE, COARSE), interpolation=cv2.INTER_AREA)

    def label(
        self, image: np.ndarray, scores: Float[np.ndarray, "coarse coarse 4"], pixels: np.ndarray | None
    ) -> UInt8[np.ndarray, "height width"]:
        """PARTS of every pixel of `image` from (time-filtered) scores."""
        height, width = image.shape[:2]
        if pixels is not None:
            pixels = np.asarray(pixels[:, :2], np.float64)
            scores = _clean(scores, pixels * (COARSE / np.array([width, height])), self.template)
        classes = guided_labels(image, scores)
        classes = cv2.medianBlur(classes, 3)  # single pixels
        parts = np.array([PARTS[n] for n in ("background", "face", "hair", "torso")], np.uint8)[np.asarray(classes, np.uint8)]
        if pixels is None:
            parts[(parts == PARTS["face"]) | (parts == PARTS["hair"])] = PARTS["torso"]
            return parts
        _split_skin(parts, pixels, self.template)
        if np.ptp(pixels[[UPPER_INNER_LIP, LOWER_INNER_LIP], 1]) > height / 400:
            _fill(parts, pixels[list(INNER_LIPS)], PARTS["mouth"])
        return parts

    def _seeds(self, look: Look) -> Float[np.ndarray, "work work 4"]:
        """A first guess by shape alone: certain regions only, weight 0 elsewhere."""
        grid = cv2.warpAffine(generic_prior(), look.to_face, (WORK, WORK), flags=_PULL, borderMode=cv2.BORDER_REPLICATE)
        person = look.person[..., None]
        seeds = np.concatenate([1 - person, person.repeat(3, -1)], -1)
        seeds[..., 0] *= look.person < 0.05
        seeds[..., 1:] *= (person > 0.9) * (grid[..., 1:] > 0.55) * grid[..., 1:]
        if look.pixels is None:
            return seeds * 0
        face, features = np.zeros((2, WORK, WORK), np.uint8)
        _fill(face, look.pixels[list(FACE_OVAL)], 1)
        seeds[..., 1] *= face  # the neck is learned by its colour: a collar may stand in its place
        for loop in LOOPS:
            _fill(features, look.pixels[list(loop)], 1)
        seeds[cv2.dilate(features, np.ones((7, 7))) > 0, 1] = 0
        return seeds

    def _posterior(self, look: Look) -> Float[np.ndarray, "work work 4"]:
        prior = cv2.warpAffine(self.prior, look.to_face, (WORK, WORK), flags=_PULL, borderMode=cv2.BORDER_REPLICATE)
        face = np.zeros((WORK, WORK), np.float32)
        if look.pixels is not None:
            _fill(face, look.pixels[[*LOWER_OVAL, *BROW_LINE]], 1.0)
            face = cv2.blur(cv2.erode(face, np.ones((3, 3))), (5, 5))
        return posterior(prior, self.colours, look.bins, look.person, face)

    def _learn_colours(self, looks: list[Look], posteriors: list[np.ndarray]) -> None:
        index = np.concatenate([look.bins.ravel() for look in looks])
        for c in range(4):
            weight = np.concatenate([p[..., c].ravel() for p in posteriors])
            count = np.bincount(index, weight, minlength=len(self.colours)).reshape(BINS)
            for axis in range(3):
                count = _blur_axis(count, axis)
            share = (count / max(count.sum(), 1e-9)).ravel() + 1e-5
            self.colours[:, c] = share**SHARPNESS

    def _learn_prior(self, looks: list[Look], posteriors: list[np.ndarray]) -> None:
        """Half the generic prior, half where this person's classes were found, in logarithms."""
        total, seen = np.zeros((GRID, GRID, 4), np.float32), np.zeros((GRID, GRID), np.float32)
        for look, p in zip(looks, posteriors, strict=True):
            total += cv2.warpAffine(p.astype(np.float32), look.to_face, (GRID, GRID))
            seen += cv2.warpAffine(np.ones((WORK, WORK), np.float32), look.to_face, (GRID, GRID))
        total, seen = cv2.GaussianBlur(total, (0, 0), 2.5), cv2.GaussianBlur(seen, (0, 0), 2.5)
        found = (total + 0.3 * generic_prior()) / (seen + 0.3)[..., None] + 0.004
        prior = np.sqrt(found * (generic_prior() + 0.01))
        self.prior = (prior / prior.sum(-1, keepdims=True)).astype(np.float32)


_PULL = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def parse_frames(
    frames: Iterable[tuple[np.ndarray, np.ndarray | None]], parser: Parser, breaks: Iterable[int] = ()
) -> Iterator[UInt8[np.ndarray, "height width"]]:
    """Labels of a sequence of (image, landmarks or None), in order, with the 5-tap temporal filter.

    `breaks`: indices at which something new begins (cuts, jumps): the filter does not look across. Holds five frames.
    """
    starts, half = set(breaks), len(TAPS) // 2
    window: deque = deque()  # (image, pixels, scores) of the present stretch
    done = 0  # frames of `window` in front of the next to label

    def emit() -> np.ndarray:
        image, pixels, _ = window[done]
        total, weight = np.zeros_like(window[done][2]), 0.0
        for j in range(max(done - half, 0), min(done + half + 1, len(window))):
            tap = TAPS[j - done + half]
            total, weight = total + tap * window[j][2], weight + tap
        return parser.label(image, total / weight, pixels)

    for t, (image, pixels) in enumerate(frames):
        if t in starts:
            while done < len(window):
                yield emit()
                done += 1
            window.clear()
            done = 0
        window.append((image, pixels, parser.scores(image, pixels)))
        if len(window) - done > half:
            yield emit()
            done += 1
            if done > half:
                window.popleft()
                done -= 1
    while done < len(window):
        yield emit()
        done += 1


def _face_template(shapes: Float[np.ndarray, "frames 478 2"]) -> Float[np.ndarray, "478 2"]:
    """Median shape of the face, upright, on the prior's grid."""
    height = np.linalg.norm(shapes[:, CHIN_BOTTOM] - shapes[:, FOREHEAD_TOP], axis=1)
    first = shapes[np.argsort(height)[len(height) // 2]]
    aligned = []
    for shape in shapes:
        m = similarity(shape[list(SKULL)], first[list(SKULL)])
        aligned.append(shape @ m[:, :2].T + m[:, 2])
    mean = np.median(aligned, axis=0)
    cells = (GRID - 1) / (HIGH[0] - LOW[0])
    middle = np.array([-LOW[0], -LOW[1]]) * cells
    ends = np.array([[0, -0.5], [0, 0.5]]) * cells + middle
    m = similarity(mean[[FOREHEAD_TOP, CHIN_BOTTOM]], ends)
    return mean @ m[:, :2].T + m[:, 2]


def _blur_axis(count: np.ndarray, axis: int) -> np.ndarray:
    padded = np.pad(count, [(1, 1) if a == axis else (0, 0) for a in range(3)])
    n = count.shape[axis]
    return 0.25 * padded.take(range(n), axis) + 0.5 * count + 0.25 * padded.take(range(2, n + 2), axis)


def _largest(mask: np.ndarray, grow: int = 0, seed: np.ndarray | None = None) -> np.ndarray:
    """The largest component of a mask (or the one with most of `seed`), grown by `grow` pixels; float32 0 or 1."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 1:
        return np.zeros(mask.shape, np.float32)
    sizes = stats[:, cv2.CC_STAT_AREA] if seed is None else np.bincount(labels[seed], minlength=count)
    kept = (labels == 1 + int(np.argmax(sizes[1:]))).astype(np.uint8)
    if grow:
        kept = cv2.dilate(kept, np.ones((2 * grow + 1, 2 * grow + 1)))
    return kept.astype(np.float32)


def _fill(picture: np.ndarray, polygon: Float[np.ndarray, "n 2"], value: int | float) -> None:
    """Polygon in pixels (corner convention) into `picture`, with 1/16 pixel steps."""
    cv2.fillPoly(picture, [np.round((polygon - 0.5) * 16).astype(np.int32)], (value,), shift=4)


def _clean(scores: np.ndarray, pixels: np.ndarray, template: np.ndarray) -> Float[np.ndarray, "coarse coarse 4"]:
    """Take away what cannot be: hair that does not hang on the head, thin head-coloured lines along the shoulders."""
    best = winners(scores)
    size = (COARSE, COARSE)
    below = _below(pixels, template, size) > 0
    hair = (best == HAIR).astype(np.uint8)
    hair = np.where(below, cv2.morphologyEx(hair, cv2.MORPH_OPEN, np.ones((4, 4))), hair) > 0  # 15 px at 512
    face = np.zeros(size, np.uint8)
    _fill(face, pixels[list(FACE_OVAL)], 1)
    face = face > 0
    head = _largest(hair | face, seed=face) > 0
    skin = best == SKIN
    joined = _largest(skin | head, seed=face) > 0
    person = _largest(best != BACKGROUND, seed=face) > 0
    holes = (best == BACKGROUND) & ~(_largest(~person) > 0)
    scores = scores.copy()
    scores[(best == HAIR) & ~(head & hair), HAIR] = 0
    loose = skin & ~joined  # hands, a tie of skin colour
    scores[loose & below, CLOTHES] += scores[loose & below, SKIN]
    scores[loose, SKIN] = 0
    scores[~below & (best == CLOTHES), CLOTHES] = 0
    scores[~person, 1:] *= 0.02
    scores[holes, BACKGROUND] *= 0.2
    return scores


def _below(pixels: np.ndarray, template: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask of what lies below the jaw line continued to the sides and downwards without end."""
    from_face = similarity(template[list(SKULL)], pixels[list(SKULL)])
    cells = (GRID - 1) / (HIGH[0] - LOW[0])
    right, down = (from_face[:, i] * cells for i in (0, 1))  # one face height, in pixels
    line = pixels[list(LOWER_JAW)]
    ends = [line[-1] + 4 * right, line[-1] + 4 * right + 6 * down, line[0] - 4 * right + 6 * down, line[0] - 4 * right]
    mask = np.zeros(size, np.uint8)
    _fill(mask, np.concatenate([line, ends]), 1)
    return mask


def _split_skin(parts: np.ndarray, pixels: np.ndarray, template: np.ndarray) -> None:
    """Skin above the jaw line is face, just below it neck, beyond that (hands, bare shoulders) torso. In place."""
    from_face = similarity(template[list(SKULL)], pixels[list(SKULL)])
    cells = (GRID - 1) / (HIGH[0] - LOW[0])
    right, down = (from_face[:, i] * cells for i in (0, 1))
    skin = (parts == PARTS["face"]).astype(np.uint8)
    below = _below(pixels, template, (parts.shape[0], parts.shape[1]))
    chin = pixels[CHIN_BOTTOM]
    column = np.stack([chin - 0.42 * right - down, chin + 0.42 * right - down, chin + 0.42 * right + 0.36 * down])
    column = np.concatenate([column, [chin - 0.42 * right + 0.36 * down]])
    near = np.zeros(parts.shape, np.uint8)
    _fill(near, column, 1)
    low = (skin & below) > 0
    parts[low] = np.where(near[low] > 0, PARTS["neck"], PARTS["torso"])
