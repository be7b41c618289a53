"""The third look at labels: out of fold, seeing what the first two did not, and only where it can be had."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from making import entries_of, make_photos
from regraft.data.selection import PhotoSelection
from regraft.features.stores.store import MemoryStore
from regraft.models.zoo import build_backbone
from regraft.recipes.steps.tuning_plan import Plan
from regraft.screen import QuietScreen
from regraft.workflows import label_review
from regraft.workflows.check import CheckOptions, check_photos
from regraft.workflows.label_review import LabeledPhotos, fine_tuned_label_probabilities


class Screen(QuietScreen):
    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture
def labelled(tmp_path: Path) -> LabeledPhotos:
    entries = entries_of(sorted(make_photos(tmp_path / "photos", {"ash": 30, "box": 30}).rglob("*.png")))
    labels = np.repeat([0, 1], 30).astype(np.int64)
    return LabeledPhotos(entries, labels, [e.content for e in entries], np.full((60, 2), 0.5))


def asked(tiny: dict[str, Any], store: MemoryStore | None = None) -> dict[str, Any]:
    more = {"store": store or MemoryStore(), "device": torch.device("cpu"), "workers": 0, "screen": Screen()}
    return {"backbone": build_backbone(tiny["backbone"], weights=tiny.get("weights"), size=64), **more}


def test_it_is_out_of_fold(labelled: LabeledPhotos, tiny: dict[str, Any]) -> None:
    """Another label of a photo changes nothing of what is said of it: the training has not seen it."""
    tuned = label_review._FoldFineTuner(labelled, Plan(1, 1, 1e-3, 8, 1), **asked(tiny))
    held, train = np.arange(0, 60, 3), np.setdiff1d(np.arange(60), np.arange(0, 60, 3))
    first = tuned.held_out_probabilities(held, train, lambda: None)
    labelled.labels[held] = 1 - labelled.labels[held]
    again = tuned.held_out_probabilities(held, train, lambda: None)
    assert np.array_equal(first, again)
    labelled.labels[train] = 1 - labelled.labels[train]
    assert not np.allclose(tuned.held_out_probabilities(held, train, lambda: None), first)


@pytest.mark.slow
def test_it_sees_a_wrong_label_that_the_others_did_not(
    labelled: LabeledPhotos, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_review, "FOLDS", 3)
    labelled.labels[7] = 1
    store, network = MemoryStore(), asked(tiny)
    before = {name: tensor.clone() for name, tensor in network["backbone"].state_dict().items()}
    found = fine_tuned_label_probabilities(labelled, **{**network, "store": store})
    assert found.shape == (60, 2) and np.allclose(found.sum(axis=1), 1)
    right = found[np.arange(60), labelled.labels]
    assert right[7] < 0.1 and np.delete(right, 7).min() > 0.4
    assert all(torch.equal(tensor, before[name]) for name, tensor in network["backbone"].state_dict().items())
    assert np.array_equal(fine_tuned_label_probabilities(labelled, **{**network, "store": store}), found)


def test_a_class_in_one_fold_alone_is_not_learned_without_it(labelled: LabeledPhotos, tiny: dict[str, Any]) -> None:
    labels = labelled.labels.copy()
    labels[:2] = 2
    units = ["together" if i < 2 else unit for i, unit in enumerate(labelled.units)]
    doubts, network = np.full((60, 3), 1 / 3), asked(tiny)
    found = fine_tuned_label_probabilities(LabeledPhotos(labelled.entries, labels, units, doubts), **network)
    assert found is doubts
    assert "a class is too small" in network["screen"].warned[0]


@pytest.mark.slow
def test_the_check_takes_it_where_it_is_asked_for(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(tmp_path / "photos", {"ash": 60, "box": 60}, size=40)
    shutil.move(photos / "ash" / "photo 003.png", photos / "box" / "moved.png")
    taken = []

    def look(found: LabeledPhotos, backbone: Any, **more: Any) -> Any:
        taken.append((len(found.entries), backbone.spec.preprocessing.height))
        return fine_tuned_label_probabilities(found, backbone, **more)

    monkeypatch.setattr("regraft.workflows.check.fine_tuned_label_probabilities", look)
    for name, value in (("FOLDS", 2), ("EPOCHS", 1), ("VIEWS", 1)):
        monkeypatch.setattr(label_review, name, value)
    own = {"backbone": tiny["backbone"], "weights": tiny.get("weights")}
    store = MemoryStore()
    for thorough in (False, True):
        options = CheckOptions(PhotoSelection(photos), thorough=thorough, **own)
        findings = check_photos(options, Screen(), store)["findings"]
        (wrong,) = [f for f in findings if f["kind"] == "wrong label"]
        assert wrong["photos"] == ["box/moved.png"]
    assert taken == [(120, 96)]  # photos of 40 pixels, a network of 160
    few = make_photos(tmp_path / "few", {"ash": 10, "box": 10}, size=40)
    screen = Screen()
    check_photos(CheckOptions(PhotoSelection(few), thorough=True, **own), screen, MemoryStore())
    assert len(taken) == 1 and any("too few photos" in text for text in screen.warned)
