"""Weights files of others: what is in them comes out, nothing in them runs, and no file takes the caller down."""

from __future__ import annotations

import os
import sys
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from likeness import foreign
from likeness.errors import BadInput, Exhausted


class Bomb:
    """Does harm when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


class Setting:
    """An object of a class that nobody else has."""


@pytest.fixture
def here(monkeypatch):
    """The child's work in this process, as starting one takes seconds."""

    def answer(path, out, leave):
        return foreign._converted(path, out, leave)

    monkeypatch.setattr(foreign, "_answer", answer)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_come_out_as_they_were_in_their_order(tmp_path, zipped, here):
    state = OrderedDict(b=torch.randn(3, 2), a=torch.arange(4, dtype=torch.int32), c=torch.ones(2).half())
    shared = torch.arange(6.0).reshape(2, 3)
    held = {"model": state, "list": [shared[0], shared.T], "stats": {"loss": [np.float64(0.5), np.float32(2)], "best": None}}
    torch.save(
        held | {"epoch": 7, "optimizer": {"m": torch.ones(9)}}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped
    )
    found = foreign.read(tmp_path / "a.pth", ("optimizer",))
    assert list(found.tensors) == ["model.b", "model.a", "model.c", "list.0", "list.1"]
    assert list(found.below("model.")) == ["b", "a", "c"]
    for name, tensor in state.items():
        assert torch.equal(found.tensors[f"model.{name}"], tensor) and found.tensors[f"model.{name}"].dtype == tensor.dtype
    assert torch.equal(found.tensors["list.1"], shared.T)
    assert found.values == {"stats.loss.0": 0.5, "stats.loss.1": 2.0, "stats.best": None, "epoch": 7}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"model": {"a": torch.ones(3)}, "x": Bomb()}, r"posix\.mkdir, which is no weights"),
        ({"a": torch.ones(3), "opt": Setting()}, "Setting, which is no weights"),
        ([torch.ones(3)], "one object of class list"),
        ({"epoch": 3}, "no weights by name"),
    ],
)
def test_what_is_no_weights_is_refused_and_does_not_run(tmp_path, monkeypatch, content, says, here):
    monkeypatch.setenv("BOMB", str(tmp_path / "harm"))
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(BadInput, match=rf"a\.pth: holds .*{says}"):
        foreign.read(tmp_path / "a.pth")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth"]


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut short", bytes(range(256)) * 9, None])
def test_damaged_files_are_refused(tmp_path, content, here):
    torch.save({"a": torch.ones(5000)}, tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes((tmp_path / "a.pth").read_bytes()[:-300] if content is None else content)
    with pytest.raises(BadInput, match="no weights that can be read"):
        foreign.read(tmp_path / "a.pth")


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(BadInput, match="no such file"):
            foreign.read(path)


def test_the_same_by_a_child(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    torch.save({"a": torch.ones(3), "best": np.float64(2)}, tmp_path / "a.pth")
    found = foreign.read(tmp_path / "a.pth")
    assert torch.equal(found.tensors["a"], torch.ones(3)) and found.values == {"best": 2.0}
    assert not list((tmp_path / "temporary").iterdir())
    monkeypatch.setenv("BOMB", str(tmp_path / "harm"))
    torch.save({"a": torch.ones(3), "x": Bomb()}, tmp_path / "a.pth")
    with pytest.raises(BadInput, match=r"holds posix\.mkdir"):
        foreign.read(tmp_path / "a.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
def test_files_that_want_more_memory_than_they_have_bytes_are_stopped(tmp_path):
    """A tensor that repeats one number a trillion times."""
    torch.save({"a": torch.ones(1).expand(2**40)}, tmp_path / "a.pth")
    with pytest.raises(Exhausted, match=r"a\.pth: reading it takes more memory"):
        foreign.read(tmp_path / "a.pth")


def child(monkeypatch, code: str) -> None:
    monkeypatch.setattr(foreign, "_command", lambda *_: [sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        ("import os; os.kill(os.getpid(), 9)", Exhausted, "memory runs out"),
        ("import os; os.kill(os.getpid(), 11)", BadInput, "ended with code -11"),
        ("print('not JSON')", BadInput, "ended with code 0"),
        ("import time; time.sleep(60)", BadInput, "did not end within 1 s"),
    ],
)
def test_the_caller_survives_the_end_of_the_child(tmp_path, monkeypatch, code, error, says):
    (tmp_path / "a.pth").write_bytes(b"")
    monkeypatch.setattr(foreign, "LIMIT_S", 0.2 if "sleep" in code else 60.0)
    child(monkeypatch, code)
    began = time.monotonic()
    with pytest.raises(error, match=says):
        foreign.read(tmp_path / "a.pth")
    assert time.monotonic() - began < 30


def test_the_child_is_of_this_tree():
    assert foreign._command(Path("a"), Path("b"), ("c",))[1:3] == ["-m", "likeness.foreign"]
