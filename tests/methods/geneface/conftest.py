from __future__ import annotations

from dataclasses import replace

import pytest

from likeness.methods.geneface import preset
from likeness.methods.geneface.lesson import Lesson
from tests.few_rays import FEW, lesson_of


@pytest.fixture(scope="session")
def lesson(clip, tmp_path_factory) -> Lesson:
    """Of few frames and settings, in a run of its own."""
    return lesson_of(Lesson, clip, tmp_path_factory.mktemp("geneface"), replace(preset("fast"), **FEW))
