"""The example: a small network trained from scratch stops early and has its best weights back."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "small_cnn.py"


@pytest.fixture(scope="module")
def small_cnn() -> Any:
    spec = importlib.util.spec_from_file_location("small_cnn", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_digits_stop_early_and_restore_the_best_weights(small_cnn: Any, tmp_path: Path) -> None:
    x, y, *_ = small_cnn.digits()
    model, history = small_cnn.train(out=tmp_path, verbose=0)
    losses = history.history["val_loss"]
    assert history.stop_reason.startswith("EarlyStopping: val_loss has not improved for 4 epochs")
    assert len(losses) == int(np.argmin(losses)) + 5 < 60
    cut = int(np.floor(len(x) * 0.8))
    found = model.evaluate(x[cut:], y[cut:], verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(min(losses), rel=1e-6)
    assert found["accuracy"] > 0.9
    model.load_weights(tmp_path / "small_cnn.safetensors")
    assert model.evaluate(x[cut:], y[cut:], verbose=0)[0] == pytest.approx(min(losses), rel=1e-6)


def test_photos(small_cnn: Any, photos_root: Path, tmp_path: Path) -> None:
    model, history = small_cnn.train(photos_root / "hymenoptera", epochs=1, size=32, out=tmp_path, verbose=0)
    assert len(history.history["val_accuracy"]) == 1
    assert (tmp_path / "small_cnn.safetensors").exists()
    assert model.module[-1].out_features == 2
