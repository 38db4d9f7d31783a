"""The pictures that figures were taken of, as files: for OpenFace, or to look at."""

from __future__ import annotations

from pathlib import Path

import cv2

from likeness.errors import BadInput
from likeness.evaluate.figures import Evaluation
from likeness.files import unwritable


def check_frames(folder: Path | None) -> None:
    """Raise BadInput, before any work, where `write_frames` could not write."""
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: exists and is not an empty folder. Name another one for the frames.")


def write_frames(found: Evaluation, folder: Path) -> Path:
    """Every row's pictures with its own torso as FOLDER/ROW/000123.png, without loss, by the clip's frame numbers (spoken
    rows: from 0).

    Raises BadInput or Exhausted where they cannot be written.
    """
    check_frames(folder)
    for row, pictures in found.pictures.items():
        place = folder / row.replace(" ", "_")
        numbers = range(len(pictures)) if found.setting == "speech" else found.frames
        try:
            place.mkdir(parents=True)
            for number, picture in zip(numbers, pictures):
                _, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                (place / f"{number:06d}.png").write_bytes(png.tobytes())
        except OSError as error:
            raise unwritable(place, error) from error
    return folder
