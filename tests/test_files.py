"""What is written is whole or not there, and what cannot be written is said in one way everywhere."""

import errno

import av.error
import pytest

from likeness.errors import BadInput, Exhausted
from likeness.files import FULL, unwritable, write_atomically, write_together


@pytest.mark.parametrize("number", FULL)
def test_a_full_disk_is_told_whoever_finds_it(tmp_path, number):
    for error in (OSError(number, "any"), av.error.FFmpegError(number, "any")):
        said = unwritable(tmp_path / "a.mp4", error)
        assert isinstance(said, Exhausted) and "a.mp4: the disk is full" in str(said)


def test_other_failures_keep_their_reason(tmp_path):
    assert isinstance(said := unwritable(tmp_path, OSError(errno.EROFS, "Read-only file system")), BadInput)
    assert "(Read-only file system)" in str(said)
    assert "(no fields)" in str(unwritable("somewhere", ValueError("no fields")))


def test_a_file_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a", b"old")
    with monkeypatch.context() as patch:
        patch.setattr("likeness.files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(Exhausted):
            write_atomically(tmp_path / "a", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


def test_files_that_belong_together_are_all_old_or_all_new(tmp_path, monkeypatch):
    a, b = tmp_path / "a", tmp_path / "b"
    write_together({a: b"old", b: b"old"})
    calls: list[int] = []

    def full(_: int) -> None:
        calls.append(1)
        if len(calls) == 2:  # the first file is written already
            raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr("likeness.files.os.fsync", full)
        with pytest.raises(Exhausted, match="b: the disk is full"):
            write_together({a: b"new", b: b"new"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}
    write_together({a: b"new", b: b"new"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"new", "b": b"new"}
