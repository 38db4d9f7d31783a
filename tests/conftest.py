"""What many tests share, made once per session: the actor's video, its clip, and a tiny portrait of every method."""

from __future__ import annotations

from pathlib import Path

import pytest

from likeness import audio, methods
from likeness.clip import Clip
from likeness.portrait import Portrait
from likeness.prepare import prepare
from tests import talkers
from tests.takes import SECONDS, SIZE, Take, tiny, write


@pytest.fixture(scope="session")
def take() -> Take:
    from likeness.actor import Actor

    performance = Actor(0).perform(SECONDS, 1, SIZE)
    return Take(performance, [performance.image(t) for t in range(len(performance))])


@pytest.fixture(scope="session")
def actor_video(take, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("videos") / 'an actor\'s "take".mp4', take.images, take.sound)


@pytest.fixture(scope="session")
def actor_clip(actor_video, tmp_path_factory) -> tuple[Clip, list[str]]:
    """The clip of `actor_video`, and the lines that its preparation said."""
    said: list[str] = []
    folder = tmp_path_factory.mktemp("clips") / "actor"
    return prepare(actor_video, folder, size=SIZE, say=said.append), said


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
def portrait_files(clip, tmp_path_factory) -> dict[str, Path]:
    """The smallest portrait of every method, by its name."""
    folder = tmp_path_factory.mktemp("portraits")
    files = {name: folder / f"{name}.portrait" for name in methods.names()}
    for name, path in files.items():
        home = methods.get(name)
        home.train(clip, path, tiny(home))
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
