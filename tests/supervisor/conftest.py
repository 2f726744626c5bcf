"""A registry, and a follower of it that is looked after."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .lives import Engine, Life


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def life(tmp_path: Path, root: Path) -> Iterator[Life]:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    found = Life(Engine(), run_dir, root)
    yield found
    found.finish()
