"""Maps of a whole speech: videos beside the pictures."""

import json

import cv2
import numpy as np
import pytest
import torch

from likeness import audio, methods
from likeness.errors import BadInput, Refused
from likeness.maps import MapVideos, check_folder
from likeness.speak import check, speak
from likeness.video import probe, read


@pytest.fixture(scope="module")
def short_sound(take, tmp_path_factory):
    path = tmp_path_factory.mktemp("short") / "a.wav"
    audio.save_wav(path, take.performance.waveform[: take.performance.rate // 5], take.performance.rate)
    return path


def test_a_map_lies_between_the_two_values_of_its_scale(tmp_path):
    ramp = torch.linspace(0, 4, 64 * 64).reshape(64, 64)
    with MapVideos(tmp_path / "maps", [{"how deep": ramp}]) as videos:
        for factor in (1.0, 0.5, 2.0):
            videos.write({"how deep": ramp * factor})
    low, high = json.loads((tmp_path / "maps" / "scale.json").read_text())["how deep"]
    assert 0.3 < low < 0.5 and 3.9 < high <= 4  # a tenth of it lies below
    pictures = [p.image for p in read(tmp_path / "maps" / "how-deep.mp4")]
    colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_VIRIDIS)[0, :, ::-1].astype(float)

    def value(t: int, y: int) -> float:
        return low + float(np.abs(colours - pictures[t][y, 32]).sum(1).argmin()) / 255 * (high - low)

    for y in (15, 30, 50):
        assert value(0, y) == pytest.approx(float(ramp[y, 32]), abs=0.15)
        assert value(1, y) == pytest.approx(float(ramp[y, 32]) / 2, abs=0.15)
    assert value(2, 60) == pytest.approx(high, abs=0.1)  # the scale is the same in all frames


def test_a_speech_with_maps(portrait_files, short_sound, tmp_path):
    for name, known in (
        ("talking_gaussian", ["attention-to-speech", "attention-to-the-upper-face"]),
        ("radnerf", ["attention-to-speech", "attention-to-the-upper-face", "depth"]),
        ("geneface", ["attention-to-speech", "attention-to-the-upper-face", "depth"]),
    ):
        speech, folder = speak(methods.load(portrait_files[name]), short_sound), tmp_path / f"{name} maps"
        speech.save(tmp_path / f"{name}.mp4", maps=folder)
        assert sorted(p.name for p in folder.iterdir()) == [*(f"{k}.mp4" for k in known), "scale.json"]
        assert all(probe(folder / f"{k}.mp4").frames == len(speech) == 5 for k in known)
        depth = speech.maps(3).get("depth")
        if depth is not None:
            low, high = json.loads((folder / "scale.json").read_text())["depth"]
            assert depth.shape == (256, 256) and low < float(depth[depth > 0].median()) < high


def test_methods_without_maps_say_so_before_the_first_picture(portrait, short_sound, tmp_path):
    with pytest.raises(BadInput, match="no attention"):
        speak(portrait, short_sound).save(tmp_path / "a.mp4", maps=tmp_path / "maps")
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_no_maps(tmp_path):
    with pytest.raises(ZeroDivisionError), MapVideos(tmp_path / "maps", [{"a": torch.ones(32, 32)}]) as videos:
        videos.write({"a": torch.ones(32, 32)})
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_places_of_maps(tmp_path, short_sound):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    for folder, kind, says in (
        (tmp_path / "maps.mp4", BadInput, "several videos"),
        (tmp_path / "full", Refused, "not an empty folder"),
        (tmp_path / "nowhere" / "maps", BadInput, "no folder"),
    ):
        with pytest.raises(kind, match=says):
            check_folder(folder)
    with pytest.raises(BadInput, match="the result itself"):
        check(short_sound, tmp_path / "pictures", maps=tmp_path / "pictures")
