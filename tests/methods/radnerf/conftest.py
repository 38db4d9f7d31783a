from __future__ import annotations

import pytest
import torch

from likeness.methods.radnerf.lesson import Lesson
from likeness.nn.perceptual import perceptual_loss
from likeness.rig import Rig
from likeness.run import Run
from tests.few_rays import few

EVERY = 6  # of the training frames


@pytest.fixture(scope="session")
def lesson(clip, tmp_path_factory) -> Lesson:
    """Of `few` frames and settings, in a run of its own."""
    frames = clip.train[::EVERY]
    rig = Rig.fit(clip.motion[torch.from_numpy(clip.train)])
    run = Run(tmp_path_factory.mktemp("radnerf"), {})
    return Lesson(clip, rig, frames, few(), run, perceptual_loss("laplacian"))
