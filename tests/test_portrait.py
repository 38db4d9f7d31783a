"""The portrait file: what goes in comes out, and what does not fit is refused before anything is allocated."""

import json
import os
import pickle  # noqa: TID251 - to write what must not be read
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from likeness import methods
from likeness.errors import BadInput, LikenessError, Refused
from likeness.portrait import read_header


@pytest.fixture
def change(portrait_file, tmp_path):
    """Writes a changed copy of the portrait: `change(header changes, tensor changes)`; None takes a key away."""

    def write(header=None, tensors=None):
        held, found = load_file(portrait_file), read_header(portrait_file)
        found = {k: v for k, v in (found | (header or {})).items() if v is not None}
        held = {k: v for k, v in (held | (tensors or {})).items() if v is not None}
        save_file(held, tmp_path / "changed.portrait", {"likeness": json.dumps(found)})
        return tmp_path / "changed.portrait"

    return write


def test_save_and_load_are_a_round_trip_bit_for_bit(portrait, portrait_file, tmp_path):
    again = methods.load(portrait.save(tmp_path / "again.portrait"))
    assert again.config == portrait.config and again.hearing == portrait.hearing and not again.training
    assert again.stage.camera == portrait.stage.camera
    for name, tensor in (portrait.state_dict() | portrait.extra_state()).items():
        assert torch.equal((again.state_dict() | again.extra_state())[name], tensor), name
    first, second = load_file(portrait_file), load_file(tmp_path / "again.portrait")
    assert set(first) == set(second) and all(torch.equal(first[k], second[k]) for k in first)
    assert (tmp_path / "again.portrait").read_bytes() == portrait_file.read_bytes()


def test_the_header_says_what_is_in_it(portrait_file, portrait):
    header = read_header(portrait_file)
    assert header["format"] == "likeness-portrait" and header["version"] == 1 and header["fps"] == 25
    assert header["method"] == methods.DEFAULT and header["sizes"] == portrait.sizes()
    assert set(header["hearing"]["recipes"]) == set(portrait.hearing.features)
    with safe_open(portrait_file, framework="pt") as file:
        assert all(key.startswith(("model.", "rig.", "stage.")) for key in file.keys())  # noqa: SIM118


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.001, 0.5, 0.999])
def test_a_file_cut_short_is_bad_input(portrait_file, tmp_path, share):
    path = tmp_path / "short.portrait"
    content = portrait_file.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadInput, match=r"short\.portrait.*cut short"):
        methods.load(path)


def test_other_files_are_bad_input(tmp_path):
    path = tmp_path / "a.portrait"
    for content in (b"RIFF....WAVEfmt ", os.urandom(5000), b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"a\.portrait"):
            methods.load(path)
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(BadInput, match="not a portrait"):
        methods.load(path)
    with pytest.raises(BadInput, match="no such portrait"):
        methods.load(tmp_path / "none.portrait")
    with pytest.raises(BadInput, match="folder"):
        methods.load(tmp_path)


class Bomb:
    """Does harm when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.parametrize("as_torch", [False, True])
def test_nothing_is_unpickled(tmp_path, monkeypatch, as_torch):
    monkeypatch.setenv("BOMB", str(tmp_path / "harm"))
    path = tmp_path / "a.portrait"
    if as_torch:
        torch.save({"model": Bomb()}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(BadInput):
        methods.load(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"version": 2}, Refused),
        ({"version": None}, Refused),
        ({"format": "other"}, BadInput),
        ({"method": "no_such_method"}, BadInput),
        ({"method": "../evil"}, BadInput),
        ({"method": None}, BadInput),
        ({"config": {"sise": 256}}, BadInput),
        ({"config": {"size": 300}}, BadInput),
        ({"config": "fast"}, BadInput),
        ({"sizes": {}}, BadInput),
        ({"sizes": {"gaussians": -1, "voice": 2}}, BadInput),
        ({"hearing": {"features": ["mel", "phones"], "recipes": {"mel": "another"}}}, Refused),
        ({"hearing": {"ears": 2}}, BadInput),
        ({"camera": {"focal": 1.0}}, BadInput),
        ({"camera": None}, BadInput),
    ],
)
def test_a_header_that_does_not_fit_is_refused(change, header, kind):
    with pytest.raises(kind, match=r"changed\.portrait"):
        methods.load(change(header))


def test_a_header_that_promises_too_much_allocates_nothing(change):
    sizes = {"gaussians": 10**11, "voice": 10**11}  # terabytes
    began = time.monotonic()
    with pytest.raises(BadInput, match="do not fit its header"):
        methods.load(change({"sizes": sizes}))
    assert time.monotonic() - began < 20


def tensors_that_do_not_fit():
    yield "an unknown model tensor", {"model.extra": torch.ones(1)}
    yield "a foreign tensor", {"evil": torch.ones(1)}
    yield "a missing model tensor", {"model.gaussians.rest": None}
    yield "a wrong shape", {"model.gaussians.rest": torch.ones(7, 3)}
    yield "a missing rig", {"rig.mean": None}
    yield "an unknown part of the rig", {"rig.extra": torch.ones(3)}
    yield "a rig of another mesh", {"rig.mean": torch.ones(12, 3)}
    yield "no pose", {"stage.motion.pose": None}
    yield "poses of another shape", {"stage.motion.pose": torch.ones(9, 3, 4)}
    yield "motion of two lengths", {"stage.motion.eyes": torch.ones(3)}
    yield "an unknown motion", {"stage.motion.ears": torch.ones(3)}
    yield "no background", {"stage.background": None}
    yield "a background of another size", {"stage.background": torch.zeros(8, 8, 3, dtype=torch.uint8)}
    yield "a background in another type", {"stage.background": torch.zeros(256, 256, 3)}
    yield "no torso", {"stage.torso.weights": None}


@pytest.mark.parametrize(("tensors"), [pytest.param(t, id=name) for name, t in tensors_that_do_not_fit()])
def test_tensors_that_do_not_fit_are_named(change, tensors):
    name = next(iter(tensors)).rsplit(".", 1)[-1]
    with pytest.raises(BadInput, match=r"changed\.portrait") as caught:
        methods.load(change(tensors=tensors))
    assert name in str(caught.value) or "motion" in str(caught.value)


def test_a_failed_save_leaves_the_old_file(portrait, tmp_path, monkeypatch):
    path = tmp_path / "a.portrait"
    path.write_bytes(b"the old one")
    monkeypatch.setattr("likeness.files.os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(LikenessError, match="full"):
        portrait.save(path)
    assert path.read_bytes() == b"the old one" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(BadInput, match="cannot be written"):
        portrait.save(tmp_path / "no folder" / "a.portrait")
