"""A fixture for tests of whole runs: a few photos of two classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from making import make_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two classes with 16 photos each."""
    return make_photos(tmp_path / "photos", {"ant": 16, "bee": 16})
