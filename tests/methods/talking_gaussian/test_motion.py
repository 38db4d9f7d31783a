"""What moves the Gaussians: laws of the fields, of the head that holds them, and of the portrait."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from likeness import methods
from likeness.camera import Camera
from likeness.kernels import splat
from likeness.methods.talking_gaussian.field import Field, Offsets
from likeness.methods.talking_gaussian.head import Head
from likeness.methods.talking_gaussian.motion import CODE, REACH, FaceMotion, MouthMotion, hook
from likeness.methods.talking_gaussian.optimiser import Teacher
from likeness.nn.audio_code import FUTURE, PAST, AudioCode
from likeness.rig import LIP_COEFFICIENTS, UPPER_COEFFICIENTS
from tests.school import few, paper


def driving(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, CODE, generator=generator), torch.randn(count, UPPER_COEFFICIENTS, generator=generator)


@pytest.fixture
def head(school, stirred) -> Head:
    return stirred(school.begun(few()))


# ---- motion


@torch.no_grad()
def test_zeroed_last_layers_leave_the_picture_bit_identical(school, head):
    pose, camera = school.clip.motion.pose[0], school.pictures[int(school.frames[0])].camera
    still = [field(None, pose, camera) for field in (head.face, head.mouth)]
    codes, upper = driving(2)
    moved = [head.move(head.places(), *row) for row in zip(codes, upper)]
    assert not torch.equal(head.draw(moved[0], pose, camera)[0], head.draw(moved[1], pose, camera)[0])
    for motion in (head.face_motion, head.mouth_motion):
        motion.rest[-1].weight.zero_()
    for code, shown in zip(codes, upper):
        moved = head.move(head.places(), code, shown)
        assert torch.equal(head.face(moved.face, pose, camera).image, still[0].image)
        assert torch.equal(head.mouth(moved.mouth, pose, camera).image, still[1].image)


@torch.no_grad()
def test_colour_and_opacity_never_change_with_speech(school, head):
    pose, camera = school.clip.motion.pose[0], school.pictures[int(school.frames[0])].camera
    codes, upper = driving(1)
    moved = head.move(head.places(), codes[0], upper[0])
    assert moved.face.color is None and moved.mouth.color is None
    assert moved.mouth.quats is None and moved.mouth.scale is None
    drawn = head.face(moved.face, pose, camera)
    same = head.face.draw(head.face.moved(moved.face), head.face.colors(pose), pose, camera)
    assert torch.equal(drawn.image, same.image)


@torch.no_grad()
def test_beyond_the_bound_nothing_moves(head):
    """There the planes say nothing, and no bias speaks instead."""
    (code,), (upper,) = driving(1)
    far = torch.tensor([[1.6, 0.0, 2.0], [2.0, 2.0, -2.0]])
    assert not head.face_motion(head.face_motion.place(far), code, upper).xyz.any()
    assert head.face_motion(head.face_motion.place(far / 10), code, upper).xyz.any()


@torch.no_grad()
def test_speech_reaches_a_place_as_far_as_its_attention_says(head):
    """A perceptron of the features of the place, the code and the upper face, both weighed, as published."""
    motion, xyz = head.face_motion, head.face.xyz
    (code,), (upper,) = driving(1)
    features = motion.plane(xyz)
    shown = torch.cat([upper[:1], motion.upper(upper[None, 1:])[0]])
    inputs = torch.cat([features, motion.hears(features) * code, motion.shows(features).relu() * shown], dim=1)
    whole = motion.rest(motion.first(inputs).relu())
    moved = motion(motion.place(xyz), code, upper)
    assert torch.allclose(moved.xyz, REACH * whole[:, :3], atol=1e-4)
    assert torch.allclose(torch.cat([moved.quats, moved.scale], 1), whole[:, 3:], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_the_mouth_moves_up_and_down_above_all(head):
    """Sideways and in depth a fifth, by a factor and not by what was learned."""
    motion = head.mouth_motion
    motion.rest[-1].weight.copy_(motion.rest[-1].weight[:1].expand(3, -1))  # equal outputs
    (code,), (upper,) = driving(1)
    moved = motion(motion.place(head.mouth.xyz), code, head.face_motion(head.face_motion.place(head.face.xyz), code, upper))
    assert moved.xyz.abs().max() > 0
    assert torch.allclose(moved.xyz, moved.xyz[:, 1:2] * torch.tensor([0.2, 1.0, 0.2]))


def test_the_hook_says_how_far_the_face_moves_and_teaches_it_nothing():
    down = torch.zeros(50, 3)
    down[:, 0] = 9.0  # sideways does not count
    down[:16, 1], down[20:36, 1] = 0.05, -0.02
    down.requires_grad_()
    said = hook(Offsets(down))
    assert said.tolist() == pytest.approx([0.5, -0.2, 0.7]) and not said.requires_grad
    assert hook(Offsets(down[:3])).tolist() == pytest.approx([0.5, 0.5, 0.0])  # fewer than it averages


@torch.no_grad()
def test_a_mouth_with_a_hook_follows_the_face_and_one_without_does_not():
    torch.manual_seed(0)
    xyz = torch.rand(40, 3) - 0.5
    (code,), _ = driving(1)
    faces = [Offsets(torch.full((30, 3), y)) for y in (0.0, 0.3)]
    for hooked in (True, False):
        motion = MouthMotion(few().mouth_sizes, hooked)
        place = motion.place(xyz)
        one, two = (motion(place, code, face).xyz for face in faces)
        assert torch.equal(one, two) != hooked


@torch.no_grad()
def test_where_colour_speaks_nothing_moves():
    torch.manual_seed(0)
    motion = FaceMotion(few().face_sizes, speaks_in_color=True)
    codes, upper = driving(2)
    place = motion.place(torch.rand(40, 3) - 0.5)
    one, two = (motion(place, *row) for row in zip(codes, upper))
    assert not one.xyz.any() and one.quats is None and one.scale is None
    assert not torch.equal(one.color, two.color)


def test_attention_teaches_the_geometry_nothing(school, head):
    pose, camera = school.clip.motion.pose[0], school.pictures[int(school.frames[0])].camera
    (code,), (upper,) = driving(1)
    places = head.places()
    maps = head.attention(places, head.move(places, code, upper), pose, camera)
    assert maps.shape == (*camera.size[::-1], 2) and maps.min() >= 0 and (maps.amax((0, 1)) > 0).all()
    maps.sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in head.face.parameters())
    assert head.face_motion.shows[0].weight.grad.any() and head.face_motion.hears[0].weight.grad.any()


# ---- the portrait


@torch.no_grad()
def test_what_is_worked_out_once_gives_the_pictures_of_every_time(speaker, school):
    """The portrait keeps the fields' features; drawn from the positions anew, one by one, frames are the same."""
    motion = school.clip.motion[[5, 40, 80]]
    cond = speaker.follow(motion)
    kept = [speaker.render(cond[i : i + 1], motion[[i]])[0] for i in (0, 1, 2, 0)]
    rows = speaker.rig.clip(speaker.rig.encode(motion))
    for i in range(3):
        code = speaker.head.codes(rows[i : i + 1, :LIP_COEFFICIENTS])[0]
        moved = speaker.head.move(speaker.head.places(), code, rows[i, LIP_COEFFICIENTS:])
        image, alpha = speaker.head.draw(moved, motion.pose[i], speaker.stage.camera)
        assert torch.allclose(kept[i].rgb[0], image, atol=1e-6) and torch.allclose(kept[i].alpha[0], alpha, atol=1e-6)
    assert torch.equal(kept[0].rgb, kept[3].rgb)


