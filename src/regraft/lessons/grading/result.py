"""The final network of a student, by its probabilities for the validation and the test photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regraft.lessons.grading.answers import Answers, HintError, Scores, short_name
from regraft.lessons.grading.photos import ClassFolders, checked_classes, class_folders
from regraft.lessons.grading.scores import Labels, Table, table_of


@dataclass(frozen=True)
class Result:
    """What the final network says, and what the student reports.

    Attributes:
        folders: the photos.
        classes: the classes in the order of the student's columns.
        scores: the reported figures and the probabilities.
        sides: names of the photos of each side.
    """

    folders: ClassFolders
    classes: list[str]
    scores: Scores
    sides: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, answers: Answers) -> Result:
        """Return the result in ``answers``.

        Raises:
            HintError: a part of it is missing.
        """
        folders = class_folders(answers)
        sides = {side: [short_name(name) for name in names] for side, names in answers.get("split").items()}
        return cls(folders, checked_classes(answers, folders), answers.scores("after"), sides)

    def on(self, side: str) -> tuple[Table, Labels]:
        """Return probabilities, shape (photos, classes), and true columns of the photos of a side.

        Raises:
            HintError: a photo has no probabilities.
        """
        rows, names = self.scores.probabilities, self.sides.get(side, ())
        missing = [name for name in names if name not in rows]
        if not names:
            raise HintError(f"answers['split'] has no {side} photos.")
        if missing:
            raise HintError(
                f"answers['after']['probabilities'] lacks {len(missing)} of {len(names)} {side} photos, "
                f"such as {missing[0]}: predict all validation and test photos with the final network."
            )
        predicted = {name: rows[name] for name in names}
        return table_of(predicted, len(self.classes)), self.folders.labels_of(predicted, self.classes)

    def on_both(self) -> tuple[Table, Labels]:
        """Return the same for the validation and the test photos together."""
        parts = [self.on(side) for side in ("validation", "test")]
        return np.concatenate([table for table, _ in parts]), np.concatenate([y for _, y in parts])
