"""Field of view and light: another stage for the same portrait. And a torso that goes along with the head."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness import methods
from likeness.camera import Camera
from likeness.delivery import Delivery
from likeness.errors import BadInput
from likeness.nn.carried import Carried, scaled
from likeness.scenery import Scenery, staged
from likeness.stance import Stance


def picture(portrait, delivery: Delivery, t: int = 30) -> np.ndarray:
    """Frame t of the portrait's own movement under the mean lips."""
    person = staged(portrait, delivery)
    stage = person.stage
    motion = replace(stage.motion, torso=stage.torso.follow(stage.motion))[t : t + 1]
    layer, _ = person.render(torch.zeros(1, 8), motion)
    return Scenery(person, delivery.background).compose(layer, motion)


@pytest.fixture(scope="module")
def usual(portrait):
    return picture(portrait, Delivery())


def test_the_cameras_own_field_of_view_changes_nothing(portrait, usual):
    delivery = Delivery(fov=portrait.stage.camera.fov)
    assert staged(portrait, delivery) is portrait
    assert np.array_equal(picture(portrait, delivery), usual)


@pytest.mark.parametrize("background", ["clip", "transparent"])
def test_a_smaller_field_of_view_enlarges_the_middle(portrait, background):
    """Half the picture, seen through a lens of twice the focal length: as large and as long as the whole one, but for
    sharpness."""
    camera = portrait.stage.camera
    fov = 2 * np.degrees(np.arctan(np.tan(np.radians(camera.fov) / 2) / 2))
    near, whole = (picture(portrait, Delivery(fov=f, background=background)) for f in (float(fov), None))
    assert near.shape == whole.shape
    wanted = scaled(whole, 2.0, (-camera.centre[0], -camera.centre[1]))
    soft = [cv2.GaussianBlur(x[..., :3].astype(np.float32), (0, 0), 4)[8:-8, 8:-8] for x in (near, wanted)]
    assert np.abs(soft[0] - soft[1]).mean() < 2
    off = [cv2.GaussianBlur(np.roll(x, 3, 1).astype(np.float32)[..., :3], (0, 0), 4)[8:-8, 8:-8] for x in (near,)]
    assert np.abs(off[0] - soft[1]).mean() > 1.2 * np.abs(soft[0] - soft[1]).mean()  # and it lies where it should


def test_wider_than_the_clip_is_refused_and_names_the_widest(portrait):
    fov = portrait.stage.camera.fov
    with pytest.raises(BadInput, match=f"saw {fov:.2f} degrees"):
        staged(portrait, Delivery(fov=fov + 0.5))


def test_two_viewers_with_other_stages_share_a_portrait(portrait, usual):
    before = portrait.stage
    near = staged(portrait, Delivery(fov=10.0))
    near.stage.background.zero_()
    assert portrait.stage is before and near.gaussians is portrait.gaussians and near.rig is portrait.rig
    assert np.array_equal(picture(portrait, Delivery()), usual)


def test_a_picture_of_ones_own_behind_is_not_zoomed(portrait, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), noise)
    shown = Scenery(staged(portrait, Delivery(fov=10.0)), str(tmp_path / "a.png")).plate
    assert np.array_equal(shown, noise[..., ::-1])


# ---- light


def test_lights_of_the_training_frames(portrait_files, clip):
    person = methods.load(portrait_files["radnerf"])
    motion, cond = person.stage.motion[:1], torch.zeros(1, 8)
    mean = person.render(cond, motion)[0]
    assert person.lights == len(clip.train)
    person.head.appearance.data[2] += 1.0  # a light unlike the others
    layers = [staged(person, Delivery(appearance=n)).render(cond, motion)[0] for n in (2, 3)]
    assert not torch.allclose(layers[0].rgb, layers[1].rgb, atol=1e-3)
    assert all(torch.equal(layer.alpha, mean.alpha) for layer in layers)  # light has no shape
    with torch.no_grad():
        person.head.appearance[:] = person.head.appearance[2].clone()
    assert torch.allclose(person.render(cond, motion)[0].rgb, layers[0].rgb, atol=1e-5)
    with pytest.raises(BadInput, match=rf"no appearance {person.lights}: .* 0 to {person.lights - 1}"):
        staged(person, Delivery(appearance=person.lights))


