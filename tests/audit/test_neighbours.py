"""Neighbours of photos by their features."""

from __future__ import annotations

import numpy as np

from regraft.audit.neighbours import PROJECTED_DIMENSIONS, _unit_vectors


def test_features_of_low_rank_have_directions_too(monkeypatch):
    """Small photos give many features that are the same for all; in single precision the solver gave up on them."""
    monkeypatch.setattr("regraft.audit.neighbours.MIN_PHOTOS_TO_PROJECT", 100)
    draw = np.random.default_rng(0)
    rows = np.maximum(draw.standard_normal((500, 40)) @ draw.standard_normal((40, 1280)), 0).astype(np.float32)
    rows[:, 700:] = 0
    rows[:, 600:700] = 3.5
    found = _unit_vectors(rows, np.arange(500))
    assert found.shape == (500, PROJECTED_DIMENSIONS) and np.isfinite(found).all()
