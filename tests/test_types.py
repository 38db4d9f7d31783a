"""Proof that the tests run with shapes and types checked (`--jaxtyping-packages`, pyproject.toml)."""

import numpy as np
import pytest
import torch

from likeness.camera import Camera, to_camera
from likeness.clip import Motion
from likeness.evaluate.metrics import psnr

CAMERA = Camera(100.0, (32.0, 32.0), (64, 64))


def violation(call) -> str:
    with pytest.raises(Exception) as caught:
        call()
    return f"{type(caught.value).__module__}.{type(caught.value).__name__}"


@pytest.mark.parametrize(
    "call",
    [
        lambda: CAMERA.project(torch.zeros(5, 2)),  # a wrong size
        lambda: CAMERA.unproject(torch.zeros(5, 2), torch.zeros(4)),  # sizes that do not agree
        lambda: to_camera(torch.zeros(5, 3), torch.zeros(3, 3)),
        lambda: psnr(np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 3), np.uint8)),  # a wrong dtype
        lambda: Camera("wide", (32.0, 32.0), (64, 64)),  # type: ignore[arg-type]
        lambda: Motion(torch.zeros(2, 4, 4), torch.zeros(2, 5), torch.zeros(3), torch.zeros(2, 478, 3)),
    ],
)
def test_a_wrong_shape_or_type_is_caught(call):
    assert violation(call).startswith(("jaxtyping", "beartype"))


def test_what_is_right_passes():
    assert CAMERA.project(torch.ones(2, 5, 3)).shape == (2, 5, 2)
    assert len(Motion(torch.zeros(2, 4, 4), torch.zeros(2, 5), torch.zeros(2), torch.zeros(2, 478, 3))) == 2
