"""AUE: the error of facial action units as OpenFace measures them, from files that the user made with it.

OpenFace's licence forbids shipping it. Run its FeatureExtraction on the pictures of a row and on the real ones (`likeness
evaluate --frames FOLDER` writes both, never re-encoded) and give the two csv files here.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from likeness.errors import BadInput
from likeness.evaluate.intervals import Sample
from likeness.prepare.expression import read_action_units

HOW = (
    "AUE needs OpenFace, whose licence forbids shipping it: write the pictures with --frames FOLDER, run its "
    "FeatureExtraction on each folder, and name the folder with its csv files, ROW.csv and real.csv, by --openface."
)
UPPER = ("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU45")
LOWER = ("AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26")


def files(folder: str | os.PathLike) -> dict[str, Path]:
    """The csv files of a folder by row: their names without the ending, where _ stands for a blank."""
    found = {path.stem.replace("_", " "): path for path in sorted(Path(folder).glob("*.csv"))}
    if not found:
        raise BadInput(f"{folder}: no csv files of OpenFace there: real.csv and one for each row, such as sound.csv.")
    return found


def aue(drawn: str | os.PathLike, real: str | os.PathLike, frames: int) -> dict[str, Sample]:
    """`aue_upper`, `aue_lower` and `aue` (all 17), as in TalkingGaussian's script: squared differences of the intensities
    (0 to 5), mean over the frames, sum over the units. Frames in which one of both has no face are left out.

    Raises BadInput for files that are not OpenFace's, lack a unit, or are not of the `frames` that are measured.
    """
    held = {}
    for path in (Path(drawn), Path(real)):
        names, values, seen = read_action_units(path)
        missing = [unit for unit in UPPER + LOWER if unit not in names]
        if missing:
            raise BadInput(f"{path}: no intensities of {', '.join(missing)}. Export all action units with FeatureExtraction.")
        held[path] = {unit: values[:, names.index(unit)].astype(np.float64) for unit in UPPER + LOWER}, seen
    (ours, found), (theirs, known) = held[Path(drawn)], held[Path(real)]
    if not len(found) == len(known) == frames:
        raise BadInput(
            f"{drawn}: {len(found)} frames, {real}: {len(known)}; {frames} are measured. Action units are compared frame by "
            "frame: run FeatureExtraction on what --frames writes."
        )
    both = found & known
    if not both.any():
        raise BadInput(f"{drawn}: in none of its frames OpenFace found a face in both videos.")
    errors = {unit: np.square(ours[unit] - theirs[unit])[both] for unit in UPPER + LOWER}
    units = {"aue_upper": UPPER, "aue_lower": LOWER, "aue": UPPER + LOWER}
    return {name: Sample(np.sum([errors[unit] for unit in which], axis=0)) for name, which in units.items()}
