"""Pictures in which the tracker finds no face."""

import numpy as np
import pytest

from likeness.errors import BadInput
from likeness.evaluate import metrics
from likeness.evaluate.detection import Landmarks, detect
from likeness.evaluate.judge import Judge


@pytest.fixture(scope="module")
def judge(clip, experts) -> Judge:
    return Judge(clip, np.arange(60, 100), 256, experts)


def test_what_was_not_found_is_told(clip):
    face, nothing = clip.image(10), np.zeros((256, 256, 3), np.uint8)
    found = detect("row", [nothing, face, nothing, clip.image(12)])
    assert found.found.tolist() == [False, True, False, True] and found.missed == 2 and not found.enough
    assert np.array_equal(found.pixels[0], found.pixels[1]) and np.array_equal(found.pixels[2], found.pixels[1])
    assert found.opening[0] is None and found.opening[3] == pytest.approx(metrics.opening(found.pixels)[3])
    assert isinstance(found[1:2], Landmarks) and found[1:2].missed == 0
    with pytest.raises(BadInput, match="no face is found in the pictures of 'row'"):
        detect("row", [nothing])


def test_a_row_is_measured_where_its_face_was_found(judge):
    pictures = [np.roll(image, 2, axis=0) for image in judge.real]
    whole = judge.row("whole", None, pictures)
    pictures[30] = np.zeros_like(pictures[30])
    holed = judge.row("holed", None, pictures)
    lmd = whole.samples["lmd"].values
    its = holed.samples["lmd"].values
    assert np.isnan(its[30]) and np.isfinite(np.delete(its, 30)).all()
    assert holed.figures.lmd == pytest.approx(np.delete(its, 30).mean()) and its[:30] == pytest.approx(lmd[:30])
    assert len(holed.samples["jitter"].values) == len(whole.samples["jitter"].values) - 3
    assert judge.missed["holed"] == 1 and "landmarks, holed" not in judge.missing


def test_a_row_that_hides_its_worst_frames_has_no_figures_of_landmarks(judge):
    pictures = [image if t % 10 else np.zeros_like(image) for t, image in enumerate(judge.real)]
    row = judge.row("hidden", None, pictures)
    assert row.figures.lmd is None and row.figures.jitter is None and row.figures.loudness_r is None
    assert row.figures.sync_d is None and row.figures.mouth_own is not None
    assert "4 of 40 pictures" in judge.missing["landmarks, hidden"]


def test_where_head_and_body_never_meet_there_is_no_seam(clip, experts, monkeypatch):
    monkeypatch.setattr("likeness.evaluate.seam.BODY", ())
    judge = Judge(clip, np.arange(60, 75), 256, experts)
    real, _ = judge.real_row()
    assert real.figures.seam is None and real.figures.flicker is not None and "no seam" in judge.missing["seam"]
