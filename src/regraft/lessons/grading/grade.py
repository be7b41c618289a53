"""The grade of a notebook: a verdict on each of the eight tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from regraft.lessons.grading.answers import FILE, Answers, HintError, read_answers
from regraft.lessons.grading.notebook import run_notebook
from regraft.lessons.grading.photos import truth_of_new
from regraft.lessons.grading.tasks_after import grade_curves, grade_fine_tuning, grade_new_photos, grade_test_accuracy
from regraft.lessons.grading.tasks_before import (
    grade_first_photos,
    grade_new_head,
    grade_split,
    grade_untouched_network,
)

TASKS: tuple[tuple[str, Callable[[Answers], None]], ...] = (
    ("first photo of each class", grade_first_photos),
    ("five classes by the untouched network", grade_untouched_network),
    ("new head, before training", grade_new_head),
    ("split 80/10/10", grade_split),
    ("fine-tuning with schedule and checkpoint", grade_fine_tuning),
    ("curves", grade_curves),
    ("accuracy and rank-2 on the test photos", grade_test_accuracy),
    ("predictions of new photos", grade_new_photos),
)
"""Title and grading function of each task."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one task.

    Attributes:
        task: its number, from 1.
        title: its title.
        hint: a sentence on what is wrong; "" if it is solved.
        skipped: whether it was not graded, because the photos are the student's own.
    """

    task: int
    title: str
    hint: str
    skipped: bool = False

    @property
    def is_solved(self) -> bool:
        """Whether the task is solved."""
        return not self.hint and not self.skipped


@dataclass(frozen=True)
class Grade:
    """The grade of a notebook.

    Attributes:
        verdicts: one for each task.
        error: the last lines that the notebook printed, if it failed; else "".
    """

    verdicts: tuple[Verdict, ...]
    error: str = ""

    @property
    def solved(self) -> int:
        """The number of solved tasks."""
        return sum(verdict.is_solved for verdict in self.verdicts)

    @property
    def passed(self) -> bool:
        """Whether the notebook ran to its end, and no graded task lacks anything."""
        return not self.error and not any(verdict.hint for verdict in self.verdicts)

    def as_dict(self) -> dict[str, object]:
        """Return the grade as JSON values."""
        tasks = [{**asdict(verdict), "solved": verdict.is_solved} for verdict in self.verdicts]
        return {"solved": self.solved, "passed": self.passed, "error": self.error, "tasks": tasks}


def grade_notebook(file: Path, *, run: bool = True) -> Grade:
    """Run a notebook in its folder, and grade the answers that it leaves there.

    Args:
        file: the notebook or script.
        run: whether to run it; otherwise the answers of an earlier run are graded.

    Raises:
        ConfigError: the file is neither a notebook nor a Python script, or is missing.
    """
    started = time.time()
    error = run_notebook(file) if run else ""
    answers = file.parent / FILE
    if run and not error and (not answers.is_file() or answers.stat().st_mtime < started - 2):
        error = f"it has not written {FILE}; the last cell of the exercise does so"
    return Grade(grade_folder(file.parent), error)


def grade_folder(folder: Path) -> tuple[Verdict, ...]:
    """Return the verdicts on the answers that a notebook has left in ``folder``."""
    try:
        answers = read_answers(folder)
    except HintError as hint:
        return tuple(Verdict(number, title, str(hint)) for number, (title, _) in enumerate(TASKS, 1))
    return tuple(_verdict(number, answers) for number in range(1, len(TASKS) + 1))


def _verdict(number: int, answers: Answers) -> Verdict:
    title, grade = TASKS[number - 1]
    try:
        grade(answers)
    except HintError as hint:
        return Verdict(number, title, str(hint))
    return Verdict(number, title, "", skipped=number == len(TASKS) and not truth_of_new(answers))
