"""Which videos, and whose: by table, by folder, by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likeness.errors import BadInput
from likeness.gather import batches
from likeness.gather.sources import Source, by_place, find, own_name, read_speakers


@pytest.fixture
def videos(tmp_path) -> Path:
    for name in ("lrs/ann/1.mp4", "lrs/ann/more/2.MPG", "lrs/ben/1.mp4", "lrs/cleo_clip2.mov", "lrs/notes.txt", "lrs/.x.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_speakers_by_place(videos):
    found = {source.video: source.speaker for source in find([videos / "lrs"], by_place)}
    assert {Path(video).relative_to(videos / "lrs").as_posix(): name for video, name in found.items()} == {
        "ann/1.mp4": "ann", "ann/more/2.MPG": "ann", "ben/1.mp4": "ben", "cleo_clip2.mov": "cleo",
    }  # fmt: skip
    twice = list(find([videos / "lrs", videos / "lrs" / "ann", videos / "lrs" / ".." / "lrs" / "ben" / "1.mp4"], by_place))
    assert sorted(source.video for source in twice) == sorted(found)  # named twice, taken once, by the first name
    assert {source.id for source in twice} == {source.id for source in find([videos / "lrs"], by_place)}


@pytest.mark.parametrize(
    ("name", "speaker"),
    [
        ("ann_clip1.mp4", "ann"), ("ann-02.mp4", "ann"), ("WDA_Bob_000.mp4", "WDA_Bob"), ("ann part 3.mp4", "ann"),
        ("00001.mp4", "00001"), ("ann.mp4", "ann"), ("id07312_3_12.mp4", "id07312"), ("videoclip.mp4", "videoclip"),
    ],
)  # fmt: skip
def test_speakers_by_file_name(name, speaker):
    assert own_name(Path(name)) == speaker


def test_speakers_by_table(videos):
    table = videos / "speakers.csv"
    table.write_text("video,speaker\nann/1.mp4,Ann\nlrs/ann/*,Annie\n\n cleo_clip2.mov , Cleo \n")
    found = {Path(s.video).name: s.speaker for s in find([videos / "lrs" / "ann", videos / "lrs"], read_speakers(table))}
    assert found["2.MPG"] == "Annie" and found["cleo_clip2.mov"] == "Cleo"
    by_video = {s.video: s.speaker for s in find([videos / "lrs"], read_speakers(table))}
    assert by_video[str(videos / "lrs/ann/1.mp4")] == "Ann" and by_video[str(videos / "lrs/ben/1.mp4")] == "ben"


def test_what_cannot_be_read_says_so(videos):
    with pytest.raises(BadInput, match="no such file"):
        list(find([videos / "gone"], by_place))
    (videos / "empty").mkdir()
    with pytest.raises(BadInput, match="no video in this folder"):
        list(find([videos / "empty"], by_place))
    table = videos / "speakers.csv"
    table.write_text("a.mp4,ann\nb.mp4\n")
    with pytest.raises(BadInput, match="line 2"):
        read_speakers(table)
    with pytest.raises(BadInput, match="cannot be read"):
        read_speakers(videos)


@given(count=st.integers(1, 300), cores=st.integers(1, 16), people=st.integers(1, 40))
def test_batches_hold_every_clip_once_and_one_split_each(count, cores, people):
    sources = sorted((Source(f"/v/{n}.mp4", f"person {n % people}") for n in range(count)), key=lambda source: source.id)
    made = batches(sources, cores)
    assert sorted(source.video for batch in made for source in batch.sources) == sorted(s.video for s in sources)
    assert all(0 < len(batch.sources) <= 64 for batch in made) and len({batch.name for batch in made}) == len(made)
    splits = {source.speaker: set() for source in sources}
    for batch in made:
        for source in batch.sources:
            splits[source.speaker].add(batch.split)
    assert all(len(found) == 1 for found in splits.values())
