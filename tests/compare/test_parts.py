"""The report's parts: error maps, worst frames, curves, training seconds, names."""

import json
import re

import cv2
import numpy as np
import pytest

from likeness import mesh
from likeness.compare import named
from likeness.compare.entries import slug
from likeness.compare.maps import SIDE, alignment, error_map, heat, layout, regions
from likeness.compare.openings import chart
from likeness.compare.players import every_frame
from likeness.compare.portraits import training_seconds
from likeness.compare.worst import APART, COUNT, TILE, close_up, worst
from likeness.errors import BadInput


@pytest.fixture
def face(clip) -> np.ndarray:
    return layout(clip)


def moved(face: np.ndarray, scale: float, turn: float, shift: tuple[float, float]) -> np.ndarray:
    z = (face @ [1, 1j]) * scale * np.exp(1j * turn)
    return np.stack([z.real, z.imag], axis=1) + shift


def test_the_crop_holds_the_face(face):
    oval = face[list(mesh.FACE_OVAL)]
    assert (oval > 0.1 * SIDE).all() and (oval < 0.95 * SIDE).all()
    assert abs(oval[:, 0].min() + oval[:, 0].max() - SIDE) < 1  # in the middle


def test_alignment_undoes_a_similarity(face):
    points = moved(face, 0.7, 0.3, (40, -12))
    back = np.c_[points, np.ones(len(points))] @ alignment(points, face).T
    assert np.abs(back - face).max() < 1e-9


def test_regions_divide_the_crop(face):
    parts = regions(face)
    assert (sum(mask.astype(int) for mask in parts.values()) == 1).all()
    y, x = face[list(mesh.LIPS)].mean(0).round().astype(int)[::-1]
    assert parts["lips"][y, x] and parts["around the face"][0, 0]


def test_an_error_at_the_lips_is_shown_at_the_lips_wherever_the_head_is(face):
    places = [moved(face, 0.9, turn, (30 * turn, 10)) for turn in (-0.2, 0.0, 0.25)]
    real = [np.full((256, 256, 3), 90, np.uint8) for _ in places]
    drawn = []
    for points, picture in zip(places, real):
        wrong = picture.copy()
        hull = cv2.convexHull(points[list(mesh.LIPS)].round().astype(np.int32))
        drawn.append(cv2.fillConvexPoly(wrong, hull, (120, 90, 90)))
    found = error_map(drawn, real, places, face)
    assert found.regions["lips"] == pytest.approx(10, rel=0.1)  # 30 in one of three channels
    assert found.regions["around the face"] == 0 and found.regions["rest of the face"] < 0.5
    y, x = np.unravel_index(found.values.argmax(), found.values.shape)
    assert regions(face)["lips"][y, x]
    nothing = error_map(real, real, places, face)
    assert nothing.values.max() == 0


def test_heat_ends_at_its_top():
    colours = heat(np.array([[0.0, 5, 10, 99]], np.float32), 10.0)
    assert colours[0, 0].max() < 8 and (colours[0, 2] == colours[0, 3]).all() and colours[0, 2].min() > 100


def test_worst_frames_are_apart_and_worst_first():
    errors = np.full(60, 30.0)
    errors[[7, 8, 9]], errors[40], errors[20] = (10, 9, 11), 12, 25
    assert worst(list(errors), list(range(100, 160))) == [108, 140, 120]
    assert len(worst([1.0, 2.0, 3.0], [5, 6, 7])) == 1 and COUNT == 3 and APART == 12


@pytest.mark.parametrize("box", [(10, 20, 110, 160), (-5, -5, 60, 70), (200, 180, 256, 256), (0, 0, 256, 256)])
def test_a_close_up_stays_in_the_picture(box):
    picture = np.arange(256, dtype=np.uint8)[:, None, None].repeat(256, 1).repeat(3, 2)
    assert close_up(picture, box).shape == (TILE, TILE, 3)


def test_a_chart_breaks_where_nothing_is_known():
    drawn = [1.0, 2.0, None, 2.0, 1.0, 3.0]
    svg = chart("a <b>", drawn, [1.0] * 6, [10, 11, 12, 13, 20, 21], (10, 22), 3.0)
    lines = re.findall(r'class="drawn" points="([^"]+)"', svg)
    assert [len(points.split()) for points in lines] == [2, 1, 2]  # a gap in what is found, and one between frames
    assert len(re.findall(r'class="real"', svg)) == 2 and "a &lt;b&gt;" in svg
    ys = [float(point.split(",")[1]) for points in lines for point in points.split()]
    assert min(ys) == pytest.approx(8) and max(ys) < 100  # the top value reaches the top


def test_missing_frames_repeat_the_one_before():
    pictures = {t: np.full((2, 2, 3), t, np.uint8) for t in (5, 6, 9)}
    assert [int(p[0, 0, 0]) for p in every_frame(pictures, 4, 11)] == [5, 5, 6, 6, 6, 9, 9]


def log(folder, rows: list[tuple[str, int, float]], tail: str = "") -> object:
    portrait = folder / "a.portrait"
    run = folder / "a.portrait.run"
    run.mkdir(exist_ok=True)
    lines = [json.dumps({"stage": stage, "step": step, "seconds": seconds, "loss": 1.0}) for stage, step, seconds in rows]
    (run / "log.jsonl").write_text("\n".join(lines) + tail)
    return portrait


def test_training_seconds_are_the_sum_of_the_stages(tmp_path):
    rows = [("head", 0, 0.5), ("head", 50, 10.5), ("head", 100, 20.0), ("voice", 0, 2.0), ("voice", 1, 3.0)]
    assert training_seconds(log(tmp_path, rows, "\n{cut of")) == pytest.approx(23)
    assert training_seconds(tmp_path / "b.portrait") is None
    assert training_seconds(log(tmp_path, [])) is None


def test_training_seconds_of_a_run_that_was_cut_off_count_each_step_once(tmp_path):
    rows = [("head", 0, 0.5), ("head", 50, 10.0), ("head", 100, 20.0), ("head", 150, 30.0)]
    resumed = [("head", 100, 1.0), ("head", 150, 12.0), ("voice", 0, 2.0)]
    assert training_seconds(log(tmp_path, rows + resumed)) == pytest.approx(10 + 12 + 2)


def test_training_seconds_are_of_the_last_training(tmp_path):
    rows = [("head", 0, 0.5), ("head", 50, 10.0), ("voice", 0, 2.0)]
    again = [("head", 0, 1.0), ("head", 50, 20.0), ("voice", 0, 5.0)]
    assert training_seconds(log(tmp_path, rows + again)) == pytest.approx(25)


def test_names_of_videos():
    assert {n: str(p) for n, p in named(["theirs=a.mp4", "B 2 = b=c.mp4"]).items()} == {"theirs": "a.mp4", "B 2": " b=c.mp4"}
    for words in (["a.mp4"], ["=a.mp4"], ["x="], ["x=a.mp4", "x=b.mp4"]):
        with pytest.raises(BadInput):
            named(words)
    assert slug("My ../ Method's") == "my-..--method-s" and "/" not in slug("a/b\\c")
