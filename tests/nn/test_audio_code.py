"""The code of speech: what it hears, and that stretches do not show."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from likeness.audio import ROWS_PER_FRAME
from likeness.nn.audio_code import AFTER, BEFORE, FUTURE, PAST, AudioCode, hearing

DIM, WIDTH, TIME = 5, 8, 30
EDGE = 2  # rows at either end of a frame's hearing that its windows of 16 rows do not reach


@pytest.fixture(scope="module")
def code() -> AudioCode:
    torch.manual_seed(0)
    code = AudioCode(DIM, WIDTH)
    with torch.no_grad():
        code.weigh.weight.mul_(10)  # attention that is anything but even
    return code


@pytest.fixture(scope="module")
def rows() -> torch.Tensor:
    return torch.randn(ROWS_PER_FRAME * TIME, DIM, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_stretches_do_not_show(code, rows):
    hears = hearing(("mel",))
    whole = code(hears.window(rows, 0, TIME))
    assert whole.shape == (TIME, WIDTH)
    for cuts in (list(range(TIME + 1)), [0, 1, 17, TIME]):
        parts = [code(hears.window(rows, a, b)) for a, b in pairwise(cuts)]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-6)


def test_a_frame_hears_its_hearing_and_nothing_else(code, rows):
    """By gradients: exactly the rows within PAST and FUTURE frames, but for EDGE at both ends."""
    assert (hearing(("mel", "phones")).past, hearing(("mel", "phones")).future) == (PAST, FUTURE)
    t = 15
    rows = rows.clone().requires_grad_()
    code(hearing(("mel",)).window(rows, 0, TIME))[t].square().sum().backward()
    heard = (rows.grad != 0).any(1).nonzero()[:, 0]
    first, last = (t - PAST) * ROWS_PER_FRAME + EDGE, (t + 1 + FUTURE) * ROWS_PER_FRAME - EDGE
    assert heard.tolist() == list(range(first, last))


@torch.no_grad()
def test_sound_outside_the_hearing_has_no_effect(code, rows):
    t = 15
    changed = torch.full_like(rows, 9.0)
    inside = slice((t - PAST) * ROWS_PER_FRAME, (t + 1 + FUTURE) * ROWS_PER_FRAME)
    changed[inside] = rows[inside]
    window = hearing(("mel",)).window
    assert torch.equal(code(window(rows, t, t + 1)), code(window(changed, t, t + 1)))
    assert torch.allclose(code(window(rows, t - 3, t + 4))[3], code(window(changed, t - 3, t + 4))[3], atol=1e-6)
    assert not torch.allclose(code(window(rows, t - 3, t + 4))[2], code(window(changed, t - 3, t + 4))[2], atol=1e-6)


@torch.no_grad()
def test_a_code_is_a_mean_of_its_neighbours(code, rows):
    """In sound that does not change, every frame has one code, however the attention weighs them."""
    steady = rows[:1].expand(4 * (PAST + 3 + FUTURE), -1)
    codes = code(steady)
    assert torch.allclose(codes, codes[:1].expand(3, -1), atol=1e-6)
    before = code.weigh.bias.clone()
    code.weigh.bias.copy_(torch.arange(BEFORE + 1 + AFTER).float())
    assert torch.allclose(code(steady), codes, atol=1e-6)
    assert not torch.allclose(code(rows)[0], codes[0], atol=1e-4)
    code.weigh.bias.copy_(before)


@torch.no_grad()
def test_features_count_in_their_own_spread(rows):
    torch.manual_seed(3)
    code = AudioCode(DIM, WIDTH)
    plain = code(rows)
    code.mean.copy_(torch.linspace(-3, 3, DIM))
    code.std.copy_(torch.linspace(0.5, 4, DIM))
    assert torch.allclose(code(rows * code.std + code.mean), plain, atol=1e-5)
    code.std.zero_()  # a feature that never changed in the clip
    assert code(rows).isfinite().all()


def test_everything_in_it_learns(code, rows):
    code(rows).square().sum().backward()
    assert [name for name, p in code.named_parameters() if p.grad is None or not p.grad.any()] == []
    code.zero_grad()
