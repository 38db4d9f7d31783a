"""Few frames, few Gaussians, few steps, and everything that is slow made once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likeness import methods
from likeness.methods.talking_gaussian import Model, seed, stages
from likeness.methods.talking_gaussian.head import Head
from tests.school import School


@pytest.fixture(scope="module", autouse=True)
def little():
    """Fewer Gaussians where the published number is fixed, fewer points that learn the rig, and every step logged: a loss
    that is no number ends the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "DISTIL_POINTS", 200)
        patch.setattr(stages, "LOG_EVERY", 1)
        patch.setattr(seed, "RANDOM_FACE", 300)
        patch.setattr(seed, "RANDOM_MOUTH", 400)
        yield


@pytest.fixture(scope="session")
def school(clip, tmp_path_factory) -> School:
    return School(clip, tmp_path_factory.mktemp("school"))


@pytest.fixture(scope="session")
def speaker(portrait_files) -> Model:
    """The smallest portrait of the method."""
    return methods.load(portrait_files["talking_gaussian"])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def stirred():
    """Make a head's motion large enough to be seen: fresh fields hardly move anything."""

    def stir(head: Head) -> Head:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for motion in (head.face_motion, head.mouth_motion):
                for name, parameter in motion.named_parameters():
                    if "table" in name:
                        parameter.copy_(torch.randn(parameter.shape, generator=generator))
        return head

    return stir
