"""A folder of tiny videos, written once and copied for each test."""

import shutil
from pathlib import Path

import pytest

from tests.study.studies import make


@pytest.fixture(scope="session")
def written(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("studies") / "study")


@pytest.fixture
def folder(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "study"))
