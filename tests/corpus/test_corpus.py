"""Reading a corpus: every sample once, however many readers there are; people in one split; the index is made from shards."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from likeness.corpus import FORMAT, VERSION, Corpus, shards, split_of
from likeness.errors import BadInput, Refused
from likeness.gather.sources import Source
from likeness.gather.takes import RECIPES, Take
from likeness.gather.work import Batch, pack, staged
from likeness.prepare.sound import Offset

PEOPLE = ("ann", "ben", "ola", "zoe", "eve", "fay", "gus", "noa")
SPLITS = ("train", "train", "test", "val", "train", "train", "train", "val")
SEEN = 6  # every fourth has no samples
CLIPS = 24


def make(folder: Path, points: int = 478) -> Path:
    """A corpus of CLIPS clips with 0 to 3 samples each in which every number tells whose it is; packed as workers pack."""
    from likeness.gather import _commit, work

    (folder / "shards").mkdir(parents=True)
    (folder / "staged").mkdir()
    header = {"format": FORMAT, "version": VERSION, "points": points, "recipes": RECIPES}
    (folder / "corpus.json").write_text(json.dumps(header))
    sources = [Source(f"/videos/{PEOPLE[n % len(PEOPLE)]}/{n}.mp4", PEOPLE[n % len(PEOPLE)]) for n in range(CLIPS)]
    for n, source in enumerate(sources):
        takes = [take(n, i, points) for i in range(n % 4)]
        clip = {"id": source.id, "video": source.video, "speaker": source.speaker, "skipped": "" if takes else "no face"}
        clip["samples"] = [(f"{source.id}-{t.start:07d}", len(t)) for t in takes]
        members = [(key, *work._members(source, t)) for (key, _), t in zip(clip["samples"], takes)]
        shapes = [t.arrays["shape"] for t in takes]
        shards.write_shard(staged(folder, source.id), {"points": points, "recipes": RECIPES, "clips": [clip]}, shapes, members)
    for person in PEOPLE:  # a shard a person
        of = tuple(source for source in sources if source.speaker == person)
        batch = Batch(person, split_of(person), of)
        pack(folder, batch, points)
        _commit(folder, batch)
    return folder


def take(clip: int, number: int, points: int) -> Take:
    frames = 32 + clip
    person = clip % len(PEOPLE)
    shape = np.full((points, 3), person + 0.1 * number, np.float32)
    arrays = {"moves": np.full((frames, points, 3), 0.25, np.float16), "shape": shape, "f0": np.zeros(4 * frames, np.float32)}
    arrays |= {"pose": np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), "eyes": np.ones(frames, np.float16)}
    arrays |= {"mel": np.zeros((4 * frames, 80), np.float16), "phones": np.zeros((4 * frames, 42), np.float16)}
    return Take(100 * number, arrays, Offset(0.5, 0.3, 0.5, np.zeros(1), 0.2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("corpora") / "corpus")


def keys(corpus: Corpus, **options) -> list[str]:
    return [s["key"] for split in ("train", "val", "test") for s in corpus.stream(split, **options)]


def test_every_sample_comes_once_and_as_documented(folder):
    corpus = Corpus.open(folder)
    assert not list((folder / "staged").iterdir())
    assert len(corpus.speakers) == SEEN and sum(s.clips for s in corpus.speakers.values()) == 18
    total = sum(corpus.samples(split) for split in ("train", "val", "test"))
    assert total == sum(n % 4 for n in range(CLIPS)) == len(keys(corpus)) == len(set(keys(corpus)))
    for split in ("train", "val", "test"):
        for sample in corpus.stream(split, points=478):
            frames, person = len(sample["moves"]), PEOPLE.index(sample["speaker"])
            assert split_of(sample["speaker"]) == split and sample["video"].split("/")[2] == sample["speaker"]
            shapes = {"moves": (frames, 478, 3), "shape": (478, 3), "pose": (frames, 4, 4), "eyes": (frames,)}
            shapes |= {"mel": (4 * frames, 80), "phones": (4 * frames, 42), "f0": (4 * frames,)}
            assert {name: sample[name].shape for name in shapes} == shapes
            assert all(sample[name].dtype == np.float32 for name in shapes)
            assert (sample["offset"], sample["margin"], sample["clear"]) == (0.5, 0.3, True)
            # displacement from the person's mean over all samples, not from the stretch's own
            own = person + 0.1 * (sample["start"] // 100)
            assert np.allclose(sample["shape"] + sample["moves"], own + 0.25, atol=1e-3)
            assert person <= sample["shape"][0, 0] <= person + 0.2
    assert sum(corpus.hours(split) for split in ("train", "val", "test")) * 90000 == sum(
        (32 + n) * (n % 4) for n in range(CLIPS)
    )


@settings(max_examples=12, deadline=None)
@given(ranks=st.integers(1, 12), seed=st.one_of(st.none(), st.integers(0, 99)), buffer=st.integers(1, 40))
def test_readers_share_the_samples_without_loss(folder, ranks, seed, buffer):
    corpus = Corpus.open(folder)
    parts = [keys(corpus, seed=seed, buffer=buffer, part=(rank, ranks)) for rank in range(ranks)]
    assert Counter(key for part in parts for key in part) == Counter(keys(corpus))
    assert parts[0] == keys(corpus, seed=seed, buffer=buffer, part=(0, ranks))  # the same seed, the same order


def test_order_is_by_seed_and_epoch(folder):
    corpus = Corpus.open(folder)
    assert keys(corpus, seed=1) != keys(corpus, seed=2)
    endless = iter(corpus.stream("train", seed=1, epochs=None))
    count = corpus.samples("train")
    first, second = ([next(endless)["key"] for _ in range(count)] for _ in range(2))
    assert first != second and sorted(first) == sorted(second)


@settings(max_examples=20, deadline=None)
@given(ranks=st.integers(1, 99), seed=st.one_of(st.none(), st.integers(0, 99)), data=st.data())
def test_who_never_gets_anything_is_not_kept_waiting(folder, ranks, seed, data):
    """Of an endless stream, too; who gets something in one epoch gets more in the next."""
    corpus, rank = Corpus.open(folder), data.draw(st.integers(0, ranks - 1))
    endless = corpus.stream("train", seed=seed, part=(rank, ranks), epochs=None)
    once = [sample["key"] for sample in corpus.stream("train", seed=seed, part=(rank, ranks))]
    taken = [sample["key"] for _, sample in zip(range(len(once) + 3), endless)]
    assert taken[: len(once)] == once and (len(taken) == len(once) + 3 or not (once or taken))


@settings(max_examples=15, deadline=None)
@given(ranks=st.integers(1, 12), seed=st.one_of(st.none(), st.integers(0, 99)), skip=st.integers(0, 90))
def test_what_is_skipped_is_the_beginning(folder, ranks, seed, skip):
    corpus, part = Corpus.open(folder), (ranks // 2, ranks)
    some = {"seed": seed, "part": part, "buffer": 5, "without": frozenset({"eve"})}
    whole = [s["key"] for _, s in zip(range(skip + 9), corpus.stream("train", epochs=None, **some))]
    left = [s["key"] for _, s in zip(range(9), corpus.stream("train", epochs=None, skip=skip, **some))]
    assert left == whole[skip:]
    once = [s["key"] for s in corpus.stream("train", **some)]
    assert [s["key"] for s in corpus.stream("train", skip=skip, **some)] == once[skip:]


def test_people_can_be_left_out(folder):
    corpus = Corpus.open(folder)
    everybody = {s["speaker"] for s in corpus.stream("train")}
    assert {s["speaker"] for s in corpus.stream("train", without=frozenset({"eve"}))} == everybody - {"eve"}
    assert not list(corpus.stream("train", without=frozenset(everybody), epochs=None, skip=3))


def test_workers_of_a_loader_share_the_samples(folder):
    corpus = Corpus.open(folder)
    loader = DataLoader(corpus.stream("train"), batch_size=None, num_workers=2)
    assert sorted(sample["key"] for sample in loader) == sorted(s["key"] for s in corpus.stream("train"))


@given(name=st.text(min_size=1))
def test_a_person_is_in_one_split_by_name_alone(name):
    assert split_of(name) == split_of(name.casefold()) == split_of(name) in ("train", "val", "test")


def test_splits_have_their_shares_and_never_change():
    counts = Counter(split_of(f"person {n}") for n in range(4000))
    assert abs(counts["val"] - 400) < 70 and abs(counts["test"] - 400) < 70
    assert tuple(split_of(name) for name in PEOPLE) == SPLITS  # what corpora were made with


def test_the_index_is_made_again_from_the_shards(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    Corpus.open(copy)
    held = {name: (copy / name).read_bytes() for name in ("index.json", "shapes.npy", "skipped.csv")}
    for name in held:
        (copy / name).unlink()
    Corpus.open(copy)
    assert {name: (copy / name).read_bytes() for name in held} == held
    (copy / "index.json").write_bytes(held["index.json"][:50])
    assert len(Corpus.open(copy).speakers) == SEEN
    (copy / "shards" / "train-gus.tar").unlink()
    assert len(Corpus.open(copy).speakers) == SEEN - 1
    assert sum(line.endswith("no face") for line in held["skipped.csv"].decode().splitlines()) == 6


def test_only_the_68(tmp_path):
    corpus = Corpus.open(make(tmp_path / "small", 68))
    sample = next(iter(corpus.stream("train")))
    assert sample["moves"].shape[1:] == sample["shape"].shape == (68, 3)
    with pytest.raises(BadInput, match="--points 478"):
        corpus.stream("train", points=478)


def test_webdataset_reads_the_shards(folder):
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed: pip install 'likeness[corpus]'")
    corpus = Corpus.open(folder)
    paths = [str(path) for path in sorted((folder / "shards").glob("train-*.tar"))]
    found = list(wds.WebDataset(paths, shardshuffle=False, empty_check=False).decode())
    assert [sample["__key__"] for sample in found] == [s["key"] for s in corpus.stream("train", seed=None)]
    assert found[0]["npz"]["mel"].shape[1] == 80 and found[0]["json"]["speaker"] in PEOPLE


def test_what_is_no_corpus_says_so(folder, tmp_path):
    with pytest.raises(BadInput, match="likeness corpus VIDEOS"):
        Corpus.open(tmp_path)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    shard = next(path for path in (copy / "shards").glob("train-*.tar") if path.stat().st_size > 100_000)
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=shard.name):
        list(Corpus.open(copy).stream("train"))
    shard.write_bytes(content[:100])
    (copy / "index.json").unlink()
    with pytest.raises(BadInput, match="Delete it and run"):
        Corpus.open(copy)
    shutil.copy(next(p for p in (copy / "shards").glob("*.tar") if p != shard), copy / "shards" / "train-twice.tar")
    shard.write_bytes(content)
    with pytest.raises(BadInput, match="in two shards"):
        Corpus.open(copy)
    header = json.loads((copy / "corpus.json").read_text())
    (copy / "corpus.json").write_text(json.dumps(header | {"version": 99}))
    with pytest.raises(Refused, match="version 99"):
        Corpus.open(copy)
    with pytest.raises(BadInput, match="no speaker 'nobody'"):
        Corpus.open(folder).shape("nobody")
