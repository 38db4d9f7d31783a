"""The command: which file is which, Wav2Lip's words, and lips that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import soundfile

from likeness import cli, overdub
from likeness.dubbing import Blend, Dubbing, Wav2Lip, as_flags, places
from likeness.errors import BadInput, MissingAsset
from likeness.video import probe
from tests.dub.mouths import Painter
from tests.media import tone


@pytest.fixture
def files(take, tmp_path, monkeypatch) -> dict[str, Path]:
    """A picture of the actor, a speech, and a file of lips in its place; who loads it gets a Painter."""
    found = {name: tmp_path / name for name in ("a.png", "b.wav", "c.mp4", "asset.safetensors")}
    cv2.imwrite(str(found["a.png"]), take.images[0][:, :, ::-1])
    soundfile.write(found["b.wav"], tone(0.2, 16000), 16000)
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path / "assets"))
    place = tmp_path / "assets" / "hyperlips" / "lips.safetensors"
    place.parent.mkdir(parents=True)
    place.touch()
    monkeypatch.setattr(overdub, "load_lips", lambda path: Painter())
    return found | {"lips": place}


def test_names_fill_their_slots_and_the_rest_follows_in_order():
    a, b, c = Path("a"), Path("b"), Path("c")
    for paths, named in (((a, b, c), {}), ((), {"face": a, "audio": b, "outfile": c}), ((a, c), {"audio": b})):
        assert places(paths, Wav2Lip(**named)) == (a, b, c)
    for paths, named in (((a, b), {}), ((a, b, c), {"face": a}), ((), {})):
        with pytest.raises(BadInput, match=f"{len(paths)} given"):
            places(paths, Wav2Lip(**named))


def test_static_may_have_a_value():
    assert as_flags(["dub", "--static", "True", "True"]) == ["dub", "--static", "True"]
    assert as_flags(["--static", "False", "--static"]) == ["--no-static", "--static"]


@pytest.mark.parametrize("words", [["a.png", "b.wav", "c.mp4"], ["--audio", "b.wav", "a.png", "--outfile", "c.mp4"]])
def test_it_dubs_and_tells(files, words, capsys):
    words = [str(files.get(word, word)) for word in words]
    assert cli.run(["dub", *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["path"] == str(files["c.mp4"]) and printed["frames"] == 5 == probe(files["c.mp4"]).frames
    assert printed["without_face"] == 0 and printed["notes"] == []


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], Dubbing()),
        (["--pads", "0", "10", "2", "3", "--static", "True", "--fps", "25.", "--resize_factor", "2"],
         Dubbing(pads=(0, 10, 2, 3), static=True, fps=25.0, resize_factor=2)),
        (["--feather", ".1", "--no-colour-match", "--on-no-face", "hold", "--when-longer", "freeze", "--face-number", "2"],
         Dubbing(blend=Blend(0.1, False), on_no_face="hold", when_longer="freeze", face_number=2)),
    ],
)  # fmt: skip
def test_every_setting_has_a_word(monkeypatch, words, settings):
    asked = []
    monkeypatch.setattr(overdub, "run", lambda *given: asked.append(given) or exit(0))
    assert cli.run(["dub", "--face", "a.mp4", "--audio", "b.wav", "--outfile", "c.mp4", "--lips", "l", *words]) == 0
    (paths, named, lips, given, _), *_ = asked
    assert (tuple(paths), named, lips) == ((), Wav2Lip(Path("a.mp4"), Path("b.wav"), Path("c.mp4")), Path("l"))
    assert given == settings


def test_lips_that_are_not_there_are_said_with_what_to_do(files, capsys):
    assert overdub.in_place().size == 128
    files["lips"].unlink()
    with pytest.raises(MissingAsset, match="likeness pretrain hyperlips CORPUS/ FILE"):
        overdub.in_place()
    with pytest.raises(BadInput, match="no such file"):
        overdub.in_place(files["lips"])
    words = ["dub", *(str(files[name]) for name in ("a.png", "b.wav", "c.mp4"))]
    assert cli.run(words) == 4 and cli.run([*words, "--lips", "none"]) == 3 and cli.run(words[:3]) == 3
    assert not files["c.mp4"].exists()