@torch.no_grad()
def test_a_portrait_that_learns_on_forgets_what_it_worked_out(portrait_files, school):
    portrait = methods.load(portrait_files["talking_gaussian"])
    motion = school.clip.motion[:1]
    cond = portrait.follow(motion)
    before = portrait.render(cond, motion)[0].rgb
    portrait.train()
    portrait.head.face_motion.plane.xy.table.add_(1.0)
    assert not torch.equal(portrait.eval().render(cond, motion)[0].rgb, before)


@torch.no_grad()
def test_conditioning_outside_what_training_showed_is_clipped(speaker, school):
    motion = school.clip.motion[:1]
    wild = torch.full((1, LIP_COEFFICIENTS), 40.0)
    same = speaker.rig.high[None, :LIP_COEFFICIENTS]
    assert torch.equal(speaker.render(wild, motion)[0].rgb, speaker.render(same, motion)[0].rgb)
    staring = replace(motion, eyes=torch.full((1,), -30.0))
    assert speaker.render(same, staring)[0].rgb.isfinite().all()


@torch.no_grad()
def test_training_hears_what_speaking_hears(school):
    """Under `sound` the code of a frame is that of its stretch, wherever in the clip it is."""
    config = paper()
    head = school.begun(config)
    with school.run("hears") as run:
        lesson = school.lesson(config, run)
        last = len(school.clip) - 1
        for t in (0, 3, 60, last):
            alone = lesson.code(head, t, lesson.cond[t])
            first = max(t - 5, 0)
            window = _window(lesson.heard, first, t + 1)
            assert torch.allclose(head.hear(window)[t - first], alone, atol=1e-5)


