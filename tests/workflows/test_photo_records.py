"""Records of photos in the run folder, certified thresholds and the learning curve, after a real training."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from making import make_photos
from recorded_screen import RecordedScreen
from regraft.data.manifest import Manifest
from regraft.inference.predictor import Predictor
from regraft.report import run_page
from regraft.report.run_page import write_report
from regraft.screen import QuietScreen
from regraft.workflows.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny):
    root = tmp_path_factory.mktemp("records")
    make_photos(root / "train-and-test" / "train", {"ash": 12, "elm": 12}, noise=100)
    make_photos(root / "train-and-test" / "test", {"ash": 20, "elm": 20}, noise=100, seed=1)
    return train(
        root / "train-and-test", out=root / "run", recipe="linear-probe", max_error="20%", screen=QuietScreen(), **tiny
    )


def rows(file):
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))


def test_probabilities_are_those_of_the_predictions(run):
    tensors, predictions = load_file(run.folder / "probabilities.safetensors"), rows(run.folder / "predictions.csv")
    assert tensors["probabilities"].shape == (40, 2) and len(np.unique(tensors["unit"])) == 40
    for row, p in zip(predictions, tensors["probabilities"], strict=True):
        assert row["predicted"] == run.metrics["classes"][int(p.argmax())]
        assert f"{p.max():.6f}" == row["probability"]


def test_mistakes_have_three_training_photos_as_neighbors(run):
    sides = {entry.name: entry.side for entry in Manifest.read(run.folder / "manifest.csv").entries}
    wrong = {row["path"] for row in rows(run.folder / "predictions.csv") if row["class"] != row["predicted"]}
    neighbors = rows(run.folder / "neighbors.csv")
    assert len(neighbors) == 3 * len(wrong) and {row["path"] for row in neighbors} == wrong
    assert {sides[row["neighbor"]] for row in neighbors} <= {"train"}


def test_thumbnails_are_named_by_content(run):
    contents = {entry.content for entry in Manifest.read(run.folder / "manifest.csv").entries}
    with zipfile.ZipFile(run.folder / "thumbnails.zip") as file:
        names = file.namelist()
        sizes = {Image.open(io.BytesIO(file.read(name))).size for name in names}
    assert len(names) >= 8 and {name.removesuffix(".jpg") for name in names} <= contents
    assert sizes == {(48, 48)}


def test_the_learning_curve_ends_at_the_accuracy_of_the_probe(run):
    curve = run.metrics["learning_curve"]
    assert [point["training"] for point in curve["points"]] == [6, 12, 24]
    probe = run.metrics["measured"]["linear-probe/test"]["figures"]["accuracy"]
    assert curve["points"][-1]["accuracy"]["value"] == pytest.approx(probe["value"]) and curve["photos"] == "test"
    assert [gain["label"] for gain in curve["gains"]] == ["ash", "elm"]


def test_the_threshold_goes_into_the_model_file(run):
    certified = {one["max_error"]: one for one in run.metrics["reject"]["thresholds"]}
    assert list(certified) == [0.01, 0.02, 0.05, 0.1, 0.2] and certified[0.01]["threshold"] is None
    threshold = certified[0.2]["threshold"]
    predictor = Predictor.load(run.folder)
    assert threshold is not None and predictor.reject_below == threshold
    photos = sorted((run.config.photos / "test").rglob("*.png"))
    predictions = predictor.predict(photos)
    assert [one.unsure for one in predictions] == [one.probability < threshold for one in predictions]


def test_the_ledger_says_that_nothing_moved(run):
    blocks = json.loads((run.folder / "freeze.json").read_text())["blocks"]
    assert len(blocks) > 3
    assert [row["relative_change"] for row in blocks] == [0.0] * (len(blocks) - 1) + [None]


def test_the_report_does_not_need_the_photos(run):
    first = write_report(run.folder).read_bytes()
    moved = run.config.photos.with_name("moved")
    run.config.photos.rename(moved)
    try:
        assert write_report(run.folder).read_bytes() == first
    finally:
        moved.rename(run.config.photos)
    assert b"cannot be shown" not in first and first.count(b"data:image/jpeg") >= 8


def test_a_run_is_shown_in_a_notebook(run):
    html = run._repr_html_()
    accuracy = run.metrics["measured"]["final/test"]["figures"]["accuracy"]["value"]
    assert html.startswith("<table>") and f"{100 * accuracy:.1f} %" in html and str(run.folder) in html
    assert len(run.confusion_matrix().axes[0].texts) >= 2
    assert len([axes for axes in run.show_predictions(n=2).axes if axes.images]) == 4


def test_a_training_ends_with_its_report(tmp_path, tiny, reports, monkeypatch):
    photos = make_photos(tmp_path / "trees", {"ash": 6, "elm": 6})
    screen = RecordedScreen()
    options = {"recipe": "linear-probe", "screen": screen, **tiny}
    first = train(photos, out=tmp_path / "first", **options)
    page = (first.folder / "report.html").read_bytes()
    assert b"cannot be shown" not in page and write_report(first.folder).read_bytes() == page

    def fail(run):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_page, "write_report", fail)
    second = train(photos, out=tmp_path / "second", **options)
    assert second.accuracy == first.accuracy and not (second.folder / "report.html").exists()
    assert screen.texts[-1].startswith(
        "the report could not be written: No space left on device; later: regraft report"
    )
