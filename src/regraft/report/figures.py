"""Figures for notebooks: training curves, predictions, confusion matrix, and the photos of a folder.

They are figures of matplotlib, drawn as in the report. A notebook shows one that is the last value of a cell.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.decode import read_photo
from regraft.data.source import class_order, find_photos
from regraft.errors import ConfigError, DecodeError, PhotosError, RunFolderError
from regraft.report.charts import epochs_chart, rate_chart
from regraft.report.drawing import FONTS, INK, SERIES, house_style, short
from regraft.report.run_data import READ_ERRORS, RunData, read_run
from regraft.report.sections.confusion import by_similarity
from regraft.report.sections.training import best_epochs
from regraft.report.selection import PredictedPhoto
from regraft.text import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from PIL.Image import Image

MAX_CLASSES = 12
"""Classes whose photos are shown."""

SIDE = 224
"""Pixels of a photo's longer side."""

RIGHT, WRONG = "#16703f", "#b42318"


@cache
def _figure_class() -> type[Figure]:
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """A figure that a notebook shows."""

        def _repr_png_(self) -> bytes:
            out = io.BytesIO()
            with house_style(FONTS):
                self.savefig(out, format="png", dpi=110)
            return out.getvalue()

    return NotebookFigure


def _new_figure(width: float, height: float) -> Figure:
    return _figure_class()(figsize=(width, height), layout="constrained", facecolor="white")


def history_figure(run: Path) -> Figure:
    """Return the loss, the accuracy and the learning rate of every epoch of a run.

    Raises:
        ConfigError: nothing was trained in epochs.
        RunFolderError: ``run`` is not a run folder.
    """
    data = read_run(run)
    if not data.history:
        raise ConfigError(
            f"plot_history: {run} has no epochs, because its linear probe was solved at once\n"
            "  expected a run of the recipe feature-extraction or fine-tune, or of auto that fine-tuned"
        )
    best = best_epochs(data.events)
    draws = [epochs_chart(data.history, "loss", "loss", best)]
    if any("accuracy" in row for row in data.history):
        draws.append(epochs_chart(data.history, "accuracy", "accuracy", best))
    draws.append(rate_chart(data.history))
    with house_style(FONTS):
        figure = _new_figure(4.9 * len(draws), 3.2)
        for axes, draw in zip(figure.subplots(1, len(draws), squeeze=False)[0], draws, strict=True):
            draw(axes)
        return figure


def confusion_figure(run: Path) -> Figure:
    """Return the confusion matrix of a run; classes that look alike stand next to each other.

    Raises:
        RunFolderError: ``run`` is not a run folder, is not finished, or is damaged.
    """
    data = _finished(run)
    counts = _counts(data)
    both = (counts + counts.T).astype(np.float64)
    np.fill_diagonal(both, -1.0)
    order = by_similarity(both)
    counts = counts[np.ix_(order, order)]
    names = [short(data.classes[c]) for c in order]
    with house_style(FONTS):
        side = min(12.0, 2.2 + 0.45 * len(names))
        figure = _new_figure(side + 0.6, side)
        axes = figure.subplots()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.3)
        axes.grid(visible=False)
        axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 4 else 0)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("class")
        if len(names) <= 30:
            for a, b in np.argwhere(counts).tolist():
                color = "white" if shares[a, b] > 0.6 else INK
                axes.text(b, a, f"{counts[a, b]:,}", ha="center", va="center", color=color, size=9)
        return figure


def predictions_figure(run: Path, n: int = 5) -> Figure:
    """Return ``n`` photos of each class with true and predicted label, the worst mistakes first.

    Photos come from their folder, or if they are gone from the small pictures in the run folder.

    Raises:
        ConfigError: ``n`` is not positive.
        RunFolderError: ``run`` is not a run folder, or is not finished.
    """
    data = _finished(run)
    by_class: dict[str, list[PredictedPhoto]] = {}
    for photo in sorted(data.photos.predicted, key=lambda photo: (-photo.confusion, photo.probability, photo.path)):
        by_class.setdefault(photo.label, []).append(photo)
    labels = [label for label in data.classes if label in by_class][:MAX_CLASSES]
    grid = [by_class[label][: _positive(n)] for label in labels]

    def draw(axes: Axes, photo: PredictedPhoto) -> None:
        _show(axes, _image(data, photo.path))
        if photo.is_right:
            axes.set_title(f"{short(photo.label)}\nright, {percent(photo.probability)}", color=RIGHT, size=9)
        else:
            says = f"predicted {short(photo.predicted, 16)}, {percent(photo.probability)}"
            axes.set_title(f"{short(photo.label)}\n{says}", color=WRONG, size=9)

    return _grid(grid, n, draw)


