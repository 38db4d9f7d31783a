"""The table on the actor: its rows, what each is driven by, and figures against values worked out here."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from likeness.clip import Clip, read_picture
from likeness.errors import BadInput
from likeness.evaluate import Evaluation, errors_of, evaluate, metrics, openface, ranges
from likeness.evaluate.catalogue import COLUMNS
from likeness.evaluate.detection import detect
from likeness.evaluate.frames import check_frames, write_frames
from likeness.evaluate.rows import DELIVERY, SHIFT, all_rows, features, following, judged, listen, nearest
from likeness.evaluate.sheet import choose, contact_sheet
from likeness.evaluate.table import show
from likeness.nn.backdrop import without_head

AUE = {"aue", "aue_upper", "aue_lower"}
LIPS = {"lip_sync", "lip_sync_offset"}
"""Of three seconds and more, which the drawn actor's held-out part has not: see test_lips."""
ROWS = ["tracked", "sound", "sound, mean eyes", "mean lips", "static", "sound shifted"]


@pytest.fixture(scope="module")
def found(portrait, clip, experts) -> Evaluation:
    return evaluate(portrait, clip, experts=experts)


@pytest.fixture(scope="module")
def driven(portrait, clip) -> dict:
    return {row.name: row for row in all_rows(portrait, clip)}


def test_every_row_plays_the_test_frames_with_their_real_poses(driven, clip):
    assert list(driven) == ROWS
    for row in driven.values():
        assert len(row.cond) == len(row.motion) == len(clip.test)
        assert torch.equal(row.motion.pose, clip.motion.pose[torch.from_numpy(clip.test)])
        assert row.motion.torso is not None


def test_of_a_long_clip_the_first_held_out_seconds_are_measured(clip, monkeypatch):
    monkeypatch.setattr("likeness.evaluate.rows.MOST", 11)
    assert judged(clip).tolist() == clip.test[:11].tolist()
    assert len(list(nearest(clip, 256))) == 11


def test_what_the_rows_are_driven_by(driven, portrait, clip):
    test, train = torch.from_numpy(clip.test), torch.from_numpy(clip.train)
    tracked = portrait.rig.encode(clip.motion)[:, :8]
    assert torch.allclose(driven["tracked"].cond, tracked[test], atol=1e-4)
    assert torch.allclose(driven["mean lips"].cond, tracked[train].mean(0).expand(len(test), -1), atol=1e-5)
    assert torch.equal(driven["sound"].motion.eyes, clip.motion.eyes[test])
    still = driven["static"].motion
    assert (still.eyes == still.eyes[0]).all() and torch.equal(still.landmarks[0], still.landmarks[-1])
    other = driven["sound, mean eyes"]  # nothing of the hidden face but where it is
    assert torch.equal(other.cond, driven["sound"].cond) and torch.equal(other.motion.eyes, still.eyes)
    assert torch.equal(other.motion.expression, still.expression) and torch.equal(other.motion.landmarks, still.landmarks)
    sound = listen(portrait, clip, 0, len(clip))
    assert torch.allclose(driven["sound"].cond, sound[test], atol=1e-4)
    by = SHIFT if int(test[-1]) + 1 + SHIFT <= len(clip) else -SHIFT
    assert torch.allclose(driven["sound shifted"].cond, sound[test + by], atol=1e-4)
    assert not torch.allclose(driven["sound shifted"].cond, driven["sound"].cond, atol=0.1)


def test_the_torso_follows_each_scene_by_itself(portrait, clip):
    cut = Clip(clip.folder, clip.header | {"scenes": [[0, 70], [70, len(clip)]]})
    both = following(portrait, cut).torso
    assert torch.allclose(both[70:], portrait.stage.torso.follow(clip.motion[70:]), atol=1e-4)
    assert features(portrait, clip).shape == (4 * len(clip), 122)


def test_nearest_shows_training_pictures(clip):
    training = {clip.image(int(t), 256).tobytes() for t in clip.train}
    shown = list(nearest(clip, 256))
    assert len(shown) == len(clip.test) and all(picture.tobytes() in training for picture in shown)


