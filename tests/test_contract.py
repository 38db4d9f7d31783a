"""What every method has to keep, with no skip list."""

import inspect
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise

import pytest
import torch

from likeness import methods, speech
from likeness.audio import ROWS_PER_FRAME
from likeness.errors import BadInput
from likeness.evaluate.rows import features
from likeness.nn.carried import scaled
from likeness.portrait import Heard, Layer, Portrait, read_header

FRAMES = 9


@pytest.fixture(scope="module", params=methods.names())
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def made(name, portrait_files) -> Portrait:
    return methods.load(portrait_files[name])


@pytest.fixture(scope="module")
def heard(made, clip) -> Heard:
    """The clip's own sound, frames 40 to 48."""
    rows = features(made, clip)
    usual = speech.Statistics.of(rows)
    return Heard(made.hearing.window(rows, 40, 40 + FRAMES), usual.mean, usual.std, torch.ones(FRAMES))


def stretch(heard: Heard, made: Portrait, start: int, stop: int) -> Heard:
    """What is heard of frames start .. stop-1 of these."""
    rows = slice(start * ROWS_PER_FRAME, (made.hearing.past + stop + made.hearing.future) * ROWS_PER_FRAME)
    return replace(heard, features=heard.features[rows], activity=heard.activity[start:stop])


def test_exports(name):
    home = methods.get(name)
    assert is_dataclass(home.Config) and home.Config.__dataclass_params__.frozen
    assert issubclass(home.Model, Portrait) and home.Model.method == name
    wanted = list(inspect.signature(home.train).parameters)
    assert wanted[:3] == ["clip", "out", "config"] and set(wanted[3:]) <= {"start", "motion"}
    for preset in ("fast", "standard"):
        for size in (256, 512):
            config = home.preset(preset, size=size, seed=3)
            assert isinstance(config, home.Config) and config.size == size and config.seed == 3
    assert methods.get(name.replace("_", "-")) is home


def test_settings_are_explained_or_grouped(name):
    config = methods.get(name).Config
    assert all(field.default is not inspect.Parameter.empty for field in fields(config)) and config.__doc__


def test_file_round_trip(name, made, tmp_path, heard, clip):
    again = methods.load(made.save(tmp_path / "a.portrait"))
    assert read_header(tmp_path / "a.portrait")["method"] == name
    assert torch.equal(again.listen(heard), made.listen(heard))
    motion, cond = clip.motion[:1], made.listen(stretch(heard, made, 0, 1))
    assert torch.equal(again.render(cond, motion)[0].rgb, made.render(cond, motion)[0].rgb)


def test_listening_gives_a_finite_row_a_frame_without_gradients(made, heard):
    for voice in ("own", "other"):
        cond = made.listen(replace(heard, voice=voice))
        assert len(cond) == FRAMES and cond.isfinite().all() and not cond.requires_grad
    assert made.recognise(heard.mean, heard.std) in ("own", "other")


def test_chunks_do_not_show_in_listening(made, heard):
    whole = made.listen(heard)
    for cuts in ([0, 1, 9], [0, 4, 5, 9], list(range(10))):
        parts = [made.listen(stretch(heard, made, a, b)) for a, b in pairwise(cuts)]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-4)


def test_chunks_do_not_show_in_rendering(made, heard, clip):
    motion, cond = clip.motion[40:44], made.listen(heard)[:4]
    whole, _ = made.render(cond, motion)
    state, parts = None, []
    for t in range(4):
        layer, state = made.render(cond[t : t + 1], motion[t : t + 1], state)
        parts.append(layer)
    assert torch.equal(torch.cat([p.rgb for p in parts]), whole.rgb)
    assert torch.equal(torch.cat([p.alpha for p in parts]), whole.alpha)


def test_sound_outside_hearing_has_no_effect(made, heard, clip):
    """The stretch of one frame is all that it hears: what the rest of the sound is like changes nothing."""
    rows = features(made, clip)
    t, past, future = 60, made.hearing.past, made.hearing.future
    noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0)) * 5
    changed = noise.clone()
    inside = slice((t - past) * ROWS_PER_FRAME, (t + 1 + future) * ROWS_PER_FRAME)
    changed[inside] = rows[inside]
    alone = [replace(heard, features=made.hearing.window(r, t, t + 1), activity=torch.ones(1)) for r in (rows, changed)]
    assert torch.equal(made.listen(alone[0]), made.listen(alone[1]))
    both = [replace(heard, features=made.hearing.window(r, t - 4, t + 5), activity=torch.ones(9)) for r in (rows, changed)]
    assert torch.allclose(made.listen(both[0])[4], made.listen(both[1])[4], atol=1e-4)


def test_following_gives_what_listening_gives_or_nothing(made, heard, clip):
    cond = made.follow(clip.motion[:FRAMES])
    assert cond is None or (cond.shape == made.listen(heard).shape and cond.isfinite().all())


def test_rendering_gives_pictures_of_the_stage(made, heard, clip):
    layer, _ = made.render(made.listen(heard)[:2], clip.motion[:2])
    width, height = made.stage.camera.size
    assert isinstance(layer, Layer) and layer.rgb.shape == (2, height, width, 3) and layer.alpha.shape == (2, height, width)
    assert float(layer.alpha.min()) >= 0 and float(layer.alpha.max()) <= 1 + 1e-5
    assert layer.rgb.isfinite().all() and float(layer.alpha.mean()) > 0.05  # there is a head


def test_on_another_stage_the_same_head_is_seen_by_another_camera(made, heard, clip):
    """Two cameras whose pictures share their middle: what is near is only larger. The portrait itself stays."""
    motion, cond, stage = clip.motion[40:41], made.listen(heard)[:1], made.stage
    usual = made.render(cond, motion)[0]
    near = made.on(replace(stage, camera=replace(stage.camera, focal=2 * stage.camera.focal)))
    layer = near.render(cond, motion)[0]
    assert made.stage is stage and torch.equal(made.render(cond, motion)[0].rgb, usual.rgb)
    assert [a.data_ptr() for a in near.parameters()] == [a.data_ptr() for a in made.parameters()]
    x, y = stage.camera.centre
    wanted = scaled(usual.alpha[0].numpy()[..., None].repeat(3, 2), 2.0, (-x, -y))[..., 0]
    assert float((layer.alpha[0] - torch.from_numpy(wanted)).abs().mean()) < 0.05


def test_splats_are_the_head_or_bad_input(name, made, clip):
    motion = clip.motion[40:41]
    try:
        clouds = [made.splats(), made.splats(made.follow(motion), motion)]
    except BadInput as error:
        assert name in str(error).replace("-", "_") and "rigged-gaussians" in str(error)
        return
    for cloud in clouds:
        assert len(cloud) > 100 and (cloud.scales > 0).all() and cloud.sh.shape[1] in (1, 4, 9, 16)
        assert all(getattr(cloud, field.name).isfinite().all() for field in fields(cloud))
        assert 0.05 < float(cloud.means.std(0).norm()) < 0.3  # metres: the size of a head


def test_two_viewers_can_share_a_portrait(made, heard, clip):
    cond, motion = made.listen(heard), clip.motion[40 : 40 + FRAMES]
    alone = [made.render(cond[t : t + 1], motion[t : t + 1])[0].rgb for t in (0, 7)]
    made.render(cond[3:4], motion[3:4])
    assert torch.equal(made.render(cond[:1], motion[:1])[0].rgb, alone[0])
    assert torch.equal(made.render(cond[7:8], motion[7:8])[0].rgb, alone[1])
