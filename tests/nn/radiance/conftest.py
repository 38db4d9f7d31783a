from __future__ import annotations

import pytest

from likeness.nn.radiance.lesson import Lesson
from tests.few_rays import lesson_of


@pytest.fixture(scope="session")
def lesson(clip, tmp_path_factory) -> Lesson:
    """Of `few` frames and settings, in a run of its own."""
    return lesson_of(Lesson, clip, tmp_path_factory.mktemp("radiance"))
