"""From videos to an album: the squares are dub's, sound and lips stay in step, and nothing is made twice or lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from likeness import album as package
from likeness import audio, speech
from likeness.album import Album
from likeness.album.videos import Outcome, _stretches, videos_of
from likeness.corpus import FORMAT, VERSION, Corpus, shards, split_of
from likeness.displacement import lip_opening
from likeness.dub.crop import cut_out
from likeness.dub.faces import choose_faces
from likeness.dub.tracks import Search
from likeness.errors import BadInput, Exhausted, Refused
from likeness.gather import work
from likeness.gather.sources import Source
from likeness.gather.takes import RECIPES, Take, takes
from likeness.mesh import LOWER_INNER_LIP, UPPER_INNER_LIP
from likeness.prepare.sound import Offset
from likeness.video import FPS, read
from tests.takes import write

CUT, AWAY = 84, (40, 44)  # of the edited video, see `edited`
ANN, OLA, BEN, EVE = "ann", "ola", "ben", "eve"  # train, test, train, train


def edited(take, path: Path) -> Path:
    """The actor, away for some frames, and from CUT on in another shot."""
    images = [image.copy() for image in take.images]
    for t in range(*AWAY):
        images[t][:] = images[0][:8, :8].mean((0, 1))
    for t in range(CUT, len(images)):
        images[t] = np.clip(np.roll(images[t][:, ::-1], 14, axis=1).astype(np.int16) // 2 + 90, 0, 255).astype(np.uint8)
    return write(path, images, take.sound)


def numbered_take(start: int, frames: int) -> Take:
    """A sample in which each row of sound tells its number in the video; its faces are nobody's."""
    rows = np.arange(4 * start, 4 * (start + frames))[:, None].astype(np.float16)
    arrays = {"moves": np.zeros((frames, 478, 3), np.float16), "shape": np.zeros((478, 3), np.float32)}
    arrays |= {"pose": np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), "eyes": np.ones(frames, np.float16)}
    arrays |= {"f0": np.zeros(4 * frames, np.float32), "mel": rows.repeat(80, 1), "phones": rows.repeat(42, 1)}
    return Take(start, arrays, Offset(0.0, 0.3, 0.5, np.zeros(1), 0.2))


def corpus_of(folder: Path, held: dict[Source, list[Take]]) -> Corpus:
    """A corpus of these samples, a shard a video."""
    (folder / "shards").mkdir(parents=True)
    (folder / "corpus.json").write_text(json.dumps({"format": FORMAT, "version": VERSION, "points": 478, "recipes": RECIPES}))
    for source, samples in held.items():
        clip = {"id": source.id, "video": source.video, "speaker": source.speaker, "skipped": "", "notes": []}
        clip |= {"samples": [(f"{source.speaker}-{source.id}-{t.start:07d}", len(t)) for t in samples], "seconds": 1.0}
        members = [(key, *work._members(source, t)) for (key, _), t in zip(clip["samples"], samples)]
        header = {"points": 478, "recipes": RECIPES, "clips": [clip]}
        path = folder / "shards" / f"{split_of(source.speaker)}-{source.id}.tar"
        shards.write_shard(path, header, [t.arrays["shape"] for t in samples], members)
    return Corpus.open(folder)


@pytest.fixture(scope="module")
def corpus(take, actor_video, tmp_path_factory) -> Corpus:
    """Four videos: the actor's, an edited one, one that is gone and one that is none."""
    folder = tmp_path_factory.mktemp("filmed")
    for name in (ANN, OLA, EVE):
        (folder / name).mkdir()
    shutil.copy(actor_video, folder / ANN / "a.mp4")
    edited(take, folder / OLA / "o.mp4")
    (folder / EVE / "e.mp4").write_text("no video")
    ann, ola, ben, eve = (Source(str(folder / name / f"{name[0]}.mp4"), name) for name in (ANN, OLA, BEN, EVE))
    samples = {ann: list(takes(Path(ann.video), 478, [])), ola: [numbered_take(5, 60), numbered_take(70, 70)]}
    return corpus_of(folder / "corpus", samples | {ben: [numbered_take(0, 50)], eve: [numbered_take(0, 50)]})


