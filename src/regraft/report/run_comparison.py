"""The comparison of two runs, from their files: on the photos that both were measured on, and in their settings.

Photos are the same if their bytes are. The figures of two runs are often from different photos, such as a test set and
cross-validation; what both have predicted can be compared photo by photo, which needs far fewer of them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from regraft.context.config import HOW
from regraft.data.manifest import Manifest
from regraft.disk.csv_file import read_csv
from regraft.errors import RunFolderError
from regraft.measure.intervals import Interval, paired_proportions
from regraft.report.evaluation import measured_on_briefly
from regraft.run.folder import RunFolder
from regraft.screen import Screen
from regraft.text import counted, percent, shorten

_EXAMPLES = 3
_NOT_SETTINGS = (*HOW, "format", "budget_left")


@dataclass(frozen=True)
class RunComparison:
    """Two runs, photo by photo.

    Attributes:
        runs: their folders.
        both: number of shared photos that both get right.
        only: names of those that only the first, and only the second, gets right.
        neither: number of those that neither gets right.
        relabeled: number of photos that are left out because their classes differ.
        settings: options that differ, with both values.
        photos: numbers of photos that only one of the runs was measured on.
    """

    runs: tuple[str, str]
    both: int
    only: tuple[list[str], list[str]]
    neither: int
    relabeled: int
    settings: dict[str, tuple[Any, Any]]
    photos: tuple[int, int]

    @property
    def n(self) -> int:
        """Number of shared photos."""
        return self.both + len(self.only[0]) + len(self.only[1]) + self.neither

    @property
    def difference(self) -> tuple[float, Interval]:
        """The accuracy of the second run minus that of the first, and its 95 % interval."""
        first, second = (len(names) for names in self.only)
        return (second - first) / max(self.n, 1), paired_proportions(self.both, second, first, self.neither)

    @property
    def better(self) -> int | None:
        """0 if the first run is clearly better, 1 if the second one is, None if the interval includes no difference."""
        value, (low, high) = self.difference
        return None if low <= 0 <= high else int(value > 0)

    def setting_rows(self) -> list[tuple[str, str, str]]:
        """Return the options that differ, each with both values as text."""
        return [(name, _text(first), _text(second)) for name, (first, second) in self.settings.items()]

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        value, interval = self.difference
        figure = {"value": value, "n": self.n, "interval": list(interval)} if self.n else None
        return {**asdict(self), "n": self.n, "difference": figure}


def compare_runs(first: RunFolder, second: RunFolder) -> RunComparison:
    """Return the comparison of two finished runs.

    Raises:
        RunFolderError: one of them is not finished, or its files are damaged.
    """
    a, b = _predictions(first), _predictions(second)
    shared = [content for content in a if content in b]
    same = [content for content in shared if a[content].label == b[content].label]
    right = {(True, True): 0, (False, False): 0}
    only: tuple[list[str], list[str]] = ([], [])
    for content in same:
        outcome = (a[content].is_right, b[content].is_right)
        if outcome[0] != outcome[1]:
            only[0 if outcome[0] else 1].append(b[content].name)
        else:
            right[outcome] += 1
    return RunComparison(
        runs=(str(first.path), str(second.path)),
        both=right[True, True],
        only=only,
        neither=right[False, False],
        relabeled=len(shared) - len(same),
        settings=_changed_settings(first.read_config(), second.read_config()),
        photos=(len(a) - len(shared), len(b) - len(shared)),
    )


@dataclass(frozen=True)
class _Predicted:
    name: str
    label: str
    is_right: bool


def _predictions(folder: RunFolder) -> dict[str, _Predicted]:
    """Return the predictions behind the headline of a run, by the content of their photos."""
    _check_accuracy(folder)
    contents = {entry.name: entry.content for entry in Manifest.read(folder.manifest).usable}
    try:
        rows = [(row["path"], row["class"], row["predicted"]) for row in read_csv(folder.predictions)]
        return {contents[name]: _Predicted(name, label, label == predicted) for name, label, predicted in rows}
    except (OSError, KeyError, csv.Error) as error:
        raise RunFolderError(f"{folder.predictions} cannot be read: {error}") from error


def _check_accuracy(folder: RunFolder) -> None:
    """Check that a run has the figure that it is compared by.

    Raises:
        RunFolderError: it is not finished, or its metrics are damaged.
    """
    metrics = folder.read_metrics()  # says what is missing
    try:
        entry = metrics["measured"][metrics["headline"]]
        damaged = not isinstance(entry["figures"]["accuracy"]["value"], (int, float, type(None)))
    except (LookupError, TypeError):
        damaged = True
    if damaged:
        raise RunFolderError(f"{folder.metrics} cannot be read: it has no accuracy")


def _changed_settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [name for name in {**first, **second} if name not in _NOT_SETTINGS]
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def show_comparison(comparison: RunComparison, metrics: tuple[dict[str, Any], dict[str, Any]], screen: Screen) -> None:
    """Show a comparison of two runs.

    Args:
        comparison: the result of `compare_runs`.
        metrics: ``metrics.json`` of both runs.
        screen: where to show it.
    """
    rows = [("", "run", "accuracy", "on")]
    for name, run, content in zip("AB", comparison.runs, metrics, strict=True):
        entry = content["measured"][content["headline"]]
        rows.append((name, run, percent(entry["figures"]["accuracy"]["value"]), measured_on_briefly(entry)))
    screen.table("runs", rows, right=(2,))
    screen.line("", "")
    if comparison.n:
        _show_difference(comparison, screen)
    else:
        screen.line("compare", "no photo was measured in both runs, so their accuracies cannot be compared")
        screen.line("", "measure both on the same photos: regraft evaluate RUN PHOTOS")
    if comparison.relabeled:
        screen.line("", f"{counted(comparison.relabeled, 'photo')} left out: another class in the other run")
    screen.line("", "")
    if comparison.settings:
        screen.table("settings", [("option", "A", "B"), *comparison.setting_rows()])
    else:
        screen.line("settings", "the same in both runs")


def _show_difference(comparison: RunComparison, screen: Screen) -> None:
    n = comparison.n
    right = [comparison.both + len(names) for names in comparison.only]
    shares = [f"{name} {percent(k / n)}" for name, k in zip("AB", right, strict=True)]
    screen.line("compare", f"{' · '.join(shares)}", f"on the {counted(n, 'photo')} that both were measured on")
    better = "" if comparison.better is None else "AB"[comparison.better]
    verdict = f"{better} is better" if better else "no clear difference"
    value, (low, high) = comparison.difference
    bounds = f"{100 * low:+.1f} to {100 * high:+.1f}, 95 % interval of pairs"
    screen.line("", f"{verdict}: B − A = {100 * value:+.1f} points  ({bounds})", strong=True)
    for name, names in zip("AB", comparison.only, strict=True):
        if names:
            screen.line(f"only {name}", f"right on {counted(len(names), 'photo')}", shorten(names, _EXAMPLES))


def _text(value: Any) -> str:
    """Return the value of an option as text."""
    if value is None:
        return "not given"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"
