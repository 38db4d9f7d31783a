"""What many tests share, made once per session: the actor's video, its clip, and a tiny portrait of every method.

Where several processes test, they share these, too: whoever comes first makes it, the others wait or make the next one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

from likeness import audio, methods
from likeness.clip import Clip
from likeness.nn.radiance import stages
from likeness.portrait import Portrait
from likeness.prepare import prepare
from tests import talkers
from tests.takes import SECONDS, SIZE, Take, tiny, write

settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def hasty() -> Iterator[None]:
    """Less of what is long only to be exact: looks at a finished head's space, pictures of speed and of silence."""
    silence, speed = (import_module(f"likeness.evaluate.{name}") for name in ("silence", "speed"))  # not their functions
    with pytest.MonkeyPatch.context() as patch:
        for module, name, less in (
            (stages, "SETTLED", 4), (speed, "FRAMES", 8), (speed, "WARM_UP", 2), (silence, "FRAMES", 14),
        ):  # fmt: skip
            patch.setattr(module, name, less)
        yield


@pytest.fixture(scope="session")
def together(tmp_path_factory) -> Path:
    """A folder of this session that all its processes see."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "together"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def take(together) -> Take:
    from likeness.actor import Actor

    performance, drawn = Actor(0).perform(SECONDS, 1, SIZE), together / "take.npy"
    with FileLock(together / "take.lock"):
        if not drawn.exists():
            np.save(drawn, np.stack([performance.image(t) for t in range(len(performance))]))
    return Take(performance, list(np.load(drawn)))


@pytest.fixture(scope="session")
def actor_video(take, together) -> Path:
    path = together / 'an actor\'s "take".mp4'
    with FileLock(together / "video.lock"):
        return path if path.exists() else write(path, take.images, take.sound)


@pytest.fixture(scope="session")
def actor_clip(actor_video, together) -> tuple[Clip, list[str]]:
    """The clip of `actor_video`, and the lines that its preparation said."""
    folder, lines = together / "actor", together / "actor.said"
    with FileLock(together / "clip.lock"):
        if not lines.exists():
            said: list[str] = []
            prepare(actor_video, folder, size=SIZE, say=said.append)
            lines.write_text(json.dumps(said))
    return Clip.open(folder), json.loads(lines.read_text())


@pytest.fixture(scope="session")
def clip(actor_clip) -> Clip:
    return actor_clip[0]


@pytest.fixture(scope="session")
def sync_file(clip, tmp_path_factory) -> Path:
    """A sync expert that knows the clip, where $LIKENESS_ASSETS would have it."""
    folder = tmp_path_factory.mktemp("assets") / "sync"
    folder.mkdir()
    return talkers.expert_of(clip, folder / "landmarks.safetensors")


@pytest.fixture(scope="session")
def portrait_files(clip, together) -> dict[str, Path]:
    """The smallest portrait of every method, by its name."""
    files = {name: together / f"{name}.portrait" for name in methods.names()}
    order = list(files) if os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0" else list(files)[::-1]
    for name in order:
        with FileLock(together / f"{name}.lock"):
            if not files[name].exists():
                home = methods.get(name)
                home.train(clip, files[name], tiny(home))
    return files


@pytest.fixture(scope="session")
def portrait_file(portrait_files) -> Path:
    return portrait_files[methods.DEFAULT]


@pytest.fixture(scope="session")
def portrait(portrait_file) -> Portrait:
    return methods.load(portrait_file)


@pytest.fixture(scope="session")
def speech_file(take, tmp_path_factory) -> Path:
    """2.3 s of the actor's voice with 0.8 s of digital silence in the middle: 58 frames."""
    path = tmp_path_factory.mktemp("sounds") / "some speech.wav"
    waveform, rate = take.performance.waveform[: round(2.3 * take.performance.rate)].copy(), take.performance.rate
    waveform[round(0.9 * rate) : round(1.7 * rate)] = 0
    audio.save_wav(path, waveform, rate)
    return path
