"""Data sets in Python: those of torchvision, PyTorch and Hugging Face, as photos with the names of their classes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from regraft.errors import ConfigError, RegraftError

_COMPARED = 20
"""Items of a data set whose classes are compared with its list of samples."""

Picture: TypeAlias = Any
"""A path, the bytes of a photo, a PIL image, an array or a tensor."""


@dataclass(frozen=True)
class Item:
    """A photo of a data set.

    Attributes:
        picture: the photo.
        label: the name of its class.
        split: its side, or "".
    """

    picture: Picture
    label: str
    split: str = ""


def is_dataset(value: Any) -> bool:
    """Return whether ``value`` is a data set: indexed, with a length, and neither text, a path nor a list of them."""
    if isinstance(value, Mapping):
        return bool(value) and all(map(is_dataset, value.values()))
    plain = isinstance(value, (str, bytes, Path, list, tuple, set)) or hasattr(value, "__fspath__")
    return not plain and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def items_of(dataset: Any) -> Iterator[Item]:
    """Yield the photos of a data set.

    Args:
        dataset: an `ImageFolder` or another data set of torchvision; a data set of PyTorch with (picture, class) pairs,
            where a picture is a PIL image, an array or a tensor of 0 to 255 or 0 to 1; a `Subset` or a concatenation of
            these; a `datasets.Dataset` of Hugging Face; or a mapping from the names of sides to data sets.

    Raises:
        ConfigError: an item is something else, or its class has no meaning.
    """
    if isinstance(dataset, Mapping):
        for split, part in dataset.items():
            yield from (replace(item, split=str(split)) for item in items_of(part))
    elif hasattr(dataset, "cast_column") and hasattr(dataset, "features"):
        yield from _hugging_face_items(dataset)
    elif hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        yield from _some(dataset.dataset, [int(i) for i in dataset.indices])
    elif hasattr(dataset, "datasets") and hasattr(dataset, "cumulative_sizes"):
        for part in dataset.datasets:
            yield from items_of(part)
    else:
        yield from _some(dataset, range(len(dataset)))


def _some(dataset: Any, indices: Any) -> Iterator[Item]:
    """Yield the photos at some positions of a data set."""
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        yield from _some(dataset.dataset, [int(dataset.indices[i]) for i in indices])
        return
    if getattr(dataset, "target_transform", None) is not None:
        raise ConfigError(
            "photos: the data set has a target_transform, which changes its classes; expected target_transform=None\n"
            "  or give a table with labels="
        )
    names = class_names(dataset)
    samples = getattr(dataset, "samples", None)
    if isinstance(samples, list) and samples and isinstance(samples[0][0], (str, Path)):
        _check_samples(dataset, samples, names)
        for i in indices:
            path, label = _item(samples, i)
            yield Item(Path(path), label_text(label, names))
        return
    plain = _without_transforms(dataset)
    for i in indices:
        pair = _item(plain, i)
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ConfigError(f"photos: expected pairs of a picture and a class, found a {type(pair).__name__} at {i}")
        yield Item(pair[0], label_text(pair[1], names))


def _item(dataset: Any, i: int) -> Any:
    try:
        return dataset[i]
    except RegraftError:
        raise
    except Exception as error:
        raise ConfigError(
            f"photos: item {i} of the data set cannot be read: {type(error).__name__}: {error}"
        ) from error


def _check_samples(dataset: Any, samples: Sequence[Any], names: Mapping[int, str]) -> None:
    """Check that a class of the user, such as a subclass of `ImageFolder`, gives photos the classes in its ``samples``.

    Raises:
        ConfigError: it gives another one.
    """
    if type(dataset).__getitem__.__module__.startswith("torchvision."):
        return
    for i in range(0, len(samples), max(1, len(samples) // _COMPARED)):
        item = _item(dataset, i)
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            continue
        given, listed = label_text(item[1], {}), label_text(samples[i][1], {})
        if given not in (listed, label_text(samples[i][1], names)):
            raise ConfigError(
                f"photos: {type(dataset).__name__} returns the class {given} for item {i}, and its samples have "
                f"the class {listed}; expected the same\n  rename the list of samples, or give a table with labels="
            )


def class_names(dataset: Any) -> Mapping[int, str]:
    """Return the names of the classes of a data set by their numbers; nothing if it has no names.

    ``class_to_idx`` says which number a class has; the order of ``classes`` may be another one.
    """
    numbers = getattr(dataset, "class_to_idx", None)
    if isinstance(numbers, Mapping):
        return {int(number): str(name) for name, number in numbers.items()}
    classes = getattr(dataset, "classes", None)
    return dict(enumerate(map(str, classes))) if isinstance(classes, (list, tuple)) else {}


def label_text(label: Any, names: Mapping[int, str]) -> str:
    """Return the name of a class: text as it is, and a number by its name if it has one.

    Raises:
        ConfigError: it is neither, or a number without a name where others have one.
    """
    value = label.item() if hasattr(label, "item") and getattr(label, "size", 1) != 0 and _is_single(label) else label
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        if names and value not in names:
            raise ConfigError(
                f"photos: the data set has no class of the number {value}; its numbers are {sorted(names)[:10]}"
            )
        return names.get(value, str(value))
    raise ConfigError(f"photos: expected a class as a number or as text, found {label!r:.80}, a {type(label).__name__}")


def _is_single(label: Any) -> bool:
    shape = getattr(label, "shape", ())
    return all(side == 1 for side in shape)


def _without_transforms(dataset: Any) -> Any:
    """Return a data set of torchvision without its transforms: photos are prepared as the network needs them."""
    if not any(kind.__name__ == "VisionDataset" for kind in type(dataset).__mro__):
        return dataset
    plain = copy.copy(dataset)
    plain.transform = plain.transforms = None
    return plain


def _hugging_face_items(dataset: Any) -> Iterator[Item]:
    kinds = {name: type(feature).__name__ for name, feature in dataset.features.items()}
    pictures = [name for name, kind in kinds.items() if kind == "Image"]
    classes = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    labels = [name for name in ("label", "labels") if name in kinds] or classes
    for found, what in ((pictures, "Image"), (labels, "ClassLabel")):
        if len(found) != 1:
            raise ConfigError(
                f"photos: expected one column of the kind {what} in the data set, found {', '.join(found) or 'none'}\n"
                f"  its columns are {', '.join(kinds)}; select_columns or rename_column leaves the one to use"
            )
    feature = dataset.features[labels[0]]
    names = dict(enumerate(feature.names)) if labels[0] in classes else {}
    undecoded = dataset.cast_column(pictures[0], type(dataset.features[pictures[0]])(decode=False))
    for row in undecoded:
        picture, label = row[pictures[0]], row[labels[0]]
        if label == -1 and names:  # no class
            continue
        yield Item(picture["bytes"] or Path(picture["path"]), label_text(label, names))
