"""Eyes by number, by chance, along a curve and when told; any chunking gives the same."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likeness.errors import BadInput
from likeness.eyes import LIDS, blinks, eyes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eyes")
    (folder / "curve.csv").write_text("time,eyes\n0,1\n0.4,0.2\n2,0.9\n")
    (folder / "constant.csv").write_text("frame,eyes\n3,0.4\n")
    (folder / "times.csv").write_text("time\n0.2\n2\n3.96\n")
    return folder


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.sampled_from(["curve.csv", "times.csv", "blinks", 0.3]))
@settings(max_examples=40, deadline=None)
def test_chunks_do_not_show(files, steps, wanted):
    made = eyes(files / wanted if str(wanted).endswith("csv") else wanted)
    cuts = [sum(steps[:i]) for i in range(len(steps) + 1)]
    whole = made(0, cuts[-1])
    assert torch.equal(torch.cat([made(a, b) for a, b in pairwise(cuts)]), whole)
    assert float(whole.min()) >= 0 and float(whole.max()) <= 1


def test_a_curve_of_one_value_is_that_number(files):
    assert torch.equal(eyes(files / "constant.csv")(5, 90), eyes(0.4)(5, 90))


def test_a_curve_goes_back_and_forth(files):
    opening = eyes(str(files / "curve.csv"))(0, 160)
    assert opening[0] == 1 and opening[10] == pytest.approx(0.2) and opening[50] == pytest.approx(0.9)
    assert torch.equal(opening[51:101], opening[:50].flip(0)) and torch.equal(opening[100:150], opening[:50])


def test_times_of_blinks(files):
    opening = eyes(files / "times.csv")(0, 300)
    for first in (5, 50, 99):
        assert torch.equal(opening[first : first + len(LIDS)], torch.tensor(LIDS))
    assert (opening < 1).sum() == 3 * len(LIDS)


@pytest.mark.parametrize("seed", [0, 5])
def test_blinks_do_not_depend_on_chunks(seed):
    whole = blinks(0, 1000, seed)
    for size in (1, 7, 100, 333):
        parts = [blinks(a, min(a + size, 1000), seed) for a in range(0, 1000, size)]
        assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole, blinks(0, 1000, seed + 1))
    closed = torch.nonzero(whole == 0)[:, 0]
    assert len(closed) == 10 and (closed.diff() > 6).all() and (closed.diff() < 200).all()
    assert 0.9 < whole.mean() < 1


def test_what_is_none(tmp_path):
    assert eyes("clip") is None
    with pytest.raises(BadInput, match="no such eyes"):
        eyes("wide")
    (tmp_path / "a.csv").write_text("frame,eyes\n0,1.5\n")
    with pytest.raises(BadInput, match="line 2, column eyes"):
        eyes(tmp_path / "a.csv")
