"""The parts of a run's photos: those for training, those for validation, and those to test the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regraft.context.config import TrainConfig
from regraft.context.dataset import SMALL, Dataset
from regraft.data.manifest import Entry
from regraft.data.photo import Side
from regraft.data.split import carve_validation

VALIDATION_SHARE = ((SMALL, 0.2), (2 * SMALL, 0.1), (10 * SMALL, 0.05), (float("inf"), 0.02))
"""Upper bound of the number of training photos, and the share of them that becomes validation photos if none are given.
One to two hundred are enough to tell epochs apart. It is a step function, so that a new photo rarely moves others."""


@dataclass(frozen=True)
class Parts:
    """Photos by their use.

    Attributes:
        train: photos that gradient steps, or a candidate's solver, use.
        validation: photos on which choices are made (best epoch, best candidate).
        test: photos on which the result is measured; no choice uses them unless ``test_is_validation``.
        test_side: side of ``test``, or None if no photos are held back and the reported figure is out of fold.
        refit: photos on which a linear probe is fitted before it is saved.
        test_is_validation: whether ``--choose-on-val`` was given.
    """

    train: list[Entry]
    validation: list[Entry]
    test: list[Entry]
    test_side: Side | None
    refit: list[Entry]
    test_is_validation: bool = False

    @property
    def train_and_validation(self) -> list[Entry]:
        """Photos on which a probe may be fitted if it is compared on ``test``, in name order."""
        more = [] if self.test_is_validation else self.validation
        return sorted([*self.train, *more], key=lambda entry: entry.name)


@dataclass(frozen=True)
class RunParts:
    """The parts of a run, computed once after the split.

    Attributes:
        linear: for a linear model on frozen features, which needs no validation photos.
        gradient: for a training in epochs that keeps its best epoch.
    """

    linear: Parts
    gradient: Parts


def parts_of(dataset: Dataset, config: TrainConfig) -> RunParts:
    """Return the parts of ``dataset``, whose photos have been assigned to their sides."""
    return RunParts(linear_parts(dataset), gradient_parts(dataset, config))


def linear_parts(dataset: Dataset) -> Parts:
    """Return the parts for a linear model; cross-validation chooses its regularization, so none are for validation."""
    if dataset.given:
        side: Side = "test" if "test" in dataset.given else "validation"
        train = dataset.on("train")
        return Parts(train, [], dataset.on(side), side, train)
    if dataset.small:
        return Parts(dataset.usable, [], [], None, dataset.usable)
    train = dataset.on("train", "validation")
    return Parts(train, [], dataset.on("test"), "test", train)


def gradient_parts(dataset: Dataset, config: TrainConfig) -> Parts:
    """Return the parts for a training in epochs that keeps its best epoch."""
    train, validation, test = dataset.on("train"), dataset.on("validation"), dataset.on("test")
    if not dataset.given:
        refit = dataset.usable if dataset.small else dataset.on("train", "validation")
        return Parts(train, validation, test, "test" if test else None, refit)
    if test and validation:
        return Parts(train, validation, test, "test", train)
    if config.choose_on_val and validation:
        return Parts(train, validation, validation, "validation", train, test_is_validation=True)
    inner, carved = split_off_validation(train, config, dataset.duplicate_group)
    return Parts(inner, carved, test or validation, "test" if test else "validation", train)


def split_off_validation(
    train: Sequence[Entry], config: TrainConfig, duplicate_group: Mapping[str, str]
) -> tuple[list[Entry], list[Entry]]:
    """Return the training and the validation part of ``train``, divided by content; see `VALIDATION_SHARE`."""
    fraction = next(share for below, share in VALIDATION_SHARE if len(train) < below)
    contents = carve_validation(train, seed=config.split_seed, fraction=fraction, groups=duplicate_group)
    inner = [entry for entry in train if entry.content not in contents]
    return inner, [entry for entry in train if entry.content in contents]
