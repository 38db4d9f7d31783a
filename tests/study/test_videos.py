"""What is no study is refused with a list of what is wrong, before anything is shown."""

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from likeness.errors import BadInput
from likeness.study.copies import copies
from likeness.study.videos import Videos
from likeness.video import FPS
from tests.study.studies import FRAMES, METHODS, NAMES, make


def refused(folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        videos = Videos.open(folder)
        videos.notes()
        copies(videos)
    assert str(caught.value).startswith(str(folder)) and "\n" not in str(caught.value)
    return str(caught.value)


def test_methods_and_names_are_listed(folder):
    (folder / ".hidden").mkdir()
    (folder / "notes.txt").write_text("whatever")
    (folder / METHODS[0] / "list.csv").write_text("whatever")
    videos = Videos.open(folder)
    assert videos.methods == METHODS and videos.names == NAMES
    assert list(videos) == [(method, name) for method in METHODS for name in NAMES]
    assert all(videos.path(*each).is_file() for each in videos)
    assert videos.notes() == []


def test_every_missing_video_is_named(folder):
    (folder / METHODS[0] / f"{NAMES[0]}.mp4").unlink()
    shutil.rmtree(folder / METHODS[2])
    (folder / METHODS[2]).mkdir()
    said = refused(folder)
    assert f"{METHODS[0]}/ lacks {NAMES[0]}.mp4;" in said
    assert f"{METHODS[2]}/ lacks {NAMES[0]}.mp4, {NAMES[1]}.mp4." in said
    assert f"{METHODS[1]}/" not in said


def test_too_little_to_compare(tmp_path):
    assert "no such folder" in refused(tmp_path / "none")
    (tmp_path / "file").touch()
    assert "is a file" in refused(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "no folder of videos" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "one").mkdir()
    assert "only one/" in refused(tmp_path / "empty")
    (tmp_path / "empty" / "two").mkdir()
    assert "no .mp4 file in one/, two/" in refused(tmp_path / "empty")


def test_what_is_no_video_or_is_not_played(folder):
    bad = folder / METHODS[1] / f"{NAMES[1]}.mp4"
    good = bad.read_bytes()
    bad.write_bytes(good[: len(good) // 3])
    assert str(bad) in refused(folder)
    bad.unlink()
    with av.open(str(bad), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    assert "mpeg4" in refused(folder) and "H.264" in refused(folder)


def test_what_only_some_browsers_play_is_refused(folder):
    video = folder / METHODS[1] / f"{NAMES[1]}.mp4"
    for layout, sound, said in (("yuv444p", "aac", "yuv444p"), ("yuv420p", "ac3", "ac3"), ("yuv420p", None, "no sound")):
        with av.open(str(video), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width = stream.height = 64
            stream.pix_fmt = layout
            audio = container.add_stream(sound, rate=48000, layout="mono") if sound else None
            container.mux(stream.encode(av.VideoFrame(64, 64, layout)))
            container.mux(stream.encode(None))
            if audio:
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1536), np.float32), "fltp", "mono")
                silence.rate = 48000
                container.mux(audio.encode(silence))
                container.mux(audio.encode(None))
        assert str(video) in refused(folder) and said in refused(folder)


def test_what_tells_methods_apart_is_noted(folder):
    shutil.rmtree(folder / METHODS[1])
    make(folder, METHODS[1:2], size=(96, 160))
    notes = Videos.open(folder).notes()
    assert len(notes) == len(NAMES) and all("sizes differ" in note and f"96x160 {METHODS[1]}" in note for note in notes)


def test_lengths_and_frame_rates_are_compared_as_they_are(folder):
    for frames, differ in ((FRAMES + 2, False), (FRAMES + 3, True)):  # 0.08 and 0.12 s, whichever way they would be rounded
        shutil.rmtree(folder / METHODS[2])
        make(folder, METHODS[2:], frames=frames)
        notes = Videos.open(folder).notes()
        assert len(notes) == differ * len(NAMES) and all("lengths differ" in note for note in notes)
    shutil.rmtree(folder / METHODS[2])
    make(folder, METHODS[2:], frames=2 * FRAMES, fps=2 * FPS)
    notes = Videos.open(folder).notes()
    assert len(notes) == len(NAMES) and all("frame rates differ" in n and f"50.00 fps {METHODS[2]}" in n for n in notes)
