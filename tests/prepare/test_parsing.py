"""The parser against the actor's exact masks, and the laws of its parts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from likeness.clip import HEAD, PARTS
from likeness.prepare.guided import COARSE, guided_labels, winners
from likeness.prepare.landmarks import FaceMesh
from likeness.prepare.parsing import Parser, generic_prior, parse_frames, similarity


@pytest.fixture(scope="module")
def scene(take):
    """Frames of the actor, 0.2 s apart, with the mesh and the truth; and a parser learned from every third."""
    times = range(0, len(take.images), 5)
    images = [take.images[t] for t in times]
    truth = [take.performance.parts(t) for t in times]
    with FaceMesh() as mesh:
        pixels = [mesh(image) for image in images]
    seen = [i for i, p in enumerate(pixels) if p is not None]
    assert len(seen) == len(images)
    return images, pixels, truth, Parser.fit(images[::3], pixels[::3])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def test_labels_agree_with_the_truth(scene):
    images, pixels, truth, parser = scene
    found = [parser(image, p) for image, p in zip(images, pixels)]
    assert found[0].dtype == np.uint8 and found[0].shape == images[0].shape[:2]
    floors = {"background": 0.97, "torso": 0.95, "neck": 0.7, "face": 0.8, "hair": 0.65}
    for name, floor in floors.items():
        mean = np.mean([overlap(f == PARTS[name], t == PARTS[name]) for f, t in zip(found, truth)])
        assert mean > floor, f"{name}: {mean:.3f}"
    assert np.mean([overlap(np.isin(f, HEAD), np.isin(t, HEAD)) for f, t in zip(found, truth)]) > 0.94


def test_mouth_is_labelled_when_it_is_open(scene):
    images, pixels, _, parser = scene
    gaps = [np.ptp(p[[13, 14], 1]) for p in pixels]
    wide, shut = int(np.argmax(gaps)), int(np.argmin(gaps))
    open_labels = parser(images[wide], pixels[wide]) == PARTS["mouth"]
    assert open_labels.sum() > (parser(images[shut], pixels[shut]) == PARTS["mouth"]).sum()
    y, x = np.argwhere(open_labels).mean(0)
    middle = pixels[wide][[13, 14]].mean(0)
    assert np.hypot(x + 0.5 - middle[0], y + 0.5 - middle[1]) < 4


def test_without_a_face_there_is_no_head(scene):
    images, _, _, parser = scene
    labels = parser(images[0], None)
    assert not np.isin(labels, HEAD).any()
    assert set(np.unique(labels)) <= {PARTS["background"], PARTS["torso"]}


def test_stream_keeps_order_and_does_not_look_across_breaks(scene):
    images, pixels, _, parser = scene
    frames = list(zip(images[:9], pixels[:9]))
    whole = list(parse_frames(iter(frames), parser, breaks=[4]))
    apart = list(parse_frames(frames[:4], parser)) + list(parse_frames(frames[4:], parser))
    assert len(whole) == 9
    for a, b in zip(whole, apart):
        np.testing.assert_array_equal(a, b)


def test_stream_holds_few_frames(scene):
    images, pixels, _, parser = scene
    read = []

    def frames():
        for i in range(12):
            read.append(i)
            yield images[i], pixels[i]

    for done, _ in enumerate(parse_frames(frames(), parser)):
        assert len(read) - done <= 3  # the filter looks two frames ahead


def test_state_makes_the_same_parser(scene):
    images, pixels, _, parser = scene
    again = Parser.from_state(parser.state())
    np.testing.assert_array_equal(parser(images[1], pixels[1]), again(images[1], pixels[1]))


def test_fit_needs_a_frame():
    with pytest.raises(ValueError, match="at least one"):
        Parser.fit([], [])


def test_similarity_is_exact_on_similar_shapes():
    points = np.random.default_rng(0).normal(size=(9, 2))
    angle = 0.4
    turn = 1.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(points, points @ turn.T + [3, -2])
    np.testing.assert_allclose(found, np.column_stack([turn, [3, -2]]), atol=1e-9)


def test_prior_is_a_distribution():
    prior = generic_prior()
    np.testing.assert_allclose(prior.sum(-1), 1, atol=1e-5)
    middle = prior.shape[0] * 13 // 32, prior.shape[1] // 2  # the face's middle
    assert prior[middle].argmax() == 1


def test_guided_labels_move_a_blurred_edge_to_the_picture():
    """Scores that only know an edge to within 10 pixels follow the edge of the picture."""
    side = 256
    truth = (np.add.outer(np.arange(side) * 0.3, np.arange(side)) > 160).astype(np.uint8)
    image = np.where(truth[..., None] > 0, [200, 60, 40], [40, 90, 180]).astype(np.uint8)
    soft = cv2.resize(np.roll(truth, 4, axis=1).astype(np.float32), (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(soft, (0, 0), 4)
    scores = np.dstack([1 - soft, soft])
    before = cv2.resize(winners(scores), (side, side), interpolation=cv2.INTER_NEAREST)
    after = guided_labels(image, scores)
    inner = np.s_[16:-16, 16:-16]
    assert (after != truth)[inner].mean() < 0.5 * (before != truth)[inner].mean()
    assert (after != truth)[inner].mean() < 0.01
