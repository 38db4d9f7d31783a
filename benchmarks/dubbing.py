"""New lips for videos of people that the networks never saw: how near to the real ones, how steady, how closed in silence.

    python -m benchmarks.dubbing LIPS VIDEO... --speech SPEECH [--sync EXPERT] [--seconds 5] [--name NAME] [--keep FOLDER]

Each video is dubbed with its own sound (the real frames are then what is wanted), with silence, and with SPEECH (what the
hidden mouth does must then not show). Another row's lips are the references themselves, warped: what the networks add is
the difference. References are 25 frames of the same video, which flatters a short one: some are neighbours of what is made.
With a sync expert (`likeness pretrain sync`), whether lips and sound belong together, of real, new and mismatched lips.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from benchmarks.machine import machine
from likeness import audio, speech
from likeness.audio import FPS
from likeness.displacement import displacement
from likeness.dub import dub
from likeness.dub.crop import cut_out
from likeness.dub.faces import SIDE, Faces, choose_faces
from likeness.dub.tracks import Search
from likeness.mesh import JAW, LIPS, LOWER_INNER_LIP, OUTER_EYE_CORNERS, UPPER_INNER_LIP
from likeness.methods.hyperlips import load_lips
from likeness.methods.hyperlips.dubbing import HyperLips
from likeness.methods.hyperlips.material import shown
from likeness.nn.hyper.mouth import MOUTH
from likeness.nn.sync.asset import load as load_expert
from likeness.nn.sync.expert import Expert
from likeness.nn.sync.measure import Synchrony, measure
from likeness.prepare import FOCAL_WIDE
from likeness.prepare.tracking import track_landmarks
from likeness.video import Writer, probe, read

SIZE = 256  # of the squares that are compared
EDGE = 13  # pixels to a side, by half of which the edge of a face is left out
ROUND = 0.06  # of the square round the lips: the mouth's box
MILLIMETRES = 1000 * SIDE
LAGS = 4  # frames: in many videos sound and lips are not in step, and new lips are in step with the sound


@dataclass(frozen=True)
class Film:
    """A video's faces: squares of the first one's places, and the face mesh in them, 0..1."""

    squares: np.ndarray
    points: np.ndarray
    seen: np.ndarray
    pixels: np.ndarray
    """The face mesh in the whole picture."""
    fps: float
    size: tuple[int, int]
    """Of the whole picture."""


def followed(path: Path) -> tuple[Faces, float]:
    """The faces of a video."""
    fps = probe(path).fps
    with TemporaryDirectory() as folder, Search(Path(folder), fps) as search:
        for picture in read(path, fps):
            search.add(picture.image)
        faces = choose_faces(search.found(), fps)
        return replace(faces, points=np.array(faces.points)), fps


def film(path: Path, places: Faces) -> Film:
    """A video as it lies in the squares `places`."""
    own, fps = followed(path)
    squares, points, seen, pixels = [], [], [], []
    for t, picture in enumerate(read(path, fps)):
        if t >= min(len(own), len(places)):
            break
        there = bool(own.rows[t] >= 0 and places.rows[t] >= 0)
        seen.append(there)
        place = places.place(t) if places.rows[t] >= 0 else places.place(int(np.flatnonzero(places.rows >= 0)[0]))
        squares.append(cut_out(picture.image, place, SIZE).astype(np.float32))
        pixels.append(own.landmarks(t) if own.rows[t] >= 0 else np.full((478, 2), np.nan))
        points.append(place.to_crop(pixels[-1], 1) if there else np.full((478, 2), np.nan))
    info = probe(path)
    return Film(np.stack(squares), np.stack(points), np.array(seen), np.stack(pixels), fps, (info.width, info.height))


def in_sync(expert: Expert, film: Film, sound: np.ndarray) -> Synchrony:
    """Lips against a sound, tracked as a corpus' are."""
    seen = np.isfinite(film.pixels).all((1, 2))
    camera = FOCAL_WIDE * max(film.size), (film.size[0] / 2, film.size[1] / 2)
    motion = track_landmarks(film.pixels.astype(np.float32), seen, film.size, *camera, [(0, len(seen))])
    moves = displacement(motion.landmarks.numpy()[seen]).moves
    at = np.arange(0, len(seen) / film.fps, 1 / FPS) * film.fps  # the expert looks at 25 frames a second
    flat = [np.interp(at, np.flatnonzero(seen), column) for column in moves.reshape(len(moves), -1).T]
    features = {name: speech.extract(name, sound) for name in expert.settings.features}
    return measure(expert, np.stack(flat, 1).reshape(len(at), -1, 3), features)


