"""A version of the shared performance with something wrong, for the tests of prepare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.takes import SECONDS, SIZE, write

__all__ = ["AWAY", "CUT", "SECONDS", "SHARED", "SIZE", "write"]

CUT = 100  # frame of the edited video at which another shot begins
AWAY = (40, 50)  # frames of it without a face
SHARED = Path(__file__).resolve().parents[3] / "shared" / "clips"


@pytest.fixture(scope="session")
def edited_video(take, tmp_path_factory) -> Path:
    """Nobody in AWAY; from CUT on another shot: mirrored, brighter, elsewhere."""
    images = [image.copy() for image in take.images]
    for t in range(*AWAY):
        images[t][:] = images[0][:8, :8].mean((0, 1))
    for t in range(CUT, len(images)):
        shifted = np.roll(images[t][:, ::-1], 14, axis=1)
        images[t] = np.clip(shifted.astype(np.int16) // 2 + 90, 0, 255).astype(np.uint8)
    return write(tmp_path_factory.mktemp("videos") / "edited.mp4", images, take.sound)
