"""Grades of tasks 1 to 4: the photos, the untouched network, the new head, and the split."""

from __future__ import annotations

from collections import Counter

import numpy as np

from regraft.lessons.grading.answers import Answers, HintError, short_name
from regraft.lessons.grading.photos import ClassFolders, checked_classes, class_folders
from regraft.lessons.grading.reference import Channels, expected_input, is_input, likely_mistake, untouched_top5
from regraft.lessons.grading.scores import agrees, hit_bounds, rank2_mistake, table_of

MIN_AGREEMENT = 2.5
"""Least mean number of classes that two top-5 lists share; crop and resizing change one or two."""

UNTRAINED = 0.6
"""Highest accuracy of a new head that is not trained."""

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
SHARE_TOLERANCE = 0.045
"""Accepted difference of a side's share: a split by class, or by content, is not exact."""


def grade_first_photos(answers: Answers) -> None:
    """Check task 1: the first photo of each class."""
    folders = class_folders(answers)
    found = {label: short_name(name) for label, name in answers.get("first_photos").items()}
    if sorted(found) != folders.classes:
        raise HintError(
            f"answers['first_photos'] is expected to have the keys {folders.classes}; it has {sorted(found)}."
        )
    for label, first in folders.first_photos().items():
        if found[label] != first:
            raise HintError(
                f"The first photo of {label} in the order of names is {first}, not {found[label]}: "
                "sort the names, because a folder has no order."
            )


def grade_untouched_network(answers: Answers) -> None:
    """Check task 2: the input of the untouched network, and its five classes for each of these photos."""
    folders = class_folders(answers)
    top5: dict[str, list[int]] = answers.get("top5")
    if sorted(top5) != folders.classes or any(len(set(row)) != 5 for row in top5.values()):
        raise HintError(
            f"answers['top5'] is expected to have five different numbers of classes for each of {folders.classes}."
        )
    if any(not 0 <= number < 1000 for row in top5.values() for number in row):
        raise HintError(
            "answers['top5'] is expected to have numbers of ImageNet's classes, from 0 to 999: leave the head as it is."
        )
    _check_input(answers, folders)
    photos = tuple((folders.root / name).resolve() for name in folders.first_photos().values())
    expected = untouched_top5(answers.get("network"), photos)
    if expected is None:
        return
    shared = [len(set(top5[label]) & set(row)) for label, row in zip(folders.classes, expected, strict=True)]
    if np.mean(shared) < MIN_AGREEMENT:
        raise HintError(
            f"Only {np.mean(shared):.1f} of your five classes are those of the untouched network, on average: "
            "is it in inference mode (eval), are its weights the pretrained ones, is each photo the first of its class?"
        )


def grade_new_head(answers: Answers) -> None:
    """Check task 3: the new head, with accuracy and rank-2 before training."""
    folders = class_folders(answers)
    scores = answers.scores("before")
    classes = checked_classes(answers, folders)
    table = table_of(scores.probabilities, len(classes))
    y = folders.labels_of(scores.probabilities, classes)
    right, rank2 = hit_bounds(table, y, 1), hit_bounds(table, y, 2)
    if right[0] > UNTRAINED:
        raise HintError(
            f"An accuracy of {right[0]:.1%} before training is too good: a new head knows nothing. "
            "Measure before you train."
        )
    if not agrees(scores.accuracy, right):
        raise HintError(
            f"Before training, your probabilities are right on {right[1]:.1%} of the photos, "
            f"and you report an accuracy of {scores.accuracy:.1%}."
        )
    if not agrees(scores.rank2, rank2):
        raise HintError(
            f"Rank-2 before training is {rank2[1]:.1%}, not {scores.rank2:.1%}. {rank2_mistake(scores.rank2, table, y)}"
        )


def grade_split(answers: Answers) -> None:
    """Check task 4: 80 % of the photos to train, 10 % to validate, 10 % to test."""
    folders = class_folders(answers)
    found = answers.get("split")
    if sorted(found) != sorted(SHARES):
        raise HintError(f"answers['split'] is expected to have the keys {list(SHARES)}; it has {list(found)}.")
    split = {side: [short_name(name) for name in names] for side, names in found.items()}
    _check_disjoint(split)
    _check_names(split, folders)
    total = sum(len(names) for names in split.values())
    for side, share in SHARES.items():
        if abs(len(split[side]) / total - share) > SHARE_TOLERANCE:
            raise HintError(
                f"The side {side} has {len(split[side]) / total:.0%} of the photos; {share:.0%} were asked for."
            )
        absent = sorted(set(folders.classes) - {folders.labels[name] for name in split[side]})
        if absent:
            raise HintError(
                f"The side {side} has no photo of {', '.join(absent)}: shuffle the photos before you divide them."
            )


def _check_input(answers: Answers, folders: ClassFolders) -> None:
    found = answers.get("input")
    if sorted(found) != ["mean", "std"] or any(len(values) != 3 for values in found.values()):
        raise HintError(
            "answers['input'] is expected to have the keys mean and std, with three numbers each, one for each channel."
        )
    network: str = answers.get("network")
    name = next(iter(folders.labels))
    expected = expected_input(folders.root / name, network)
    channels = Channels(tuple(found["mean"]), tuple(found["std"]))
    if expected is None or is_input(channels, expected):
        return
    ours = ", ".join(f"{value:.2f}" for value in expected.std)
    theirs = ", ".join(f"{value:.2f}" for value in channels.std)
    raise HintError(
        f"The network {network} expects another input: the standard deviations of {name} are {ours}, yours {theirs}. "
        f"{likely_mistake(channels, folders.root / name)} Use the preprocessing that belongs to the network."
    )


def _check_disjoint(split: dict[str, list[str]]) -> None:
    counts = Counter(name for names in split.values() for name in names)
    twice = {name for name, count in counts.items() if count > 1}
    leaked = twice & set(split["test"]) & set(split["train"])
    if leaked:
        raise HintError(
            f"{len(leaked)} of the {len(set(split['test']))} test photos are training photos too, such as "
            f"{min(leaked)}: the network knows their answers by heart. Divide the photos once."
        )
    if twice:
        raise HintError(
            f"{len(twice)} photos are in two parts or twice in one, such as {min(twice)}: "
            "each photo belongs to one part."
        )


def _check_names(split: dict[str, list[str]], folders: ClassFolders) -> None:
    named = {name for names in split.values() for name in names}
    folders.check_names(sorted(named))
    left_out = len(set(folders.labels) - named)
    if left_out > 0.02 * len(folders.labels):
        raise HintError(f"{left_out} of {len(folders.labels)} photos are in no part of the split.")
