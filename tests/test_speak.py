"""Speaking: from a sound to frames that are those of every other way there."""

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from likeness import audio, speak
from likeness.choreography import Choreography
from likeness.delivery import Delivery
from likeness.errors import BadInput, Refused
from likeness.eyes import blinks
from likeness.rig import LIP_COEFFICIENTS
from likeness.scenery import backdrop
from likeness.speak import check
from likeness.speak import speak as say
from likeness.stance import NAMES, Stance
from likeness.video import probe
from tests.media import read_sound

FRAMES = 58  # of `speech_file`
SILENT = slice(34, 41)  # frames of it well within its silence
STILL = Delivery(pose="fixed", eyes=1.0)


@pytest.fixture(scope="module")
def spoken(portrait, speech_file):
    """One speech by the clip's own movement, and its pictures."""
    speech = say(portrait, speech_file)
    return speech, list(speech)


def short(portrait, sound, delivery: Delivery, start: int = 0, stop: int = 3):
    """A few pictures of a speech, and the speech."""
    speech = say(portrait, sound, delivery)
    motion, cond = speech.motion(start, stop), speech.cond(start, stop)
    layers = [speech.portrait.render(cond[t : t + 1], motion[t : t + 1])[0] for t in range(stop - start)]
    return [speech.scenery.compose(layer, motion[t : t + 1]) for t, layer in enumerate(layers)], speech


def test_it_is_as_long_as_the_sound(spoken, speech_file):
    speech, pictures = spoken
    assert len(speech) == len(pictures) == FRAMES == audio.frames_in(len(audio.load(speech_file)))
    assert all(p.shape == (256, 256, 3) and p.dtype == np.uint8 for p in pictures)
    assert speech.size == (256, 256) and speech.voice in ("own", "other")


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_chunks_do_not_show(portrait, speech_file, spoken, monkeypatch, chunk):
    monkeypatch.setattr(speak, "CHUNK", chunk)
    for picture, wanted in zip(say(portrait, speech_file), spoken[1]):
        assert np.array_equal(picture, wanted)


def test_chunks_do_not_show_in_the_conditioning(spoken):
    speech, _ = spoken
    whole = speech.cond(0, FRAMES)
    parts = torch.cat([speech.cond(a, b) for a, b in ((0, 1), (1, 30), (30, FRAMES))])
    assert torch.allclose(parts, whole, atol=1e-5)


def test_the_mouth_closes_in_silence(portrait, speech_file, spoken):
    cond = spoken[0].cond(0, FRAMES)
    assert (spoken[0].listening.activity[SILENT] < 0.05).all() and spoken[0].listening.activity.max() > 0.95
    rest = portrait.rig.rest
    assert (cond[SILENT] - rest).abs().max() < 0.1 * (cond - rest).abs().max()
    open_anyway = say(portrait, speech_file, Delivery(close_in_silence=False)).cond(0, FRAMES)
    assert not torch.allclose(open_anyway[SILENT], cond[SILENT], atol=1e-3)


def test_digital_silence_is_the_mouth_at_rest(portrait, tmp_path):
    audio.save_wav(tmp_path / "silence.wav", np.zeros(audio.RATE, np.float32))
    cond = say(portrait, tmp_path / "silence.wav").cond(0, 25)
    assert torch.allclose(cond, portrait.rig.rest.expand(25, LIP_COEFFICIENTS), atol=1e-6)


def test_amplitude_is_a_factor_round_the_mouth_at_rest(portrait, speech_file):
    rest = portrait.rig.rest
    speech = say(portrait, speech_file, Delivery(voice="own", close_in_silence=False))

    def said(amplitude: float) -> torch.Tensor:
        speech.delivery = replace(speech.delivery, amplitude=amplitude)
        return speech.cond(5, 20)

    none, half, one = said(0.0), said(0.5), said(1.0)
    assert torch.allclose(none, rest.expand_as(none), atol=1e-5)
    inside = (one > portrait.rig.low[:8] + 1e-4) & (one < portrait.rig.high[:8] - 1e-4)  # not clipped
    assert torch.allclose((half - rest)[inside], (0.5 * (one - rest))[inside], atol=1e-4)


def test_a_fixed_pose_is_really_fixed(portrait, speech_file):
    speech = say(portrait, speech_file, STILL)
    motion = speech.motion(0, FRAMES)
    assert torch.equal(motion.pose, motion.pose[:1].expand_as(motion.pose))
    assert torch.allclose(motion.torso, motion.torso[:1].expand_as(motion.torso), atol=1e-4)
    assert (motion.eyes == 1).all()


