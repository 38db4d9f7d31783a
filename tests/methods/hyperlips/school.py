"""Small networks, and album pages of made-up people who are the drawn actor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from likeness.album.pages import Page, encoded, write_page
from likeness.methods.hyperlips.config import Training
from likeness.nn.hyper.settings import Settings, preset
from tests.takes import little

LITTLE = Training(base_steps=3, refine_steps=2, lanes=2, time=2, adversarial_weight=0.1)


def small() -> Settings:
    """The fast preset, as narrow as it goes."""
    return little(preset("fast"))


def people_of(pages: list[Page], folder: Path) -> list[Page]:
    """The same pages thrice, of ann and ben, who are learned from, and of eve, who is not."""
    made = []
    for speaker, split in (("ann", "train"), ("ben", "train"), ("eve", "val")):
        for page in pages:
            key = f"{speaker}-1-{page.key.rpartition('-')[2]}"
            other = replace(page, path=folder / f"{key}.safetensors", speaker=speaker, split=split, key=key)
            jpegs = [encoded(page.image(t).astype(np.float32) / 255) for t in range(len(page))]
            write_page(
                other, "the actor", jpegs, page.points, {name: page.features(name) for name in ("mel", "phones", "sound")}
            )
            made.append(other)
    return made
