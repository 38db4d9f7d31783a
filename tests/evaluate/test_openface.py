"""AUE from OpenFace's files, by hand."""

from pathlib import Path

import pytest

from likeness.errors import BadInput
from likeness.evaluate import openface
from likeness.evaluate.openface import LOWER, UPPER, aue, files


def write(path: Path, rows: list[dict[str, float]], units: tuple[str, ...] = UPPER + LOWER) -> Path:
    """As OpenFace writes it: a blank before each column but the first."""
    lines = ["frame, face_id, success, " + ", ".join(f"{unit}_r" for unit in units)]
    for t, row in enumerate(rows):
        values = ", ".join(f"{row.get(unit, 1.0):.2f}" for unit in units)
        lines.append(f"{t + 1}, 0, {int(row.get('success', 1))}, {values}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_units_are_those_of_the_papers():
    assert len(UPPER) == 8 and len(LOWER) == 9 and not set(UPPER) & set(LOWER)


def test_mean_over_frames_and_sum_over_units(tmp_path):
    real = write(tmp_path / "real.csv", [{}] * 4)
    drawn = write(tmp_path / "drawn.csv", [{"AU25": 3.0}, {"AU25": 2.0, "AU12": 1.5}, {}, {"AU45": 0.0}])
    found = {name: sample.figure for name, sample in aue(drawn, real, 4).items()}
    # AU25: (4 + 1) / 4; AU12: .25 / 4; AU45: 1 / 4
    assert found == pytest.approx({"aue_lower": 5.25 / 4, "aue_upper": 0.25, "aue": 6.25 / 4})
    assert aue(real, real, 4)["aue"].figure == 0


def test_frames_without_a_face_do_not_count(tmp_path):
    real = write(tmp_path / "real.csv", [{}, {"success": 0}, {}])
    drawn = write(tmp_path / "drawn.csv", [{"AU01": 2.0}, {"AU01": 5.0}, {"success": 0, "AU01": 4.0}])
    assert aue(drawn, real, 3)["aue_upper"].figure == pytest.approx(1)
    nobody = write(tmp_path / "nobody.csv", [{"success": 0}] * 3)
    with pytest.raises(BadInput, match="found a face in both"):
        aue(nobody, real, 3)


def test_files_that_cannot_be_compared(tmp_path):
    real = write(tmp_path / "real.csv", [{}] * 4)
    with pytest.raises(BadInput, match=r"3 frames.*4; 4 are measured"):
        aue(write(tmp_path / "short.csv", [{}] * 3), real, 4)
    with pytest.raises(BadInput, match="5 are measured"):  # both alike, but not of these frames
        aue(real, real, 5)
    with pytest.raises(BadInput, match="AU26"):
        aue(write(tmp_path / "less.csv", [{}] * 4, (UPPER + LOWER)[:-1]), real, 4)


def test_files_of_a_folder_are_named_like_rows(tmp_path):
    write(tmp_path / "real.csv", [{}])
    write(tmp_path / "sound_shifted.csv", [{}])
    assert files(tmp_path) == {"real": tmp_path / "real.csv", "sound shifted": tmp_path / "sound_shifted.csv"}
    with pytest.raises(BadInput, match="no csv"):
        files(tmp_path / "nowhere")
    assert "--openface" in openface.HOW