@pytest.fixture(scope="module")
def made(corpus, tmp_path_factory) -> tuple[Album, list[str]]:
    said: list[str] = []
    return Album.of_corpus(corpus, tmp_path_factory.mktemp("albums") / "album", said.append, workers=1), said


def of(album: Album, speaker: str) -> list[package.Page]:
    return [page for page in album.pages if page.speaker == speaker]


def start(page: package.Page) -> int:
    return int(page.key[-7:])


def test_crops_are_those_that_dub_cuts(made, actor_video, tmp_path):
    images = [picture.image for picture in read(actor_video, FPS)]
    with Search(tmp_path, FPS) as search:
        for image in images:
            search.add(image)
        faces = choose_faces(search.found(), FPS)
    (page,) = of(made[0], ANN)
    assert (start(page), len(page), page.side, page.split) == (0, len(images), 160, "train")
    assert page.native == pytest.approx(np.median(faces.places[:, 2]), abs=0.1)
    for t in range(0, len(images), 20):
        crop, points = page.crop(t, 128)
        assert np.abs(crop - cut_out(images[t], faces.place(t), 128)).mean() < 0.01  # JPEG
        assert np.abs(points - faces.place(t).to_crop(faces.landmarks(t), 128)).max() < 1e-3


def test_lips_and_sound_are_those_of_the_corpus_at_the_same_frames(made, corpus):
    (page,) = of(made[0], ANN)
    (sample,) = (s for s in corpus.stream("train", points=478) if s["speaker"] == ANN)
    assert (page.features("mel") == sample["mel"]).all() and (page.features("phones") == sample["phones"]).all()
    own, theirs = opening(page.points), lip_opening(sample["moves"] + sample["shape"])
    alike = {lag: np.corrcoef(own[5 + lag : len(own) - 5 + lag], theirs[5:-5])[0, 1] for lag in range(-5, 6)}
    assert max(alike, key=alike.__getitem__) == 0 and alike[0] > 0.95


def opening(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, UPPER_INNER_LIP] - points[:, LOWER_INNER_LIP], axis=-1)


def test_gaps_and_cuts_part_a_sample_and_its_sound_with_it(made):
    pages = of(made[0], OLA)
    assert [start(page) for page in pages] == pytest.approx([5, CUT], abs=2)
    assert [start(page) + len(page) for page in pages] == pytest.approx([AWAY[0], 140], abs=2)
    for page in pages:
        assert page.split == "test" and (page.features("mel")[:, 0] == 4 * start(page) + np.arange(4 * len(page))).all()


def test_what_gave_nothing_is_listed(made):
    why = {Path(video).name: reason for video, reason in made[0].skipped}
    assert set(why) == {"b.mp4", "e.mp4"} and "no such file" in why["b.mp4"] and "video" in why["e.mp4"]
    assert sum(line.startswith("skipped: ") for line in made[1]) == 2
    header = json.loads((made[0].folder / "album.json").read_text())
    assert header["format"] == "likeness-album" and "corpus" in header["made_from"]
    assert not list(made[0].folder.glob("work-*"))


def test_a_run_that_was_cut_off_goes_on(made, corpus, tmp_path, monkeypatch):
    folder = tmp_path / "album"
    shutil.copytree(made[0].folder, folder)
    page = of(made[0], OLA)[0]
    (folder / "work-left").mkdir()
    Path(folder / "pages" / page.path.name).write_bytes(b"cut short")
    asked: list[str] = []

    def make(job):
        asked.append(job[0].speaker)
        raise Exhausted("the disk is full")

    monkeypatch.setattr(package, "make", make)
    with pytest.raises(Exhausted):
        Album.of_corpus(corpus, folder, str, workers=1)
    assert asked == [OLA]
    monkeypatch.undo()
    again = Album.of_corpus(corpus, folder, str, workers=1)
    assert [p.key for p in again.pages] == [p.key for p in made[0].pages] and not list(folder.glob("work-*"))
    for p, q in zip(again.pages, made[0].pages, strict=True):
        assert p.path.read_bytes() == q.path.read_bytes()


