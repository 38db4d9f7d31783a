"""Silence and speed, of a stand-in portrait whose pictures and seconds are known."""

import inspect
from types import SimpleNamespace

import pytest
import torch

from likeness.audio import Hearing
from likeness.evaluate import metrics
from likeness.evaluate.detection import detect
from likeness.evaluate.judge import Judge
from likeness.evaluate.silence import FRAMES as SILENT
from likeness.evaluate.silence import SETTLING, silence
from likeness.evaluate.speed import FRAMES, WARM_UP, speed
from likeness.portrait import Layer, Portrait
from likeness.scenery import Scenery


class Parrot(Portrait):
    """Shows one frame of the clip while nobody speaks, and others in turn while the gate is open."""

    hearing = Hearing(("mel",))

    def __init__(self, clip, shut: int, others: list[int]) -> None:
        super().__init__()
        self.stage = SimpleNamespace(torso=None, camera=clip.camera, background=torch.zeros(256, 256, 3, dtype=torch.uint8))
        self.frames = [clip.image(t) for t in (shut, *others)]
        self.seconds = iter(())
        self.clock = 0.0

    def listen(self, heard):
        turns = torch.arange(len(heard.activity)) % (len(self.frames) - 1) + 1
        return torch.where(heard.activity > 0, turns, 0)[:, None]

    def follow(self, motion):
        return torch.zeros(len(motion), 1, dtype=torch.long)

    def recognise(self, mean, std):
        return "own"

    def _no_file(self, *_):
        raise NotImplementedError

    sizes = furnish = extra_state = _no_file
    blank = classmethod(_no_file)

    def render(self, cond, motion, state=None):
        self.clock += next(self.seconds, 0.0)
        rgb = torch.from_numpy(self.frames[int(cond[0, 0])]).float() / 255
        return Layer(rgb[None], torch.ones(1, 256, 256)), None


def test_silence_is_what_is_drawn_in_it(clip, experts, monkeypatch):
    monkeypatch.setitem(inspect.unwrap(silence).__globals__, "FRAMES", SILENT)
    opening = metrics.opening(clip.pixels.numpy())
    shut, wide = int(opening.argmin()), int(opening.argmax())
    parrot, judge = Parrot(clip, shut, [shut, wide]), Judge(clip, clip.test, 256, experts)
    found = silence(parrot, clip, judge)
    order = [shut, wide] * (SILENT // 2)
    drawn = metrics.opening(detect("again", [clip.image(t) for t in order]).pixels)[SETTLING:]
    assert found["ungated_mean"] == pytest.approx(drawn.mean(), abs=0.05) and found["ungated_std"] > 1
    assert found["mean"] < found["ungated_mean"] - 1 and found["std"] < 0.3
    assert found["real_mean"] == pytest.approx(metrics.opening(judge.real_pixels).mean())


def test_speed_by_a_clock_that_is_known(clip, monkeypatch):
    """Heads take 10 ms and every 25th 50 ms; a picture 5 ms more; the first ten do not count."""
    for name, usual in (("FRAMES", FRAMES), ("WARM_UP", WARM_UP)):
        monkeypatch.setitem(inspect.unwrap(speed).__globals__, name, usual)
    parrot = Parrot(clip, 0, [0])
    parrot.seconds = iter([9.0] * WARM_UP + [0.05 if t % 25 == 24 else 0.01 for t in range(FRAMES)])

    def compose(scenery, layer, motion):
        parrot.clock += 0.005

    monkeypatch.setattr("time.perf_counter", lambda: parrot.clock)
    monkeypatch.setattr(Scenery, "compose", compose)
    assert len(clip.train) > FRAMES + WARM_UP
    found = speed(parrot, clip)
    assert found["render_fps"] == pytest.approx(100 / (96 * 0.01 + 4 * 0.05))
    assert found["picture_fps"] == pytest.approx(100 / (96 * 0.015 + 4 * 0.055))
    assert found["median_ms"] == pytest.approx(15) and found["p99_ms"] == pytest.approx(55)
