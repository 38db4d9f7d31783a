"""Locally linear embedding: the laws that the original breaks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.errors import BadInput
from likeness.nn.adaptation import projection
from likeness.nn.adaptation.projection import APART, NEIGHBOURS, Manifold, mixture, simplex, thinned

seeds = st.integers(0, 10_000)


def rows(seed: int, count: int = 60, dim: int = 8) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, count=st.integers(1, 60))
def test_no_share_is_the_identity_and_a_whole_one_keeps_what_was_seen(seed, count):
    own = Manifold.of(rows(seed, count))
    queries = rows(seed + 1, 7)
    assert torch.equal(own(queries, 0.0), queries)
    assert torch.allclose(own(own.rows, 1.0), own.rows, atol=1e-5)
    half = own(queries, 0.5)
    assert torch.allclose(half, (queries + own(queries, 1.0)) / 2, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, twins=st.integers(2, 20))
def test_duplicates_give_numbers(seed, twins):
    """Frames that are the same make the original's matrix singular."""
    seen = rows(seed, 12)
    own = Manifold.of(torch.cat([seen[:1].repeat(twins, 1), seen, seen[:3]]))
    found = own(torch.cat([seen[:1] + 0.01, rows(seed + 1, 4)]))
    assert found.isfinite().all()
    alone = Manifold.of(seen[:1].repeat(twins, 1))
    assert torch.allclose(alone(rows(seed + 1, 3)), seen[:1].expand(3, -1), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, size=st.floats(0.1, 50))
def test_what_comes_out_lies_within_what_was_seen(seed, size):
    own, queries = Manifold.of(rows(seed)), size * rows(seed + 1, 9)
    found = own(queries)
    assert (found >= own.rows.amin(0) - 1e-5).all() and (found <= own.rows.amax(0) + 1e-5).all()
    weights = simplex(mixture(queries.double(), own.rows[:NEIGHBOURS].double().expand(9, -1, -1)))
    assert (weights >= 0).all() and torch.allclose(weights.sum(1), torch.ones(9).double())


def test_weights_rebuild_a_row_that_lies_between():
    near = rows(3, 5, 12).double()
    wanted = torch.tensor([0.4, 0.3, 0.2, 0.1, 0.0]).double()
    assert torch.allclose(mixture((wanted @ near)[None], near[None])[0], wanted, atol=0.02)


def test_one_query_many_queries_and_chunks_are_the_same(monkeypatch):
    own, queries = Manifold.of(rows(0)), rows(1, 40)
    whole = own(queries)
    assert torch.allclose(torch.cat([own(query[None]) for query in queries]), whole, atol=1e-6)
    monkeypatch.setattr(projection, "CHUNK", 7)
    assert torch.allclose(own(queries), whole, atol=1e-6)
    assert own(queries[:0]).shape == (0, 8)


def test_a_column_that_moves_nothing_does_not_choose_the_neighbours():
    seen = torch.tensor([[0.0, 0.0], [1.0, 9.0]])
    query = torch.tensor([[0.1, 9.0]])
    assert Manifold.of(seen, torch.tensor([1.0, 1e-3]))(query)[0, 0] < 0.2
    assert Manifold.of(seen)(query)[0, 0] > 0.9


def test_rows_are_apart_in_time():
    frames = thinned(np.array([0, 1, 2, 3, 4, 9, 10, 11, 13]))
    assert frames.tolist() == [0, 3, 9, 13]
    assert (np.diff(thinned(np.arange(100))) >= APART).all()


@pytest.mark.parametrize("bad", [torch.full((5, 2), torch.nan), torch.zeros(0, 2)])
def test_what_is_no_motion_is_refused(bad):
    with pytest.raises(BadInput, match=r"no motion|no numbers"):
        Manifold.of(bad)
