"""One video to samples: what the actor said and did is in them, cut where it should be, and what is unusable says why."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from likeness import audio, displacement, speech
from likeness.errors import BadInput
from likeness.gather import takes as module
from likeness.gather.takes import SHORTEST, Take, takes
from likeness.prepare import sound
from likeness.prepare.survey import sound_of
from tests.takes import write

CUT = 84  # frame of the edited video at which another shot begins
AWAY = (40, 44)  # frames of it without a face


@pytest.fixture(scope="module")
def made(actor_video) -> list[Take]:
    return list(takes(actor_video, 478, []))


def test_the_actors_take(made, actor_video):
    assert [len(t) for t in made] == [140] and made[0].start == 0
    arrays = made[0].arrays
    assert arrays["moves"].shape == (140, 478, 3) and arrays["moves"].dtype == np.float16
    assert {name: len(arrays[name]) for name in ("pose", "eyes", "mel", "phones", "f0")} == {
        "pose": 140, "eyes": 140, "mel": 560, "phones": 560, "f0": 560,
    }  # fmt: skip
    opening = displacement.lip_opening(arrays["shape"] + arrays["moves"].astype(np.float32))
    level = audio.loudness(audio.load(actor_video)).reshape(-1, 4).max(1)[:140]
    assert opening[level > np.percentile(level, 60)].mean() > 1.3 * opening[level < np.percentile(level, 20)].mean()
    skull = arrays["moves"][:, list(displacement.mesh.SKULL)].astype(np.float32)
    assert np.abs(skull).mean() < 0.05 < np.abs(arrays["moves"][:, list(displacement.mesh.LIPS)].astype(np.float32)).mean()


def test_cuts_and_missing_faces_part_a_video(take, tmp_path):
    images = [image.copy() for image in take.images]
    for t in range(*AWAY):
        images[t][:] = images[0][:8, :8].mean((0, 1))
    for t in range(CUT, len(images)):
        images[t] = np.clip(np.roll(images[t][:, ::-1], 14, axis=1).astype(np.int16) // 2 + 90, 0, 255).astype(np.uint8)
    notes: list[str] = []
    found = list(takes(write(tmp_path / "edited.mp4", images, take.sound), 68, notes))
    spans = [(t.start, t.start + len(t)) for t in found]
    assert [a for a, _ in spans] == pytest.approx([0, AWAY[1], CUT], abs=2)
    assert [b for _, b in spans] == pytest.approx([AWAY[0], CUT, len(images)], abs=2)
    assert all(b - a >= SHORTEST for a, b in spans) and found[0].arrays["moves"].shape[1:] == (68, 3)
    whole = speech.extract("mel", audio.load(tmp_path / "edited.mp4"))
    late = round(found[1].offset.frames * 4) if found[1].offset.clear and abs(found[1].offset.frames) > sound.SMALL else 0
    start = 4 * found[1].start - late
    assert np.abs(found[1].arrays["mel"] - whole[start : start + len(found[1].arrays["mel"])]).max() < 0.02  # rows belong


def test_a_long_video_is_read_in_parts(actor_video, made, monkeypatch):
    monkeypatch.setattr(module, "PART_S", 3.0)
    found = list(takes(actor_video, 478, []))
    assert [(t.start, len(t)) for t in found] == [(0, 70), (70, 70)]
    first = found[0].arrays
    assert np.abs(first["mel"][:270] - made[0].arrays["mel"][:270]).max() < 0.02
    one, other = (displacement.lip_opening(a["shape"] + a["moves"][:70].astype(np.float32)) for a in (first, made[0].arrays))
    assert np.corrcoef(one, other)[0, 1] > 0.98


def test_the_sound_may_lie_beside(take, tmp_path, actor_video):
    silent = write(tmp_path / "ann.mp4", take.images[:50], None)
    with pytest.raises(BadInput, match=r"it has no sound.*ann\.wav"):
        list(takes(silent, 68, []))
    audio.save_wav(tmp_path / "ann.wav", np.zeros(32000, np.float32))
    with pytest.raises(BadInput, match="it has no sound"):
        list(takes(silent, 68, []))
    audio.save_wav(tmp_path / "ann.wav", take.performance.waveform[:32000], take.performance.rate)
    assert sound_of(silent) == tmp_path / "ann.wav"
    assert [len(t) for t in takes(silent, 68, [])] == [50]
    talking = shutil.copy(actor_video, tmp_path / "ben.mp4")
    shutil.copy(tmp_path / "ann.wav", tmp_path / "ben.wav")
    assert sound_of(talking) is None  # its own is taken where it has one
    mute = write(tmp_path / "cleo.mp4", take.images[:50], (np.zeros((32000, 1), np.float32), 16000))
    with pytest.raises(BadInput, match="its sound is silent"):
        list(takes(mute, 68, []))


def test_what_cannot_be_used_says_why(take, tmp_path):
    empty = [np.full_like(take.images[0], 120)] * 50
    with pytest.raises(BadInput, match="no face"):
        list(takes(write(tmp_path / "nobody.mp4", empty, take.sound), 68, []))
    with pytest.raises(BadInput, match=r"0\.8 s long; at least 1\.28 s"):
        list(takes(write(tmp_path / "short.mp4", take.images[:20], take.sound), 68, []))
    images = [image if t % 25 else empty[0] for t, image in enumerate(take.images[:75])]
    notes: list[str] = []
    assert list(takes(write(tmp_path / "blinking.mp4", images, take.sound), 68, notes)) == []
    assert "no 1.28 s in which one face is seen" in notes[-1]
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(BadInput, match="not a video"):
        list(takes(tmp_path / "text.mp4", 68, []))


def test_another_voice_is_found_out(actor_video, monkeypatch):
    def unrelated(phones, opening, seen):
        return sound.lip_offset(phones, np.random.default_rng(0).standard_normal(len(opening)), seen)

    monkeypatch.setattr(module, "lip_offset", unrelated)
    monkeypatch.setattr(module, "LONG", 100)
    notes: list[str] = []
    assert list(takes(actor_video, 68, notes)) == [] and "do not follow the sound" in notes[-1]
