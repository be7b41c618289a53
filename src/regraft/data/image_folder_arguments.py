"""Checks of the arguments of `ImageFolder`, all at once and before any photo is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any

from regraft.data.agreement import NetworkRequirements, network_requirements
from regraft.data.augmentation import Augmentation
from regraft.data.photo import FOLDER_MEANINGS, SIDE_NAMES
from regraft.data.preprocessing import Preprocessing
from regraft.data.source import composed, parse_class_names
from regraft.data.split import parse_shares
from regraft.data.tables.table import is_table
from regraft.errors import ConfigError, did_you_mean, several

_HALF = (0.5, 0.5, 0.5)
_DEFAULT_SIZE = 224


@dataclass(frozen=True)
class ImageFolderArguments:
    """The unchecked arguments of `ImageFolder`, which describes them."""

    root: Any
    labels: Any
    network: Any
    classes: Any
    size: Any
    mean: Any
    std: Any
    augmentation: Any
    split_seed: Any
    split: Any
    seed: Any
    user_preprocessing: Any
    workers: Any
    check: Any
    folders: Any = None
    label_from: Any = None

    @cached_property
    def needs(self) -> NetworkRequirements | None:
        """Requirements of the network, or None if there is none."""
        return None if self.network is None else network_requirements(self.network)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the photos."""
        if self.needs is not None:
            return self.needs.preprocessing
        if self.user_preprocessing is not None:
            preprocessing: Preprocessing = self.user_preprocessing
            return preprocessing
        side = int(self.size or _DEFAULT_SIZE)
        mean, std = (_HALF if value is None else value for value in (self.mean, self.std))
        return Preprocessing(height=side, width=side, mean=mean, std=std)

    @property
    def has_own_rendering(self) -> bool:
        """True if a classifier or the user determines the rendering of the photos."""
        return self.user_preprocessing is not None or (self.needs is not None and bool(self.needs.classes))

    @cached_property
    def shares(self) -> tuple[float, float, float]:
        """Shares of train, validation and test."""
        return parse_shares(self.split)


def check_arguments(wanted: ImageFolderArguments) -> ImageFolderArguments:
    """Return ``wanted`` if all arguments are valid.

    Raises:
        ConfigError: arguments are invalid; all of them are listed, with expected and actual values.
    """
    problems = [
        text
        for text in (
            *_path_problems(wanted),
            *_network_problems(wanted),
            *_pixel_problems(wanted),
            *_other_problems(wanted),
        )
        if text
    ]
    if problems:
        raise ConfigError(several("ImageFolder", problems))
    return wanted


def _path_problems(wanted: ImageFolderArguments) -> list[str]:
    problems = []
    if not isinstance(wanted.root, (str, os.PathLike)):
        problems.append(f"root: expected the path of a folder of photos, found {_short_repr(wanted.root)}")
    if wanted.labels is not None and not is_table(wanted.labels):
        hint = "; pass a network as network=" if network_requirements(wanted.labels) is not None else ""
        expected = "expected the path of a CSV or Excel file, a data frame, or None"
        problems.append(f"labels: {expected}, found {_short_repr(wanted.labels)}{hint}")
    if wanted.label_from is not None and not isinstance(wanted.label_from, str):
        problems.append(f"label_from: expected 'prefix', a pattern or None, found {_short_repr(wanted.label_from)}")
    if wanted.folders not in (None, *FOLDER_MEANINGS):
        choices = ", ".join(map(repr, FOLDER_MEANINGS))
        problems.append(f"folders: expected {choices} or None, found {_short_repr(wanted.folders)}")
    return problems


def _network_problems(wanted: ImageFolderArguments) -> list[str]:
    if wanted.network is None:
        return []
    if wanted.needs is None:
        expected = "expected a Backbone, a Classifier or a network of timm"
        inner = network_requirements(getattr(wanted.network, "module", None)) is not None
        hint = "pass its module" if inner else "for another network give size, mean and std"
        return [f"network: {expected}, found {_short_repr(wanted.network)}; {hint}"]
    extra = [name for name in ("size", "mean", "std") if getattr(wanted, name) is not None]
    extra += ["preprocessing"] if wanted.user_preprocessing is not None else []
    if extra:
        return [f"network sets the preprocessing; remove {', '.join(extra)}"]
    return []