def test_the_table_is_what_the_metrics_give(found, portrait, clip, driven):
    assert [f.row for f in found.table] == [*ROWS, "nearest frame", "real"]
    assert found.frames == clip.test.tolist() and found.size == 256
    pasted, scale = [], 256 / clip.camera.size[0]
    for t, layer in zip(clip.test, driven["sound"].layers(portrait)):
        behind, _ = without_head(clip.image(int(t), 256), clip.parts(t), clip.plate(256))
        picture = layer.rgb[0] + (1 - layer.alpha[0, ..., None]) * torch.from_numpy(behind) / 255
        pasted.append((picture.clamp(0, 1) * 255).round().byte().numpy())
    real = [clip.image(int(t), 256) for t in clip.test]
    boxes = [metrics.mouth_box(clip.pixels[int(t)].numpy() * scale, 256) for t in clip.test]
    assert [tuple(b["mouth"]) for b in found.boxes] == boxes
    assert found["sound"].full == pytest.approx(np.mean([metrics.psnr(a, b) for a, b in zip(pasted, real)]), abs=0.01)
    mouths = [metrics.psnr(a, b, box) for a, b, box in zip(pasted, real, boxes)]
    assert found["sound"].mouth == pytest.approx(np.mean(mouths), abs=0.01)
    faces = [metrics.face_box(clip.pixels[int(t)].numpy() * scale, 256) for t in clip.test]
    for name, its in (("ssim_face", faces), ("ssim_mouth", boxes)):
        wanted = np.mean([metrics.ssim(a, b, box) for a, b, box in zip(pasted, real, its)])
        assert getattr(found["sound"], name) == pytest.approx(wanted, abs=1e-3) and 0 < wanted < 1
    own = [metrics.psnr(a, b, box) for a, b, box in zip(found.pictures["sound"], real, boxes)]
    assert found["sound"].mouth_own == pytest.approx(np.mean(own)) and found["sound"].face_own < found["sound"].face
    near = [metrics.psnr(a, b) for a, b in zip(nearest(clip, 256), real)]
    assert found["nearest frame"].full == pytest.approx(np.mean(near), abs=0.01) and found["nearest frame"].ssim_own is None
    for figures in found.table[:-1]:
        assert all(np.isfinite(v) for v in (figures.full, figures.face, figures.mouth, figures.lmd, figures.jitter))
    assert found["tracked"].full > 25 and all(value > 0 for value in found.speed.values())
    assert found.detector_missed["real"] == 0


def test_every_row_has_what_can_be_measured_of_it(found):
    own = {name for name in COLUMNS if name.endswith("_own")}
    for row in ROWS:
        assert all(getattr(found[row], name) is not None for name in set(COLUMNS) - AUE - LIPS)
    known = {name for name in COLUMNS if getattr(found["nearest frame"], name) is not None}
    assert known == set(COLUMNS) - AUE - LIPS - own
    difference = np.mean(
        [np.abs(a.astype(float) - b).mean() / 255 for a, b in zip(found.pictures["sound"], found.pictures["real"])]
    )
    assert found["sound"].lpips_own == pytest.approx(difference, rel=1e-4)
    assert found["nearest frame"].fid >= 0 and found["sound"].sync_offset in range(-15, 16)


def test_the_real_row_is_its_own_or_the_floor(found):
    real = found["real"]
    pictures = {n for n in COLUMNS if n.startswith(("full", "face", "mouth", "ssim", "ms_ssim", "lpips", "fid"))}
    assert {n for n in COLUMNS if getattr(real, n) is not None} == set(COLUMNS) - pictures - AUE - LIPS
    assert real.jitter == found.real_jitter and real.seam > 0
    assert set(found.floor) == {"jpeg 90", "half a pixel"} and real.lmd == found.floor["jpeg 90"]["lmd"]
    assert 0 < real.lmd < found["static"].lmd and real.opening_r > found["static"].opening_r
    assert real.upper < found["static"].upper and real.lower < found["static"].lower


def test_intervals_hold_the_figures_that_frames_have(found):
    assert set(found.intervals) == {f.row for f in found.table}
    for figures in found.table:
        its = found.intervals[figures.row]
        assert {n for n in COLUMNS if getattr(figures, n) is not None} - set(its) <= {"fid", "fid_own"}
        for name in ("full", "mouth", "lmd", "jitter", "flicker", "seam", "upper", "ms_ssim_own"):
            if name in its:
                assert its[name][0] <= getattr(figures, name) <= its[name][1]


def test_checks_and_what_is_missing(found, clip):
    assert set(found.checks) == {"mismatched sound", "leak"}
    wrong = found.checks["mismatched sound"]
    assert wrong["mouth_db"] == pytest.approx(found["mean lips"].mouth - found["sound shifted"].mouth)
    assert wrong["lmd_px"] == pytest.approx(found["sound shifted"].lmd - found["mean lips"].lmd)
    assert -1 <= found.checks["leak"]["r_leak"] <= 1 and found.checks["leak"]["passed"] in (True, False, None)
    assert wrong["by"] == -SHIFT  # behind the held-out part there is nothing
    assert found.openings["sound"] == pytest.approx(metrics.opening(detect("again", found.pictures["sound"]).pixels).tolist())
    assert (
        found.sync["sound"]["frames"] == len(clip.test) and sum(found.sync["sound"]["offsets"].values()) == len(clip.test) - 5
    )
    assert set(found.missing) == {"aue"} and "OpenFace" in found.missing["aue"]
    assert {"median_ms", "p99_ms", "render_fps"} <= set(found.speed) and found.machine["cores"] >= 1
    assert found.speed["p99_ms"] >= found.speed["median_ms"] > 0


