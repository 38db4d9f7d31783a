"""Which frames a step sees and how fast what learns: curricula on made-up tables, presets, rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from likeness import mesh
from likeness.camera import Camera
from likeness.clip import PARTS, Clip, Motion
from likeness.methods.talking_gaussian import preset
from likeness.methods.talking_gaussian.config import Config
from likeness.methods.talking_gaussian.curriculum import FEWEST_PIXELS, Curriculum, opening_window
from likeness.methods.talking_gaussian.head import Head
from likeness.methods.talking_gaussian.optimiser import Teacher
from likeness.methods.talking_gaussian.stages import DEGREE_EVERY, _bases
from tests.school import few, paper

TIME, FIRST = 200, 5  # frames, and the first one that is learned from
STEPS = 50000
STATIC = 3000


class Table(Clip):
    """A clip of nothing but openings, blinks and numbers of mouth pixels."""

    def __init__(self, opening: np.ndarray, eyes: np.ndarray, pixels: np.ndarray) -> None:
        landmarks = torch.zeros(len(opening), 478, 3)
        landmarks[:, mesh.LOWER_INNER_LIP, 1] = torch.from_numpy(opening.astype(np.float32))
        pose = torch.eye(4).expand(len(opening), 4, 4)
        self.motion = Motion(pose, torch.zeros(len(opening), 1), torch.from_numpy(eyes.astype(np.float32)), landmarks)
        self.camera = Camera(300.0, (128.0, 128.0), (256, 256))
        self._pixels = pixels

    def parts(self, t):
        parts = np.zeros((256, 256), np.uint8)
        parts.flat[: self._pixels[t]] = PARTS["mouth"]
        return parts


def table(config: Config, *, opening=None, eyes=None, pixels=None) -> Curriculum:
    rng = np.random.default_rng(0)
    opening = rng.random(TIME + FIRST) * 0.02 if opening is None else opening
    eyes = rng.random(TIME + FIRST) if eyes is None else eyes
    pixels = rng.integers(10, 60, TIME + FIRST) if pixels is None else pixels
    return Curriculum(Table(opening, eyes, pixels), np.arange(FIRST, TIME + FIRST), config)


@pytest.fixture(scope="module")
def published() -> Curriculum:
    return table(preset("paper"))


# ---- openings and blinks from easy to hard


@pytest.mark.parametrize("step", [3003, 14007, 27993, 38997])
def test_every_seventh_step_of_the_mouth_goes_from_wide_open_towards_closed(published, step):
    assert step % 7 == 0
    seen = published.shows_mouth
    share = step / 39000
    top, quarter = published.parted.max(), np.percentile(published.parted, 25)
    expected = seen & (published.parted >= top - share * (top - quarter))
    found = published.mouth(step, step / STEPS, static=False)
    assert found.tolist() == published.frames[expected].tolist() and 0 < len(found) < seen.sum()
    for other in range(step + 1, step + 7):
        assert published.mouth(other, other / STEPS, static=False).tolist() == published.frames[seen].tolist()


def test_the_mouth_begins_wide_open_and_ends_with_any_frame(published):
    seen = published.shows_mouth
    assert not seen.all()
    wide = published.frames[seen & (published.parted == published.parted.max())]
    for step in (0, 1, 2999):
        assert published.mouth(step, step / STEPS, static=True).tolist() == wide.tolist()
    assert published.opening.max() > published.parted.max()  # one wild frame is not the widest
    assert len(wide) > 1
    for step in (39004, 45500, 49999):
        assert published.mouth(step, step / STEPS, static=False).tolist() == published.frames[seen].tolist()


def test_a_mouth_has_pixels_for_its_size():
    pixels = np.full(TIME + FIRST, FEWEST_PIXELS)
    pixels[: TIME // 2] -= 1
    assert table(preset("paper"), pixels=pixels).shows_mouth.sum() == TIME + FIRST - TIME // 2


@pytest.mark.parametrize("step", [3000, 12000, 30000, 39990])
def test_every_fifteenth_step_of_the_face_goes_from_open_to_closed_eyes(published, step):
    progress = step / 40000
    expected = (published.blink >= progress - 0.15) & (published.blink <= progress + 0.3)
    found = published.face(step, step / STEPS, static=False)
    assert found.tolist() == published.frames[expected].tolist() and 0 < len(found) < TIME
    for other in (step + 1, step + 7, step + 14):
        assert len(published.face(other, other / STEPS, static=False)) == TIME
    assert len(published.face(45000, 45000 / STEPS, static=False)) == TIME  # all have had their turn


def test_the_window_of_openings_moves_up_and_closes():
    opening = np.linspace(0.0, 1.0, 101) * 0.02 + 0.001
    bounds = lambda p: [float((opening[opening_window(opening, p)][i] - 0.001) / 0.02) for i in (0, -1)]  # noqa: E731
    assert bounds(0.0) == pytest.approx([0.0, 0.4], abs=0.011)
    assert bounds(0.5) == pytest.approx([0.5, 0.7], abs=0.011)
    assert opening_window(opening, 1.0).sum() <= 1
    static = table(preset("paper"), opening=np.concatenate([np.zeros(FIRST), np.linspace(0, 0.02, TIME)]))
    found = static.face(0, 0.0, static=True)
    assert 0.35 * TIME < len(found) < 0.45 * TIME and found[0] == FIRST


@pytest.mark.parametrize("eyes", [1.0, 0.0], ids=["never blinks", "never open"])
def test_a_rule_that_no_frame_fits_is_no_rule(eyes):
    """OpenFace that saw no blink made the published loop wait for ever."""
    same = np.full(TIME + FIRST, 0.01)
    curriculum = table(preset("paper"), eyes=np.full(TIME + FIRST, eyes), opening=same, pixels=np.zeros(TIME + FIRST, int))
    for step in range(0, STEPS, 105):
        for static in (True, False):
            for found in (curriculum.face(step, step / STEPS, static), curriculum.mouth(step, step / STEPS, static)):
                assert len(found) == TIME or (len(found) > 0 and eyes != 1.0)
    assert len(curriculum.face(30000, 0.6, static=False)) == TIME


def test_where_no_open_mouth_shows_its_inside_those_that_do_are_seen():
    pixels = np.zeros(TIME + FIRST, int)
    opening = np.linspace(0.02, 0.0, TIME + FIRST)
    pixels[-7:] = 40  # the most closed
    curriculum = table(preset("paper"), opening=opening, pixels=pixels)
    for step in (0, 7, 21000, 40000):
        for static in (True, False):
            found = curriculum.mouth(step, step / STEPS, static)
            assert found.tolist() == list(range(TIME + FIRST - 7, TIME + FIRST))


def test_frames_are_drawn_evenly_whatever_was_drawn_before(published):
    """No frame is thrown away for not fitting: over many steps of a rule each that fits comes as often as another."""
    rng = np.random.default_rng(0)
    drawn = [int(rng.choice(published.mouth(14007, 14007 / STEPS, static=False))) for _ in range(6000)]
    _, counts = np.unique(drawn, return_counts=True)
    assert len(counts) == len(published.mouth(14007, 14007 / STEPS, static=False))
    assert counts.max() < 2.2 * counts.min()


def test_without_the_curriculum_every_step_sees_every_frame():
    curriculum = table(replace(preset("paper"), incremental=False))
    seen = curriculum.frames[curriculum.shows_mouth]
    for step in range(0, STEPS, 2520):
        for static in (True, False):
            assert curriculum.face(step, step / STEPS, static).tolist() == curriculum.frames.tolist()
            assert curriculum.mouth(step, step / STEPS, static).tolist() == seen.tolist()


# ---- presets


def test_the_published_schedule():
    config = preset("paper")
    assert config.face_static_steps == config.mouth_static_steps == STATIC
    assert config.face_static_steps + config.face_steps == config.mouth_static_steps + config.mouth_steps == STEPS
    assert (config.fusion_steps, config.fusion_moves, config.distil_steps, config.batch) == (10000, False, 0, 1)
    assert (config.conditioning, config.placement, config.hook, config.hair_apart) == ("sound", "random", False, 7)
    assert config.decompose and config.incremental and not config.speaks_in_color
    assert len(config.face_sizes) == len(config.mouth_sizes) == 12
    assert (config.face_sizes[0], config.face_sizes[-1]) == pytest.approx((16, 38.4))
    assert (config.mouth_sizes[0], config.mouth_sizes[-1]) == pytest.approx((64, 57.6))
    assert config.faint == (0.05, 0.3) and config.grow_every == 100 and config.grow_until == (0.98, 0.9)
    assert [share * STEPS for share in config.polish] == [3000, 1000] and config.polish_paints
    assert config.ssim_weight == 0.2 and config.lip_weight == 1


@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize("name", ["fast", "standard", "paper"])
def test_presets(name, size):
    config = preset(name, size=size, seed=4)
    assert (config.preset, config.size, config.seed) == (name, size, 4)
    fast = preset("fast", size=size)
    assert config.face_steps >= fast.face_steps and config.most >= fast.most and config.density >= fast.density


def test_settings_that_cannot_be_are_refused():
    for wrong in ({"size": 300}, {"batch": 0}, {"hair_apart": 0}, {"attention_every": 0}):
        with pytest.raises(ValueError):
            Config(**wrong)


def test_colours_learn_of_the_view_by_and_by():
    assert [_bases(step / STEPS) for step in (0, DEGREE_EVERY - 1, DEGREE_EVERY, 2 * DEGREE_EVERY, STEPS - 1)] == [
        1,
        1,
        4,
        9,
        9,
    ]


# ---- rates


@pytest.fixture
def teacher() -> Teacher:
    config = paper()
    head = Head(config, 5, 6)
    return Teacher(head, [name for name, _ in head.named_parameters()], config)


def test_decay_is_of_the_grids_and_the_audio_attention_alone(teacher):
    assert {group["betas"] for group in teacher.optimiser.param_groups} == {(0.9, 0.99)}
    for name, group in zip(teacher.names, teacher.optimiser.param_groups):
        table, attention = name.endswith(".table"), bool({"attention", "weigh"} & set(name.split(".")))
        assert group["weight_decay"] == (0.01 if table else 1e-4 if attention else 0.0), name
        assert group["eps"] == (1e-15 if name.split(".")[0] in ("face", "mouth") else 1e-8), name


def test_published_rates_and_where_they_end(teacher):
    rate = lambda: dict(zip(teacher.names, (group["lr"] for group in teacher.optimiser.param_groups)))  # noqa: E731
    teacher.at(0.0)
    wanted = {
        "face.xyz": 1.6e-4, "face.base": 2.5e-3, "mouth.views": 1.25e-4, "face.opacity": 0.05, "face.scale": 3e-3,
        "mouth.quats": 1e-3, "face_motion.plane.xy.table": 5e-3, "mouth_motion.first.weight": 5e-4,
        "code.attention.0.weight": 2.5e-3, "code.dense.0.weight": 5e-4,
    }  # fmt: skip
    first = rate()
    assert {name: first[name] for name in wanted} == pytest.approx(wanted)
    teacher.at(0.4)
    middle = rate()
    assert middle["face_motion.first.weight"] == pytest.approx(5e-4 * 0.5**0.5)
    teacher.at(1.0)
    last = rate()
    assert last["face.xyz"] == pytest.approx(1.6e-6)
    assert last["face_motion.first.weight"] == pytest.approx(5e-5)
    for name in first:
        stays = name.split(".")[0] in ("face", "mouth") and not name.endswith("xyz")
        assert first[name] == middle[name] == last[name] if stays else first[name] > middle[name] > last[name], name


def test_other_presets_let_all_rates_fall():
    config = few()
    head = Head(config, 5, 6)
    teacher = Teacher(head, [name for name, _ in head.named_parameters()], config, extent=2.0)
    lowest = [[group["lr"] for group in teacher.optimiser.param_groups] for share in (0.0, 0.5, 1.0) if not teacher.at(share)]
    assert all(a > b > c for a, b, c in zip(*lowest))
    assert dict(zip(teacher.names, lowest[0]))["face.xyz"] == pytest.approx(2 * config.xyz_rate)


def test_only_colours_learn_in_the_polish_of_the_published_mouth(teacher):
    teacher.at(0.99, ("base", "views"))
    for name, group in zip(teacher.names, teacher.optimiser.param_groups):
        assert (group["lr"] > 0) == name.endswith((".base", ".views")), name


def test_what_is_not_taught_stands_still_and_gathers_no_gradient():
    config = paper()
    head = Head(config, 5, 6)
    teacher = Teacher(head, ["face.base"], config)
    before = {name: p.detach().clone() for name, p in head.named_parameters()}
    for _ in range(3):
        sum(p.square().sum() + p.sum() for p in head.parameters()).backward()
        teacher.step()
    for name, p in head.named_parameters():
        assert torch.equal(p, before[name]) == (name != "face.base"), name
        assert p.grad is None
