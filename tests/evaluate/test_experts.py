"""Weights that are not in place, in place, or something else."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from likeness.errors import BadInput, MissingAsset
from likeness.evaluate.experts import Experts
from likeness.published import Published

FILE = Published("a figure", "sorts", ("a.pth", "a.safetensors"), "example.org/a.pth", ("*.count",))
SHAPES = {"one.weight": (2, 3), "one.bias": (2,)}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    (tmp_path / "sorts").mkdir()
    return tmp_path / "sorts"


def weights(**more: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"one.weight": torch.arange(6.0).reshape(2, 3), "one.bias": torch.ones(2), **more}


def test_nothing_in_place_is_said_for_each(tmp_path, monkeypatch):
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    found = Experts.in_place()
    assert found.lpips is None and found.inception is None and found.syncnet is None and found.landmarks is None
    assert set(found.missing) == {"lpips", "fid", "sync", "lip_sync"}
    for name, place in (("lpips", "lpips"), ("fid", "fid"), ("sync", "syncnet"), ("lip_sync", "sync")):
        assert str(tmp_path / place) in found.missing[name] and "LIKENESS_ASSETS" in found.missing[name]
    assert "syncnet_v2.model" in found.missing["sync"] and "pt_inception-2015-12-05" in found.missing["fid"]
    assert list(tmp_path.iterdir()) == []  # nothing is fetched


@pytest.mark.parametrize("name", FILE.names)
def test_both_kinds_of_file_are_read(folder, name):
    held = weights(**{"one.count": torch.tensor(3)})
    if name.endswith(".pth"):
        torch.save(held, folder / name)
    else:
        save_file(held, folder / name)
    found = FILE.read(SHAPES)
    assert set(found) == set(SHAPES) and torch.equal(found["one.weight"], weights()["one.weight"])


def test_missing_names_the_place_and_the_source(folder):
    with pytest.raises(MissingAsset, match=r"example\.org") as caught:
        FILE.read(SHAPES)
    assert str(folder) in str(caught.value) and "a.pth" in str(caught.value)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({"one.weight": torch.zeros(2, 3)}, "no one.bias"),
        (weights(two=torch.zeros(1)), "unknown two"),
        (weights() | {"one.bias": torch.zeros(5)}, r"one.bias \[5\] instead of \[2\]"),
    ],
)
def test_other_weights_are_refused(folder, held, says):
    save_file(held, folder / "a.safetensors")
    with pytest.raises(BadInput, match=says):
        FILE.read(SHAPES)


def test_what_is_no_weights_is_refused_and_not_run(folder):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(folder / "harm"),)

    torch.save({"one.weight": Harm()}, folder / "a.pth")
    with pytest.raises(BadInput, match="download it again"):
        FILE.read(SHAPES)
    assert not (folder / "harm").exists()
    (folder / "a.pth").write_bytes(b"<html>not found</html>")
    with pytest.raises(BadInput, match="download it again"):
        FILE.read(SHAPES)


def test_a_damaged_file_that_was_put_there_is_an_error_not_a_gap(tmp_path, monkeypatch):
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    (tmp_path / "syncnet").mkdir()
    (tmp_path / "syncnet" / "syncnet_v2.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="syncnet_v2"):
        Experts.in_place()