def test_nothing_stands_in_for_what_is_not_there(portrait, clip, tmp_path, monkeypatch):
    monkeypatch.setenv("LIKENESS_ASSETS", str(tmp_path))
    units = tmp_path / "units"
    units.mkdir()
    columns = ", ".join(f"{unit}_r" for unit in openface.UPPER + openface.LOWER)
    for row, value in (("real", "1.0"), ("sound", "3.0")):
        lines = [f"{t}, 1, " + ", ".join([value] * 17) for t in range(1, len(clip.test) + 1)]
        (units / f"{row}.csv").write_text("\n".join([f"frame, success, {columns}", *lines]))
    found = evaluate(portrait, clip, openface.files(units))
    for name in ("lpips", "lpips_own", "fid", "fid_own", "sync_c", "sync_d", "sync_offset"):
        assert all(getattr(figures, name) is None for figures in found.table)
    assert set(found.missing) == {"lpips", "fid", "sync", "lip_sync"} and json.dumps(found.as_json())
    assert found["sound"].aue == pytest.approx(4 * 17) and found["sound"].aue_upper == pytest.approx(4 * 8)
    assert found["tracked"].aue is None and found.intervals["sound"]["aue"] == pytest.approx([68, 68])
    (units / "nobody.csv").write_text("")
    with pytest.raises(BadInput, match="no row 'nobody'"):
        evaluate(portrait, clip, openface.files(units))
    with pytest.raises(BadInput, match=r"real\.csv"):
        errors_of({"sound": units / "sound.csv"}, ["sound", "real"], len(clip.test))


def test_it_can_be_printed_written_and_seen(found, tmp_path, capsys):
    again = json.loads(json.dumps(found.as_json()))
    assert [row["row"] for row in again["table"]] == [f.row for f in found.table]
    assert again["recipes"] == metrics.RECIPES and "pictures" not in again
    assert again["delivery"] == DELIVERY and {"ssim_face", "ssim_mouth"} <= set(again["table"][0])
    held_out = [t for start, stop in again["split"]["test"] for t in range(start, stop)]
    assert held_out == again["frames"] and again["split"]["train"][-1][1] <= held_out[0]
    show(found)
    printed = capsys.readouterr().out
    assert "sound shifted" in printed and "±" in printed and "leak: " in printed and "not measured: aue" in printed
    folder = write_frames(found, tmp_path / "frames")
    first = folder / "sound_shifted" / f"{found.frames[0]:06d}.png"
    assert np.array_equal(read_picture(first), found.pictures["sound shifted"][0])  # without loss
    assert {p.name.replace("_", " ") for p in folder.iterdir()} == {"real", *ROWS}
    with pytest.raises(BadInput, match="not an empty folder"):
        check_frames(folder)
    path = contact_sheet(found, tmp_path / "sheet.png")
    assert path.stat().st_size > 10000
    chosen = choose(found)
    assert chosen["widest open"] == int(np.argmax(found.curves["opening"])) and len(chosen) == 6


def test_names_are_no_markup(found, capsys):
    """Rows and methods are named after files."""
    table = [replace(found["sound"], row="a [take 2]"), *found.table]
    show(replace(found, method="x [/b].mp4", table=table))
    printed = capsys.readouterr().out
    assert "a [take 2]" in printed and "x [/b].mp4" in printed


def test_ranges_of_frames():
    assert ranges(np.array([3, 4, 5, 9, 11, 12])) == [[3, 6], [9, 10], [11, 13]]
    assert ranges(np.array([], int)) == []


def test_a_clip_that_cannot_be_the_portraits_is_refused(portrait, clip):
    camera = clip.header["camera"] | {"focal": 2 * clip.camera.focal}
    with pytest.raises(BadInput, match="not the clip"):
        evaluate(portrait, Clip(clip.folder, clip.header | {"camera": camera}))
    with pytest.raises(BadInput, match="held-out frames"):
        evaluate(portrait, Clip(clip.folder, clip.header | {"scenes": [[0, 60]]}))
