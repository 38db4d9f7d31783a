"""Making a corpus on Ray: killed on the way, workers and all, no clip is lost and none comes twice."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from likeness import cli
from likeness.corpus import Corpus, shards
from likeness.errors import MissingAsset, Refused
from likeness.gather import work
from likeness.gather.sources import Source
from tests.takes import write

ROOT = Path(__file__).resolve().parents[2]
GOOD = ("ann/1.mp4", "ann/2.mp4", "ben/1.mp4", "ola/1.mp4", "zoe/1.mp4", "zoe_2.mp4", "cleo.mp4")
BAD = {"nobody.mp4": "no face", "mute.mp4": "no sound", "text.mp4": "not a video"}


@pytest.fixture(scope="module")
def videos(take, tmp_path_factory) -> Path:
    """Seven videos of two seconds that can be used, and three that cannot."""
    folder = tmp_path_factory.mktemp("many")
    first = write(folder / "cleo.mp4", take.images[:50], take.sound)
    for name in GOOD[:-1]:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(first, folder / name)
    write(folder / "nobody.mp4", [np.full_like(take.images[0], 120)] * 50, take.sound)
    write(folder / "mute.mp4", take.images[:50], None)
    (folder / "text.mp4").write_text("no video")
    return folder


def pids(corpus: Path) -> set[int]:
    """The workers that are at a clip."""
    found = set()
    for path in (corpus / "staged").glob("*.begun"):
        try:
            found |= {int(line) for line in path.read_text().split()}
        except OSError:
            continue
    return found


def started(words: list[object]) -> subprocess.Popen:
    command = "import sys; from likeness.cli import run; sys.exit(run(sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen([sys.executable, "-c", command, *map(str, words)], env=environment, stderr=subprocess.DEVNULL)


def until(true, limit_s: float = 120.0) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def made(videos, tmp_path_factory) -> tuple[Path, dict]:
    """A corpus, made by a run that was killed as a whole and one two of whose workers were killed; and its last words."""
    pytest.importorskip("ray.data", reason="Ray is not installed: pip install 'likeness[corpus]'")
    corpus = tmp_path_factory.mktemp("corpora") / "corpus"
    words = ["corpus", videos, corpus, "--workers", 2, "--json"]
    run = started(words)
    assert until(lambda: len(list(corpus.glob("staged/*.tar"))) + len(list(corpus.glob("shards/*.tar"))) >= 2)
    run.kill()
    run.wait()
    before = {path: path.stat().st_mtime_ns for path in corpus.glob("s*/*.tar")}
    for path in corpus.glob("staged/*.begun"):
        path.unlink()  # of the killed run's workers
    killed: list[int] = []

    def kill() -> None:
        for _ in range(2):
            if until(lambda: pids(corpus) - set(killed)):
                pid = next(iter(pids(corpus) - set(killed)))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    out = corpus.with_name("said.json")
    with open(out, "w") as file:
        again = subprocess.run(
            [sys.executable, "-c", "import sys; from likeness.cli import run; sys.exit(run(sys.argv[1:]))", *map(str, words)],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=file, check=False,
        )  # fmt: skip
    killer.join()
    assert again.returncode == 0 and len(killed) == 2
    kept = [path for path, mtime in before.items() if path.parent.name == "shards"]
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)
    return corpus, json.loads(out.read_text())


def test_no_clip_is_lost_and_none_comes_twice(made, videos):
    folder, said = made
    corpus = Corpus.open(folder)
    samples = [sample for split in ("train", "val", "test") for sample in corpus.stream(split)]
    assert Counter(sample["video"] for sample in samples) == Counter(str(videos / name) for name in GOOD)
    assert {name: (s.split, s.clips) for name, s in corpus.speakers.items()} == {
        "ann": ("train", 2), "ben": ("train", 1), "ola": ("test", 1), "zoe": ("val", 2), "cleo": ("train", 1),
    }  # fmt: skip
    assert said["samples"] == said["clips"] == 7 and said["new"] + said["known"] == 10
    with open(folder / "skipped.csv", newline="") as file:
        skipped = {Path(row["video"]).name: row["why"] for row in csv.DictReader(file)}
    assert skipped.keys() == BAD.keys() and all(BAD[name] in why for name, why in skipped.items())
    assert not list((folder / "staged").iterdir()) and not list((folder / "shards").glob("[!tv]*"))
    clips = [clip["id"] for path in (folder / "shards").glob("*.tar") for clip in shards.read_header(path)["clips"]]
    assert len(clips) == len(set(clips)) == 10


def test_a_second_run_does_what_is_new_and_tries_again_when_asked(made, videos, take, tmp_path, capsys):
    folder = Path(shutil.copytree(made[0], tmp_path / "corpus"))
    # Shards of clips that gave nothing are tried again, perhaps as the same batch, under the same name.
    given = [path for path in (folder / "shards").iterdir() if any(not c["skipped"] for c in shards.read_header(path)["clips"])]
    before = {path: path.read_bytes() for path in given}
    assert before and cli.run(["corpus", str(videos), str(folder), "--json"]) == 0  # nothing to do: Ray is not even started
    assert json.loads(capsys.readouterr().out)["new"] == 0
    write(tmp_path / "dov_1.mp4", take.images[50:100], take.sound)
    shutil.copy(videos / "mute.mp4", tmp_path / "keep.mp4")
    (videos / "text.mp4").unlink()
    shutil.copy(videos / "cleo.mp4", videos / "text.mp4")  # it was copied anew
    assert (
        cli.run(["corpus", str(tmp_path / "dov_1.mp4"), str(videos), str(folder), "--again", "--workers", "1", "--json"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert (said["new"], said["skipped"], said["known"], said["clips"]) == (4, 2, 7, 9)
    assert all(path.read_bytes() == content for path, content in before.items() if path.exists())
    assert {"dov", "text"} <= Corpus.open(folder).speakers.keys()
    with open(folder / "skipped.csv", newline="") as file:
        assert sorted(Path(row["video"]).name for row in csv.DictReader(file)) == ["mute.mp4", "nobody.mp4"]
    assert cli.run(["corpus", str(videos), str(folder), "--points", "68"]) == 5
    assert "made with points 478" in capsys.readouterr().err


def test_a_clip_that_ends_its_worker_is_given_up(videos, tmp_path):
    (tmp_path / "staged").mkdir()
    source = Source(str(videos / "cleo.mp4"), "cleo")
    begun = work.staged(tmp_path, source.id).with_suffix(".begun")
    begun.write_text("1\n" * work.TRIES)
    work.stage(tmp_path, source, 68)
    clip = shards.read_header(work.staged(tmp_path, source.id))["clips"][0]
    assert "was ended 3 times" in clip["skipped"] and not begun.exists()


def test_a_clip_is_done_again_when_it_is_somebody_elses(videos, tmp_path, monkeypatch):
    (tmp_path / "staged").mkdir()
    monkeypatch.setattr(work, "takes", lambda *_: iter(()))
    for speaker in ("ann", "zoe"):  # the table was corrected after a run was killed
        source = Source(str(videos / "cleo.mp4"), speaker)
        work.stage(tmp_path, source, 68)
        assert shards.read_header(work.staged(tmp_path, source.id))["clips"][0]["speaker"] == speaker


def test_one_strange_clip_does_not_end_the_rest(videos, tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("how odd")

    (tmp_path / "staged").mkdir()
    monkeypatch.setattr(work, "takes", broken)
    source = Source(str(videos / "cleo.mp4"), "cleo")
    work.stage(tmp_path, source, 68)
    assert "ZeroDivisionError: how odd" in shards.read_header(work.staged(tmp_path, source.id))["clips"][0]["skipped"]


def test_without_ray_it_says_what_to_install(videos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.run(["corpus", str(videos), str(tmp_path / "corpus")]) == MissingAsset.exit_code
    assert "pip install 'likeness[corpus]'" in capsys.readouterr().err and not (tmp_path / "corpus").exists()


def test_bad_use_changes_nothing(videos, tmp_path, capsys):
    pytest.importorskip("ray.data", reason="Ray is not installed: pip install 'likeness[corpus]'")
    (tmp_path / "mine.txt").write_text("precious")
    assert cli.run(["corpus", str(videos), str(tmp_path)]) == Refused.exit_code
    assert cli.run(["corpus", str(videos)]) == 3
    assert cli.run(["corpus", str(tmp_path / "gone"), str(tmp_path / "corpus")]) == 3
    assert cli.run(["corpus", str(videos), str(tmp_path / "mine.txt")]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"] and "Traceback" not in capsys.readouterr().err
