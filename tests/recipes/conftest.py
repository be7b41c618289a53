"""What the tests of recipes share: the tiny network, and a few photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from making import make_photos
from tiny_network import tiny

__all__ = ["photos", "tiny"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two classes with 16 photos each."""
    return make_photos(tmp_path / "photos", {"ant": 16, "bee": 16})