def test_the_clips_own_movement_goes_on_without_a_jump(portrait, speech_file):
    speech = say(portrait, speech_file)
    period = len(speech.choreography)
    pose = speech.motion(0, 2 * period + 5).pose
    step = (pose[1:] - pose[:-1]).flatten(1).norm(dim=1)
    usual = step[: period // 2].max()
    assert step.max() < 2 * usual  # also where it turns and where it begins anew
    assert torch.equal(say(portrait, speech_file, Delivery(start=9)).motion(0, 5).pose, speech.motion(9, 14).pose)


@pytest.mark.parametrize("smooth", [0.0, 1.0, 400.0])
def test_a_loop_begins_anew_as_it_goes_on(portrait, smooth):
    """Played back and forth, head and torso are alike before and after the frame at which the loop begins."""
    moves = Choreography(portrait.stage, Delivery(smooth=smooth))
    whole = moves.motion(0, 2 * len(moves))
    before, after = whole[torch.tensor([-1, -2, -9])], whole[torch.tensor([1, 2, 9])]
    assert torch.allclose(before.pose, after.pose, atol=1e-5) and torch.allclose(before.torso, after.torso, atol=1e-2)


def test_the_movement_of_another_clip(portrait, clip, speech_file):
    motion = say(portrait, speech_file, Delivery(pose=clip.folder, smooth=0.0)).motion(0, 20)
    named = say(portrait, speech_file, Delivery(pose=str(clip.folder), smooth=0.0)).motion(0, 20)
    assert torch.equal(named.pose, motion.pose)
    assert torch.allclose(motion.pose, portrait.stage.motion.pose[:20], atol=1e-5)  # here the same, shifted by nothing
    assert motion.torso is not None
    with pytest.raises(BadInput, match="no such folder"):
        say(portrait, speech_file, Delivery(pose="nowhere"))


@pytest.fixture(scope="module")
def own_path(portrait, tmp_path_factory):
    """The portrait's own movement, written down."""
    pose = portrait.stage.motion.pose
    rows = np.column_stack([np.arange(len(pose)), Stance.of(pose).numbers(pose)])
    path = tmp_path_factory.mktemp("paths") / "own.csv"
    np.savetxt(path, rows, delimiter=",", header=",".join(("frame", *NAMES)), comments="", fmt="%.9g")
    return path


def test_a_file_with_the_clips_own_poses_gives_the_clips_own_pictures(portrait, speech_file, spoken, own_path):
    speech = say(portrait, speech_file, Delivery(pose=own_path))
    assert len(speech.choreography) == len(spoken[0].choreography) and speech.choreography.warning is None
    for picture, wanted in zip(list(speech)[:12], spoken[1]):
        assert np.abs(picture.astype(int) - wanted).max() <= 6 and np.abs(picture.astype(int) - wanted).mean() < 0.01


@pytest.mark.parametrize(
    "delivery",
    [
        Delivery(pose="orbit:9:1.4", eyes="blinks", start=3),
        Delivery(pose="path", fov=12.0, eyes="curve"),
        Delivery(pose="fixed", fov=12.0, background="#112233"),
    ],
)
def test_chunks_do_not_show_with_any_option(portrait, speech_file, tmp_path, monkeypatch, delivery):
    (tmp_path / "path.csv").write_text("frame,yaw,x,z\n0,-9,-0.06,0\n13,9,0.06,0.2\n")
    (tmp_path / "curve.csv").write_text("time,eyes\n0,1\n0.5,0\n")
    files = {name: tmp_path / f"{getattr(delivery, name)}.csv" for name in ("pose", "eyes")}
    delivery = replace(delivery, **{name: path for name, path in files.items() if path.is_file()})
    speech = say(portrait, speech_file, delivery)
    whole = speech.motion(0, FRAMES)
    parts = [speech.motion(a, min(a + 7, FRAMES)) for a in range(0, FRAMES, 7)]
    for name in ("pose", "eyes", "landmarks", "torso"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    pictures = list(speech)
    monkeypatch.setattr(speak, "CHUNK", 7)
    assert all(np.array_equal(a, b) for a, b in zip(say(portrait, speech_file, delivery), pictures))


def test_an_orbit_goes_round_while_the_face_goes_its_own_way(portrait, speech_file):
    speech = say(portrait, speech_file, Delivery(pose="orbit:10:2"))
    motion, own = speech.motion(0, 130), portrait.stage.motion
    assert len(speech.choreography) == 50 and torch.equal(motion.pose[:50], motion.pose[50:100])
    assert torch.equal(motion.torso[:50], motion.torso[50:100])
    yaw = Stance.of(own.pose).numbers(motion.pose)[:, 0]
    assert yaw.max() == pytest.approx(10, abs=0.15) and yaw.min() == pytest.approx(-10, abs=0.15)  # smoothed a little
    assert torch.equal(motion.landmarks, own.loop(130).landmarks) and torch.equal(motion.eyes, own.loop(130).eyes)


def test_a_short_path_goes_back_and_forth(portrait, speech_file, tmp_path):
    (tmp_path / "a.csv").write_text("frame,yaw\n0,0\n10,5\n")
    yaw = say(portrait, speech_file, Delivery(pose=tmp_path / "a.csv", smooth=0.0)).choreography
    assert len(yaw) == 20
    motion = yaw.motion(0, 45)
    turned = Stance.of(portrait.stage.motion.pose).numbers(motion.pose)[:, 0]
    assert torch.allclose(turned[:11], turned[10:21].flip(0), atol=1e-4) and torch.equal(turned[:20], turned[20:40])


def test_where_the_torso_follows_in_blocks_there_is_no_seam(portrait, monkeypatch):
    whole = Choreography(portrait.stage, Delivery())
    monkeypatch.setattr("likeness.choreography.BLOCK", 37)
    assert torch.allclose(Choreography(portrait.stage, Delivery()).torso, whole.torso, atol=1e-4)


def test_a_user_is_told_what_the_video_never_showed(portrait, tmp_path, take):
    audio.save_wav(tmp_path / "a.wav", take.performance.waveform[: take.performance.rate // 12], take.performance.rate)
    lines: list[str] = []
    say(portrait, tmp_path / "a.wav", Delivery(pose="orbit:40")).save(tmp_path / "a.mp4", say=lines.append)
    assert any("yaw -40 to 40 degrees" in line for line in lines)
    lines.clear()
    say(portrait, tmp_path / "a.wav", Delivery(pose="orbit")).save(tmp_path / "a.mp4", say=lines.append)
    assert not any("never showed" in line for line in lines)


def test_eyes(portrait, speech_file):
    shut = short(portrait, speech_file, replace(STILL, eyes=0.0))[0][0].astype(int)
    wide = short(portrait, speech_file, STILL)[0][0].astype(int)
    assert np.abs(shut - wide).max() > 10
    speech = say(portrait, speech_file, Delivery(eyes="blinks", blink_seed=4))
    assert torch.equal(speech.motion(3, 30).eyes, blinks(3, 30, 4))


def test_transparent_is_rgba_that_gives_the_solid_picture_when_laid_over_it(portrait, speech_file):
    clear, _ = short(portrait, speech_file, replace(STILL, background="transparent"))
    solid, speech = short(portrait, speech_file, STILL)
    assert clear[0].shape == (256, 256, 4) and clear[0][..., 3].min() == 0 and clear[0][..., 3].max() == 255
    alpha = clear[0][..., 3:] / 255.0
    laid = clear[0][..., :3] * alpha + (1 - alpha) * speech.scenery.plate
    assert np.abs(laid - solid[0]).mean() < 1


def test_a_colour_and_a_picture_behind(portrait, speech_file, tmp_path):
    green, _ = short(portrait, speech_file, replace(STILL, background="#20a040"))
    clear, _ = short(portrait, speech_file, replace(STILL, background="transparent"))
    empty = clear[0][..., 3] == 0
    assert empty.sum() > 500 and (green[0][empty] == (0x20, 0xA0, 0x40)).all()
    wide = np.zeros((90, 400, 3), np.uint8)
    wide[:, 150:250] = (9, 20, 200)  # BGR: only the middle square is shown, enlarged
    cv2.imwrite(str(tmp_path / "my 'picture'.png"), wide)
    shown, _ = short(portrait, speech_file, replace(STILL, background=str(tmp_path / "my 'picture'.png")))
    assert np.abs(shown[0][empty].astype(int) - (200, 20, 9)).max() <= 2
    usual, _ = short(portrait, speech_file, STILL)
    assert (usual[0][empty] == portrait.stage.background.numpy()[empty]).all()


@pytest.mark.parametrize(("side", "way"), [(64, cv2.INTER_CUBIC), (640, cv2.INTER_AREA)])
def test_a_picture_behind_is_enlarged_smoothly_and_shrunk_without_aliasing(tmp_path, side, way):
    image = np.random.default_rng(0).integers(0, 255, (side, side, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    assert np.array_equal(backdrop(str(tmp_path / "a.png"), (256, 256)), cv2.resize(image, (256, 256), interpolation=way))


def test_a_video_has_the_sound_and_is_as_long(spoken, tmp_path, speech_file):
    path = spoken[0].save(tmp_path / 'it\'s "said".mp4')
    source = probe(path)
    assert (source.width, source.height, source.fps) == (256, 256, 25) and source.frames == FRAMES and source.has_sound
    sound, rate = read_sound(path)
    assert abs(len(sound) / rate - FRAMES / 25) <= 1 / 25
    ours, theirs = audio.loudness(audio.load(path)), audio.loudness(audio.load(speech_file))
    assert np.corrcoef(ours[: len(theirs)], theirs[: len(ours)])[0, 1] > 0.9
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("background", ["transparent", "#ff0000"])
def test_pictures_and_webm_hold_transparency(portrait, tmp_path, take, background):
    audio.save_wav(tmp_path / "a.wav", take.performance.waveform[: take.performance.rate // 5], take.performance.rate)
    speech = say(portrait, tmp_path / "a.wav", replace(STILL, background=background))
    speech.save(tmp_path / "pictures")
    files = sorted((tmp_path / "pictures").iterdir())
    assert [f.name for f in files] == [f"{t:06d}.png" for t in range(5)]
    image = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED)
    assert image.shape == (256, 256, 4) and (image[..., 3].min() == 0) == (background == "transparent")
    speech.save(tmp_path / "a.webm")
    with av.open(str(tmp_path / "a.webm")) as video:
        assert video.streams.video[0].metadata.get("alpha_mode") == "1" and len(video.streams.audio) == 1


def test_what_cannot_be_said_is_told_before_any_work(portrait, speech_file, tmp_path, portrait_file):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").touch()
    own = tmp_path / "speech.mp4"
    own.write_bytes(speech_file.read_bytes())
    good = tmp_path / "a.mp4"
    for sound, out, delivery, kind, text in (
        (tmp_path / "none.wav", good, Delivery(), BadInput, "no such file"),
        (portrait_file, good, Delivery(), BadInput, "not a video or sound file"),
        (speech_file, tmp_path / "a.avi", Delivery(), BadInput, "use .mp4"),
        (speech_file, tmp_path / "nowhere" / "a.mp4", Delivery(), BadInput, "no folder"),
        (speech_file, Path("/proc/a.mp4"), Delivery(), BadInput, "/proc/a.mp4"),
        (speech_file, tmp_path / "full", Delivery(), Refused, "not an empty folder"),
        (own, own, Delivery(), BadInput, "the speech itself"),
        (speech_file, good, Delivery(background="transparent"), BadInput, r"\.mp4 cannot be transparent"),
        (speech_file, good, Delivery(background="#12"), BadInput, "no colour"),
        (speech_file, good, Delivery(background="blue"), BadInput, "no such background"),
        (speech_file, good, Delivery(background=str(speech_file)), BadInput, "not a picture"),
        (speech_file, good, Delivery(pose=tmp_path), BadInput, "not a clip"),
        (speech_file, good, Delivery(eyes=1.5), BadInput, "eyes is 1.5"),
        (speech_file, good, Delivery(amplitude=float("nan")), BadInput, "amplitude"),
        (speech_file, good, Delivery(smooth=-1.0), BadInput, "smooth"),
        (speech_file, good, Delivery(blink_seed=-1), BadInput, "blink_seed"),
        (speech_file, good, Delivery(temperature=-0.1), BadInput, "temperature"),
        (speech_file, good, Delivery(motion_seed=1 << 64), BadInput, "motion_seed"),
        (speech_file, good, Delivery(fov=0.0), BadInput, "fov is 0.0"),
        (speech_file, good, Delivery(appearance=-1), BadInput, "appearance is -1"),
        (speech_file, good, Delivery(pose="orbit:far"), BadInput, "orbit:DEGREES"),
        (speech_file, good, Delivery(pose=tmp_path / "none.csv"), BadInput, "no such file of poses"),
        (speech_file, good, Delivery(eyes="wide"), BadInput, "no such eyes"),
    ):
        with pytest.raises(kind, match=text):
            check(sound, out, delivery)
    assert not good.exists() and own.read_bytes() == speech_file.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full", "speech.mp4"]
