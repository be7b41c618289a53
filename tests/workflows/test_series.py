"""A training and a check notice photos of the same subjects, and a model file tells photos unlike all of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from regraft.audit.series import SeriesEffect, SeriesTest
from regraft.data.selection import PhotoSelection
from regraft.screen import QuietScreen
from regraft.workflows.check import CheckOptions, check_photos
from regraft.workflows.train import train

SUBJECTS, PHOTOS, SIDE = 12, 5, 48


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A folder of two classes in which each subject has its own colors, whatever its class."""
    folder = tmp_path_factory.mktemp("series") / "photos"
    draw = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (folder / label).mkdir(parents=True)
        for subject in range(SUBJECTS):
            base = draw.integers(0, 255, (4, 4, 3))
            for photo in range(PHOTOS):
                pixels = (base + draw.normal(0, 25, base.shape)).clip(0, 255).astype(np.uint8)
                image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                image.save(folder / label / f"IMG_{subject * PHOTOS + photo:04}.png")
    return folder


@pytest.mark.slow
def test_a_training_records_the_loss_and_a_grouped_one_has_none(series, tiny, tmp_path):
    options = {"recipe": "linear-probe", "screen": QuietScreen(), **tiny}
    run = train(series, out=tmp_path / "plain", **options)
    (effect,) = [one for one in run.metrics["series"]["tested"] if one["group_by"] == "number"]
    assert effect["n"] == 2 * SUBJECTS * PHOTOS and effect["loss"]["value"] == effect["random"] - effect["blocks"]
    grouped = train(series, out=tmp_path / "grouped", group_by="number", **options)
    assert grouped.metrics["series"]["group_by"] is None
    assert run.model.predict([series / "ant" / "IMG_0000.png"])[0].novelty is not None


@pytest.mark.slow
def test_a_check_names_the_grouping(series, tiny, monkeypatch):
    effect = SeriesEffect("number", 120, 0.95, 0.84, 6.0, 0.02)
    monkeypatch.setattr(SeriesTest, "effects", lambda _test: [effect])
    check = check_photos(CheckOptions(PhotoSelection(series), workers=0, **tiny), QuietScreen())
    (finding,) = [finding for finding in check["findings"] if finding["kind"] == "series"]
    assert finding["level"] == "warning" and "--group-by number" in finding["words"]
    assert json.loads(json.dumps(finding["measure"]))["clear"]