def show_photos(folder: Path | str, n: int = 5, *, labels: Path | str | None = None) -> Figure:
    """Return the first ``n`` photos of each class of a folder, with their labels, as a figure.

    Args:
        folder: a folder with one folder per class, as for `regraft.train`.
        n: photos of each class.
        labels: a CSV of path,label, or None where folders are the classes.

    Raises:
        ConfigError: ``n`` is not positive.
        PhotosError: the folder is missing, or has no photos in class folders.

    Example:
        >>> import numpy as np, regraft as rg
        >>> from PIL import Image
        >>> from pathlib import Path
        >>> for label in ("ant", "bee"):
        ...     Path("garden", label).mkdir(parents=True)
        ...     Image.new("RGB", (60, 40), "white").save(Path("garden", label, "1.png"))
        >>> figure = rg.show_photos("garden")
        >>> [axes.get_title(loc="left") for axes in figure.axes if axes.images]
        ['ant', 'bee']
    """
    source = find_photos(folder, labels, one_class=True)
    if not source.photos:
        raise PhotosError(f"{folder} has no photos to show")
    by_class: dict[str, list[Path]] = {}
    for photo in source.photos:
        by_class.setdefault(photo.label, []).append(photo.path)
    names = class_order(by_class)[:MAX_CLASSES]
    grid = [[(name, path) for path in by_class[name][: _positive(n)]] for name in names]

    def draw(axes: Axes, photo: tuple[str, Path]) -> None:
        _show(axes, _open(photo[1]))
        axes.set_title(short(photo[0]), size=9)

    return _grid(grid, n, draw)


def _positive(n: int) -> int:
    if type(n) is not int or n < 1:
        raise ConfigError(f"n: expected a positive number of photos, found {n!r}")
    return n


def _counts(run: RunData) -> NDArray[np.int64]:
    with contextlib.suppress(*READ_ERRORS):
        counts = np.array(run.headline["figures"]["confusion"]["counts"], dtype=np.int64)
        if counts.shape == (len(run.classes), len(run.classes)) and counts.size:
            return counts
    raise RunFolderError(f"{run.path / 'metrics.json'} cannot be read: it has no confusion matrix")


def _finished(run: Path) -> RunData:
    from regraft.run.folder import RunFolder

    RunFolder(run).read_metrics()  # says what is missing
    return read_run(run)


def _grid(rows: Sequence[Sequence[Any]], columns: int, draw: Any) -> Figure:
    with house_style(FONTS):
        columns = max(1, min(columns, max((len(row) for row in rows), default=1)))
        figure = _new_figure(2.1 * columns, 2.3 * max(1, len(rows)))
        places = figure.subplots(max(1, len(rows)), columns, squeeze=False)
        for axes in places.ravel():
            axes.set_axis_off()
        for row, line in zip(rows, places, strict=False):
            for item, axes in zip(row, line, strict=False):
                draw(axes, item)
        return figure


def _show(axes: Axes, image: Image | None) -> None:
    if image is None:
        axes.text(0.5, 0.5, "no preview", ha="center", va="center", color=SERIES[7], size=9)
    else:
        axes.imshow(np.asarray(image))


def _open(path: Path) -> Image | None:
    try:
        image = read_photo(path, at_least=(SIDE, SIDE), damaged_too=True)
    except DecodeError:
        return None
    image.thumbnail((SIDE, SIDE))
    return image


def _image(run: RunData, name: str) -> Image | None:
    """Return a photo of a run: from its folder, or from the small pictures in the run folder."""
    image = _open(Path(os.path.join(str(run.config.get("photos", "")), name)))
    data = run.photos.thumbnail(name)
    return read_photo(data) if image is None and data else image
