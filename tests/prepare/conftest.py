"""Videos that the tests of prepare share: one drawn performance, and versions of it with something wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from likeness.prepare import prepare
from likeness.video import Writer

if TYPE_CHECKING:
    from likeness.actor import Performance

SIZE = 192
SECONDS = 5.6
CUT = 100  # frame of the edited video at which another shot begins
AWAY = (40, 60)  # frames of it without a face
SHARED = Path(__file__).resolve().parents[3] / "shared" / "clips"


@dataclass(frozen=True)
class Take:
    """One performance of the actor, drawn once."""

    performance: Performance
    images: list[np.ndarray]

    @property
    def sound(self) -> tuple[np.ndarray, int]:
        return self.performance.waveform[:, None], self.performance.rate


def write(path: Path, images: list[np.ndarray], sound: tuple[np.ndarray, int] | None) -> Path:
    """A video of these pictures; its size is theirs."""
    with Writer(path, (images[0].shape[1], images[0].shape[0]), sound=sound) as video:
        for image in images:
            video.write(image)
    return path


@pytest.fixture(scope="session")
def take() -> Take:
    from likeness.actor import Actor

    performance = Actor(0).perform(SECONDS, 1, SIZE)
    return Take(performance, [performance.image(t) for t in range(len(performance))])


@pytest.fixture(scope="session")
def actor_video(take, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("videos") / 'an actor\'s "take".mp4', take.images, take.sound)


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


@pytest.fixture(scope="session")
def actor_clip(actor_video, tmp_path_factory):
    """The clip of `actor_video`, and the lines that its preparation said."""
    said: list[str] = []
    folder = tmp_path_factory.mktemp("clips") / "actor"
    return prepare(actor_video, folder, size=SIZE, say=said.append), said
