"""Arguments of `ImageFolder`: checked all at once, before any photo is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any

from regraft.data.agreement import Needs, needs_of
from regraft.data.augmentation import Augmentation
from regraft.data.preprocessing import Preprocessing
from regraft.data.source import class_names, same
from regraft.data.split import shares
from regraft.errors import ConfigError, did_you_mean, several

_HALF = (0.5, 0.5, 0.5)
_SIDE = 224


@dataclass(frozen=True)
class Wanted:
    """The arguments as they were given; `ImageFolder` describes them."""

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
    given: Any
    workers: Any
    check: Any

    @cached_property
    def needs(self) -> Needs | None:
        """Needs of the network, or None where none was given."""
        return None if self.network is None else needs_of(self.network)

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the photos."""
        if self.needs is not None:
            return self.needs.preprocessing
        if self.given is not None:
            own: Preprocessing = self.given
            return own
        side = int(self.size or _SIDE)
        mean, std = (_HALF if value is None else value for value in (self.mean, self.std))
        return Preprocessing(height=side, width=side, mean=mean, std=std)

    @cached_property
    def shares(self) -> tuple[float, float, float]:
        """Shares of train, validation and test."""
        return shares(self.split)


def check_arguments(wanted: Wanted) -> Wanted:
    """Return ``wanted`` if nothing is wrong with it.

    Raises:
        ConfigError: names everything that is wrong, what is expected, and what was found.
    """
    problems = [text for text in (*_paths(wanted), *_network(wanted), *_pixels(wanted), *_others(wanted)) if text]
    if problems:
        raise ConfigError(several("ImageFolder", problems))
    return wanted


def _paths(wanted: Wanted) -> list[str]:
    found = []
    if not isinstance(wanted.root, (str, os.PathLike)):
        found.append(f"root: expected the path of a folder of photos, found {_shown(wanted.root)}")
    if wanted.labels is not None and not isinstance(wanted.labels, (str, os.PathLike)):
        hint = "; a network is given as network=" if needs_of(wanted.labels) is not None else ""
        found.append(f"labels: expected the path of a CSV file, or None, found {_shown(wanted.labels)}{hint}")
    return found


def _network(wanted: Wanted) -> list[str]:
    if wanted.network is None:
        return []
    if wanted.needs is None:
        expected = "expected a Backbone, a Classifier or a network of timm"
        inner = needs_of(getattr(wanted.network, "module", None)) is not None
        hint = "pass its module" if inner else "for another network give size, mean and std"
        return [f"network: {expected}, found {_shown(wanted.network)}; {hint}"]
    beside = [name for name in ("size", "mean", "std") if getattr(wanted, name) is not None]
    beside += ["preprocessing"] if wanted.given is not None else []
    if beside:
        return [f"network says how photos are prepared; {', '.join(beside)} cannot be given beside it"]
    return []


def _pixels(wanted: Wanted) -> list[str]:
    found = []
    if wanted.size is not None and not _whole(wanted.size, 1):
        found.append(
            f"size: expected the pixels of a square's side such as 224, found {_shown(wanted.size)}; for other shapes "
            "give preprocessing=Preprocessing(height=, width=)"
        )
    for name, low in (("mean", 0.0), ("std", 1e-6)):
        value = getattr(wanted, name)
        if value is not None and not _three(value, low):
            found.append(f"{name}: expected three numbers in [0, 1], one a channel, found {_shown(value)}")
    if wanted.given is not None and not isinstance(wanted.given, Preprocessing):
        found.append(f"preprocessing: expected a Preprocessing, found {_shown(wanted.given)}")
    elif wanted.given is not None:
        beside = [name for name in ("size", "mean", "std") if getattr(wanted, name) is not None]
        found += [f"preprocessing says {', '.join(beside)} too; give one of them"] if beside else []
    if wanted.augmentation is not None and not isinstance(wanted.augmentation, Augmentation):
        expected = "expected None or an Augmentation, such as Augmentation()"
        found.append(f"augmentation: {expected}, found {_shown(wanted.augmentation)}")
    return found


def _others(wanted: Wanted) -> list[str]:
    found = [
        f"{name}: expected a whole number from 0, found {_shown(getattr(wanted, name))}"
        for name in ("split_seed", "seed")
        if not _whole(getattr(wanted, name), 0)
    ]
    if wanted.workers is not None and not _whole(wanted.workers, 0):
        found.append(f"workers: expected a number of threads from 0, or None, found {_shown(wanted.workers)}")
    if not isinstance(wanted.check, bool):
        found.append(f"check: expected True or False, found {_shown(wanted.check)}")
    for read, name in ((lambda: wanted.shares, "split"), (lambda: _names(wanted), "classes")):
        try:
            read()
        except ValueError as error:
            found.append(f"{name}: {str(error).removeprefix(f'{name}: ')}{_about_sides(wanted, name)}")
    return found


def _names(wanted: Wanted) -> tuple[str, ...] | None:
    names = None if wanted.classes is None else class_names(wanted.classes)
    own = wanted.needs.classes if wanted.needs is not None else ()
    if names is not None and own and names != own:
        raise ConfigError(f"expected those of the network, {', '.join(own)}, or none, found {', '.join(names)}")
    return names


def _about_sides(wanted: Wanted, name: str) -> str:
    sides = {"train", "val", "valid", "validation", "test"}
    if name == "split" and isinstance(wanted.split, str) and wanted.split in sides:
        return "; the sides are attributes of one ImageFolder: photos.train, photos.validation, photos.test"
    return ""


def check_classes(found: Sequence[str], wanted: Wanted) -> None:
    """Check that the folder has the classes that are wanted.

    Args:
        found: the classes of the folder.
        wanted: the arguments. Classes of a classifier need not all have photos; those given by name do.

    Raises:
        ConfigError: the folder has other classes.
    """
    own = wanted.needs.classes if wanted.needs is not None else ()
    order = own or _names(wanted)
    if not order:
        return
    whose = "the classifier's" if own else "those in classes"
    problems = [
        f"{name!r} has photos, and is none of {whose}{did_you_mean(name, order)}" for name in _without(found, order)
    ]
    if not own:
        problems += [f"{name!r} has no photos{did_you_mean(name, found)}" for name in _without(order, found)]
    if problems:
        raise ConfigError(
            several(f"{wanted.root}: its classes differ from {whose}", problems[:20])
            + f"\n  expected   {', '.join(order[:10])}\n  found      {', '.join(found[:10])}"
        )


def ordered_classes(found: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    """Return the names of the classes in the order of the labels; ``found`` are those of the folder."""
    return (wanted.needs.classes if wanted.needs is not None else ()) or _names(wanted) or tuple(found)


def _without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    known = {same(name) for name in others}
    return [name for name in names if same(name) not in known]


def _whole(value: Any, least: int) -> bool:
    return type(value) is not bool and isinstance(value, Integral) and int(value) >= least


def _three(value: Any, low: float) -> bool:
    numbers = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 3:
        return False
    return all(type(v) is not bool and isinstance(v, Real) and low <= float(v) <= 1 for v in numbers)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 and " at 0x" not in text else f"a {type(value).__name__}"
