"""The README's gallery: what each method makes of the drawn actor, as one picture.

    python -m benchmarks.gallery COMPARISON/ docs/gallery.jpg

COMPARISON/ is what `likeness compare` has made of the drawn actor's clip. Columns are frames by rule: lips widest open, closed,
and between, spread over the held-out part; the rows are the actor and each portrait, by sound.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from jaxtyping import UInt8
from tyro.conf import Positional

from likeness.files import write_atomically
from likeness.video import read

Image = UInt8[np.ndarray, "height width 3"]
COLUMNS = 6
NAMES = {
    "rigged-gaussians": "rigged Gaussians",
    "talking-gaussian": "TalkingGaussian",
    "radnerf": "RAD-NeRF",
    "geneface": "GeneFace",
}
LABEL, GAP = 26, 4  # pixels
INK, PAPER = (70, 70, 70), 255


@dataclass(frozen=True)
class Settings:
    """What is shown."""

    comparison: Positional[Path]
    picture: Positional[Path]
    side: int = 200
    """Pixels of a face."""


def main(settings: Settings) -> None:
    said = json.loads((settings.comparison / "report.json").read_text())
    opening = np.array(said["entries"][0]["evaluation"]["curves"]["opening"])
    chosen = by_rule(opening)
    videos = settings.comparison / "videos"
    rows = {"the drawn actor, unseen": frames(videos / "held-out-real.mp4", chosen)}
    for entry in said["entries"]:
        title = f"{NAMES.get(entry['name'], entry['name'])}, by sound"
        rows[title] = frames(videos / entry["videos"]["held-out"], chosen)
    sheet = np.concatenate([labelled(title, tiles, settings.side) for title, tiles in rows.items()])
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    write_atomically(settings.picture, coded.tobytes())


def by_rule(opening: np.ndarray) -> list[int]:
    """Of each of COLUMNS equal stretches, in turns the frame with the widest open lips and that with the narrowest."""
    parts = np.array_split(np.arange(len(opening)), COLUMNS)
    return [int(part[(np.argmax, np.argmin)[i % 2](opening[part])]) for i, part in enumerate(parts)]


def frames(video: Path, chosen: list[int]) -> list[Image]:
    with closing(read(video)) as reader:
        found = {picture.index: picture.image for picture in reader if picture.index in chosen}
    return [found[t] for t in chosen]


def labelled(title: str, tiles: list[Image], side: int) -> Image:
    """A row of pictures below its title."""
    small = [cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA) for tile in tiles]
    gap = np.full((side, GAP, 3), PAPER, np.uint8)
    row = np.concatenate([part for tile in small for part in (tile, gap)][:-1], axis=1)
    strip = np.full((LABEL, row.shape[1], 3), PAPER, np.uint8)
    cv2.putText(strip, title, (2, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return np.concatenate([strip, row])


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
