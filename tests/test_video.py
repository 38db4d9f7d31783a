"""Reading and writing media: what is read is what was shown and heard, when it was."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import video
from likeness.errors import BadInput, Refused
from likeness.video.picture import constant, timed
from tests.media import make_sound, make_video, number_in, numbered, read_sound, tone


def pictures(path: Path, **options) -> list[tuple[int, int, bool]]:
    return [(p.index, number_in(p.image), p.repeated) for p in video.read(path, **options)]


def test_25_frames_a_second_pass_through(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a name with 'quotes' \"and\" spaces é.mp4", [t / 25 for t in range(30)])
    assert pictures(path) == [(t, t, False) for t in range(30)]
    source = video.probe(path)
    assert (source.width, source.height, source.rotation, source.has_sound) == (128, 64, 0, False)
    assert source.fps == pytest.approx(25, rel=0.05) and source.codec == "h264"


@pytest.mark.parametrize("rate", [23.976, 29.97, 30, 50, 60])
def test_other_rates_show_the_nearest_picture(tmp_path: Path, rate: float) -> None:
    path = make_video(tmp_path / "a.mp4", [t / rate for t in range(100)])
    found = pictures(path)
    assert len(found) == round(100 / rate * 25)
    assert [f[0] for f in found] == list(range(len(found)))
    assert all(abs(number / rate - t / 25) <= 0.5 / rate + 1e-3 for t, number, _ in found[:-1])
    repeats = [b for (_, a, _), (_, b, again) in pairwise(found) if again and a != b]
    assert not repeats


def test_variable_rate_holes_and_late_start(tmp_path: Path) -> None:
    times = [1.0, 1.04, 1.08, 1.5, 1.52, 1.6, 2.6]
    found = pictures(make_video(tmp_path / "a.mkv", times))
    assert found[0] == (0, 0, False)
    shown = {t: number for t, number, _ in found}
    assert (shown[2], shown[11], shown[12], shown[15], shown[39], shown[40]) == (2, 2, 3, 5, 5, 6)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, rotation: int) -> None:
    path = make_video(tmp_path / "a.mp4", [t / 25 for t in range(5)], rotation=rotation)
    source = video.probe(path)
    turned = np.rot90(numbered(0), rotation // 90)
    assert source.rotation == rotation and (source.height, source.width) == turned.shape[:2]
    image = next(video.read(path)).image
    assert image.shape == turned.shape and np.abs(image.astype(int) - turned).mean() < 12


def test_odd_sizes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [0, 0.04, 0.08], (129, 67))
    assert [p.image.shape for p in video.read(path)] == [(67, 129, 3)] * 3


class Stored:
    """A decoded frame, as far as `timed` looks."""

    def __init__(self, time: float | None) -> None:
        self.time = time


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(-100, 5000, allow_nan=False)), min_size=1, max_size=40),
    st.sampled_from([25, 30]),
)
def test_whatever_the_timestamps_time_only_grows(times: list[float | None], rate: int) -> None:
    problems: list[str] = []
    found = list(timed((Stored(t) for t in times), 1 / rate, problems))
    assert found[0][:2] == (0, 0.0)
    seconds = [f[1] for f in found]
    assert all(0 < b - a <= 60.1 for a, b in pairwise(seconds))


def test_every_output_frame_is_filled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likeness.video.picture.to_rgb", lambda frame, stream, convert: np.zeros((1, 1, 3), np.uint8))
    steps = np.random.default_rng(0).exponential(0.04, 200)
    frames = [(k, float(t), None) for k, t in enumerate(np.cumsum(steps))]
    places = list(constant(iter([(0, 0.0, None), *frames[1:]]), 25.0, 0.04, None))
    assert [p.index for p in places] == list(range(len(places)))
    assert all(a.source_index <= b.source_index for a, b in pairwise(places))


def test_pulled_up_files_are_recognised_and_put_back(tmp_path: Path) -> None:
    numbers = [n for k in range(50) for n in ([k * 2] * (2 if k % 5 == 4 else 1))]  # made at 25, stored at 30
    path = make_video(tmp_path / "a.mp4", [t / 30 for t in range(len(numbers))], numbers=numbers)
    made, share = video.cadence(path)
    assert made == pytest.approx(25, abs=0.1) and share == pytest.approx(1 / 6, abs=0.03)
    found = pictures(path, made_fps=made)
    assert [n for _, n, _ in found] == [k * 2 for k in range(50)]
    assert not any(again for *_, again in found)
    assert video.cadence(make_video(tmp_path / "b.mp4", [t / 30 for t in range(60)]))[0] is None


def test_a_truncated_file_yields_what_is_readable(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    with video.Writer(whole, (128, 64), sound=(tone(6, 16000), 16000)) as writer:
        for t in range(150):
            writer.write(np.random.default_rng(t).integers(0, 255, (64, 128, 3)).astype(np.uint8))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    reader = video.read(cut)
    count = len(list(reader))
    assert 20 < count < 149
    assert any("cut short" in problem for problem in reader.problems)
    sound, rate = read_sound(cut)
    assert 0.5 < len(sound) / rate < 6


@pytest.mark.parametrize("content", ["missing", "empty", "text", "noise", "folder", "headless", "picture", "sound"])
def test_what_is_no_video_is_refused_at_once(tmp_path: Path, content: str) -> None:
    path = tmp_path / 'it\'s a "video".mp4'
    if content == "empty":
        path.touch()
    elif content == "text":
        path.write_text("hello " * 1000)
    elif content == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(3_000_000))
    elif content == "folder":
        path.mkdir()
    elif content == "headless":  # cut short before the index at its end
        whole = make_video(tmp_path / "whole.mp4", [t / 25 for t in range(30)])
        path.write_bytes(whole.read_bytes()[:2000])
    elif content == "picture":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    elif content == "sound":
        make_sound(path, tone(1, 16000)[:, None], 16000, "aac", "mono")
    began = time.monotonic()
    with pytest.raises(BadInput, match="video"):
        video.read(path)
    assert time.monotonic() - began < 1


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    make_video(tmp_path / "a.ts", [t / 25 for t in range(30)])
    (tmp_path / "b.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\na.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(BadInput):
        video.read(tmp_path / "b.mp4")


# sound


@pytest.mark.parametrize(
    ("name", "codec", "layout", "rate"),
    [
        ("a.wav", "pcm_s16le", "mono", 8000),
        ("a.wav", "pcm_s24le", "stereo", 48000),
        ("a.wav", "pcm_f32le", "mono", 96000),
        ("a.wav", "pcm_u8", "mono", 16000),
        ("a.wav", "libmp3lame", "stereo", 44100),
        ("a.mp3", "libmp3lame", "mono", 24000),
        ("a.m4a", "aac", "5.1", 48000),
        ("a.flac", "flac", "stereo", 44100),
        ("a.ogg", "libopus", "mono", 48000),
    ],
)
def test_any_sound_file(tmp_path: Path, name: str, codec: str, layout: str, rate: int) -> None:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    wave = np.stack([tone(2, rate)] * channels, 1)
    path = make_sound(tmp_path / name, wave, rate, codec, layout)
    samples, found = read_sound(path)
    assert found == rate and samples.shape[1] == channels and samples.dtype == np.float32
    assert abs(len(samples) / rate - 2) < 0.06
    middle = samples[rate // 2 : rate * 3 // 2, 0]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)  # LAME lowers by 5 %
    assert abs(np.fft.rfft(middle).__abs__().argmax() - 440) <= 1  # one second of it: bins are hertz
    assert np.abs(video.mixdown(samples)).max() < 0.65


@pytest.mark.parametrize("start_s", [0.5, 0.0])
def test_sound_is_placed_against_the_first_picture(tmp_path: Path, start_s: float) -> None:
    click = np.zeros(48000, np.float32)
    click[24000:24200] = 0.9
    for begins in (0.0, 0.3):  # the pictures' own start
        times = [begins + t / 25 for t in range(40)]
        path = make_video(tmp_path / f"{begins}.mkv", times, sound=(click, 48000, start_s))
        samples, rate = read_sound(path)
        at = np.flatnonzero(np.abs(samples[:, 0]) > 0.3)[0] / rate
        assert at == pytest.approx(start_s + 0.5 - begins, abs=0.003)


def test_blocks_are_bounded_and_the_same_as_the_whole(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "a.wav", tone(5, 16000)[:, None], 16000, "pcm_s16le", "mono")
    sound = video.open_sound(path, block_s=0.5)
    blocks = list(sound.blocks)
    assert max(len(b) for b in blocks) < 16000
    assert np.array_equal(np.concatenate(blocks), read_sound(path)[0])


def test_no_sound_and_damaged_sound(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no sound"):
        video.open_sound(make_video(tmp_path / "a.mp4", [0, 0.04]))
    path = make_sound(tmp_path / "a.mp3", tone(2, 44100)[:, None], 44100, "libmp3lame", "mono")
    damaged = bytearray(path.read_bytes())
    damaged[5000:9000] = bytes(4000)
    path.write_bytes(damaged)
    samples, _ = read_sound(path)
    assert len(samples) > 44100 and np.isfinite(samples).all()


# writing


def write(path: Path, frames: int, sound: video.Sound | tuple | str | None = None, size: tuple[int, int] = (128, 64)) -> None:
    with video.Writer(path, size, sound=sound) as writer:
        for t in range(frames):
            writer.write(numbered(t, size))


@pytest.mark.parametrize("sound_s", [0.1, 2.0, 5.0])
def test_sound_is_as_long_as_the_pictures(tmp_path: Path, sound_s: float) -> None:
    path = tmp_path / "a.mp4"
    write(path, 50, (tone(sound_s, 16000), 16000))
    samples, rate = read_sound(path)
    assert abs(len(samples) / rate - 2) < 0.04
    assert [n for _, n, _ in pictures(path)] == list(range(50))
    with av.open(str(path)) as container:
        codecs = [s.codec_context.name for s in container.streams]
    assert codecs == ["h264", "aac"]
    heard = samples[int(0.02 * rate) : int((min(sound_s, 2) - 0.02) * rate), 0]
    assert np.sqrt((heard**2).mean()) == pytest.approx(0.35, rel=0.05)
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")  # plays before it is all there


def test_sound_from_a_file_and_colours(tmp_path: Path) -> None:
    speech = make_sound(tmp_path / "a.flac", np.stack([tone(1, 44100)] * 2, 1), 44100, "flac", "stereo")
    write(tmp_path / "b.mp4", 25, str(speech))
    samples, _ = read_sound(tmp_path / "b.mp4")
    assert samples.shape[1] == 2
    image = next(video.read(tmp_path / "b.mp4")).image
    assert np.abs(image[10, 20].astype(int) - (200, 30, 30)).max() < 8


def test_odd_sizes_repeat_the_edge(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 5, size=(129, 67))
    source = video.probe(tmp_path / "a.mp4")
    assert (source.width, source.height) == (130, 68)


def test_transparent_video_and_pictures(tmp_path: Path) -> None:
    image = np.dstack([numbered(5), np.full((64, 128), 255, np.uint8)])
    image[:32, :, 3] = 40
    with video.Writer(tmp_path / "a.webm", (128, 64), sound=(tone(1, 16000), 16000)) as writer:
        for _ in range(25):
            writer.write(image)
    with av.open(str(tmp_path / "a.webm")) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        frame = next(f for p in container.demux(stream) for f in decoder.decode(p))
    assert frame.format.name == "yuva420p"
    alpha = frame.to_ndarray(format="rgba")[..., 3]
    assert abs(int(alpha[10, 64]) - 40) < 12 and alpha[50, 64] > 245
    with video.PngWriter(tmp_path / "pictures", (128, 64)) as sequence:
        sequence.write(image)
        sequence.write(image)
    import cv2

    back = cv2.imread(str(tmp_path / "pictures" / "000001.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(cv2.cvtColor(back, cv2.COLOR_BGRA2RGBA), image)
    with pytest.raises(Refused):
        video.PngWriter(tmp_path / "pictures", (128, 64))


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"what was there")
    with pytest.raises(RuntimeError), video.Writer(path, (128, 64)) as writer:
        writer.write(numbered(0))
        raise RuntimeError
    with pytest.raises(BadInput, match="frame 1"), video.Writer(path, (128, 64)) as writer:
        writer.write(numbered(0))
        writer.write(numbered(0, (64, 64)))
    with pytest.raises(BadInput, match="no picture"), video.Writer(path, (128, 64)):
        pass
    with pytest.raises(KeyboardInterrupt), video.PngWriter(tmp_path / "p", (128, 64)):
        raise KeyboardInterrupt
    assert path.read_bytes() == b"what was there" and [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("name", ["no/such/folder/a.mp4", "a.xyz", "folder.mp4", "noext"])
def test_where_nothing_can_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(BadInput, match=r"no folder|cannot write|is a folder"):
        video.Writer(tmp_path / name, (128, 64))
    with pytest.raises(BadInput):
        video.Writer("/proc/a.mp4", (128, 64))


FULL_DISK = """
import resource, sys, numpy as np
from likeness import video
from likeness.errors import Exhausted
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
noise = np.random.default_rng(0).integers(0, 255, (20, 64, 128, 3)).astype(np.uint8)
try:
    with video.Writer(sys.argv[1], (128, 64)) as writer:
        for image in noise:
            writer.write(image)
except Exhausted as error:
    sys.exit("Exhausted: " + str(error))
"""


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the error comes from the same write."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "a.mp4")], capture_output=True, text=True, check=False
    )
    assert "Exhausted" in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())
