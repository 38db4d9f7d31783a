"""What is no study is refused with a list of what is wrong, before anything is shown."""

import shutil
from pathlib import Path

import av
import pytest

from likeness.errors import BadInput
from likeness.study.videos import Videos
from tests.study.studies import METHODS, NAMES, make


def refused(folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        Videos.open(folder).check()
    assert str(caught.value).startswith(str(folder)) and "\n" not in str(caught.value)
    return str(caught.value)


def tagged(path: Path, **tags: str) -> None:
    """The video again, with metadata."""
    old = path.rename(path.with_suffix(".old"))
    with av.open(str(old)) as source, av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as copy:
        copy.metadata.update(tags)
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    old.unlink()


def test_methods_and_names_are_listed(folder):
    (folder / ".hidden").mkdir()
    (folder / "notes.txt").write_text("whatever")
    (folder / METHODS[0] / "list.csv").write_text("whatever")
    videos = Videos.open(folder)
    assert videos.methods == METHODS and videos.names == NAMES
    assert list(videos) == [(method, name) for method in METHODS for name in NAMES]
    assert all(videos.path(*each).is_file() for each in videos)
    assert videos.check() == []


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


@pytest.mark.parametrize("title", [METHODS[2], f"made by {METHODS[0].upper()}_v2", f"{NAMES[0]}.mp4"])
def test_metadata_that_tells_is_refused(folder, title):
    tagged(folder / METHODS[1] / f"{NAMES[1]}.mp4", title=title)
    assert "metadata" in refused(folder)


def test_other_metadata_is_no_matter(folder):
    tagged(folder / METHODS[1] / f"{NAMES[1]}.mp4", title=f"a{METHODS[0]}", comment="a portrait that speaks")
    assert Videos.open(folder).check() == []


def test_what_tells_methods_apart_is_noted(folder):
    shutil.rmtree(folder / METHODS[1])
    make(folder, METHODS[1:2], size=(96, 160))
    notes = Videos.open(folder).check()
    assert len(notes) == len(NAMES) and all("sizes differ" in note and f"96x160 {METHODS[1]}" in note for note in notes)
