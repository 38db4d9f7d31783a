"""Kernel regression: what it answers depends on what is near, and on nothing else."""

from __future__ import annotations

import torch

from likeness.nn.regression import Regression, tapered


def fitted(rows: int = 400, keys: int = 200) -> tuple[Regression, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, 6, generator=random)
    outputs = torch.stack([torch.sin(inputs[:, 0]), inputs[:, 1] * inputs[:, 2]], 1)
    made = Regression(keys, 6, 2)
    made.fit(inputs, outputs)
    return made, inputs, outputs


def test_it_foretells_what_it_has_not_met():
    made, _, _ = fitted(2000, 400)
    inputs = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    real = torch.stack([torch.sin(inputs[:, 0]), inputs[:, 1] * inputs[:, 2]], 1)
    assert ((made.answered(inputs) - real).square().mean(0) < 0.5 * real.var(0)).all()


def test_rows_are_answered_by_themselves_and_the_same_every_time():
    one, inputs, _ = fitted()
    other, _, _ = fitted()
    whole = one.answered(inputs)
    assert torch.equal(whole, other.answered(inputs))
    assert torch.allclose(whole, torch.cat([one.answered(part) for part in inputs.split(7)]), atol=1e-6)


def test_far_from_everything_the_mean_is_answered():
    made, _, outputs = fitted()
    assert torch.allclose(made.answered(torch.full((1, 6), 100.0)), outputs.mean(0, keepdim=True), atol=1e-5)


def test_more_keys_than_rows_are_left_blank():
    made, inputs, outputs = fitted(20, 50)
    assert not made.keys[20:].any() and not made.weights[20:].any()
    assert torch.corrcoef(torch.stack([made.answered(inputs)[:, 0], outputs[:, 0]]))[0, 1] > 0.9


def test_windows_count_most_at_the_frame_that_is_spoken():
    """And their distances are weighted means of the frames' own."""
    windows = tapered(torch.ones(3, 2, 5), 1, 1.5).unflatten(1, (2, 5))
    assert (windows.argmax(-1) == 1).all() and torch.allclose(windows.square().sum(-1), torch.ones(3, 2))
