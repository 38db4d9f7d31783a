"""From a file to a file with new lips: what stays the same to the bit, and that odd videos and sounds are finished or refused
with an explanation."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from likeness import dub as package
from likeness.dub import Blend, Dubbing, dub
from likeness.dub.faces import Faces, choose_faces
from likeness.dub.footage import Footage
from likeness.dub.synthesis import Scene, synthesise
from likeness.dub.timing import Timing
from likeness.dub.tracks import Search
from likeness.errors import BadInput
from likeness.listening import Listening
from likeness.video import Writer, probe, read
from tests.dub.mouths import Identity, Painter
from tests.media import make_video, read_sound, tone

FRAMES, AWAY = 30, (10, 20)
FPS = 30000 / 1001


@pytest.fixture(scope="module")
def gapped(take, tmp_path_factory) -> Path:
    """The actor at 29.97 frames a second in pictures of odd size, nobody in AWAY."""
    path = tmp_path_factory.mktemp("some videos") / "with a gap.mp4"
    with Writer(path, (235, 251), FPS) as video:
        for t in range(FRAMES):
            image = take.images[t][:251, 10:245].copy()
            if t in range(*AWAY):
                image[:] = image[:8, :8].mean((0, 1))
            video.write(image)
    return path


@pytest.fixture(scope="module")
def seen(gapped, tmp_path_factory) -> tuple[Footage, Faces]:
    """The first pass over it, made once."""
    footage = Footage(gapped)
    with Search(tmp_path_factory.mktemp("points"), footage.fps) as search:
        for image in footage.forwards():
            search.add(image)
        found = search.found()
    return footage, choose_faces(found, footage.fps)


def sound(path: Path, seconds: float, rate: int = 16000, channels: int = 1) -> Path:
    soundfile.write(path, np.repeat(tone(seconds, rate)[:, None], channels, 1), rate)
    return path


def synthesised(seen, lips, folder: Path, seconds: float = FRAMES / FPS, **settings):
    """The result before it is encoded, and the pictures that it is made of."""
    footage, faces = seen
    how = {"when_longer": "pingpong", "when_shorter": "cut", "on_no_face": "pass"} | settings
    listening = Listening(lips.hearing, sound(folder / "speech.wav", seconds))
    timing = Timing(len(faces), footage.fps, listening.seconds, how["when_longer"], how["when_shorter"])
    scene = Scene(footage, faces, timing, lips, listening, Blend(), how["on_no_face"])
    return list(synthesise(scene)), [image for _, image in footage.along(timing.runs())]


def red(image: np.ndarray) -> int:
    """Pixels that a Painter painted."""
    wide = image.astype(int)
    return int(((wide[..., 0] > 170) & (wide[..., 1] < 80) & (wide[..., 2] < 80)).sum())


def changed(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


def test_the_face_is_seen_but_where_nobody_is(seen):
    footage, faces = seen
    assert len(faces) == FRAMES and faces.missing() == [AWAY]
    assert footage.size == (236, 252) and footage.fps == pytest.approx(FPS) and footage.notes == []
    assert set(faces.stretches[: AWAY[0]]) == {0} and set(faces.stretches[AWAY[1] :]) == {1}
    assert np.isnan(faces.places[slice(*AWAY)]).all()


def test_the_identity_gives_the_video_back(seen, tmp_path):
    lips = Identity(256)
    made, shown = synthesised(seen, lips, tmp_path)
    assert len(made) == FRAMES
    assert max(changed(a, b) for a, b in zip(made, shown, strict=True)) <= 2
    # each stretch begins without a state, and each call goes on from the one before
    assert lips.asked == [(AWAY[0], None), (FRAMES - AWAY[1], None)]
    assert lips.shown.images.shape == (3, 256, 256, 3) and lips.shown.points.shape == (3, 478, 2)


def test_paint_stays_in_the_mouth_and_the_gap_as_it_was(seen, tmp_path):
    made, shown = synthesised(seen, Painter(), tmp_path)
    for t, (new, old) in enumerate(zip(made, shown, strict=True)):
        if t in range(*AWAY):
            assert np.array_equal(new, old)
            continue
        place, points = seen[1].place(t), seen[1].landmarks(t)
        assert red(new) > 30 > red(old)
        y, x = np.nonzero((new != old).any(-1))
        at = place.to_crop(np.stack([x, y], -1) + 0.5, 128)
        assert at.min() > 0 and at.max() < 128
        assert at[:, 1].min() > place.to_crop(points[2:3], 128)[0, 1] - 8  # the nose's base, less half the feather


def test_without_a_face_the_last_picture_can_be_held(seen, tmp_path):
    made, _ = synthesised(seen, Painter(), tmp_path, on_no_face="hold")
    assert all(np.array_equal(made[t], made[AWAY[0] - 1]) for t in range(*AWAY))
    assert not np.array_equal(made[AWAY[1]], made[AWAY[0] - 1])


def test_a_sound_twice_as_long_plays_the_video_there_and_back(seen, tmp_path):
    lips = Identity()
    made, _ = synthesised(seen, lips, tmp_path, 2 * FRAMES / FPS)
    forth = list(islice(seen[0].forwards(), FRAMES))
    assert len(made) == 2 * FRAMES
    # the state goes on past the turn and from batch to batch, and ends where the face is gone
    assert lips.asked == [(10, None), (16, None), (3, 16), (11, None)]
    for t in (FRAMES, FRAMES + 1, 2 * FRAMES - 3):
        assert changed(made[t], forth[2 * FRAMES - 2 - t]) <= 2


def test_after_a_shorter_sound_the_rest_is_as_it_was_or_at_rest(seen, tmp_path):
    kept, shown = synthesised(seen, Painter(), tmp_path, 0.2, when_shorter="keep")
    spoken = int(np.ceil(0.2 * FPS))
    assert len(kept) == FRAMES and red(kept[1]) > 30
    assert red(shown[spoken - 1]) < red(kept[spoken - 1]) < red(kept[1])  # the new lips go softly
    assert all(np.array_equal(a, b) for a, b in zip(kept[spoken:], shown[spoken:], strict=True))
    lips = Painter()
    rest, _ = synthesised(seen, lips, tmp_path, 0.2, when_shorter="rest")
    assert red(rest[-1]) > 30 and lips.said[-1].activity.max() == 0
    assert lips.said[-1].features.std(dim=(0, 1)).max() < 1e-3  # silence, and nothing of the tone


def test_lips_come_and_go_softly_where_the_old_ones_are_seen(seen, tmp_path):
    """Beside frames without the face, and at the end of what is said."""
    footage, faces = seen
    soft = replace(faces, amounts=np.where(np.arange(FRAMES) < 5, np.arange(FRAMES) / 5, faces.amounts))
    whole, shown = synthesised(seen, Painter(), tmp_path)
    risen, _ = synthesised((footage, soft), Painter(), tmp_path)
    mouths = [int(np.abs(a.astype(int) - b).sum()) for a, b in zip(risen, shown, strict=True)]
    for t in range(5):
        part = mouths[t] / np.abs(whole[t].astype(int) - shown[t]).sum()
        assert part == pytest.approx(t / 5, abs=0.03)
    assert all(np.array_equal(a, b) for a, b in zip(risen[5:], whole[5:], strict=True))
    kept, _ = synthesised(seen, Painter(), tmp_path, 0.25, when_shorter="keep")  # eight frames, the last of them in part
    parts = [changed(kept[t], shown[t]) / changed(whole[t], shown[t]) for t in range(9)]
    assert parts[:4] == pytest.approx([1] * 4) and parts[4:8] == pytest.approx([0.8, 0.6, 0.4, 0.2], abs=0.03) and parts[8] == 0


@pytest.mark.parametrize(("rate", "channels"), [(48000, 2), (44100, 1)])
def test_files_with_spaces_and_any_sound_are_finished(gapped, tmp_path, rate, channels):
    neighbour = tmp_path / "new lips" / "keep me.txt"
    neighbour.parent.mkdir()
    neighbour.write_text("here")
    out = tmp_path / "new lips.mp4"
    done = dub(gapped, sound(tmp_path / "a speech.wav", 1.5, rate, channels), out, Painter(), say=lambda _: None)
    source = probe(out)
    assert (source.width, source.height) == done.size == (236, 252)
    assert source.fps == pytest.approx(FPS) and done.frames == source.frames == int(np.ceil(1.5 * FPS))
    assert done.without_face == AWAY[1] - AWAY[0]
    samples, out_rate = read_sound(out)
    assert samples.shape[1] == channels and len(samples) / out_rate == pytest.approx(1.5, abs=0.06)
    assert neighbour.read_text() == "here" and len(list(tmp_path.iterdir())) == 3  # no folder left, none removed


def test_a_smaller_result_at_another_rate_from_one_picture(gapped, tmp_path):
    picture, large = tmp_path / "one picture.png", tmp_path / "large.mp4"
    image = next(read(gapped)).image[:251, :235]
    cv2.imwrite(str(picture), image[:, :, ::-1])
    with Writer(large, (471, 503)) as video:
        video.write(np.zeros((503, 471, 3), np.uint8))
        for _ in range(3):
            video.write(cv2.resize(image, (471, 503)))
    speech, out = sound(tmp_path / "s.wav", 0.3), tmp_path / "o.mp4"
    done = dub(picture, speech, out, Painter(), say=lambda _: None)
    assert done.size == (235, 251) and (probe(out).width, probe(out).height) == (236, 252)  # odd sizes are made even
    assert done.fps == 25 and done.frames == 8 and all(red(p.image) > 30 for p in read(out))
    done = dub(large, speech, out, Painter(), Dubbing(static=True, fps=24.0, resize_factor=2), say=lambda _: None)
    assert done.size == (236, 252) and done.frames == 8 and (probe(out).width, probe(out).height) == (236, 252)
    shown = [p.image for p in read(out, 24.0)]
    assert changed(shown[0], shown[-1]) < 40 and all(red(image) > 30 for image in shown)


def test_what_cannot_be_dubbed_is_said_and_the_old_result_stays(gapped, tmp_path):
    out, speech = tmp_path / "o.mp4", sound(tmp_path / "s.wav", 0.3)
    out.write_bytes(b"old")
    with pytest.raises(BadInput, match=r"not seen in 10 of 30 frames \(0\.33 to 0\.67 s\)"):
        dub(gapped, speech, out, Identity(), Dubbing(on_no_face="error"), say=lambda _: None)
    blank = tmp_path / "blank.mp4"
    with Writer(blank, (160, 128)) as video:
        for _ in range(5):
            video.write(np.full((128, 160, 3), 90, np.uint8))
    with pytest.raises(BadInput, match="no face"):
        dub(blank, speech, out, Identity(), say=lambda _: None)
    for wrong, match in (
        ({"lips": Identity(64)}, "64 pixels"),
        ({"video": tmp_path / "none.mp4"}, "no such file"),
        ({"speech": blank}, "no sound"),
        ({"out": tmp_path / "o.webm"}, ".mp4"),
        ({"out": speech.rename(tmp_path / "s.mp4"), "speech": tmp_path / "s.mp4"}, "speech itself"),
        ({"settings": Dubbing(resize_factor=0)}, "resize_factor"),
        ({"settings": Dubbing(fps=0.0)}, "fps"),
        ({"settings": Dubbing(pads=(0, -9, 0, 0))}, "pads"),
        ({"settings": Dubbing(blend=Blend(feather=0.0))}, "feather"),
    ):
        usual = {"video": gapped, "speech": tmp_path / "s.mp4", "out": out, "lips": Identity()}
        with pytest.raises(BadInput, match=match):
            dub(**(usual | wrong), say=lambda _: None)
    assert out.read_bytes() == b"old"
    assert package.Lips and isinstance(Identity(), package.Lips)


def test_a_rate_that_cannot_be_is_not_believed(gapped, monkeypatch):
    from likeness.dub import footage

    for claimed in (0.0, float("nan"), 1000.0):
        monkeypatch.setattr(footage, "probe", lambda path, fps=claimed: replace(probe(path), fps=fps))
        odd = Footage(gapped)
        assert odd.fps == 25 and "frames a second" in odd.notes[0]


def test_uneven_timestamps_are_said_once_and_even_ones_not(tmp_path):
    times = [0.04 * t for t in range(20)] + [0.8 + 0.1 * t for t in range(20)]
    path = make_video(tmp_path / "uneven.mp4", times)
    own, asked = Footage(path), Footage(path, 25.0)
    for footage in (own, own, asked):
        frames = sum(1 for _ in footage.forwards())
        assert frames / footage.fps == pytest.approx(2.8, abs=0.15)
    assert len(own.notes) == 1 and "uneven" in own.notes[0] and asked.notes == []