def _pixel_problems(wanted: ImageFolderArguments) -> list[str]:
    problems = []
    if wanted.size is not None and not _is_whole(wanted.size, 1):
        problems.append(
            f"size: expected the pixels of a square's side such as 224, found {_short_repr(wanted.size)}; "
            "for other shapes give preprocessing=Preprocessing(height=, width=)"
        )
    for name, low in (("mean", 0.0), ("std", 1e-6)):
        value = getattr(wanted, name)
        if value is not None and not _is_channel_triple(value, low):
            problems.append(f"{name}: expected three numbers in [0, 1], one per channel, found {_short_repr(value)}")
    if wanted.user_preprocessing is not None and not isinstance(wanted.user_preprocessing, Preprocessing):
        problems.append(f"preprocessing: expected a Preprocessing, found {_short_repr(wanted.user_preprocessing)}")
    elif wanted.user_preprocessing is not None:
        extra = [name for name in ("size", "mean", "std") if getattr(wanted, name) is not None]
        problems += [f"preprocessing sets {', '.join(extra)}; remove one of them"] if extra else []
    if wanted.augmentation is not None and not isinstance(wanted.augmentation, Augmentation):
        expected = "expected None or an Augmentation, such as Augmentation()"
        problems.append(f"augmentation: {expected}, found {_short_repr(wanted.augmentation)}")
    return problems


def _other_problems(wanted: ImageFolderArguments) -> list[str]:
    problems = [
        f"{name}: expected a whole number from 0, found {_short_repr(getattr(wanted, name))}"
        for name in ("split_seed", "seed")
        if not _is_whole(getattr(wanted, name), 0)
    ]
    if wanted.workers is not None and not _is_whole(wanted.workers, 0):
        problems.append(f"workers: expected a number of threads from 0, or None, found {_short_repr(wanted.workers)}")
    if not isinstance(wanted.check, bool):
        problems.append(f"check: expected True or False, found {_short_repr(wanted.check)}")
    for read, name in ((lambda: wanted.shares, "split"), (lambda: _names(wanted), "classes")):
        try:
            read()
        except ValueError as error:
            problems.append(f"{name}: {str(error).removeprefix(f'{name}: ')}{_about_sides(wanted, name)}")
    return problems


def _names(wanted: ImageFolderArguments) -> tuple[str, ...] | None:
    names = None if wanted.classes is None else parse_class_names(wanted.classes)
    outputs = wanted.needs.classes if wanted.needs is not None else ()
    if names is not None and outputs and names != outputs:
        raise ConfigError(f"expected the network's classes, {', '.join(outputs)}, or None, found {', '.join(names)}")
    return names


def _about_sides(wanted: ImageFolderArguments, name: str) -> str:
    if name == "split" and isinstance(wanted.split, str) and wanted.split in SIDE_NAMES:
        return "; the sides are attributes of one ImageFolder: photos.train, photos.validation, photos.test"
    return ""


def check_classes(folder_classes: Sequence[str], wanted: ImageFolderArguments) -> None:
    """Check that the folder has the classes of the arguments.

    Args:
        folder_classes: the classes of the folder.
        wanted: the arguments. Classes of a classifier may lack photos; those in ``classes`` may not.

    Raises:
        ConfigError: the folder has other classes.
    """
    outputs = wanted.needs.classes if wanted.needs is not None else ()
    order = outputs or _names(wanted)
    if not order:
        return
    whose = "the classifier's" if outputs else "those in classes"
    problems = [
        f"{name!r} has photos but is not one of {whose}{did_you_mean(name, order)}"
        for name in _missing_from(folder_classes, order)
    ]
    if not outputs:
        problems += [
            f"{name!r} has no photos{did_you_mean(name, folder_classes)}"
            for name in _missing_from(order, folder_classes)
        ]
    if problems:
        raise ConfigError(
            several(f"{wanted.root}: its classes differ from {whose}", problems[:20])
            + f"\n  expected   {', '.join(order[:10])}\n  found      {', '.join(folder_classes[:10])}"
        )


def ordered_classes(folder_classes: Sequence[str], wanted: ImageFolderArguments) -> tuple[str, ...]:
    """Return the names of the classes in the order of the labels."""
    return (wanted.needs.classes if wanted.needs is not None else ()) or _names(wanted) or tuple(folder_classes)


def _missing_from(names: Sequence[str], others: Sequence[str]) -> list[str]:
    present = {composed(name) for name in others}
    return [name for name in names if composed(name) not in present]


def _is_whole(value: Any, minimum: int) -> bool:
    return type(value) is not bool and isinstance(value, Integral) and int(value) >= minimum


def _is_channel_triple(value: Any, low: float) -> bool:
    numbers = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 3:
        return False
    return all(type(v) is not bool and isinstance(v, Real) and low <= float(v) <= 1 for v in numbers)


def _short_repr(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 and " at 0x" not in text else f"a {type(value).__name__}"
