"""The answers of a student's notebook: a JSON object with a key for each result that a task asks for.

Results are graded, never source text, so that any library may be used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import TypeAdapter, ValidationError

FILE = "answers.json"

Probabilities = dict[str, list[float]]
"""The scores of some photos by their names, one for each class."""


class HintError(Exception):
    """An answer that cannot be graded; the message is the hint for the student."""


@dataclass(frozen=True)
class Form:
    """The form of an answer.

    Attributes:
        type: its type.
        description: the same in words.
    """

    type: Any
    description: str


FORMS = {
    "photos": Form(str, "the folder with one folder per class"),
    "network": Form(str, "timm's name of the network, or keras/NAME"),
    "first_photos": Form(dict[str, str], "the name of the first photo of each class"),
    "input": Form(dict[str, list[float]], "mean and std of the channels of the first photo, as the network gets it"),
    "top5": Form(dict[str, list[int]], "the five most probable classes of ImageNet for the first photo of each class"),
    "classes": Form(list[str], "the classes, in the order of the columns of all probabilities"),
    "split": Form(dict[str, list[str]], "the names of the photos in train, validation and test"),
    "before": Form(dict[str, Any], "accuracy, rank2 and probabilities before the training"),
    "body_moved": Form(float, "the relative change of the body's weights during fine-tuning"),
    "history": Form(dict[str, list[float]], "loss, accuracy, val_loss, val_accuracy and learning_rate of each epoch"),
    "best_epoch": Form(int, "the epoch whose weights you kept, counted from 1"),
    "after": Form(dict[str, Any], "accuracy, rank2 and probabilities after the training"),
    "new": Form(dict[str, str], "the predicted class of each new photo"),
}  # fmt: skip
"""The form of each answer, by its key."""


@dataclass(frozen=True)
class Answers:
    """The answers of one student.

    Attributes:
        values: the content of ``answers.json``.
        folder: the folder of the notebook; names of folders in the answers are relative to it.
    """

    values: Mapping[str, Any]
    folder: Path

    def get(self, key: str) -> Any:
        """Return an answer.

        Raises:
            HintError: it is missing, or has another form than `FORMS` gives.
        """
        form = FORMS[key]
        value = self.values.get(key)
        if value is None or value in ({}, []):
            raise HintError(f"answers[{key!r}] is missing: write {form.description} into it.")
        try:
            return TypeAdapter(form.type).validate_python(value)
        except ValidationError:
            raise HintError(f"answers[{key!r}] has another form than expected: it is {form.description}.") from None

    def scores(self, key: str) -> Scores:
        """Return accuracy, rank-2 and probabilities of ``before`` or ``after``.

        Raises:
            HintError: one of them is missing, or has another form.
        """
        value = self.get(key)
        try:
            accuracy, rank2 = (TypeAdapter(float).validate_python(value.get(name)) for name in ("accuracy", "rank2"))
            probabilities = TypeAdapter(Probabilities).validate_python(value.get("probabilities"))
        except ValidationError:
            raise HintError(
                f"answers[{key!r}] has another form than expected: it has the keys accuracy and rank2, two numbers "
                "from 0 to 1, and probabilities, a list of numbers for each photo's name."
            ) from None
        if not probabilities:
            raise HintError(f"answers[{key!r}]['probabilities'] has no photo: write a list of numbers for each photo.")
        accuracy, rank2 = as_shares([accuracy, rank2])
        return Scores(accuracy, rank2, {short_name(name): row for name, row in probabilities.items()})


@dataclass(frozen=True)
class Scores:
    """What the student reports of a classifier.

    Attributes:
        accuracy: the reported accuracy, in [0, 1].
        rank2: the reported rank-2 accuracy.
        probabilities: a row for each photo, by `short_name`.
    """

    accuracy: float
    rank2: float
    probabilities: Probabilities


def as_shares(values: Sequence[float]) -> list[float]:
    """Return accuracies as numbers from 0 to 1; if one is above 1.5, all are percentages.

    Example:
        >>> from regraft.lessons.grading.answers import as_shares
        >>> as_shares([84.0, 96.0]), as_shares([0.84, 1.0])
        ([0.84, 0.96], [0.84, 1.0])
    """
    scale = 100 if any(value > 1.5 for value in values) else 1
    return [value / scale for value in values]


def read_answers(folder: Path) -> Answers:
    """Return the answers that a notebook has left in its folder; none if it has left no file.

    Raises:
        HintError: the file is not a JSON object.
    """
    file = folder / FILE
    if not file.is_file():
        return Answers({}, folder)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HintError(f"{FILE} is not valid JSON: {error}.") from None
    if not isinstance(values, dict):
        raise HintError(f"{FILE} is expected to hold a dictionary; it holds a {type(values).__name__}.")
    return Answers(values, folder)


def short_name(name: str) -> str:
    r"""Return the last folder and the file of a photo's name: students write paths in several ways.

    Example:
        >>> from regraft.lessons.grading.answers import short_name
        >>> short_name("C:\\flowers\\rose\\1.jpg")
        'rose/1.jpg'
    """
    return "/".join(PurePosixPath(name.replace("\\", "/")).parts[-2:])
