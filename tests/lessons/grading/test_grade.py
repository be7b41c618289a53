"""The grade of answers: right ones in the forms that students choose, and one hint for each kind of wrong one."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from regraft.lessons.grading.answers import FORMS
from regraft.lessons.grading.scores import log_loss
from regraft.sample.exercise_photos import new_labels


def changed(answers, path, value):
    """Set ``answers[a][b]`` for the path ``"a.b"``."""
    *parents, last = path.split(".")
    for parent in parents:
        answers = answers[parent]
    answers[last] = value


def all_rows(answers, change):
    rows = answers["after"]["probabilities"]
    for name in rows:
        rows[name] = change(rows[name])


def test_right_answers_solve_all_tasks(grade, answers):
    assert grade(answers) == dict.fromkeys(range(1, 9), "")


def test_no_answers_name_what_is_missing(grade):
    hints = grade({"photos": "flowers"})
    assert hints[1] == "answers['first_photos'] is missing: write the name of the first photo of each class into it."
    assert all("is missing: write " in hint for hint in hints.values())


@pytest.mark.parametrize("prefix", ["flowers/", "/home/me/flowers/", "C:\\flowers\\"])
def test_names_of_photos_may_be_paths(prefix, grade, answers):
    for side, names in answers["split"].items():
        answers["split"][side] = [prefix + name for name in names]
    rows = answers["after"]["probabilities"]
    answers["after"]["probabilities"] = {prefix + name: row for name, row in rows.items()}
    assert grade(answers)[4] == grade(answers)[7] == ""


def test_scores_may_be_logits(grade, answers):
    all_rows(answers, lambda row: [10 * math.log(value) for value in row])
    assert grade(answers) == dict.fromkeys(range(1, 9), "")


def test_scores_may_be_rounded_percentages(grade, answers):
    all_rows(answers, lambda row: [round(100 * value) for value in row])
    assert grade(answers) == dict.fromkeys(range(1, 9), "")
    assert log_loss(np.array([[20.0, 80.0]]), np.array([1])) == pytest.approx(-math.log(0.8))


def test_columns_may_have_any_order(grade, answers):
    answers["classes"] = answers["classes"][::-1]
    for key in ("before", "after"):
        answers[key]["probabilities"] = {name: row[::-1] for name, row in answers[key]["probabilities"].items()}
    assert grade(answers) == dict.fromkeys(range(1, 9), "")


def test_equal_scores_of_a_head_of_zeros_count_as_any_order(grade, answers):
    for accuracy, rank2 in ((0.2, 0.4), (0.0, 0.2)):
        answers["before"] |= {"accuracy": accuracy, "rank2": rank2}
        answers["before"]["probabilities"] = {name: [0.2] * 5 for name in answers["split"]["test"]}
        assert grade(answers)[3] == ""


def test_a_network_that_is_not_here_is_judged_by_its_normalization(grade, answers):
    answers["network"] = "keras/Xception"
    answers["top5"] = {label: [0, 1, 2, 3, 4] for label in answers["top5"]}
    assert grade(answers)[2] == ""
    answers["network"] = "vgg16"
    assert "Its pixels go from -1 to 1." in grade(answers)[2]
    answers["network"] = "my own"
    assert grade(answers)[2] == ""


def test_a_folder_of_ones_own_has_no_new_photos(grade, answers, tmp_path):
    (tmp_path / "new flowers").unlink()
    del answers["new"]
    assert grade(answers)[8] == ""


NO_FLOWER = {label: [1, 2, 3, 4, 5] for label in ("daisy", "dandelion", "rose", "sunflower", "tulip")}
WRONG = {
    "first_photos.rose": ("rose/plant003-0.jpg", 1, "The first photo of rose in the order of names is rose/plant000-0"),
    "top5.rose": ([1, 1, 2, 3, 4], 2, "five different numbers"),
    "top5.daisy": ([1, 2, 3, 4, 1000], 2, "from 0 to 999: leave the head as it is"),
    "top5": (NO_FLOWER, 2, "Only 0.0 of your five"),
    "input.std": ([99, 99, 99], 2, "Its pixels go from 0 to 255"),
    "input": ({"mean": [1, 2, 3]}, 2, "three numbers each"),
    "before.accuracy": (0.6, 3, "right on 20.0% of the photos, and you report an accuracy of 60.0%"),
    "before.rank2": (0.2, 3, "You have counted the most probable class only"),
    "classes": (["a", "b"], 3, "in any order; it holds"),
    "split": ({"train": ["a"], "val": ["b"]}, 4, "is expected to have the keys"),
    "split.test": (["rose/plant000-0.jpg"], 4, "1 of the 1 test photos are training photos too, such as rose"),
    "split.validation": (["rose/plant009-0.jpg"] * 2, 4, "1 photos are in two parts or twice in one"),
    "split.train": (["rose/nothing.jpg"], 4, "There is no photo rose/nothing.jpg in flowers"),
    "body_moved": (0, 5, "The body has not changed at all"),
    "history.learning_rate": ([1e-3] * 3, 5, "The learning rate is 0.001 in all 3 epochs"),
    "best_epoch": (1, 5, "Epoch 1 is the best one neither by val_loss \\(epoch 2\\) nor by val_accuracy \\(epoch 2\\)"),
    "history.val_accuracy": ([0.1, 0.1, 0.1], 5, "load the checkpoint of the best epoch"),
    "history.val_loss": ([math.nan] * 3, 5, "values that are not numbers"),
    "history.accuracy": ([0.5], 6, "have different lengths"),
    "history": ({"loss": [1]}, 6, "lacks accuracy, val_loss, val_accuracy, learning_rate"),
    "history.loss": ([0.2, 0.5, 1.0], 6, "The training loss does not fall \\(it goes from 0.20 to 1.00\\)"),
    "after.accuracy": (0.95, 7, "80.0% of 5 test photos are right, and you report 95.0%, as on the training photos"),
    "after.rank2": (0.2, 7, "Rank-2 on the test photos is 100.0%, not 20.0%. You have counted the second class only"),
    "after.probabilities": ({"rose/plant000-0.jpg": [1, 0, 0, 0, 0]}, 7, "lacks 5 of 5 test photos, such as daisy"),
    "new": ({"new-00.jpg": "rose"}, 8, "lacks 9 new photos, such as new-01.jpg"),
}  # fmt: skip
"""The wrong value, the task, and a part of the hint, for each answer."""


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_answer_has_a_hint(path, grade, answers):
    value, task, hint = WRONG[path]
    changed(answers, path, value)
    assert re.search(hint, grade(answers)[task]), grade(answers)[task]


def test_a_trained_head_is_not_new(grade, answers):
    answers["before"] = answers["after"]
    assert "before training is too good" in grade(answers)[3]


def test_an_old_head_has_other_outputs(grade, answers):
    answers["before"]["probabilities"] = {name: [0.001] * 1000 for name in answers["split"]["test"]}
    assert "gives 1000 numbers for daisy/plant009-0.jpg, and there are 5 classes: replace the head" in grade(answers)[3]


def test_a_split_that_is_not_80_10_10(grade, answers):
    split = answers["split"]
    split["test"], split["train"] = (
        split["test"] + split["train"][::8],
        [n for n in split["train"] if n not in split["train"][::8]],
    )
    assert "train has 70% of the photos; 80% were asked for" in grade(answers)[4]


def test_a_side_without_a_class(grade, answers):
    split = answers["split"]
    split["test"][-1], split["train"][0] = split["train"][0], split["test"][-1]
    assert "The side test has no photo of tulip: shuffle" in grade(answers)[4]


def test_the_test_photos_chose_the_epoch(grade, answers):
    rows = answers["after"]["probabilities"]
    for name in answers["split"]["validation"]:
        rows[name] = [0.1, 0.1, 0.1, 0.1, 0.6]
    answers["history"]["val_loss"][1] = -(4 * math.log(0.6) + math.log(0.28)) / 5
    assert "val_loss has the values of the test photos" in grade(answers)[5]


def test_guessing(grade, answers):
    all_rows(answers, lambda row: [0.3, 0.25, 0.2, 0.15, 0.1])
    assert "2 of 10 validation and test photos are right, which may be guessing" in grade(answers)[7]


def test_a_weak_network_is_not_guessing(grade, answers, row_for):
    rows = answers["after"]["probabilities"]
    for place, name in enumerate(rows):
        rows[name] = row_for(name.split("/")[0], wrong=place % 5 > 1)  # 4 of 10 right, the others second
    answers["after"]["accuracy"] = 0.4
    answers["history"]["val_accuracy"] = [0.2, 0.4, 0.4]
    assert grade(answers) == dict.fromkeys(range(1, 9), "")


def test_new_photos_of_a_weak_network(grade, answers, row_for):
    labels = new_labels()
    answers["new"] = {name: label if place < 4 else "" for place, (name, label) in enumerate(labels.items())}
    assert grade(answers)[8] == ""  # 4 of 10, which guessing explains, but 8 of 10 validation and test photos
    answers["new"] = {name: label if place < 2 else "" for place, (name, label) in enumerate(labels.items())}
    assert "2 of 10 new photos are right, which is guessing" in grade(answers)[8]


def test_accuracies_may_be_percentages(grade, answers):
    for key in ("before", "after"):
        answers[key] |= {name: 100 * answers[key][name] for name in ("accuracy", "rank2")}
    for name in ("accuracy", "val_accuracy"):
        answers["history"][name] = [100 * value for value in answers["history"][name]]
    assert grade(answers) == dict.fromkeys(range(1, 9), "")


def test_a_loss_may_rise_at_the_end(grade, answers):
    answers["history"]["loss"] = [0.5, 0.3, 0.6]
    assert grade(answers)[6] == ""


def test_columns_in_another_order_than_named(grade, answers, row_for):
    rows = answers["after"]["probabilities"]
    for name in rows:
        rows[name] = row_for(name.split("/")[0], wrong=False)[::-1]
    assert "if answers['classes'] were ['tulip', 'sunflower', 'rose', 'dandelion', 'daisy']" in grade(answers)[7]


def test_rank_3_is_not_rank_2(grade, answers):
    own = answers["after"]["probabilities"]
    own[answers["split"]["test"][0]] = [0.2, 0.5, 0.3, 0.0, 0.0]
    answers["after"]["rank2"] = 1.0
    assert "You have counted the 3 most probable classes; take two." in grade(answers)[7]


def test_new_photos_that_are_guessed(grade, answers):
    answers["new"] = dict.fromkeys(new_labels(), "rose")
    assert "2 of 10 new photos are right, which is guessing" in grade(answers)[8]


def test_a_curve_needs_a_picture(grade, answers, tmp_path):
    (tmp_path / "curves.png").write_text("no picture")
    assert "There is no picture curves.png" in grade(answers)[6]


def test_every_answer_is_asked_for_by_the_exercise():
    from regraft.lessons.lesson import find_lesson, find_solution

    for key in FORMS:
        assert f'"{key}"' in find_lesson(6).script
        assert f'"{key}"' in find_solution(6).script