def test_only_what_failed_is_tried_again_and_what_is_gone_may_come_back(made, corpus, actor_video, tmp_path, monkeypatch):
    asked: list[str] = []

    def make(job):
        asked.append(job[0].speaker)
        return Outcome(job[0].id, str(job[0].path), job[0].samples, [], "not today")

    monkeypatch.setattr(package, "make", make)
    assert Album.of_corpus(corpus, made[0].folder, str, workers=1).pages == made[0].pages and asked == [EVE]
    folder = tmp_path / "album"
    shutil.copytree(made[0].folder, folder)
    back = next(Path(video) for video, _ in made[0].skipped if video.endswith("b.mp4"))
    back.parent.mkdir()
    shutil.copy(actor_video, back)
    try:
        assert dict(Album.of_corpus(corpus, folder, str, workers=1).skipped)[str(back)] == "not today"
        assert sorted(asked[1:]) == [BEN, EVE]
    finally:
        shutil.rmtree(back.parent)


def test_a_folder_of_something_else_is_left_alone(made, corpus, clip, tmp_path):
    with pytest.raises(Refused, match="made_from"):
        Album.of_clip(clip, made[0].folder, str)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(Refused, match="other things"):
        Album.of_corpus(corpus, tmp_path, str)
    with pytest.raises(BadInput, match="in the way"):
        Album.of_corpus(corpus, tmp_path / "letter.txt", str)


def test_a_corpus_whose_videos_are_all_gone_says_what_to_do(tmp_path):
    corpus = corpus_of(tmp_path / "corpus", {Source("/gone/b.mp4", BEN): [numbered_take(0, 50)]})
    with pytest.raises(BadInput, match=r"corpus: not one of its 1 videos.*/gone/b.mp4.*put them back"):
        Album.of_corpus(corpus, tmp_path / "album", str)


def test_sound_that_is_held_is_moved_as_its_features_were(corpus, tmp_path):
    """By the mel that is made of it; and by the rows that an offset is worth."""
    (video,) = (video for video in videos_of(corpus) if video.speaker == ANN)
    (stretch,) = _stretches(video, True)
    again = speech.extract("mel", stretch.features["sound"].reshape(-1))
    assert stretch.features["sound"].shape == (4 * stretch.frames, 160)
    assert np.abs(again - stretch.features["mel"])[4:-4].max() < 0.02  # float16
    early = Take(40, numbered_take(40, 60).arrays, Offset(-2.0, 0.9, 0.5, np.zeros(1), 0.2))
    other = corpus_of(tmp_path / "corpus", {Source(str(video.path), ANN): [early]})
    (moved,) = _stretches(next(videos_of(other)), True)
    assert np.array_equal(moved.features["sound"].reshape(-1), audio.load(video.path)[640 * 42 : 640 * 102])
    folder = tmp_path / "album"
    folder.mkdir()
    (folder / "album.json").write_text(json.dumps(package._header({"corpus": str(other.folder)}, False)))
    with pytest.raises(Refused, match="another sound"):
        Album.of_corpus(other, folder, str, sound=True)


def test_the_album_of_a_clip_holds_its_training_frames_and_no_others(clip, tmp_path, monkeypatch):
    album = Album.of_clip(clip, tmp_path / "album", str)
    frames = np.concatenate([start(page) + np.arange(len(page)) for page in album.pages])
    assert len(clip.test) and not set(frames) & set(clip.test) and set(frames) <= set(clip.train)
    assert len(frames) > 0.9 * len(clip.train) and {page.split for page in album.pages} == {"train"}
    page = album.pages[0]
    rows = slice(4 * start(page), 4 * (start(page) + len(page)))
    assert np.allclose(page.features("mel"), clip.features("mel")[rows], atol=0.01)
    tracked = clip.pixels.numpy()[start(page) : start(page) + len(page)]
    assert np.corrcoef(opening(page.points), opening(tracked))[0, 1] > 0.95
    monkeypatch.setattr(package, "make_of_clip", None)
    assert Album.of_clip(clip, tmp_path / "album", str) == album
