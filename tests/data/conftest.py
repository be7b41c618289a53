"""Fixtures of the tests that read photos in threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.odd_files import turned_pictures
from regraft.data.manifest import Entry, scan
from regraft.data.source import find_photos


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """After the test, no more threads run than before."""
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def photos(tmp_path: Path) -> list[Entry]:
    """Twenty small photos of two classes."""
    turned_pictures(tmp_path, 10)
    return scan(find_photos(tmp_path), workers=2).usable