def test_methods_without_lights_say_so(portrait_files):
    for name in set(methods.names()) - {"radnerf", "geneface"}:
        person = methods.load(portrait_files[name])
        assert staged(person, Delivery()) is person
        with pytest.raises(BadInput, match="radnerf"):
            staged(person, Delivery(appearance=0))


# ---- a torso that goes along


@pytest.fixture(scope="module")
def carried(portrait) -> Carried:
    stage = portrait.stage
    return Carried(stage.torso, stage.motion.pose, stage.camera, stage.camera)


def test_where_the_head_was_seen_a_carried_torso_is_the_torso(portrait, carried):
    motion, plate = portrait.stage.motion, portrait.stage.background.numpy()
    rows, alone = carried.follow(motion), portrait.stage.torso.follow(motion)
    assert torch.equal(rows[:, :-3], alone) and (rows[:, -3:] == torch.tensor([1.0, 0.0, 0.0])).all()
    assert np.array_equal(carried.draw(rows[7], plate), portrait.stage.torso.draw(alone[7], plate))
    assert np.array_equal(carried.layer(rows[7]), portrait.stage.torso.layer(alone[7]))


@given(st.floats(-0.15, 0.15), st.floats(-0.05, 0.1), st.floats(-0.3, 0.5), st.floats(-25, 25))
@settings(max_examples=15, deadline=None)
def test_beyond_it_the_neck_stays_under_the_head(portrait, carried, x, y, z, yaw):
    """What stands at the neck in the nearest known picture stands at the neck in this one."""
    stage = portrait.stage
    stance = Stance.of(stage.motion.pose)
    asked = torch.tensor([[yaw, 0, 0, x, y, z]]).double()
    kept = asked.clone()
    kept[:, 3:] = torch.minimum(torch.maximum(asked[:, 3:], carried.low), carried.high)
    motions = [replace(stage.motion[:1], pose=stance.pose(numbers)) for numbers in (asked, kept)]
    far, near = (carried.follow(motion)[0] for motion in motions)
    assert torch.allclose(far[:-3], near[:-3], atol=2e-3)
    necks = [stage.camera.project(stance.neck + numbers[0, 3:]) for numbers in (asked, kept)]
    assert torch.allclose(far[-3] * necks[1] + far[-2:], necks[0].float().double(), atol=0.02)
    assert float(far[-3]) == pytest.approx(float((stance.neck + kept[0, 3:])[2] / (stance.neck + asked[0, 3:])[2]), abs=1e-4)


def test_what_ends_before_the_edge_is_drawn_out_from_within():
    class Bust:
        size = 64

        def layer(self, _: torch.Tensor) -> np.ndarray:
            cloth = np.zeros((64, 64, 4), np.float32)
            cloth[40:, :] = (0.1, 0.2, 0.3, 1)
            cloth[63:, 10:30] = cloth[:, 62:] = 0
            return cloth

    camera = Camera(100.0, (32.0, 32.0), (64, 64))
    pose = torch.eye(4).repeat(2, 1, 1)
    pose[:, 2, 3] = -0.7
    layer = Carried(Bust(), pose, camera, camera).layer(torch.tensor([0.0, 1.0, -20.0, -10.0]))
    assert np.allclose(layer[35:], (0.1, 0.2, 0.3, 1), atol=1e-5) and not layer[:25].any()


def test_scaling_moves_pixels_as_it_says():
    image = np.zeros((64, 64, 3), np.float32)
    image[20, 30] = 1  # its middle is (30.5, 20.5)
    row, column = np.unravel_index(scaled(image, 2.0, (-21.0, -11.0))[..., 0].argmax(), (64, 64))
    assert abs(column + 0.5 - (2 * 30.5 - 21)) <= 0.5 and abs(row + 0.5 - (2 * 20.5 - 11)) <= 0.5
    assert np.array_equal(scaled(image, 1.0, (0.0, 0.0)), image)
