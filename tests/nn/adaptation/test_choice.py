"""Which step of the post-net is kept, on curves as the original's users saw them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.nn.adaptation.choice import PATIENCE, chosen, over, scores


def curve(mse: list[float], opening: list[float] | None = None, sync: list[float] | None = None) -> torch.Tensor:
    """Evaluations with a critic that becomes undecided."""
    count = len(mse)
    own = np.linspace(0.9, 0.5, count)
    columns = [np.arange(count), own, 1 - own, mse, sync or [0.0] * count, opening or [1.0] * count]
    return torch.tensor(np.array(columns).T)


def test_the_least_score_is_kept():
    assert chosen(curve([1.0, 0.8, 0.6, 0.5, 0.9])) == 3


def test_the_earliest_of_equals_is_kept():
    same = curve([1.0, 1.0, 1.0])
    same[:, 1], same[:, 2] = 0.5, 0.5
    assert chosen(same) == 0


def test_a_collapse_is_never_kept():
    """One mouth for any sound: the mean error falls, the critic is fooled, and the mouth stands still."""
    falling = curve([1.0, 0.9, 0.5, 0.3, 0.2], opening=[1.0, 0.9, 0.5, 0.1, 0.0])
    assert chosen(falling) == 1
    assert torch.isinf(scores(falling)[2:]).all()
    assert chosen(curve([1.0, 0.2, 0.2], opening=[1.0, 0.0, 1.9])) == 0


def test_an_evaluation_that_holds_no_number_is_never_kept():
    broken = curve([1.0, 0.5, 0.6])
    broken[1, 2] = torch.nan
    assert chosen(broken) == 2


def test_the_sync_loss_counts_where_there_is_an_expert():
    assert chosen(curve([1.0, 0.8, 0.8], sync=[1.0, 0.9, 1.5])) == 1
    assert chosen(curve([1.0, 0.8, 0.8])) == 2


def test_training_stops_at_the_third_evaluation_that_is_no_better():
    mse = [1.0, 0.4, 0.9, 0.9, 0.9, 0.1]
    assert [over(curve(mse)[:n]) for n in range(1, 5)] == [False] * 4
    assert over(curve(mse)[: 2 + PATIENCE])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 2)] * 3), min_size=1, max_size=12))
def test_row_0_is_there_whatever_happens(rows):
    found = torch.tensor([[i, own, 1 - own, mse, 0.0, opening] for i, (own, mse, opening) in enumerate(rows)])
    found[0, 5] = 1.0
    best = chosen(found)
    assert 0 <= best < len(found) and torch.isfinite(scores(found)[best])


@pytest.mark.parametrize("opening", [0.69, 1.31])
def test_the_opening_has_to_stay_as_large(opening):
    assert chosen(curve([1.0, 0.1], opening=[1.0, opening])) == 0