def told_of(expert: Expert | None, name: str, film: Film, sound: np.ndarray) -> dict[str, float]:
    """The expert's figures, nothing without it. An offset that is not clear is left out of means."""
    if expert is None:
        return {}
    found = in_sync(expert, film, sound)
    return {f"{name}_sync": found.confidence, f"{name}_sync_frames": found.frames if found.clear else float("nan")}


def opening(film: Film) -> np.ndarray:
    """Of the inner lips, millimetres."""
    return MILLIMETRES * np.linalg.norm(film.points[:, UPPER_INNER_LIP] - film.points[:, LOWER_INNER_LIP], axis=-1)


def centred(film: Film) -> np.ndarray:
    lips = film.points[:, list(LIPS)]
    return lips - lips.mean(1, keepdims=True)


def shaking(film: Film) -> float:
    """Second over first differences of the lips' points: about .5 in life."""
    lips = centred(film)
    first, second = np.diff(lips, axis=0), np.diff(lips, 2, axis=0)
    return float(np.nanmean(np.linalg.norm(second, axis=-1)) / np.nanmean(np.linalg.norm(first, axis=-1)))


def skin(points: np.ndarray) -> np.ndarray:
    """The lower face without lips and their surroundings, and without its edge, where a neck is another colour."""
    face = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(face, [np.round(SIZE * points[list(JAW)]).astype(np.int32)], (1,))
    face = cv2.erode(face, np.ones((EDGE, EDGE), np.uint8)) > 0
    low, high = points[list(LIPS)].min(0) - ROUND, points[list(LIPS)].max(0) + ROUND
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    return face & ~((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))


