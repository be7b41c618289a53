"""Right answers to the exercise, made from its drawn photos without any training."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from regraft.lessons.grading.grade import grade_folder
from regraft.lessons.grading.photos import ClassFolders
from regraft.lessons.grading.reference import expected_input, untouched_top5
from regraft.sample import exercise_photos
from regraft.sample.flowers import CLASSES

NETWORK = "tf_efficientnet_lite0"
CLASS_ORDER = sorted(CLASSES)


def make_row(label, *, wrong):
    """Return probabilities: the class first, or second behind the next one."""
    own = CLASS_ORDER.index(label)
    row = [0.04] * 5
    row[own], row[(own + 1) % 5] = (0.28, 0.6) if wrong else (0.6, 0.28)
    return row


@pytest.fixture(scope="session")
def exercise(tmp_path_factory):
    """A folder with ten photos of each class, ten new photos, and right answers as a dictionary."""
    folder = tmp_path_factory.mktemp("exercise")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exercise_photos, "NEW_PHOTOS", 10)
        root = exercise_photos.draw_exercise(folder, plants=10)
        files = sorted(root.glob("*/*.jpg"))
        labels = {f"{file.parent.name}/{file.name}": file.parent.name for file in files}
        yield folder, right_answers(ClassFolders(root, labels))


def right_answers(folders):
    """Return answers that solve all tasks."""
    names = list(folders.labels)
    sides = {"train": range(8), "validation": (8,), "test": (9,)}
    split = {side: [name for i, name in enumerate(names) if i % 10 in places] for side, places in sides.items()}
    first = folders.first_photos()
    channels = expected_input(folders.root / names[0], NETWORK)
    top5 = untouched_top5(NETWORK, tuple(folders.root / name for name in first.values()))
    measured = [(name, i == 0) for side in ("test", "validation") for i, name in enumerate(split[side])]
    after = {name: make_row(folders.labels[name], wrong=wrong) for name, wrong in measured}
    before = dict.fromkeys(split["test"], (0.3, 0.25, 0.2, 0.15, 0.1))
    return {
        "photos": "flowers",
        "network": NETWORK,
        "first_photos": first,
        "input": {"mean": list(channels.mean), "std": list(channels.std)},
        "top5": {label: list(row) for label, row in zip(CLASS_ORDER, top5, strict=True)},
        "classes": CLASS_ORDER,
        "split": split,
        "before": {"accuracy": 0.2, "rank2": 0.4, "probabilities": before},
        "body_moved": 0.01,
        "history": {
            "loss": [1.0, 0.5, 0.2], "accuracy": [0.6, 0.9, 0.95], "val_loss": [0.9, 0.7, 0.8],
            "val_accuracy": [0.6, 0.8, 0.8], "learning_rate": [1e-3, 5e-4, 1e-4],
        },
        "best_epoch": 2,
        "after": {"accuracy": 0.8, "rank2": 1.0, "probabilities": after},
        "new": dict(exercise_photos.new_labels()),
    }  # fmt: skip


@pytest.fixture
def grade(exercise, tmp_path):
    """A function that grades answers, and returns the hint on each task."""
    source, _ = exercise
    (tmp_path / "flowers").symlink_to(source / "flowers")
    (tmp_path / "new flowers").symlink_to(source / "new flowers")
    Image.new("RGB", (4, 4)).save(tmp_path / "curves.png")

    def grade(answers):
        (tmp_path / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
        return {verdict.task: verdict.hint for verdict in grade_folder(tmp_path)}

    return grade


@pytest.fixture
def row_for():
    """A function that makes the probabilities of a photo of a class."""
    return make_row


@pytest.fixture
def answers(exercise):
    """Right answers, to be changed."""
    return json.loads(json.dumps(exercise[1]))
