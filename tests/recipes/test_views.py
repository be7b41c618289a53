"""Views that are kept: what they do to the linear probe and to the head of feature extraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from making import make_photos
from regraft.recipes.steps import solve_probe
from regraft.recipes.steps.feature_batches import FeatureBatches
from regraft.screen import QuietScreen
from regraft.workflows.train import train


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos", {"ash": 20, "birch": 20, "cedar": 20}, noise=200)


class Screen(QuietScreen):
    def __init__(self) -> None:
        self.said: list[str] = []

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        self.said.append(f"{label} {text} {note}")


@pytest.mark.parametrize(("better", "kept"), [(True, "pooling"), (False, "the original photo only")])
def test_views_are_pooled_where_cross_validation_says_so(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, better: bool, kept: str
) -> None:
    """What cross-validation found for the views is made clearly better or worse than it was."""
    fit = solve_probe.fit_probe

    def otherwise(features: Any, labels: Any, **more: Any) -> Any:
        found = fit(features, labels, **more)
        if len(labels) > 60:
            right = np.eye(3)[np.asarray(labels)]
            found.oof[:] = right * 0.97 + 0.01 if better else (1 - right) * 0.49 + right * 0.02
        return found

    monkeypatch.setattr(solve_probe, "fit_probe", otherwise)
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))  # solved probes are kept
    screen = Screen()
    run = train(photos, out=tmp_path / "run", screen=screen, recipe="linear-probe", views=3, **tiny)
    assert any(line.startswith("views") and kept in line for line in screen.said)
    measured = run.metrics["measured"]["final/out-of-fold"]
    assert measured["used_for_choosing"] is True
    assert measured["n"] == 60
    plain = train(photos, out=tmp_path / "plain", screen=Screen(), recipe="linear-probe", **tiny)
    assert plain.metrics["measured"]["final/out-of-fold"]["used_for_choosing"] is False
    same = (run.folder / "model.safetensors").read_bytes() == (plain.folder / "model.safetensors").read_bytes()
    assert same == (not better)


def test_photos_show_their_views_in_turn() -> None:
    n, views = 12, 3
    contents = [f"{i:08x}" for i in range(n)]
    features = [
        np.full((n, 2), view, dtype=np.float32) + np.arange(n, dtype=np.float32)[:, None] / 100 for view in range(views)
    ]
    scaling = np.zeros(2, dtype=np.float32), np.ones(2, dtype=np.float32)
    batches = FeatureBatches(features, np.arange(n), contents, scaling, 5, seed=1)
    seen: dict[int, list[int]] = {}
    for epoch in range(views):
        for x, y in batches.epoch(epoch):
            for row, photo in zip(x[:, 0].tolist(), y.tolist(), strict=True):
                view = round(row - photo / 100)
                assert abs(row - view - photo / 100) < 1e-6
                seen.setdefault(photo, []).append(view)
    assert all(sorted(shown) == [0, 1, 2] for shown in seen.values())
    assert len({shown[0] for shown in seen.values()}) == 3
    whole = list(batches.epoch(2))
    assert all((a[0] == b[0]).all() for a, b in zip(whole[1:], batches.epoch(2, start=1), strict=True))
