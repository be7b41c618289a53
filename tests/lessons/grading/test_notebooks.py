"""Notebooks of students: right ones in several libraries and styles, and the mistakes that students make.

A wrong notebook is a right one with one passage that is written as students write it. Each gets a hint of its own.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from regraft.lessons.grading.grade import grade_folder
from regraft.sample import exercise_photos

NOTEBOOKS = Path(__file__).with_name("notebooks")
RIGHT = ["plain_torch", "with_trainer", "with_keras", "own_learner", "data_frames", "weak_and_short"]


@dataclass(frozen=True)
class Wrong:
    """A mistake: the notebook, its passage, what a student writes instead, the task, and the hint."""

    notebook: str
    passage: str
    instead: str
    task: int
    hint: str


WRONG = {
    "test photos in training": Wrong(
        "plain_torch", "train += pics[2 * n :]", "train += pics", 4, "test photos are training photos too"
    ),
    "rank-2 of the second class only": Wrong(
        "with_trainer", "np.mean((order[:, :2] == part.labels[:, None]).any(1))", "np.mean(order[:, 1] == part.labels)",
        7, "You have counted the second class only",
    ),
    "best epoch on the test photos": Wrong(
        "with_keras", 'validation_data=(x[ids["validation"]], labels[ids["validation"]])',
        'validation_data=(x[ids["test"]], labels[ids["test"]])', 5, "val_loss has the values of the test photos",
    ),
    "normalized for another network": Wrong(
        "plain_torch", "(t - 0.5) / 0.5",
        "(t - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]",
        2, "It looks normalized with ImageNet's mean and deviation",
    ),
    "split 70/15/15": Wrong(
        "with_keras", "max(1, len(paths) // 50)", "round(0.15 * len(paths) / 5)", 4,
        "train has 67% of the photos; 80% were asked for",
    ),
    "head not replaced": Wrong(
        "plain_torch", "net.classifier = torch.nn.Linear(1280, len(names))", "pass", 3,
        "1000 numbers for .*, and there are 5 classes: replace the head",
    ),
    "labels shuffled apart from the photos": Wrong(
        "with_keras", "x = np.stack([image(p) for p in paths])\n",
        "x = np.stack([image(p) for p in paths])\nnp.random.shuffle(x)\n", 7, "which may be guessing",
    ),
    "everything frozen in fine-tuning": Wrong(
        "with_trainer", "model.unfreeze(2)", "model.freeze()", 5, "The body has not changed at all"
    ),
    "no schedule": Wrong("plain_torch", "    sched.step()\n", "", 5, "The learning rate is 0.0005 in all 3 epochs"),
    "accuracy of the training photos": Wrong(
        "with_trainer", "a, r, named = measure(data.test)\nnamed.update",
        "a, r, _ = measure(data)\nnamed = measure(data.test)[2]\nnamed.update", 7, "as on the training photos",
    ),
    "divided without shuffling": Wrong(
        "plain_torch",
        "for label, c in enumerate(names):\n    pics = [(p, label) for p in files[c]]\n    random.shuffle(pics)\n",
        "for pics in [[(p, label) for label, c in enumerate(names) for p in files[c]]]:\n", 4,
        "has no photo of .*: shuffle the photos before you divide them",
    ),
    "steps that destroy the body": Wrong(
        "plain_torch", "if q.requires_grad], 5e-4)", "if q.requires_grad], 0.02)", 5,
        "such steps destroy what it knew|the training has diverged"
    ),
    "classes in another order than the columns": Wrong(
        "own_learner", '"classes": dls.vocab}', '"classes": dls.vocab[::-1]}', 7,
        "the columns of your probabilities have this order",
    ),
    "names of the new photos in another order": Wrong(
        "data_frames", "guessed = photos.label.cat.categories[", "guessed = photos.label.cat.categories[::-1][", 8,
        "new photos are right, which is guessing",
    ),
    "untouched network in training mode": Wrong(
        "weak_and_short", "網路 = untouched_network(); 網路.eval()", "網路 = untouched_network(); 網路.train()", 2,
        "of your five classes are those of the untouched network",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exercise")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exercise_photos, "NEW_PHOTOS", 20)
        exercise_photos.draw_exercise(folder, plants=12)
        yield folder


@pytest.fixture
def run(photos, tmp_path, monkeypatch):
    """A function that runs a notebook in this process and returns its verdicts, by task."""

    def run(source):
        folder = tmp_path / "student"
        shutil.copytree(photos, folder, copy_function=os.link)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("MPLBACKEND", "Agg")
        exec(compile(source, "notebook", "exec"), {"__name__": "__main__"})
        return {verdict.task: verdict for verdict in grade_folder(folder)}

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_notebook_of_any_library_solves_all_tasks(name, run):
    verdicts = run((NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8"))
    assert [verdict.hint for verdict in verdicts.values()] == [""] * 8


@pytest.mark.slow
@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_notebook_gets_a_hint_of_its_own(mistake, run):
    wrong = WRONG[mistake]
    source = (NOTEBOOKS / f"{wrong.notebook}.py").read_text(encoding="utf-8")
    assert wrong.passage in source
    verdicts = run(source.replace(wrong.passage, wrong.instead))
    assert not verdicts[wrong.task].is_solved
    assert re.search(wrong.hint, verdicts[wrong.task].hint), verdicts[wrong.task].hint


def test_every_mistake_has_another_hint():
    assert len({wrong.hint for wrong in WRONG.values()}) == len(WRONG) == 15
