"""Finished videos against their original: what is measured, and what is refused and why."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from likeness import audio
from likeness.cli import run
from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.evaluate import Evaluation, metrics
from likeness.evaluate.finished import STILL, evaluate_video, is_video
from likeness.evaluate.rows import usual_frame
from likeness.evaluate.settings import measure
from likeness.evaluate.sheet import contact_sheet
from likeness.evaluate.sound import Sound
from likeness.evaluate.table import show
from likeness.video import Writer


@pytest.fixture(scope="module")
def frames(clip) -> list[np.ndarray]:
    return [clip.image(t) for t in range(len(clip))]


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("films")


def film(path: Path, images: list[np.ndarray], fps: float = 25.0, sound=None) -> Path:
    with Writer(path, (images[0].shape[1], images[0].shape[0]), fps, sound=sound) as video:
        for image in images:
            video.write(image)
    return path


def pictures(folder: Path, images: list[np.ndarray]) -> Path:
    folder.mkdir()
    for t, image in enumerate(images):
        cv2.imwrite(str(folder / f"{t:05d}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture(scope="module")
def found(clip, frames, films, experts) -> Evaluation:
    sound = (audio.load(clip.audio)[:, None], audio.RATE)
    return evaluate_video(film(films / "theirs.mp4", frames, sound=sound), clip, experts=experts)


def test_the_original_encoded_again_is_nearly_the_original(found, clip):
    assert [f.row for f in found.table] == ["theirs", STILL, "real"] and found.setting == "finished video"
    assert found.frames == clip.test.tolist() and found.method == "theirs.mp4"
    theirs, still, real = found.table
    assert theirs.full_own > 33 and theirs.mouth_own > 30 and theirs.ssim_own > 0.9
    assert theirs.full is None and theirs.mouth is None and theirs.ssim_face is None  # nobody's torso but theirs
    assert theirs.full_own > still.full_own and theirs.lmd < still.lmd and theirs.lower < still.lower
    # The encoder blurs about as much as a shift by half a pixel does, and the detector tells no more.
    assert theirs.lmd < 2 * found.floor["half a pixel"]["lmd"] and still.jitter < real.jitter
    assert theirs.sync_d == pytest.approx(real.sync_d, rel=0.05)  # its own sound, from its first frame on
    heard = Sound(audio.load(clip.audio)).decibels
    rows = metrics.with_loudness(np.array(found.openings["theirs"]), heard, int(clip.test[0]))
    assert theirs.loudness_r == pytest.approx(metrics.loudness_r(rows), abs=0.02)
    assert found.recipes["pictures"] == "decoded-h264/1" and not found.missing.keys() - {"aue"}
    assert found.intervals["theirs"]["mouth_own"][0] <= theirs.mouth_own <= found.intervals["theirs"]["mouth_own"][1]


def test_it_can_be_printed_and_seen(found, tmp_path, capsys):
    assert json.loads(json.dumps(found.as_json()))["table"][0]["row"] == "theirs"
    show(found)
    assert "theirs.mp4" in capsys.readouterr().out
    assert contact_sheet(found, tmp_path / "sheet.png").stat().st_size > 10000


def test_a_folder_of_the_held_out_frames_is_equal(clip, frames, films):
    folder = pictures(films / "held out", [frames[int(t)] for t in clip.test])
    assert is_video(folder) and not is_video(clip.folder) and not is_video(Path("a.portrait")) and is_video(Path("b.MP4"))
    found = evaluate_video(folder, clip)
    assert found["theirs"].full_own == 100 and found["theirs"].ssim_own == pytest.approx(1, abs=1e-5)
    assert found["theirs"].lmd == 0 and found["theirs"].upper == 0 and found["theirs"].opening_r == pytest.approx(1)
    assert found["theirs"].flicker == found["real"].flicker and found.recipes["pictures"] == "raw-frames/1"
    assert found["theirs"].loudness_r is None and "no sound" in found.missing["loudness"]
    assert 0 <= usual_frame(clip) < int(clip.test[0])


def test_frames_that_were_lost_at_the_front_are_noticed(clip, frames, films):
    lost = pictures(films / "lost", frames[2:])
    with pytest.raises(BadInput, match=r"2 frames later better.*--first 2"):
        evaluate_video(lost, clip)
    assert evaluate_video(lost, clip, first=2)["theirs"].full_own == 100
    assert evaluate_video(pictures(films / "cut short", frames[:-2]), clip)["theirs"].full_own == 100


def test_numbered_pictures_are_the_frames_of_their_numbers(clip, frames, films):
    """As `evaluate --frames` writes them, frames that were left out are missing."""
    folder = films / "numbered"
    folder.mkdir()
    kept = [t for t in range(int(clip.test[0]) - 20, int(clip.test[-1]) + 1) if t != int(clip.test[0]) - 5]
    for t in kept:
        cv2.imwrite(str(folder / f"{t:06d}.png"), cv2.cvtColor(frames[t], cv2.COLOR_RGB2BGR))
    found = evaluate_video(folder, clip)
    assert found["theirs"].full_own == 100 and found.delivery["frames"] == [[kept[0], kept[14] + 1], [kept[15], kept[-1] + 1]]


def test_a_stretch_and_a_smaller_size(clip, frames, films):
    small = [cv2.resize(frame, (128, 128), interpolation=cv2.INTER_AREA) for frame in frames[20:60]]
    folder = pictures(films / "stretch", small)
    with pytest.raises(BadInput, match=f"40 frames; the clip has {len(clip)}.*--first"):
        evaluate_video(folder, clip)
    found = evaluate_video(folder, clip, first=20)
    assert found.frames == list(range(20, 60)) and found.size == 128 and found["theirs"].full_own > 45
    assert "128" in found.missing["ms_ssim"] and found["theirs"].ms_ssim_own is None
    with pytest.raises(BadInput, match="first is"):
        evaluate_video(folder, clip, first=len(clip))


@pytest.mark.parametrize("kind", ["rate", "size", "crop", "few"])
def test_what_cannot_be_compared_is_refused(clip, frames, films, kind):
    if kind == "rate":
        path, says = film(films / "rate.mp4", frames[:40], fps=30.0), "30.00 frames a second"
    elif kind == "size":
        path, says = film(films / "size.mp4", [f[:200] for f in frames[:12]]), "256 x 200"
    elif kind == "crop":
        moved = [np.roll(f, 24, axis=1) for f in frames]
        path, says = pictures(films / "crop", moved), "away from where the original has it"
    else:
        path, says = pictures(films / "few", frames[:5]), "at least 10"
    with pytest.raises(BadInput, match=says):
        evaluate_video(path, clip, first=0)


def test_a_video_of_the_whole_source_is_cut_like_the_clip(clip, frames, films):
    header = clip.header | {"source": clip.header["source"] | {"size": [300, 280]}, "crop": [30, 10, 256]}
    wide = []
    for t in clip.test:
        canvas = np.zeros((280, 300, 3), np.uint8)
        canvas[10:266, 30:286] = frames[int(t)]
        wide.append(canvas)
    found = evaluate_video(pictures(films / "wide", wide), Clip(clip.folder, header))
    assert found["theirs"].full_own == 100


def test_the_source_is_told_from_its_square_where_both_have_one_size(clip, actor_video, frames, films):
    """The actor's video is 256², and so is the clip, which was cut out of it."""
    assert tuple(clip.header["source"]["size"]) == clip.camera.size and clip.header["crop"][2] < 256
    assert evaluate_video(actor_video, clip)["theirs"].full_own > 40  # but for reading it twice, it is the clip
    square = pictures(films / "square", [frames[int(t)] for t in clip.test])
    assert evaluate_video(square, clip)["theirs"].full_own == 100


def test_what_a_setting_has_no_use_for_is_refused(clip, films, found, portrait_file):
    with pytest.raises(BadInput, match=r"finished video.*--speech"):
        measure(films / "theirs.mp4", clip.folder, speech=[clip.audio])
    with pytest.raises(BadInput, match="no use for --first"):
        measure(portrait_file, clip.folder, first=3)


def test_the_command_knows_a_video(clip, films, found, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path / "none"))
    video = Path(shutil.copy(films / "theirs.mp4", tmp_path / "theirs.mp4"))
    assert run(["evaluate", str(video), str(clip.folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["table"][0]["full_own"] == pytest.approx(found["theirs"].full_own) and "lpips" in said["missing"]
    assert (tmp_path / "theirs.mp4.sheet.png").is_file()
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert run(["evaluate", str(tmp_path / "broken.mp4"), str(clip.folder)]) == 3
    assert "broken.mp4" in capsys.readouterr().err
