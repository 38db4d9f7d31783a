"""The table on the actor: its rows, what each is driven by, and figures against values worked out here."""

import json

import numpy as np
import pytest
import torch

from likeness.clip import Clip
from likeness.errors import BadInput
from likeness.evaluate import Evaluation, evaluate, metrics, ranges
from likeness.evaluate.rows import DELIVERY, SHIFT, all_rows, features, following, listen, nearest
from likeness.evaluate.sheet import choose, contact_sheet
from likeness.evaluate.table import show
from likeness.nn.backdrop import without_head

ROWS = ["tracked", "sound", "mean lips", "static", "sound shifted"]


@pytest.fixture(scope="module")
def found(portrait, clip) -> Evaluation:
    return evaluate(portrait, clip)


@pytest.fixture(scope="module")
def driven(portrait, clip) -> dict:
    return {row.name: row for row in all_rows(portrait, clip)}


def test_every_row_plays_the_test_frames_with_their_real_poses(driven, clip):
    assert list(driven) == ROWS
    for row in driven.values():
        assert len(row.cond) == len(row.motion) == len(clip.test)
        assert torch.equal(row.motion.pose, clip.motion.pose[torch.from_numpy(clip.test)])
        assert row.motion.torso is not None


def test_what_the_rows_are_driven_by(driven, portrait, clip):
    test, train = torch.from_numpy(clip.test), torch.from_numpy(clip.train)
    tracked = portrait.rig.encode(clip.motion)[:, :8]
    assert torch.allclose(driven["tracked"].cond, tracked[test], atol=1e-4)
    assert torch.allclose(driven["mean lips"].cond, tracked[train].mean(0).expand(len(test), -1), atol=1e-5)
    assert torch.equal(driven["sound"].motion.eyes, clip.motion.eyes[test])
    still = driven["static"].motion
    assert (still.eyes == still.eyes[0]).all() and torch.equal(still.landmarks[0], still.landmarks[-1])
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
    assert [f.row for f in found.table] == [*ROWS, "nearest frame"]
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
    near = [metrics.psnr(a, b) for a, b in zip(nearest(clip, 256), real)]
    assert found["nearest frame"].full == pytest.approx(np.mean(near), abs=0.01) and found["nearest frame"].ssim_own is None
    for figures in found.table:
        assert all(np.isfinite(v) for v in (figures.full, figures.face, figures.mouth, figures.lmd, figures.jitter))
    assert found["tracked"].full > 25 and all(value > 0 for value in found.speed.values())
    assert found.detector_missed["real"] == 0


def test_it_can_be_printed_written_and_seen(found, tmp_path, capsys):
    again = json.loads(json.dumps(found.as_json()))
    assert [row["row"] for row in again["table"]] == [f.row for f in found.table]
    assert again["recipes"] == metrics.RECIPES and "pictures" not in again
    assert again["delivery"] == DELIVERY and {"ssim_face", "ssim_mouth"} <= set(again["table"][0])
    held_out = [t for start, stop in again["split"]["test"] for t in range(start, stop)]
    assert held_out == again["frames"] and again["split"]["train"][-1][1] <= held_out[0]
    show(found)
    assert "sound shifted" in capsys.readouterr().out
    path = contact_sheet(found, tmp_path / "sheet.png")
    assert path.stat().st_size > 10000
    chosen = choose(found)
    assert chosen["widest open"] == int(np.argmax(found.curves["opening"])) and len(chosen) == 6


def test_ranges_of_frames():
    assert ranges(np.array([3, 4, 5, 9, 11, 12])) == [[3, 6], [9, 10], [11, 13]]
    assert ranges(np.array([], int)) == []


def test_a_clip_that_cannot_be_the_portraits_is_refused(portrait, clip):
    camera = clip.header["camera"] | {"focal": 2 * clip.camera.focal}
    with pytest.raises(BadInput, match="not the clip"):
        evaluate(portrait, Clip(clip.folder, clip.header | {"camera": camera}))
    with pytest.raises(BadInput, match="held-out frames"):
        evaluate(portrait, Clip(clip.folder, clip.header | {"scenes": [[0, 60]]}))
