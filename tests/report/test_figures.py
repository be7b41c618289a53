"""Figures for notebooks: what they show, and where the photos come from."""

from __future__ import annotations

import numpy as np
import pytest

from making import make_photos
from regraft.errors import ConfigError, PhotosError, RunFolderError
from regraft.report.figures import confusion_figure, history_figure, predictions_figure, show_photos
from report.made_run import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("garden") / "run", ["ash", "$elm_1$", "百合"], n=60, wrong=0.3)


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def test_curves_of_every_stage(run):
    figure = history_figure(run)
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "learning rate, end of epoch"]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_run_without_epochs_has_no_curves(tmp_path):
    run = make_run(tmp_path / "run", ["ash", "elm"], history=False)
    with pytest.raises(ConfigError, match="has no epochs, because its linear probe was solved at once"):
        history_figure(run)


def test_predictions_begin_with_the_worst_mistake_of_each_class(run):
    shown = titles(predictions_figure(run, n=2))
    assert len(shown) == 6
    assert shown[0].startswith("ash\npredicted $elm_1$, ") and "$elm_1$\npredicted 百合" in shown[2]
    with pytest.raises(ConfigError, match="expected a positive number of photos, found 0"):
        predictions_figure(run, n=0)


def test_the_matrix_has_all_counts(run):
    figure = confusion_figure(run)
    assert sum(int(text.get_text()) for text in figure.axes[0].texts) == 60


@pytest.mark.parametrize("metrics", ['{"format": 1}', '{"format": 1, "headline": {}}'])
def test_a_damaged_run_has_no_matrix(tmp_path, metrics):
    run = make_run(tmp_path / "run", ["ant", "bee"], 8)
    (run / "metrics.json").write_text(metrics)
    with pytest.raises(RunFolderError, match=r"metrics\.json cannot be read: it has no confusion matrix"):
        confusion_figure(run)


def test_photos_of_a_folder(tmp_path):
    photos = make_photos(tmp_path / "trees", {"ash": 2, "elm": 9})
    figure = show_photos(photos, n=3)
    assert titles(figure) == ["ash", "ash", "elm", "elm", "elm"]
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (48, 48, 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhotosError, match="empty"):
        show_photos(tmp_path / "empty")


def test_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="is not a run folder"):
        confusion_figure(tmp_path)
