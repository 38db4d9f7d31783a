"""Landmarks between motion and picture: their statistics, how far they may go, and which frames a code hears."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.displacement import BROWS, EYES, MOUTH, POINTS_68, displacement
from likeness.methods import geneface
from likeness.methods.geneface.landmarks import FLOOR_CM, FRAMES, NEAR, NUMBERS, LandmarkCode, Landmarks, neighbours, windows
from likeness.nn.radiance import stages
from likeness.rig import LIP_COEFFICIENTS, SIZE


@pytest.fixture(scope="module")
def landmarks(lesson) -> Landmarks:
    made = Landmarks(2.5)
    made.follow(lesson.rig)
    made.measure(lesson.cond[torch.from_numpy(lesson.frames)])
    return made


def test_they_are_the_tracked_face_as_far_as_the_rig_knows_it(lesson, landmarks):
    frames = torch.from_numpy(lesson.clip.train)
    motion = lesson.clip.motion[frames]
    real = displacement(motion.landmarks.numpy()).of_68()
    found = (lesson.rig.encode(motion) @ landmarks.basis).unflatten(1, (len(POINTS_68), 3)).numpy()
    for t in range(0, len(found), 20):
        real_mouth, mouth = real.moves[t][MOUTH], found[t][MOUTH]
        assert np.abs((mouth - mouth.mean(0)) - (real_mouth - real_mouth.mean(0))).mean() < 0.1  # centimetres


def test_they_are_of_mean_0_and_spread_1_over_the_training_frames_but_for_what_hardly_moves(lesson, landmarks):
    moves = lesson.cond[torch.from_numpy(lesson.frames)] @ landmarks.basis
    z = (moves - landmarks.mean) / landmarks.std
    assert torch.allclose(z.mean(0), torch.zeros(NUMBERS), atol=1e-3)
    still = moves.std(0, correction=0) < FLOOR_CM
    assert torch.allclose(z.std(0, correction=0)[~still], torch.ones(1), atol=1e-3)
    assert still.any() and float(landmarks.std.min()) == pytest.approx(FLOOR_CM)
    assert (z.std(0, correction=0)[still] < 1).all()


def test_statistics_are_of_training_frames_only(lesson, monkeypatch):
    """What held-out frames look like changes nothing; what training frames look like does."""
    monkeypatch.setattr(stages, "learn", lambda head, lesson: None)
    known = geneface._head(lesson).landmarks
    usual, outside = lesson.cond.clone(), np.setdiff1d(np.arange(len(lesson.cond)), lesson.frames)
    try:
        lesson.cond[torch.from_numpy(outside)] *= 30
        again = geneface._head(lesson).landmarks
        assert torch.equal(again.mean, known.mean) and torch.equal(again.std, known.std)
        lesson.cond[int(lesson.frames[0])] += 30
        assert not torch.equal(geneface._head(lesson).landmarks.mean, known.mean)
    finally:
        lesson.cond.copy_(usual)


@given(st.floats(0.1, 1e4), st.integers(0, 2**31), st.floats(0.5, 4))
@settings(max_examples=25, deadline=None)
def test_none_goes_further_than_the_clamp(landmarks, far, seed, clamp):
    mine = Landmarks(clamp)
    mine.load_state_dict(landmarks.state_dict())
    mine.basis = landmarks.basis
    cond = far * torch.randn(4, SIZE, generator=torch.Generator().manual_seed(seed))
    z = mine(cond).unflatten(1, (len(POINTS_68), 3))
    assert float(z.abs().max()) <= clamp + 1e-5
    for part in (BROWS, EYES):
        assert float(z[:, part, :2].abs().max()) <= clamp / 2 + 1e-5
    free = (cond @ mine.basis - mine.mean) / mine.std
    inside = free.abs() < clamp / 2
    assert torch.allclose(z.flatten(1)[inside], free[inside])


@st.composite
def takes(draw) -> tuple[np.ndarray, tuple[int, ...]]:
    """Frames of a clip that may be looked at, and cuts."""
    length = draw(st.integers(2, 40))
    used = draw(st.lists(st.booleans(), min_size=length, max_size=length).filter(any))
    return np.flatnonzero(used), tuple(draw(st.lists(st.integers(0, length), max_size=4)))


@given(takes())
@settings(max_examples=80, deadline=None)
def test_edges_are_padded_in_training_as_in_use(take):
    """Each piece of a clip by itself, as `follow` sees it, has the rows that training has; none of another piece."""
    frames, breaks = take
    rows = torch.randn(int(frames.max()) + 1, LIP_COEFFICIENTS)
    near = neighbours(frames, breaks)
    assert near.shape == (len(frames), FRAMES) and (near[:, NEAR] == frames).all() and np.isin(near, frames).all()
    cuts = np.flatnonzero((np.diff(frames) > 1) | np.isin(frames[1:], breaks)) + 1
    pieces = [windows(rows[torch.from_numpy(piece)]) for piece in np.split(frames, cuts)]
    assert torch.equal(rows[torch.from_numpy(near)].flatten(1), torch.cat(pieces))
    for t, row in zip(frames, near):
        for b in breaks:
            assert b > t or (row >= b).all()
            assert b <= t or (row < b).all()


@given(st.integers(0, 2**31), st.floats(0.1, 5))
@settings(max_examples=20, deadline=None)
@torch.no_grad()
def test_what_stays_is_not_changed_by_the_frames_around(seed, far):
    torch.manual_seed(seed)
    code, face = LandmarkCode(24), far * torch.randn(3, NUMBERS)
    assert torch.allclose(code(face[:, None].expand(-1, FRAMES, -1)), code.dense(face), atol=1e-5)
    lips = torch.randn(3, FRAMES, NUMBERS)
    other = lips.clone()
    other[:, 0] += 1
    assert not torch.allclose(code(lips), code(other))  # but what moves is
