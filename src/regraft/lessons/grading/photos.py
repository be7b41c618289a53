"""The photos of the exercise: the folder that the student has used, and the new photos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.lessons.grading.answers import Answers, HintError
from regraft.sample.exercise_photos import NEW_FOLDER, new_labels

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


@dataclass(frozen=True)
class ClassFolders:
    """A folder with one folder per class.

    Attributes:
        root: the folder.
        labels: the class of each photo by its name, such as ``"rose/1.jpg"``, in the order of names.
    """

    root: Path
    labels: dict[str, str]

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of names."""
        return sorted(set(self.labels.values()))

    def first_photos(self) -> dict[str, str]:
        """Return the name of the first photo of each class."""
        return {label: next(name for name, own in self.labels.items() if own == label) for label in self.classes}

    def check_names(self, names: Iterable[str]) -> None:
        """Check that photos are in the folder.

        Raises:
            HintError: one is not.
        """
        for name in names:
            if name not in self.labels:
                example = next(iter(self.labels))
                raise HintError(f"There is no photo {name} in {self.root.name}; write names such as {example}.")

    def labels_of(self, names: Iterable[str], classes: list[str]) -> NDArray[np.int64]:
        """Return the position in ``classes`` of each photo's class, shape (photos,).

        Raises:
            HintError: a photo is not in the folder.
        """
        names = list(names)
        self.check_names(names)
        return np.array([classes.index(self.labels[name]) for name in names], dtype=np.int64)


def class_folders(answers: Answers) -> ClassFolders:
    """Return the folder of photos that the answers name.

    Raises:
        HintError: it does not exist, or has fewer than two classes.
    """
    root = answers.folder / answers.get("photos")
    files = sorted(file for file in root.glob("*/*") if file.suffix.lower() in SUFFIXES)
    labels = {f"{file.parent.name}/{file.name}": file.parent.name for file in files}
    if len(set(labels.values())) < 2:
        raise HintError(f"answers['photos'] names the folder {root}, which has no two folders with photos.")
    return ClassFolders(root, labels)


def checked_classes(answers: Answers, folders: ClassFolders) -> list[str]:
    """Return the classes in the order of the student's columns.

    Raises:
        HintError: they are not those of the folder.
    """
    classes: list[str] = answers.get("classes")
    if sorted(classes) != folders.classes:
        raise HintError(f"answers['classes'] is expected to hold {folders.classes}, in any order; it holds {classes}.")
    return classes


def truth_of_new(answers: Answers) -> dict[str, str]:
    """Return the classes of the new photos by their names; none for a folder of the student's own."""
    return new_labels() if (answers.folder / NEW_FOLDER).is_dir() else {}
