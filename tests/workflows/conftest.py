"""Fixtures of the tests of workflows: the tiny network, and a few photos."""

from __future__ import annotations

from tiny_network import tiny
from two_classes import photos

__all__ = ["photos", "tiny"]
