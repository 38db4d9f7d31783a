"""What is served has picture and sound of the source, and nothing else of it."""

from pathlib import Path

import av
import numpy as np
import pytest

from likeness.errors import BadInput
from likeness.study import StudyServer
from likeness.study.copies import KEPT, copies
from likeness.study.videos import Videos
from likeness.video import probe
from tests.media import make_video, tone
from tests.study.studies import METHODS, NAMES

TAGS = {"title": METHODS[0], "encoder": "Talker 7", "comment": "by Talker", "creation_time": "2020-01-02T03:04:05Z", "own": "x"}
TOLD = [text.encode() for text in (METHODS[0], "Talker", "TRACKNAME", "x264", "Lavf")]


def tagged(path: Path, tags: dict[str, str]) -> None:
    """The video again, with metadata of the file and of its tracks, and a chapter."""
    old = path.rename(path.with_suffix(".old"))
    with av.open(str(old)) as source, av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as copy:
        copy.metadata.update(tags)
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
        for stream in streams.values():
            stream.metadata.update({"handler_name": "TRACKNAME", "language": "deu", "encoder": "Talker 8"})
        copy.set_chapters(
            [{"id": 1, "start": 0, "end": 100, "time_base": streams[0].time_base, "metadata": {"title": "Talker"}}]
        )
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    old.unlink()


def decoded(path: Path) -> tuple[list, list]:
    with av.open(str(path)) as container:
        pictures = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        return pictures, [(frame.time, frame.to_ndarray()) for frame in container.decode(audio=0)]


def test_no_tag_is_left_and_identical_content_is_identical(folder):
    each = (METHODS[1], NAMES[1])
    plain = copies(Videos.open(folder))
    tagged(Videos.open(folder).path(*each), TAGS)
    content = Videos.open(folder).path(*each).read_bytes()
    assert all(word in content for word in TOLD)
    shown = copies(Videos.open(folder))
    assert shown[each] != plain[each] and shown[each].read_bytes() == plain[each].read_bytes()
    assert all(shown[other] == plain[other] for other in shown if other != each)
    assert not [word for word in TOLD if word in shown[each].read_bytes()]
    with av.open(str(shown[each])) as container:
        assert container.metadata.keys() <= {"major_brand", "minor_version", "compatible_brands"}  # what each .mp4 begins with
        assert [set(stream.metadata.items()) for stream in container.streams] == [
            {("language", "und"), ("handler_name", "VideoHandler")}, {("language", "und"), ("handler_name", "SoundHandler")},
        ]  # fmt: skip
        assert not container.chapters()
    assert shown[each].read_bytes().index(b"moov") < shown[each].read_bytes().index(b"mdat")  # plays while it is loaded


def test_picture_and_sound_stay_as_they_are(folder):
    videos = Videos.open(folder)
    sound = (tone(0.8, 48000), 48000, 0.1)
    make_video(videos.path(METHODS[0], NAMES[0]), [i / 25 for i in range(20)], rotation=90, sound=sound)
    for each, path in copies(videos).items():
        (pictures, heard), (shown, said) = decoded(videos.path(*each)), decoded(path)
        assert [time for time, _ in pictures] == [time for time, _ in shown] and [t for t, _ in heard] == [t for t, _ in said]
        assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(pictures + heard, shown + said, strict=True))
        assert probe(path).rotation == probe(videos.path(*each)).rotation
    assert probe(copies(videos)[METHODS[0], NAMES[0]]).rotation == 90


def test_they_are_made_once(folder):
    made = {path: path.stat().st_mtime_ns for path in copies(Videos.open(folder)).values()}
    assert {path: path.stat().st_mtime_ns for path in copies(Videos.open(folder)).values()} == made
    assert sorted(made) == sorted((folder / KEPT).iterdir())
    assert Videos.open(folder).methods == METHODS  # where they lie is no method


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_video_that_is_cut_short_is_told_and_leaves_nothing(folder, share):
    bad = Videos.open(folder).path(METHODS[0], NAMES[0])
    bad.write_bytes(bad.read_bytes()[: int(bad.stat().st_size * share)])
    with pytest.raises(BadInput, match="cut short") as caught:
        StudyServer(folder)
    assert str(bad) in str(caught.value) and not list((folder / KEPT).iterdir())


def test_what_a_killed_server_left_is_written_anew(folder):
    for path in copies(Videos.open(folder)).values():
        path.rename(path.with_suffix(".partial")).write_bytes(b"half")
    shown = copies(Videos.open(folder)).values()
    assert all(len(decoded(path)[0]) == 15 for path in shown) and sorted(shown) == sorted((folder / KEPT).iterdir())


def test_a_place_that_cannot_be_written(folder):
    (folder / KEPT).touch()
    with pytest.raises(BadInput, match="cannot be written"):
        copies(Videos.open(folder))
