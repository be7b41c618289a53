"""The line of the probe on the screen, and the key of a probe whose features are streamed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from regraft.data.manifest import Entry
from regraft.probe.linear_probe import Probe
from regraft.probe.solver import Solution
from regraft.recipes.steps import solve_probe
from regraft.recipes.steps.solve_probe import SolvedProbe, probe_key

SOLUTION = Solution(np.zeros((2, 3)), np.zeros(2), 1.0, 0.0, 1)


@pytest.mark.parametrize(
    ("searched", "text"),
    [
        (100_000, "90.0 % ± 1.0, cross-validated on 100,000 photos"),
        (20_000, "90.0 % ± 1.0, cross-validated on 100,000 photos by models fitted on 20,000 of them"),
    ],
)
def test_a_sample_of_the_cross_validation_is_named(searched, text):
    probe = Probe(SOLUTION.weight, SOLUTION.bias, 0.1, 0.3, 0.9, 0.01, None, {"searched": searched}, SOLUTION)
    line = SolvedProbe(probe, "probe", 100_000, 1, nested=True).line()
    assert line is not None and line.text == text


def test_a_streamed_probe_has_a_key_of_its_own(monkeypatch):
    network = SimpleNamespace(backbone=SimpleNamespace(spec=SimpleNamespace(top_features=8)))
    features = SimpleNamespace(weights="w", preprocessing="p", networks=(network,))
    config = SimpleNamespace(class_weight=None, seed=0)
    context = SimpleNamespace(features=features, config=config, dataset=SimpleNamespace(classes=("a", "b")))
    entries = [Entry(f"{i}.png", Path(f"{i}.png"), str(i), "a") for i in range(4)]
    keys = []
    for size in (4 * 8 * 4, 4 * 8 * 4 + 1):
        monkeypatch.setattr(solve_probe, "STREAMED_BYTES", size)
        keys.append(probe_key(context, entries, None, nested=True))
    assert keys[0] != keys[1]
    assert probe_key(context, entries, None, nested=True, views=2) != keys[0]
