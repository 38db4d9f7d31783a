"""`prepare` on the drawn actor: what it makes, that it survives being killed, and what it says to bad input."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness.clip import PARTS, Clip
from likeness.errors import BadInput, Exhausted, Refused
from likeness.prepare import pictures, prepare
from likeness.prepare.framing import Face, Person
from likeness.prepare.scenes import Changes
from likeness.prepare.steps import BUILDS_ON, PROBLEM, Claim, Steps
from likeness.prepare.survey import find_small_faces, survey
from likeness.prepare.worker import Worker
from likeness.progress import Progress
from tests.prepare.conftest import AWAY, CUT, SECONDS, SIZE, write

FRAMES = round(25 * SECONDS)
SMALL = SIZE * 3 // 4


def quiet(_: str) -> None:
    pass


def stamps(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_clip_is_whole(actor_clip, take):
    clip, said = actor_clip
    assert len(clip) == FRAMES
    assert clip.seen.float().mean() >= 0.98
    assert clip.scenes == [(0, FRAMES)] and clip.breaks == []
    for folder, ending in (("frames", "jpg"), ("parts", "png")):
        assert sorted(p.name for p in (clip.folder / folder).iterdir()) == [f"{t:06d}.{ending}" for t in range(FRAMES)]
    frame = clip[70]
    assert frame.image.shape == (SIZE, SIZE, 3) and frame.parts.shape == (SIZE, SIZE)
    assert {PARTS["background"], PARTS["torso"], PARTS["face"], PARTS["hair"]} <= set(np.unique(frame.parts))
    source = pictures.cropped(take.images[70], tuple(clip.header["crop"]), SIZE)
    assert np.abs(frame.image.astype(int) - source).mean() < 6  # RGB, not BGR, and the right frame
    assert clip.features("mel").shape == (4 * FRAMES, 80) and clip.features("phones").shape == (4 * FRAMES, 42)
    assert clip.background.shape == (SIZE, SIZE, 3)
    assert any("prepared in" in line for line in said)
    assert not list(clip.folder.glob("*.partial")) and not (clip.folder / PROBLEM).exists()


def test_lips_are_followed_and_the_sound_is_in_step(actor_clip, take):
    clip, _ = actor_clip
    pixels = clip.pixels.numpy()
    opening = np.linalg.norm(pixels[:, 13] - pixels[:, 14], axis=1)
    assert np.corrcoef(opening, take.performance.lips_m)[0, 1] > 0.85
    assert abs(clip.header["sound_offset_frames"]) <= 1


def test_a_second_run_does_nothing_and_says_so(actor_clip, actor_video):
    clip, _ = actor_clip
    before, said = stamps(clip.folder), []
    again = prepare(actor_video, clip.folder, size=SIZE, say=said.append)
    assert stamps(clip.folder) == before
    assert len(said) == 1 and "nothing to do" in said[0]
    assert again.header == clip.header


def test_killed_at_any_moment_it_goes_on(actor_clip, actor_video, tmp_path):
    """Killed with -9 twice: while the pictures are made, and while masks and motion are."""
    folder = tmp_path / "clip"
    code = "import sys; from likeness.prepare import prepare; prepare(sys.argv[1], sys.argv[2], size=int(sys.argv[3]))"
    order = [sys.executable, "-c", code, str(actor_video), str(folder), str(SIZE)]
    for awaited in (folder / "frames.partial" / "000010.jpg", folder / "parts.partial" / "000005.png"):
        run = subprocess.Popen(order, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + 60
        while not awaited.exists() and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert awaited.exists() and not (folder / "clip.json").exists()
    first = (folder / "frames" / "000000.jpg").stat().st_mtime_ns
    said: list[str] = []
    clip = prepare(actor_video, folder, size=SIZE, say=said.append)
    assert (folder / "frames" / "000000.jpg").stat().st_mtime_ns == first
    assert not any(line.startswith(("survey: done", "frames: done")) for line in said)
    whole, _ = actor_clip
    assert all((clip.parts(t) == whole.parts(t)).all() for t in range(0, FRAMES, 7))
    assert np.allclose(clip.motion.pose, whole.motion.pose, atol=1e-4)
    assert {k: v for k, v in clip.header.items() if k != "camera"} == {k: v for k, v in whole.header.items() if k != "camera"}


def test_a_step_that_is_unmarked_is_made_again_with_what_builds_on_it(actor_clip, actor_video, tmp_path):
    folder = tmp_path / "clip"
    shutil.copytree(actor_clip[0].folder, folder)
    (folder / "background.png").unlink()
    (folder / "steps" / "background.json").unlink()
    said: list[str] = []
    clip = prepare(actor_video, folder, size=SIZE, say=said.append)
    done = {line.split(":")[0] for line in said if ": done" in line}
    assert done == {"background", "report"}
    assert clip.background.shape == (SIZE, SIZE, 3)


def test_unseen_frames_keep_their_ids_and_cuts_split(edited_video, tmp_path):
    clip = prepare(edited_video, tmp_path / "clip", size=SIZE, say=quiet)
    assert len(clip) == FRAMES
    assert not clip.seen[AWAY[0] : AWAY[1]].any()
    assert clip.seen[: AWAY[0]].all() and clip.seen[AWAY[1] : CUT].all()
    assert (CUT, FRAMES) in clip.scenes
    start, stop = clip.longest_scene
    used = np.concatenate([clip.train, clip.test])
    assert used.min() >= start and used.max() < stop
    assert not set(used) & set(range(*AWAY))
    assert np.isfinite(clip.motion.landmarks.numpy()).all()
    report = json.loads((clip.folder / "report.json").read_text())["findings"]
    assert report["cuts"]["level"] != "good" and report["seen"]["level"] != "good"


def test_several_people_are_told_and_can_be_chosen(take, tmp_path):
    small = [cv2.resize(image[:, ::-1], (SMALL, SMALL), interpolation=cv2.INTER_AREA) for image in take.images]
    pair = [np.hstack([a, np.pad(b, ((SIZE // 8,) * 2, (0, 0), (0, 0)), mode="edge")]) for a, b in zip(take.images, small)]
    video = write(tmp_path / "two.mp4", pair, take.sound)
    found = survey(video, None, None, lambda _: None)
    assert found["people"] == 2 and "--person" in found["warnings"][0]
    assert found["crop"][0] + found["crop"][2] / 2 < SIZE
    other = survey(video, "2", None, lambda _: None)
    assert other["crop"][0] + other["crop"][2] / 2 > SIZE
    with pytest.raises(BadInput, match="--person 3"):
        survey(video, "3", None, lambda _: None)


def test_a_small_face_is_found(take):
    room = np.full((720, 1280, 3), 120, np.uint8)
    face = cv2.resize(take.images[0], (110, 110), interpolation=cv2.INTER_AREA)
    room[400:510, 900:1010] = face
    boxes = find_small_faces(room)
    assert len(boxes) == 1
    x, y, w, h = boxes[0]
    assert abs(x + w / 2 - 955) < 15 and 400 < y + h / 2 < 490


# ---- bad input ----


@pytest.mark.parametrize("kind", ["text", "empty", "folder", "missing", "picture"])
def test_not_a_video(kind, tmp_path, take):
    path = tmp_path / 'it\'s "one".mp4'
    if kind == "text":
        path.write_text("no video at all\n" * 100)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "picture":
        cv2.imwrite(str(tmp_path / "a.png"), take.images[0])
        (tmp_path / "a.png").rename(path)
    with pytest.raises(BadInput, match="it's"):
        prepare(path, tmp_path / "clip", say=quiet)
    assert not (tmp_path / "clip").exists()


def test_too_short(take, tmp_path):
    video = write(tmp_path / "short.mp4", take.images[:75], take.sound)
    with pytest.raises(BadInput, match="at least 5 s"):
        prepare(video, tmp_path / "clip", say=quiet)
    assert "at least 5 s" in (tmp_path / "clip" / PROBLEM).read_text()


def test_without_sound(take, tmp_path):
    video = write(tmp_path / "mute.mp4", take.images, None)
    with pytest.raises(BadInput, match="--sound"):
        prepare(video, tmp_path / "clip", size=SIZE, say=quiet)


def test_silent_sound_fails_with_the_reason(take, tmp_path):
    video = write(tmp_path / "silent.mp4", take.images, (np.zeros((96000, 1), np.float32), 16000))
    with pytest.raises(BadInput, match="silent"):
        prepare(video, tmp_path / "clip", size=SIZE, say=quiet)
    assert "silent" in (tmp_path / "clip" / PROBLEM).read_text()


def test_what_was_made_stays_when_a_later_step_fails(actor_video, tmp_path, monkeypatch):
    from likeness.prepare import tracking

    def fail(*_: object) -> None:
        raise BadInput("the head cannot be followed")

    monkeypatch.setattr(tracking, "track", fail)
    folder = tmp_path / "clip"
    with pytest.raises(BadInput, match="followed"):
        prepare(actor_video, folder, size=SIZE, say=quiet)
    assert "followed" in (folder / PROBLEM).read_text()
    assert len(list((folder / "frames").iterdir())) == FRAMES
    assert not (folder / "clip.json").exists()
    with pytest.raises(BadInput, match="not a clip"):
        Clip.open(folder)


def test_without_a_face(tmp_path, take):
    image = np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    video = write(tmp_path / "wall.mp4", [image] * FRAMES, take.sound)
    with pytest.raises(BadInput, match="no face"):
        prepare(video, tmp_path / "clip", size=SIZE, say=quiet)
    assert "no face" in (tmp_path / "clip" / PROBLEM).read_text()


def test_a_face_that_leaves(take, tmp_path):
    wall = np.full_like(take.images[0], 90)
    video = write(tmp_path / "leaves.mp4", take.images[:60] + [wall] * 90, take.sound)
    with pytest.raises(BadInput, match="the face is seen for 2"):
        prepare(video, tmp_path / "clip", size=SIZE, say=quiet)


def test_a_truncated_file(actor_video, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(actor_video.read_bytes()[: actor_video.stat().st_size // 2])
    with pytest.raises(BadInput, match="cut"):
        prepare(path, tmp_path / "clip", size=SIZE, say=quiet)


def test_a_folder_with_other_things_is_left_alone(actor_video, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(Refused, match="other things"):
        prepare(actor_video, tmp_path, say=quiet)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_and_a_place_that_cannot_be_written(actor_video, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="in the way"):
        prepare(actor_video, tmp_path / "file", say=quiet)
    with pytest.raises(BadInput, match="cannot be written"):
        prepare(actor_video, tmp_path / "file" / "clip", say=quiet)


def test_the_clip_of_another_video_or_of_other_settings_is_refused(actor_clip, actor_video, edited_video):
    clip, _ = actor_clip
    before = stamps(clip.folder)
    with pytest.raises(Refused, match="another video"):
        prepare(edited_video, clip.folder, size=SIZE, say=quiet)
    with pytest.raises(Refused, match=f"size {SIZE}"):
        prepare(actor_video, clip.folder, size=192, say=quiet)
    assert stamps(clip.folder) == before
    with pytest.raises(BadInput, match="--size 100"):
        prepare(actor_video, clip.folder, size=100)


def test_a_clip_of_another_version_is_refused(actor_clip, actor_video, tmp_path):
    folder = tmp_path / "clip"
    shutil.copytree(actor_clip[0].folder, folder)
    source = folder / "steps" / "source.json"
    source.write_text(source.read_text().replace('"version": 1', '"version": 0'))
    with pytest.raises(Refused, match="version 0"):
        prepare(actor_video, folder, size=SIZE, say=quiet)


def test_a_full_disk(actor_video, tmp_path, monkeypatch):
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    folder = tmp_path / "clip"
    with monkeypatch.context() as patch:
        patch.setattr(pictures.Path, "write_bytes", full)
        with pytest.raises(Exhausted, match="disk is full"):
            prepare(actor_video, folder, size=SIZE, say=quiet)
    assert "disk is full" in (folder / PROBLEM).read_text()
    assert not (folder / "frames.partial").exists()
    assert Steps(folder, "").settings("frames") is None


def test_two_preparations_at_once_are_refused(actor_clip, actor_video, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    folder = tmp_path / "clip"
    shutil.copytree(actor_clip[0].folder, folder)
    (folder / "steps" / "report.json").unlink()
    with open(folder / "steps" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another preparation"):
            prepare(actor_video, folder, size=SIZE, say=quiet)


def test_a_preparation_under_way_keeps_its_claim(actor_video, tmp_path):
    pytest.importorskip("fcntl")
    folder = tmp_path / "clip"
    with Claim(folder, actor_video, "the first video", {"size": SIZE}).enter():
        before = (folder / "steps" / "source.json").read_bytes()
        with pytest.raises(Refused, match="another preparation"), Claim(folder, actor_video, "the first video", {}).enter():
            pass
        with pytest.raises(Refused, match="another video"), Claim(folder, actor_video, "a second one", {}).enter():
            pass
        assert (folder / "steps" / "source.json").read_bytes() == before
    with Claim(folder, actor_video, "the first video", {}).enter():  # nothing was made yet: other settings may follow
        assert (folder / "steps" / "source.json").read_bytes() != before


def test_a_claim_that_is_refused_leaves_no_trace(actor_video, tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(Refused, match="holds other things"), Claim(tmp_path, actor_video, "hash", {}).enter():
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


# ---- parts ----


def test_a_worker_tells_what_went_wrong_and_ends_with_its_parent(tmp_path):
    worker = Worker("sound", {"sound": str(tmp_path / "none.wav"), "folder": str(tmp_path), "seconds": 5})
    with pytest.raises(BadInput, match=r"none\.wav"):
        worker.result()
    waiting = Worker("sleep", {})
    assert waiting._process.stdin is not None
    waiting._process.stdin.close()  # what happens when the parent is killed
    assert waiting._process.wait(timeout=60) != 0
    waiting.stop()


def test_steps_that_build_on_another_are_forgotten_with_it(tmp_path):
    steps = Steps(tmp_path, "hash")
    for name in BUILDS_ON:
        steps.mark(name, {}, {}, (0.0, 0.0))
    assert steps.done()
    steps.unmark("tracking")
    left = {name for name in BUILDS_ON if steps.found(name) is not None}
    assert left == {"survey", "frames", "parsing", "background", "sound"}
    assert Steps(tmp_path, "another hash").found("survey") is None
    (tmp_path / "steps" / "sound.json").write_text('{"step": "so')
    assert steps.found("sound") is None


def test_progress_says_a_line_per_interval_with_the_time_left():
    said: list[str] = []
    progress = Progress(every_s=0.0, plain=said.append)
    progress.begin("frames", 4)
    for _ in range(4):
        time.sleep(0.4)
        progress.advance("frames")
    progress.end("frames")
    assert said[-1].startswith("frames: done in")
    assert any("of 4, about" in line for line in said)


def test_an_opened_clip_is_the_prepared_one(actor_clip):
    clip, _ = actor_clip
    assert Clip.open(clip.folder).header == clip.header


def test_the_chosen_person_is_followed_beside_a_larger_face(take):
    """The mesh alone takes the larger face; the finder looks where the survey saw the person."""
    small = [cv2.resize(image[:, ::-1], (SMALL, SMALL), interpolation=cv2.INTER_AREA) for image in take.images[:8]]
    side, top = SIZE + SMALL, SIZE // 2
    canvas = np.full((8, side, side, 3), 110, np.uint8)
    for t in range(8):
        canvas[t, :SIZE, :SIZE] = take.images[t]
        canvas[t, top : top + SMALL, SIZE:] = small[t]
    x, y = SIZE + SMALL / 2, top + SMALL / 2
    place = Face(x, y, SIZE * 0.31)
    changes = Changes()
    with pictures._Finder(Person([0.0, 1.0], [place, place]), True, (0, 0, side), side) as finder:
        found = []
        for t, image in enumerate(canvas):
            changes.add(image)
            found.append(finder(image, t / 25, changes))
    seen = [points for points in found if points is not None]
    assert len(seen) >= 7
    assert all(abs(points[:, 0].mean() - x) < 25 and abs(points[:, 1].mean() - y) < 30 for points in seen)
