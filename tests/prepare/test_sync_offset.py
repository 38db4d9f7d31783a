"""The step `offset` with a sync expert in place: a second opinion, the only one that is clear, and a re-run that notices."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from likeness import audio
from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.nn.sync import asset
from likeness.prepare import capture, prepare, sound
from likeness.prepare.sound import expert_offset, place_sound, sync_expert
from tests.takes import SIZE

LATE = 6  # frames by which the test moves sound


@pytest.fixture
def copy(clip, tmp_path) -> Clip:
    """A clip of its own whose sound is not moved yet."""
    return Clip.open(shutil.copytree(clip.folder, tmp_path / "copy"))


def later(clip: Clip, by: int) -> None:
    """Make the clip's recording `by` frames late."""
    steps = clip.folder / "steps"
    waveform, phones = audio.load(clip.audio), np.array(clip.features("phones"))
    audio.save_wav(steps / "sound.wav", np.roll(waveform, by * audio.HOP))
    np.save(steps / "phones.npy", np.roll(phones, 4 * by, 0))


def test_both_measures_are_told(copy, sync_file):
    later(copy, LATE)
    expert = asset.load(sync_file)
    found = place_sound(copy, expert)
    assert found["expert"]["clear"] and abs(found["expert"]["frames"] + LATE) < 0.6  # the lips are early
    assert set(found["expert"]) == {"frames", "margin", "confidence", "clear"}
    assert json.loads(json.dumps(found)) == found
    without = place_sound(copy)
    assert set(without) == {"frames", "measured", "margin", "peak", "clear"}
    assert found["by"] == ("opening" if without["clear"] else "expert")
    if without["clear"]:
        assert {name: found[name] for name in without} == without


def test_where_only_the_expert_is_clear_it_is_used(copy, sync_file, monkeypatch):
    later(copy, LATE)
    found_by_opening = sound.lip_offset

    def unclear(*given):
        return replace(found_by_opening(*given), margin=0.01)

    monkeypatch.setattr(sound, "lip_offset", unclear)
    before = audio.load(copy.folder / "steps" / "sound.wav")
    assert not place_sound(copy)["clear"]
    found = place_sound(copy, asset.load(sync_file))
    assert found["by"] == "expert" and found["clear"] and abs(found["frames"] + LATE) < 0.6
    by = round(found["frames"] * 4)
    placed, keep = audio.load(copy.audio), len(before) - 8000
    assert np.abs(placed[:keep] - before[-160 * by :][:keep]).max() < 1e-3
    finding = capture._offset_finding(found)
    assert "by the sync expert" in finding.shown and "expected opening is not clear" in finding.shown


def test_nothing_is_said_of_too_few_faces(copy, sync_file):
    seen = np.zeros(len(copy), bool)
    seen[:20] = True
    held = dict(np.load(copy.folder / "motion.npz"))
    np.savez(copy.folder / "motion.npz", **(held | {"seen": seen}))
    clip = Clip.open(copy.folder)
    expert = asset.load(sync_file)
    assert expert_offset(expert, clip, np.zeros(0, np.float32), np.array(clip.features("phones"))) is None
    assert place_sound(clip, expert)["by"] == "opening"


def test_two_clear_measures_that_differ_are_a_warning():
    agreed = {"frames": 0.0, "measured": 0.2, "margin": 0.4, "peak": 0.5, "clear": True, "by": "opening"}
    expert = {"frames": 0.5, "margin": 0.4, "confidence": 0.5, "clear": True}
    assert capture._offset_finding(agreed | {"expert": expert}).level == "good"
    apart = capture._offset_finding(agreed | {"expert": expert | {"frames": -3.0}})
    assert apart.level == "warn" and "differ by 3.2 frames" in apart.advice and "-3.0 frames" in apart.shown
    doubtful = capture._offset_finding(agreed | {"expert": expert | {"frames": -3.0, "clear": False}})
    assert doubtful.level == "good" and "is not clear" in doubtful.shown
    assert "expert" not in capture._offset_finding({k: v for k, v in agreed.items() if k != "by"}).shown


def test_a_rerun_notices_another_expert(copy, actor_video, sync_file, tmp_path, monkeypatch):
    said: list[str] = []

    def again() -> dict:
        said.clear()
        prepare(actor_video, copy.folder, size=SIZE, say=said.append)
        return json.loads((copy.folder / "steps" / "offset.json").read_text())

    def frames_made() -> int:
        return (copy.folder / "steps" / "frames.json").stat().st_mtime_ns

    first, made = again(), frames_made()
    assert "already prepared" in said[-1] and "sync_expert" not in first["settings"]
    monkeypatch.setenv("LIKENESS_ASSETS", str(sync_file.parent.parent))
    second = again()
    assert second["settings"]["sync_expert"] == asset.load(sync_file).id and "expert" in second["found"]
    again()
    assert "already prepared" in said[-1] and frames_made() == made
    report = json.loads((copy.folder / "report.json").read_text())
    assert "sync expert" in report["findings"]["offset"]["shown"]
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    third = again()
    assert "sync_expert" not in third["settings"] and third["found"] == first["found"] and sync_expert() is None
    bad = Path(tmp_path / "sync" / "landmarks.safetensors")
    bad.parent.mkdir()
    bad.write_bytes(b"no expert")
    with pytest.raises(BadInput, match="not a sync expert"):
        again()
