"""The example of transfer learning runs as docs/transfer-learning.md says: it learns, and what it saves predicts."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest
import torch

import regraft as rg
from making import make_photos

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "transfer_learning.py"
CHANCE = 1 / 3


@pytest.fixture(scope="module")
def example():
    specification = importlib.util.spec_from_file_location("transfer_learning", EXAMPLE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def result(example, tmp_path_factory):
    """The folder with the files, and the two accuracies, of stripes of three kinds."""
    out = tmp_path_factory.mktemp("out")
    photos = make_photos(out / "photos", {"ant": 24, "bee": 24, "fly": 24}, noise=20.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield out, example.transfer(photos, out, rg.build_backbone(size=64), epochs=3)
    finally:
        torch.set_num_threads(threads)


def test_both_trainings_are_far_better_than_guessing(result):
    _, accuracies = result
    assert min(accuracies) > CHANCE + 0.3


def test_the_logs_of_both_trainings_have_a_row_per_epoch(result):
    out, _ = result
    for name in ("head.csv", "fine-tuning.csv"):
        with (out / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == ["0", "1", "2"]
        assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


@pytest.mark.parametrize("name", ["model.safetensors", "best.safetensors"])
def test_both_files_predict(name, result):
    out, _ = result
    photos = sorted((out / "photos").glob("*/*.png"))
    assert len(photos) == 72
    predictions = rg.Predictor.load(out / name).predict(photos)
    correct = [p.label == photo.parent.name for p, photo in zip(predictions, photos, strict=True)]
    assert sum(correct) / 72 > CHANCE + 0.3


def test_the_lower_blocks_and_nothing_else_keep_their_weights(result):
    out, _ = result
    before, after = rg.build_backbone(size=64), rg.Classifier.load(out / "model.safetensors").backbone
    changed = {
        block.name
        for block in before.blocks
        if any(
            not torch.equal(before.network.get_parameter(name), after.network.get_parameter(name))
            for name in block.parameters
        )
    }
    assert changed == {block.name for block in before.blocks[-2:]}
