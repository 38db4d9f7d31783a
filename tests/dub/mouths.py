"""Lips for tests that need no network: one gives back what it gets, one paints in the mouth."""

from __future__ import annotations

from typing import Any

import torch

from likeness.audio import Hearing
from likeness.dub import Crops, Said
from likeness.mesh import INNER_LIPS

RED = (0.9, 0.1, 0.1)


class Identity:
    """Gives back the crop, and writes down what it was asked."""

    hearing = Hearing(("mel",))
    references = 3

    def __init__(self, size: int = 128) -> None:
        self.size = size
        self.asked: list[tuple[int, Any]] = []
        """(frames, state) of every call."""
        self.said: list[Said] = []
        self.shown: Crops | None = None

    def __call__(self, faces: Crops, references: Crops, said: Said, state: Any) -> tuple[torch.Tensor, Any]:
        self.asked.append((len(faces.images), state))
        self.said.append(said)
        self.shown = references
        return self.draw(faces), (state or 0) + len(faces.images)

    def draw(self, faces: Crops) -> torch.Tensor:
        return faces.images


class Painter(Identity):
    """Paints a red disc into the mouth."""

    def draw(self, faces: Crops) -> torch.Tensor:
        images = faces.images.clone()
        grid = torch.stack(torch.meshgrid(*[torch.arange(self.size) + 0.5] * 2, indexing="xy"), -1)
        for image, points in zip(images, faces.points, strict=True):
            middle = points[list(INNER_LIPS)].mean(0)
            image[(grid - middle).norm(dim=-1) < 0.06 * self.size] = torch.tensor(RED)
        return images