def _window(rows, start, stop):
    return rows[torch.arange(4 * (start - PAST), 4 * (stop + FUTURE)).clamp(0, len(rows) - 1)]


# ---- learning


SIDE, FRAMES, STEPS = 64, 30, 300


def test_a_mouth_of_two_blobs_that_one_number_drives_is_learned():
    """30 frames at 64²: the lower blob goes down as far as a sound of one dimension says; PSNR over 28 dB."""
    torch.manual_seed(0)
    sound = torch.sin(torch.arange(FRAMES + PAST + FUTURE) * 0.25).repeat_interleave(4)[:, None]
    camera, pose = Camera(500.0, (SIDE / 2, SIDE / 2), (SIDE, SIDE)), torch.eye(4)
    pose[2, 3] = -0.7
    wide = sound[4 * PAST : -4 * FUTURE : 4, 0]
    targets = [_blobs(float(y), pose, camera) for y in wide]
    config = replace(paper(), features=("phones",), network_rate=5e-3, xyz_rate=5e-3, base_rate=3e-2, scale_rate=2e-2)
    head = Head(config, 2, 40)
    head.mouth_code = AudioCode(1, CODE)
    with torch.no_grad():
        for field in (head.face, head.mouth):
            field.xyz.copy_(0.4 * torch.rand(len(field), 3) - 0.2)
            field.scale.fill_(-3.0)
            field.quats[:, 0] = 1
            field.opacity.fill_(-1.0)
        head.face.opacity.fill_(-20.0)
    names = [name for name, _ in head.named_parameters() if name.split(".")[0] in ("mouth", "mouth_motion", "mouth_code")]
    teacher = Teacher(head, names, config)

    def drawn(t: int) -> torch.Tensor:
        code = head.mouth_code(sound[4 * t : 4 * (t + PAST + 1 + FUTURE)])[0]
        moved = head.mouth_motion(head.mouth_motion.place(head.mouth.xyz.detach()), code, None)
        return head.mouth(moved, pose, camera).image

    for step in range(STEPS):
        teacher.at(step / STEPS)
        t = step * 7 % FRAMES
        (drawn(t) - targets[t]).square().mean().backward()
        teacher.step()
    with torch.no_grad():
        errors = torch.stack([(drawn(t) - targets[t]).square().mean() for t in range(FRAMES)])
    assert float(-10 * errors.mean().log10()) > 28
    still = torch.stack(targets).var(0, correction=0).mean()
    assert errors.mean() < 0.3 * still  # it moves: the best picture that stands still is far worse


def _blobs(wide: float, pose: torch.Tensor, camera: Camera) -> torch.Tensor:
    xyz = torch.tensor([[0.0, -0.1, 0.0], [0.0, 0.1 + 0.05 * wide, 0.0]])
    colors = torch.tensor([[0.9, 0.2, 0.2], [0.2, 0.3, 0.9]])
    to_camera = torch.linalg.inv(pose)
    to_camera[:3, 3] *= 10
    shape = torch.tensor([[1.0, 0, 0, 0]]).expand(2, -1), torch.full((2, 3), 0.06), torch.full((2,), 0.9)
    return splat(xyz, *shape, colors, to_camera, (camera.focal, camera.focal), camera.centre, camera.size).image


def test_a_field_is_restored_from_a_run(head):
    again = Field.restored("head.face.", head.named())
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), head.face.parameters()))
    whole = Head.restored(head.config, head.named() | {"voice.rest": torch.zeros(2), "adam.face.xyz.step": torch.ones(())})
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), head.state_dict().values()))