def compared(made: Film, real: Film) -> dict[str, float]:
    """Figures of made frames against the real ones of the same moments."""
    count = min(len(made.seen), len(real.seen))
    both = np.flatnonzero(made.seen[:count] & real.seen[:count])
    errors: dict[str, list[float]] = {name: [] for name in ("face", "mouth", "sharp", "sharp_real", "colour")}
    for t in both:
        new, old = (255 * f.squares[t] for f in (made, real))
        face = cv2.resize(shown(torch.from_numpy(real.points[t, list(MOUTH)].astype(np.float32))), (SIZE, SIZE)) > 0.5
        low = np.floor(SIZE * (real.points[t, list(LIPS)].min(0) - ROUND)).astype(int).clip(0)
        high = np.ceil(SIZE * (real.points[t, list(LIPS)].max(0) + ROUND)).astype(int)
        box = np.s_[low[1] : high[1], low[0] : high[0]]
        errors["face"].append(float(np.square(new - old)[face].mean()))
        errors["mouth"].append(float(np.square(new[box] - old[box]).mean()))
        still = skin(real.points[t]) & skin(made.points[t])  # a chin that lies elsewhere is no other colour
        if still.any():
            grey = [cv2.cvtColor(f.astype(np.float32), cv2.COLOR_RGB2GRAY) for f in (new, old)]
            edges = [np.abs(cv2.Laplacian(g, cv2.CV_32F))[still].mean() for g in grey]
            errors["sharp"].append(float(edges[0]))
            errors["sharp_real"].append(float(edges[1]))
            lab = [cv2.cvtColor((f / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[still].mean(0) for f in (new, old)]
            errors["colour"].append(float(np.linalg.norm(lab[0] - lab[1])))
    wide, true = opening(made)[both], opening(real)[both]
    eyes = np.linalg.norm(np.diff(real.points[both][:, list(OUTER_EYE_CORNERS)], axis=1)[:, 0], axis=-1)
    apart = np.linalg.norm(centred(made)[both] - centred(real)[both], axis=-1).mean(1)
    r = {lag: later(wide, true, lag) for lag in range(-LAGS, LAGS + 1)}
    lag = max(r, key=lambda at: r[at])
    psnr = {name: float(np.mean([10 * np.log10(255**2 / max(e, 1e-3)) for e in errors[name]])) for name in ("face", "mouth")}
    return {
        "psnr_face": psnr["face"],
        "psnr_mouth": psnr["mouth"],
        "lmd_of_eyes": float((apart / eyes).mean()),
        "opening_r": r[0],
        "opening_r_in_step": r[lag],
        "opening_lag": float(lag),
        "opening_mean_ratio": float(wide.mean() / true.mean()),
        "opening_spread_ratio": float(wide.std() / true.std()),
        "sharpness_ratio": float(np.mean(errors["sharp"]) / np.mean(errors["sharp_real"])),
        "colour_de": float(np.mean(errors["colour"])),
        "shaking": shaking(made),
        "shaking_real": shaking(real),
    }


def later(made: np.ndarray, real: np.ndarray, lag: int) -> float:
    """Correlation, where what was made comes so many frames later."""
    count = len(made)
    return float(np.corrcoef(made[max(0, lag) : count + min(0, lag)], real[max(0, -lag) : count - max(0, lag)])[0, 1])


def warped_alone(lips: HyperLips) -> HyperLips:
    """The same shapes, and nothing made: references where they are wanted."""
    made = HyperLips(lips.net)
    net = type(lips.net)(lips.net.settings).eval()
    state = {name: value.clone() for name, value in lips.net.state_dict().items()}
    for outermost in (net.base.head, net.refiner.colors):
        assert isinstance(outermost, nn.Sequential)
        name = next(n for n, m in net.named_modules() if m is outermost)
        last = max(int(key) for key, m in outermost.named_children() if isinstance(m, nn.Conv2d))
        for part in ("weight", "bias"):
            state[f"{name}.{last}.{part}"].zero_()
    net.load_state_dict(state)
    made.net = net
    return made


def cut(video: Path, out: Path, seconds: float) -> Path:
    """The beginning of a video, with its sound."""
    source = probe(video)
    waveform = audio.load(video)[: round(seconds * audio.RATE)]
    with Writer(out, (source.width, source.height), source.fps, sound=(waveform[:, None], audio.RATE)) as writer:
        for t, picture in enumerate(read(video, source.fps)):
            if t >= seconds * source.fps:
                break
            writer.write(picture.image)
    return out


def one(
    lips: HyperLips, video: Path, spoken: np.ndarray, seconds: float, folder: Path, expert: Expert | None
) -> dict[str, Any]:
    """Everything of one video."""
    source = cut(video, folder / "source.mp4", seconds)
    places, _ = followed(source)
    real = film(source, places)
    sounds = {
        "own": audio.load(source),
        "silence": np.zeros(round(seconds * audio.RATE), np.float32),
        "other": spoken[: round(seconds * audio.RATE)],
    }
    told: dict[str, Any] = {"native_px": float(np.nanmedian(places.places[:, 2]))}
    told |= told_of(expert, "real", real, sounds["own"]) | told_of(expert, "mismatched", real, sounds["other"])
    for name, waveform in sounds.items():
        sound = folder / f"{name}.wav"
        audio.save_wav(sound, waveform[: round(seconds * audio.RATE)], audio.RATE)
        began = time.perf_counter()
        dubbed = dub(source, sound, folder / f"{name}.mp4", lips, say=lambda _: None)
        told[f"{name}_ms_a_frame"] = 1e3 * (time.perf_counter() - began) / dubbed.frames
        made = film(dubbed.path, places)
        if name != "silence":
            told |= told_of(expert, name, made, waveform)
        if name == "own":
            told |= compared(made, real)
            dub(source, sound, folder / "warped.mp4", warped_alone(lips), say=lambda _: None)
            told |= {f"warped_{k}": v for k, v in compared(film(folder / "warped.mp4", places), real).items() if "psnr" in k}
        count = min(len(made.seen), len(real.seen))
        wide, hidden = opening(made)[:count], opening(real)[:count]
        seen = np.isfinite(wide) & np.isfinite(hidden)
        if name == "silence":
            told |= {"silent_opening_mm": float(np.nanmean(wide)), "silent_spread_mm": float(np.nanstd(wide))}
            told |= {"real_opening_mm": float(np.nanmean(hidden)), "real_spread_mm": float(np.nanstd(hidden))}
        if name == "other":
            told["leak_r"] = float(np.corrcoef(wide[seen], hidden[seen])[0, 1])
    return told


def videos(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield from sorted(path.glob("*.mp4")) if path.is_dir() else [path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lips", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--sync", type=Path, help="a sync expert on landmarks that does not know these people")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--name", default="dubbing")
    parser.add_argument("--keep", type=Path, help="folder for the dubbed videos, to look at")
    given = parser.parse_args()
    lips, found = load_lips(given.lips), []
    expert = None if given.sync is None else load_expert(given.sync)
    for number, video in enumerate(videos(given.videos), 1):
        with TemporaryDirectory() as scratch:
            folder = given.keep / video.stem if given.keep else Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            found.append({"number": number} | one(lips, video, audio.load(given.speech), given.seconds, folder, expert))
        print(json.dumps(found[-1]), flush=True)
    keys = [key for key in found[0] if key != "number"]
    columns = {key: [row[key] for row in found if np.isfinite(row[key])] for key in keys}
    means = {key: round(float(np.mean(values)), 4) for key, values in columns.items() if values}
    errors = {
        key: round(float(np.std(values, ddof=1) / len(values) ** 0.5), 4) for key, values in columns.items() if len(values) > 1
    }
    told = {"machine": machine(), "seconds": given.seconds, "size": lips.size, "videos": len(found), "means": means}
    told |= {"standard_errors": errors, "each": [{k: round(v, 4) for k, v in row.items() if np.isfinite(v)} for row in found]}
    out = Path(__file__).parent / "results" / f"{given.name}.json"
    out.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(means, indent=1))


if __name__ == "__main__":
    main()
