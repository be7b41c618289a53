"""Predictions from passes through networks: views, groups of classifiers and their weights. It needs no torch."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.archives.address import shown
from regraft.data.file_types import read_regular
from regraft.data.manifest import Entry
from regraft.data.threads import map_in_order
from regraft.errors import ConfigError
from regraft.features.stores.store import FeatureStore
from regraft.inference.close_answers import CloseAnswers
from regraft.inference.network_pass import NetworkPass
from regraft.inference.pictures import Channels, Picture, photo_forms
from regraft.inference.prediction import Prediction, Scores, views_in_file
from regraft.models.feature_novelty import mean_novelty
from regraft.screen import Bar

STREAM_CHUNK = 256
"""Photos per step of `PassPredictor.stream`; memory does not grow with their total number."""


@dataclass(frozen=True)
class Mix:
    """The combination of classifiers: a weighted mean of the probabilities of groups, whose logits are added.

    Attributes:
        sizes: number of classifiers in each group.
        weights: weight of each group.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...]

    def probabilities(self, logits: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the probabilities for the logits of each classifier, shape (n, C)."""
        out = np.zeros_like(logits[0])
        for row in range(len(out)):
            members = (logits[member] for member in range(len(logits)))
            for size, weight in zip(self.sizes, self.weights, strict=True):
                total = np.add.reduce([next(members)[row] for _ in range(size)])
                exponent = np.exp(total - total.max())
                out[row] += weight * (exponent / exponent.sum())
        return out


class PassPredictor:
    """Predictions for photos from passes through one or several networks.

    Args:
        classes: class names in the order of the outputs.
        passes: the passes; their heads are all classifiers.
        mix: the combination of the classifiers.
        views: number of views of each photo to average.
        reject_below: certified threshold of the probability; None without one.
        close_answers: the reference for close answers, if the passes have other engines than it.
    """

    def __init__(
        self,
        classes: Sequence[str],
        passes: Iterable[NetworkPass],
        mix: Mix,
        *,
        views: int,
        reject_below: float | None,
        close_answers: CloseAnswers | None = None,
    ) -> None:
        self.classes: tuple[str, ...] = tuple(classes)
        self.views, self.reject_below, self.close_answers = views, reject_below, close_answers
        self._passes, self._mix = tuple(passes), mix

    def with_passes(self, passes: Iterable[NetworkPass]) -> PassPredictor:
        """Return a predictor with other passes for the same classifiers, and without a reference."""
        return PassPredictor(self.classes, passes, self._mix, views=self.views, reject_below=self.reject_below)

    def stream(self, paths: Any, bar: Bar | None = None, *, channels: Channels = "rgb") -> Iterator[Prediction]:
        """Yield the prediction for each photo, in any form of `predict`, in order and in bounded memory."""
        photos = len(paths) if isinstance(paths, Sized) and getattr(paths, "shape", None) != () else STREAM_CHUNK
        for in_memory, forms in itertools.groupby(photo_forms(paths, channels), lambda one: isinstance(one, Picture)):
            if not in_memory and all(one.runs_in_parallel for one in self._passes):
                yield from self._stream_groups(forms, photos, bar)
                continue
            predicted: Any = self._predict_pictures if in_memory else self._predict_paths
            while chunk := list(itertools.islice(forms, STREAM_CHUNK)):
                yield from predicted(chunk, bar)

    def scores(self, entries: Sequence[Entry], *, store: FeatureStore | None = None, bar: Bar | None = None) -> Scores:
        """Return the probabilities for ``entries``; features in ``store`` are not computed again.

        ``bar`` advances `passes` times for each photo.
        """
        return self._scores(entries, store, bar, False)

    def _scores(self, entries: Sequence[Entry], store: FeatureStore | None, bar: Bar | None, alone: bool) -> Scores:
        values, rows, failed, novelty = self._view_scores(entries, 0, store, bar, alone)
        for view in range(1, self.views):
            left_over = [entries[row] for row in rows.tolist()]
            more, left, missing, _ = self._view_scores(left_over, view, store, bar, alone)
            failed += [(int(rows[position]), why) for position, why in missing]  # removed since the first view
            values, rows = values[left] + more, rows[left]
            novelty = None if novelty is None else novelty[left]
        return Scores(values / self.views, rows, tuple(sorted(failed)), novelty)

    @property
    def network_passes(self) -> tuple[NetworkPass, ...]:
        """The passes."""
        return self._passes

    @property
    def passes(self) -> int:
        """Number of passes for each photo: one for each view and each network; shared lower blocks are one network."""
        return self.views * len(self._passes)

    def _view_scores(
        self, entries: Sequence[Entry], view: int, store: FeatureStore | None, bar: Bar | None, alone: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], list[tuple[int, str]], NDArray[np.float64] | None]:
        """Return probabilities of a view of photos, their positions, failures by position, and their novelty."""
        novelties: list[NDArray[np.float64]] = []
        logits: dict[int, NDArray[np.float64]] = {}
        rows, failed = np.arange(len(entries), dtype=np.int64), list[tuple[int, str]]()
        for network in self._passes:
            features = network.features([entries[row] for row in rows.tolist()], view, store, bar, alone)
            failed += [(int(rows[position]), why) for position, why in features.failed]
            logits = {member: earlier[features.rows] for member, earlier in logits.items()}
            logits |= {head.member: head.logits(features.values) for head in network.heads}
            novelties = [earlier[features.rows] for earlier in novelties] + network.novelties(features.values)
            rows = rows[features.rows]
        return self._mix.probabilities(logits), rows, failed, mean_novelty(novelties)

    def _stream_groups(self, paths: Iterator[Any], photos: int, bar: Bar | None) -> Iterator[Prediction]:
        """Yield predictions for files; each thread decodes a group of them and runs the networks on it.

        So no thread waits for another between two groups, and the first answers come after the first group.
        """
        threads = min(one.engine.parallel_batches for one in self._passes)
        size = max(1, min(-(-photos // threads), max(one.engine.batch_size for one in self._passes)))
        groups = iter(lambda: list(itertools.islice(paths, size)), [])

        def work(group: list[Path]) -> list[Prediction]:
            return list(self._predict_paths(group, None, alone=True))

        with contextlib.closing(map_in_order(work, groups, workers=threads, ahead=threads + 1)) as done:
            for predictions in done:
                if bar is not None:
                    bar.advance(len(predictions) * self.passes)
                yield from predictions

    def _predict_paths(self, paths: Sequence[Path], bar: Bar | None, *, alone: bool = False) -> Iterator[Prediction]:
        scores = self._scores([_entry(path, hashed=self.views > 2) for path in paths], None, bar, alone)
        rows = {int(row): position for position, row in enumerate(scores.rows)}
        failed = dict(scores.failed)
        for position, path in enumerate(paths):
            if position in rows:
                novelty = None if scores.novelty is None else float(scores.novelty[rows[position]])
                prediction = self._prediction(shown(path), scores.values[rows[position]], novelty)
                again = partial(_prediction_of_file, path=path, alone=alone)
                yield self._decided(prediction, again)
            else:
                yield Prediction(shown(path), None, None, (), failed[position])

    def _predict_pictures(self, pictures: Sequence[Picture], bar: Bar | None) -> Iterator[Prediction]:
        """Yield the prediction for each picture in memory."""
        failed = dict[int, str]()
        values, novelty = self.combined(
            len(pictures), lambda network, view: network.picture_features(pictures, view, failed, bar)
        )
        for position, picture in enumerate(pictures):
            if position in failed:
                yield Prediction(picture.name, None, None, (), failed[position])
            else:
                value = None if novelty is None else float(novelty[position])
                prediction = self._prediction(picture.name, values[position], value)
                yield self._decided(prediction, partial(_prediction_of_picture, picture=picture))

    def _decided(self, prediction: Prediction, again: Callable[[PassPredictor], Prediction]) -> Prediction:
        return prediction if self.close_answers is None else self.close_answers.decide(prediction, again)

    def combined(
        self, photos: int, features_of: Callable[[NetworkPass, int], NDArray[np.float32]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the probabilities for photos, shape (n, C), and their novelty, shape (n,).

        Args:
            photos: number of photos n.
            features_of: returns the features of a view by a pass, shape (n, D).
        """
        values = np.zeros((photos, len(self.classes)))
        novelty: NDArray[np.float64] | None = None
        for view in range(self.views):
            logits: dict[int, NDArray[np.float64]] = {}
            novelties: list[NDArray[np.float64]] = []
            for network in self._passes:
                features = features_of(network, view)
                logits |= {head.member: head.logits(features) for head in network.heads}
                novelties += network.novelties(features)
            values += self._mix.probabilities(logits)
            novelty = mean_novelty(novelties) if view == 0 else novelty
        return values / self.views, novelty

    def predictions(
        self, names: Sequence[str], values: NDArray[np.float64], novelty: NDArray[np.float64] | None
    ) -> list[Prediction]:
        """Return the predictions for photos with these names, from the result of `combined`."""
        return [
            self._prediction(name, values[row], None if novelty is None else float(novelty[row]))
            for row, name in enumerate(names)
        ]

    def _prediction(self, path: str, values: NDArray[np.float64], novelty: float | None) -> Prediction:
        order = np.argsort(-values, kind="stable")
        top = tuple((self.classes[i], float(values[i])) for i in order)
        unsure = self.reject_below is not None and top[0][1] < self.reject_below
        return Prediction(path, top[0][0], top[0][1], top, unsure=unsure, novelty=novelty)


def _prediction_of_file(predictor: PassPredictor, path: Path, *, alone: bool) -> Prediction:
    return next(predictor._predict_paths([path], None, alone=alone))


def _prediction_of_picture(predictor: PassPredictor, picture: Picture) -> Prediction:
    return next(predictor._predict_pictures([picture], None))


def _entry(path: Path, *, hashed: bool) -> Entry:
    content = ""
    if hashed:
        with contextlib.suppress(OSError):  # decoding reports the error
            content = hashlib.sha256(read_regular(path)).hexdigest()
    return Entry(str(path), path, content, "")


def checked_views(views: int | None, facts: Mapping[str, str]) -> int:
    """Return the number of views: ``views``, or the number in the facts of a model file if it is None.

    Raises:
        ConfigError: it is not positive.
    """
    number = views_in_file(facts) if views is None else views
    if type(number) is not int or number < 1:
        raise ConfigError(f"views: expected a positive number, found {number!r}")
    return number
