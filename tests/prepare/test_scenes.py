"""Cuts, jumps, repeats: on made pictures with known edits, and on the real clips with the edits listed for them."""

import numpy as np
import pytest

from likeness.prepare.scenes import FLASH, Changes, find_repeats, find_scenes
from likeness.video import read
from tests.prepare.conftest import SHARED


def drawn(seed: int, shift: float = 0.0, rise: float = 0.0, size: int = 96) -> np.ndarray:
    """A smooth random room with a bright, soft-edged head in it, `shift` and `rise` pixels from the middle."""
    rng = np.random.default_rng(seed)
    room = rng.uniform(30, 120, (6, 6, 3)).repeat(16, 0).repeat(16, 1)
    y, x = np.mgrid[:size, :size]
    inside = 1 / (1 + np.exp(np.hypot(x - size / 2 - shift, y - size / 2 - rise) - size * 0.3))[..., None]
    return (room + inside * (np.array([210, 170, 150]) - room)).astype(np.uint8)


def scenes_of(images):
    changes = Changes()
    for image in images:
        changes.add(image)
    return find_scenes(changes.differences, changes.shares)


def moving(count: int, seed: int = 0, start: float = 0.0) -> list[np.ndarray]:
    return [drawn(seed, start + 3 * np.sin(t / 5), 3 * np.cos(t / 5)) for t in range(count)]


def test_a_cut_begins_a_scene_and_a_still_shot_has_none():
    found = scenes_of(moving(40) + moving(30, seed=1))
    assert found.scenes == [(0, 40), (40, 70)]
    assert found.breaks == []
    assert scenes_of(moving(40)).scenes == [(0, 40)]


def test_a_small_jump_is_a_break_not_a_cut():
    found = scenes_of(moving(40) + moving(40, start=9))
    assert found.scenes == [(0, 80)]
    assert found.breaks == [40]


@pytest.mark.parametrize("length", range(1, FLASH + 1))
def test_a_flash_is_neither(length):
    images = moving(60)
    for t in range(30, 30 + length):
        images[t] = np.full_like(images[t], 240)
    found = scenes_of(images)
    assert found.scenes == [(0, 60)]
    assert found.breaks == []


def test_two_cuts_close_together_are_both_found():
    found = scenes_of(moving(30) + moving(8, seed=1) + moving(30, seed=2))
    assert [s[0] for s in found.scenes] == [0, 30, 38]


def test_repeats_of_a_file_made_at_25_and_stored_at_30():
    images = moving(50)
    stored = [images[round(t * 5 / 6)] for t in range(58)]
    found = scenes_of(stored)
    truth = np.array([t > 0 and round(t * 5 / 6) == round((t - 1) * 5 / 6) for t in range(58)])
    assert (found.repeated == truth).all()


def test_a_still_video_has_no_repeats_by_noise_alone():
    step = np.random.default_rng(0).uniform(0.05, 0.15, 100).astype(np.float32)
    assert find_repeats(step).mean() < 0.1


def test_nothing_and_one_picture():
    assert scenes_of([]).scenes == []
    assert scenes_of(moving(1)).scenes == [(0, 1)]


REAL = {  # patterns of file names
    "presenter": ([176, 1429], [702, 953]),  # 28.08 s is a jump cut like the one at 38.12 s: eyes closed, then open
    "address": ([], []),
    "seated_720p": ([], []),
    "many/re*_clip1": ([], []),
    "many/WDA_K*_000": ([], []),
    "many/retalk_4": ([], []),
}


@pytest.mark.parametrize("name", REAL)
def test_real_clips(name):
    path = next(SHARED.glob(f"{name}.mp4"), None)
    if path is None:
        pytest.skip(f"{SHARED / name}.mp4 is not here: real clips are not part of the project")
    changes = Changes()
    for picture in read(path):
        changes.add(picture.image)
    found = find_scenes(changes.differences, changes.shares)
    assert ([s[0] for s in found.scenes[1:]], found.breaks) == REAL[name]
