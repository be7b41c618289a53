"""Neighbors of mistakes among the training photos, whose features are read block by block."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from regraft.data.manifest import Entry
from regraft.workflows.steps import photo_records
from regraft.workflows.steps.photo_records import nearest_training_photos


def test_neighbors_do_not_depend_on_the_blocks(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    entries = [Entry(f"{i:02}.png", Path(f"{i:02}.png"), f"{i:064x}", "ash") for i in range(60)]
    features = SimpleNamespace(of=lambda some: rows[[int(entry.content, 16) for entry in some]])
    context = SimpleNamespace(features=SimpleNamespace(first=features))
    photos, pool = entries[:6], entries[3:]
    at_once = nearest_training_photos(context, photos, pool, 5)
    monkeypatch.setattr(photo_records, "BLOCK", 7)
    in_blocks = nearest_training_photos(context, photos, pool, 5)
    centered = rows - rows[3:].mean(axis=0)
    unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    for number, ((photo, whole), (_, parts)) in enumerate(zip(at_once, in_blocks, strict=True)):
        order = [i for i in np.argsort(-(unit @ unit[number])) if i >= 3 and i != number][:5]
        assert photo is entries[number]
        names = [f"{i:02}.png" for i in order]
        assert [entry.name for entry, _ in whole] == [entry.name for entry, _ in parts] == names
        assert [cosine for _, cosine in whole] == pytest.approx([cosine for _, cosine in parts], abs=1e-6)
