"""A finished run: its folder, its figures and its classifier."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.context.config import TrainConfig
from regraft.data.photo import FolderMeaning
from regraft.data.photo_places import photo_places
from regraft.data.selection import PhotoSelection
from regraft.data.tables.table import TableSource
from regraft.inference.predictor import Predictor
from regraft.report import figures, run_page
from regraft.report.summary import measured_on
from regraft.screen import Screen, screen_for
from regraft.screen.line_breaks import printable
from regraft.text import interval, percent
from regraft.workflows.evaluate import evaluate_folder
from regraft.workflows.steps.stored_dataset import with_stored_dataset
from regraft.workflows.steps.used_photos import used_photos

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Run:
    """The result of `train`.

    Attributes:
        folder: the run folder, which ``docs/run-folder.md`` describes.
        config: the resolved configuration.
        metrics: the content of ``metrics.json``.
    """

    folder: Path
    config: TrainConfig
    metrics: dict[str, Any]

    @cached_property
    def model(self) -> Predictor:
        """The classifier, ready to predict."""
        return Predictor.load(self.folder, device=self.config.device, workers=self.config.workers)

    def evaluate(
        self,
        photos: Any,
        labels: TableSource | None = None,
        *,
        folders: FolderMeaning | None = None,
        label_from: str | None = None,
        path_column: str | None = None,
        label_column: str | None = None,
        skip_missing: bool = False,
        include_training: bool = False,
        screen: Screen | None = None,
    ) -> dict[str, Any]:
        """Return the figures of the classifier on labeled photos, as ``regraft evaluate --json`` prints them.

        Args:
            photos: a folder with one folder per class, or another form of labeled photos that `regraft.train` takes.
            labels: a CSV, an Excel file or a data frame of path,label, or None where folders are the classes.
            folders: the meaning of the folders in ``photos``; None to recognize it.
            label_from: ``"prefix"``, or a regular expression whose group ``label`` is the class in a photo's name.
            path_column: the column of ``labels`` with the photos; None to recognize it.
            label_column: the column of ``labels`` with the labels; None to recognize it.
            skip_missing: whether rows of ``labels`` without a photo or a label are left out.
            include_training: whether to measure photos that the run was trained on too. They are recognized by their
                bytes, and left out otherwise.
            screen: where progress and warnings go; None for the terminal.

        Raises:
            PhotosError: the folder or the CSV is invalid, has a class that the classifier does not know, or has only
                photos that the run was trained on.
        """
        screen = screen_for() if screen is None else screen
        if not isinstance(photos, (str, Path)):
            photos, labels = with_stored_dataset(photos, labels, screen)
        places, labels = photo_places((photos,), labels)
        selection = PhotoSelection(
            places[0], (), labels, folders, label_from, path_column, label_column, skip_missing=skip_missing
        )
        return evaluate_folder(
            self.model,
            selection,
            screen,
            used=used_photos(self.folder),
            include_training=include_training,
        )

    def report(self, *, show: bool = False) -> Path:
        """Write ``report.html`` into the run folder again, and return its path.

        Args:
            show: whether to open it in the browser.

        Raises:
            OSError: the file cannot be written.
        """
        page = run_page.write_report(self.folder)
        if show:
            webbrowser.open(page.resolve().as_uri())
        return page

    def plot_history(self) -> Figure:
        """Return loss, accuracy and learning rate of every epoch as a figure of matplotlib.

        Raises:
            ConfigError: nothing was trained in epochs.
        """
        return figures.history_figure(self.folder)

    def show_predictions(self, n: int = 5) -> Figure:
        """Return ``n`` photos of each class with true and predicted label, the worst mistakes first, as a figure.

        Raises:
            ConfigError: ``n`` is not positive.
        """
        return figures.predictions_figure(self.folder, n)

    def confusion_matrix(self) -> Figure:
        """Return the confusion matrix as a figure; classes that look alike stand next to each other."""
        return figures.confusion_figure(self.folder)

    def _repr_html_(self) -> str:
        """Return the accuracy and the place of the run, for notebooks."""
        entry = self.metrics["measured"][self.metrics["headline"]]
        accuracy = entry["figures"]["accuracy"]
        rows = {
            "accuracy": f"{percent(accuracy['value'])} ({interval(accuracy)}, 95 % interval)",
            "measured on": measured_on(entry),
            "classifier": f"{self.metrics['chosen']}, {len(self.metrics['classes'])} classes",
            "folder": str(self.folder),
        }
        lines = (f"<tr><th>{name}</th><td>{escape(printable(value))}</td></tr>" for name, value in rows.items())
        return f"<table>{''.join(lines)}</table>"

    @property
    def accuracy(self) -> float:
        """Accuracy in [0, 1] on the photos that the headline of `metrics` names."""
        headline = self.metrics["measured"][self.metrics["headline"]]
        return float(headline["figures"]["accuracy"]["value"])
