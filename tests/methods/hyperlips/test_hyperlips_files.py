"""Lips as files, and as what `dub` asks for: any video's faces, whatever the chunks."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from likeness import cli, methods
from likeness.album import Album
from likeness.dub.lips import Crops, Lips, Said
from likeness.errors import BadInput, Refused
from likeness.evaluate.rows import judged
from likeness.mesh import OUTER_LIPS
from likeness.methods.hyperlips import load_lips
from likeness.methods.hyperlips.dubbing import HyperLips
from likeness.nn.hyper import articulation, asset
from likeness.nn.hyper.hearing import hearing
from likeness.nn.hyper.lipnet import LipNet
from likeness.nn.hyper.mouth import MOUTH, opening
from likeness.nn.hyper.settings import SHAPE
from likeness.speech import RECIPES
from likeness.video import probe
from tests.methods.hyperlips.school import LITTLE, people_of, small
from tests.nn.generator.people import make_corpus
from tests.nn.hyper.faces import faces, people


@pytest.fixture(scope="module")
def net() -> LipNet:
    """As if it had learned a little: shapes of made-up people, and changes that are not nothing."""
    torch.manual_seed(0)
    net = LipNet(small()).eval()
    net.mouth.fit(people(4))
    for layer in (net.base.head[1], net.refiner.colors[-2]):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return net


@pytest.fixture(scope="module")
def file(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("lips") / "lips.safetensors"
    asset.save(path, net, {"people": 4})
    return path


def crops(open_mm: list[float], size: int, seed: int = 0) -> Crops:
    images = torch.rand(len(open_mm), size, size, 3, generator=torch.Generator().manual_seed(seed))
    return Crops(images, size * faces(np.array(open_mm), np.zeros(len(open_mm))))


def said(net: LipNet, frames: int, activity: float = 1.0) -> Said:
    dim = sum(RECIPES[name].dim for name in net.hearing.features)
    windows = torch.randn(frames, net.hearing.rows, dim, generator=torch.Generator().manual_seed(1)) - 3
    return Said(windows, torch.zeros(dim), windows, torch.full((frames,), activity))


def test_what_is_written_is_read(net, file):
    again = asset.load(file)
    assert again.settings == net.settings
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in net.state_dict().items())
    assert isinstance(load_lips(file), Lips)


def test_other_files_are_refused(file, tmp_path, portrait_file):
    with safe_open(file, framework="pt") as held:
        header = json.loads(held.metadata()["likeness"])
    tensors = load_file(file)

    def written(**changes) -> str:
        path = tmp_path / "other.safetensors"
        kept = {k: v for k, v in tensors.items() if k != changes.get("without")}
        save_file(kept, path, {"likeness": json.dumps(header | {k: v for k, v in changes.items() if k != "without"})})
        return str(path)

    for error, changes, words in (
        (Refused, {"version": 9}, "version 9"),
        (Refused, {"recipes": {"phones": "another"}}, "another recipe"),
        (BadInput, {"settings": {"rank": 3}}, "settings"),
        (BadInput, {"without": "mouth.basis"}, "mouth.basis"),
    ):
        with pytest.raises(error, match=words):
            asset.load(tmp_path / written(**changes).rpartition("/")[2])
    with pytest.raises(BadInput, match="pretrain hyperlips"):
        asset.load(tmp_path / "none.safetensors")
    with pytest.raises(BadInput, match="no lips for a video"):
        load_lips(portrait_file)


@pytest.mark.parametrize("features", [("phones",), ("mel",), ("phones", "mel")])
def test_the_ear_gets_its_own_of_all_that_is_heard(features):
    """Columns of its features, the rows round the frame."""
    net = LipNet(replace(small(), features=features))
    dims = [RECIPES[name].dim for name in net.hearing.features]
    stretch = torch.randn(40 + net.hearing.rows, sum(dims), generator=torch.Generator().manual_seed(0)) - 3
    ears = hearing(features)
    parts = dict(zip(net.hearing.features, stretch.split(dims, 1)))
    own = torch.cat([parts[name] for name in features], 1)
    first = (net.hearing.past - ears.past) * ears.rows_per_frame
    wanted = net.hear(ears.windows(own[first:]))
    found = net.near(net.hearing.windows(stretch))
    assert torch.equal(found, wanted[: len(found)])


def test_chunks_do_not_show(net):
    lips = HyperLips(net)
    shown, bank, words = crops([2, 4, 6, 3, 1], net.size), crops([0, 3, 6, 9, 12], net.size, 1), said(net, 5)
    whole, _ = lips(shown, bank, words, None)
    state, parts = None, []
    for first, last in ((0, 2), (2, 3), (3, 5)):
        some = Crops(shown.images[first:last], shown.points[first:last])
        heard = Said(words.features[first:last], words.mean, words.usual, words.activity[first:last])
        made, state = lips(some, bank, heard, state)
        parts.append(made)
    assert whole.shape == shown.images.shape and (torch.cat(parts) - whole).abs().max() < 1e-4


def test_the_mouth_that_is_hidden_has_no_influence(net):
    """Neither its pixels nor its points: two that differ there get the same new faces below the nose."""
    lips = HyperLips(net)
    bank, words = crops([0, 3, 6, 9, 12], net.size, 1), said(net, 2)
    one, other = crops([1, 1], net.size), crops([11, 11], net.size)
    hidden = 60 * net.size // 128
    other.images[:, :hidden] = one.images[:, :hidden]
    first, second = (lips(face, bank, words, None)[0] for face in (one, other))
    assert torch.equal(first, second)


def test_in_silence_the_mouth_rests_as_the_person_does(net, monkeypatch):
    lips, asked = HyperLips(net), []
    points = net.mouth.points
    monkeypatch.setattr(type(net.mouth), "points", lambda self, shape, *more: asked.append(points(shape, *more)) or asked[-1])
    bank = crops([1, 3, 6, 9, 12], net.size, 1)
    for activity in (0.0, 1.0):
        lips(crops([8, 8], net.size), bank, said(net, 2, activity), None)
    rest = bank.points[:1] / net.size
    silent = opening(asked[0])
    assert (silent - opening(rest[:, list(MOUTH)])).abs().max() < 0.01
    assert not torch.allclose(asked[0], asked[1], atol=1e-3)


def test_what_a_voice_does_throughout_is_not_taken_for_speech(net, monkeypatch):
    """A voice that opens everything by two spreads asks for hardly another mouth; one that was heard for a moment may."""
    lips, asked, points = HyperLips(net), [], net.mouth.points
    monkeypatch.setattr(type(net), "foretold", lambda _, windows, __: windows.mean((1, 2))[:, None].expand(-1, SHAPE))
    monkeypatch.setattr(type(net.mouth), "points", lambda _, shape, *more: asked.append(shape) or points(shape, *more))
    bank, words = crops([1, 3, 6, 9, 12], net.size, 1), said(net, 2)
    for heard in (400, 5):
        for more in (0.0, 2.0):
            said_so = replace(words, features=words.features + more, usual=words.usual[:1].expand(heard, -1, -1) + more)
            lips(crops([5, 5], net.size), bank, said_so, None)
    lively = net.mouth.person(bank.points / net.size).lively
    assert torch.allclose((asked[1] - asked[0]) / lively, torch.full((2, SHAPE), 2 * 25 / 425), atol=1e-4)
    assert torch.allclose((asked[3] - asked[2]) / lively, torch.full((2, SHAPE), 2 * 25 / 30), atol=1e-4)


def test_a_portrait_is_measured_in_pictures_that_it_has_not_seen(portrait_files, clip):
    """The frame that is asked for, with all but the lower face as it is; references and person stay those of its own video."""
    portrait, frames = methods.load(portrait_files["hyperlips"]), judged(clip)[:3]
    own = len(portrait.footage)
    other, given = portrait.measured_on(clip, frames)
    motion = clip.motion[torch.from_numpy(frames)]
    assert given and len(portrait.footage) == own and other.nearest(motion.pose) == [0, 1, 2]
    assert other._bank is portrait._bank and other._person is portrait._person
    rgb = other.render(other.follow(motion), motion)[0].rgb
    size = rgb.shape[1]
    real = torch.from_numpy(np.stack([clip.image(int(t), size) for t in frames])).float() / 255
    nose = round(float(clip.pixels[int(frames[0]), 2, 1]) * size / clip.camera.size[0]) - 4  # above the nose's base
    assert (rgb - real)[:, :nose].abs().mean() < 0.01 < (rgb - real)[:, nose:].abs().amax()


def test_a_portrait_that_is_measured_is_not_shown_the_mouth(portrait_files, clip, monkeypatch):
    """What the held-out pictures have between their lips makes no difference there."""
    portrait, frames = methods.load(portrait_files["hyperlips"]), judged(clip)[:3]
    motion, image = clip.motion[torch.from_numpy(frames)], type(clip).image

    def lips(t: int, size: int) -> np.ndarray:
        outline = clip.pixels[int(t), list(OUTER_LIPS)].numpy() * size / clip.camera.size[0]
        return cv2.fillConvexPoly(np.zeros((size, size), np.uint8), np.round(outline).astype(np.int32), (1,)) > 0

    def painted(self, t, size=None):
        picture = image(self, t, size).copy()
        picture[lips(t, len(picture))] = (0, 255, 0)
        return picture

    def made() -> np.ndarray:
        other, _ = portrait.measured_on(clip, frames)
        return other.render(other.follow(motion), motion)[0].rgb.numpy()

    usual = made()
    monkeypatch.setattr(type(clip), "image", painted)
    for t, one, two in zip(frames, usual, made()):
        inside = cv2.erode(lips(t, len(one)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert inside.sum() > 20 and np.abs(one - two)[inside].mean() < 0.02


def test_a_bank_without_a_face_is_said(net):
    with pytest.raises(BadInput, match="no picture of the face"):
        HyperLips(net)(crops([1], net.size), crops([], net.size), said(net, 1), None)


def test_the_command_learns_from_a_corpus_and_its_file_dubs(clip, speech_file, actor_video, tmp_path, monkeypatch, capsys):
    """The album is drawn pages; all else is what a user does."""
    album = Album.of_clip(clip, tmp_path / "own", say=lambda _: None, sound=True)
    pages = people_of(album.pages, tmp_path)
    monkeypatch.setattr(Album, "of_corpus", lambda *_, **__: replace(album, pages=pages))
    monkeypatch.setattr("likeness.methods.hyperlips.pretraining", lambda _: (small(), LITTLE))
    monkeypatch.setattr(articulation, "KEYS", 50)
    corpus = make_corpus(tmp_path / "corpus")
    file, video = tmp_path / "lips.safetensors", tmp_path / "dubbed.mp4"
    assert cli.run(["pretrain", "hyperlips", str(corpus), str(file)]) == 0
    assert "mouth_psnr" in capsys.readouterr().out
    assert asset.KIND.read_header(file)["provenance"]["people"] == 2
    assert cli.run(["dub", str(actor_video), str(speech_file), str(video), "--lips", str(file)]) == 0
    shown = probe(video)
    assert shown.frames == 58 and shown.has_sound and (shown.width, shown.height) == (256, 256)
