"""Fixtures of the tests of exports."""

from __future__ import annotations

from exported_models import model_file, odd_photos
from tiny_network import tiny

__all__ = ["model_file", "odd_photos", "tiny"]
