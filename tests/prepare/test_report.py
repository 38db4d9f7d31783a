"""The capture report: measures against hand values, and what is written."""

import json
import re
from io import StringIO

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.spatial.transform import Rotation

from likeness import speech
from likeness.errors import BadInput
from likeness.prepare import capture, report


def test_levels_follow_the_direction_of_the_thresholds():
    assert [capture._level(v, 10, 5) for v in (12.0, 10.0, 7.0, 4.0, float("nan"))] == [
        "good",
        "good",
        "warn",
        "bad",
        "bad",
    ]
    assert [capture._level(v, 1, 3) for v in (0.5, 1.0, 2.0, 4.0)] == ["good", "good", "warn", "bad"]


def test_sharpness_falls_with_blur_and_does_not_depend_on_size():
    rng = np.random.default_rng(0)
    face = cv2.GaussianBlur(rng.integers(0, 255, (200, 160), np.uint8), (0, 0), 1.0)
    values = [capture.sharpness(cv2.GaussianBlur(face, (0, 0), s) if s else face) for s in (0, 1, 2, 3)]
    assert values == sorted(values, reverse=True)
    larger = cv2.resize(face, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert capture.sharpness(larger) == pytest.approx(values[0], rel=0.15)


@pytest.mark.parametrize("sigma", [1.0, 4.0, 10.0])
def test_noise_is_measured(sigma):
    y, x = np.mgrid[:256, :256]
    picture = 120 + 40 * np.sin(x / 30) + 30 * np.cos(y / 25)
    noisy = picture + np.random.default_rng(0).normal(0, sigma, picture.shape)
    assert capture.noise(np.clip(np.round(noisy), 0, 255).astype(np.uint8)) == pytest.approx(sigma, rel=0.2)


def test_head_angles_by_hand():
    pose = np.tile(np.eye(4), (3, 1, 1))
    # The camera moves to the picture's left of the head: the head is turned to the right of the picture.
    for i, (axis, degrees) in enumerate((("y", 20), ("x", 10), ("z", 5))):
        pose[i, :3, :3] = Rotation.from_euler(axis, -degrees, degrees=True).as_matrix()
    angles = capture.head_angles(pose)
    assert np.abs(angles).round(4).tolist() == [[20, 0, 0], [0, 10, 0], [0, 0, 5]]
    head = pose[0, :3, :3].T @ np.array([0, 0, -1.0])  # where the nose points, in camera axes
    assert np.sign(head[0]) == np.sign(angles[0, 0])
    head = pose[1, :3, :3].T @ np.array([0, 0, -1.0])
    assert np.sign(head[1]) == np.sign(angles[1, 1])


def test_longest_run():
    assert capture.longest_run(np.array([0, 1, 1, 0, 1, 1, 1, 0], bool)) == 3
    assert capture.longest_run(np.zeros(4, bool)) == 0
    assert capture.longest_run(np.ones(4, bool)) == 4


def test_phones_that_were_not_heard_are_named():
    names = list(speech.PHONES)
    heard = [n for n in names if n not in ("OY", "ZH")]
    rows = np.zeros((40 * len(heard), len(names)))
    for i, name in enumerate(heard):
        rows[40 * i : 40 * i + 40, names.index(name)] = 1
    features = np.log(rows + speech.PROBABILITY_FLOOR).astype(np.float32)
    share, rare = capture.phone_cover(features, np.arange(len(rows) // 4))
    assert sorted(rare) == ["OY", "ZH"]
    assert share == pytest.approx(1 - 2 / sum(n.isalpha() and n != "SIL" for n in names))


def test_the_report_of_a_clip(actor_clip):
    clip, _ = actor_clip
    held = report.load_report(clip)
    findings = held["findings"]
    expected = {"usable", "cuts", "breaks", "seen", "repeats", "face_px", "face_share", "sharpness", "exposure", "turn",
                "speech", "phones", "closed", "offset", "silence", "noise", "still", "hand", "blurred"}  # fmt: skip
    assert expected <= findings.keys()
    for finding in findings.values():
        assert finding["level"] in ("good", "warn", "bad")
        assert finding["shown"] and finding["threshold"]
        assert bool(finding["advice"]) == (finding["level"] != "good")
    assert findings["usable"]["level"] == "bad"  # six seconds
    assert findings["cuts"]["level"] == findings["seen"]["level"] == findings["sharpness"]["level"] == "good"
    assert held["expected"] == "bad"
    assert all(0 <= t < len(clip) for t in held["moments"].values())
    json.dumps(held, allow_nan=False)


def test_the_moments_are_what_they_say(actor_clip, take):
    clip, _ = actor_clip
    moments = report.load_report(clip)["moments"]
    lips, eyes = take.performance.lips_m, take.performance.eyes
    assert lips[moments["mouth widest"]] > np.quantile(lips, 0.9)
    assert lips[moments["mouth closed"]] < np.quantile(lips, 0.5)
    assert eyes[moments["eyes closed"]] < 0.6
    yaw = capture.head_angles(take.performance.motion.pose.numpy())[:, 0]
    assert yaw[moments["farthest left"]] < yaw[moments["usual pose"]] < yaw[moments["farthest right"]]


def test_the_page_holds_everything_in_itself(actor_clip):
    clip, _ = actor_clip
    page = (clip.folder / "report.html").read_text()
    assert len(page) < 1_000_000
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert sources and all(s.startswith("data:image/jpeg;base64,") for s in sources)
    assert "http" not in page and "<script" not in page
    assert "an actor&#x27;s &quot;take&quot;.mp4" in page  # the file's name, escaped


def test_the_table_for_a_terminal(actor_clip):
    clip, _ = actor_clip
    out = StringIO()
    Console(file=out, width=140).print(report.table(clip))
    assert "Footage to learn from" in out.getvalue() and "✗" in out.getvalue()


def test_a_damaged_report(actor_clip, tmp_path):
    clip, _ = actor_clip
    folder = clip.folder
    try:
        clip.folder = tmp_path
        with pytest.raises(BadInput, match="prepare again"):
            report.load_report(clip)
    finally:
        clip.folder = folder


def test_a_shifted_sound_is_reported():
    clear = {"measured": -5.3, "margin": 0.4, "frames": -5.25, "clear": True}
    assert capture._offset_finding(clear).level == "warn"
    assert "-5.25" in capture._offset_finding(clear).advice
    assert capture._offset_finding(clear | {"measured": 0.4, "frames": 0.0}).level == "good"
    unclear = capture._offset_finding(clear | {"clear": False, "margin": 0.05})
    assert unclear.level == "warn" and "not clear" in unclear.shown


def test_tensors_of_the_motion_are_not_changed_by_measuring(actor_clip):
    clip, _ = actor_clip
    before = clip.motion.pose.clone()
    capture.measure(clip)
    assert torch.equal(before, clip.motion.pose)
