"""Grades of tasks 5 to 8: fine-tuning, curves, the accuracy on the test photos, and the new photos."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from regraft.lessons.grading.answers import Answers, HintError, as_shares, short_name
from regraft.lessons.grading.photos import truth_of_new
from regraft.lessons.grading.result import Result
from regraft.lessons.grading.scores import (
    ROUNDING,
    agrees,
    best_order,
    columns,
    hit_bounds,
    log_loss,
    rank2_mistake,
    ranks_better_than_guessing,
)
from regraft.measure.intervals import wilson

CURVES = "curves.png"
HISTORY = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")

DESTROYED = 0.5
"""Relative change of the body from which little of the pretraining is left."""

SAME_LOSS = 2e-3
"""Relative difference of two log-losses that were computed on the same photos in other batches."""


def grade_fine_tuning(answers: Answers) -> None:
    """Check task 5: the body learns with a schedule, and the best epoch by validation is kept."""
    history = _history(answers)
    moved: float = answers.get("body_moved")
    rates = history["learning_rate"]
    if not moved > 0:
        raise HintError(
            "The body has not changed at all: unfreeze its upper blocks, and give their parameters to a new optimizer."
        )
    if not moved < DESTROYED:
        raise HintError(
            f"The body has changed by {moved:.0%}: such steps destroy what it knew. "
            "Take a learning rate of 1e-3 or less."
        )
    if max(rates) - min(rates) <= 1e-3 * max(rates):
        raise HintError(f"The learning rate is {rates[0]:g} in all {len(rates)} epochs: add a schedule that lowers it.")
    _check_best_epoch(answers, history)


def grade_curves(answers: Answers) -> None:
    """Check task 6: the curves of the training."""
    losses = _history(answers)["loss"]
    if len(losses) < 2:
        raise HintError("One epoch makes no curve: train for several.")
    if not min(losses[1:]) < losses[0]:
        raise HintError(
            f"The training loss does not fall (it goes from {losses[0]:.2f} to {losses[-1]:.2f}): "
            "take another learning rate."
        )
    try:
        with Image.open(answers.folder / CURVES) as picture:
            picture.verify()
    except (OSError, SyntaxError):
        raise HintError(
            f"There is no picture {CURVES} in the notebook's folder: draw both losses, and save the figure."
        ) from None


def grade_test_accuracy(answers: Answers) -> None:
    """Check task 7: accuracy and rank-2 on the test photos."""
    result = Result.of(answers)
    table, y = result.on("test")
    scores, right, rank2 = result.scores, hit_bounds(table, y, 1), hit_bounds(table, y, 2)
    _check_better_than_guessing(result)
    if not agrees(scores.accuracy, right):
        raise HintError(_about_accuracy(answers, scores.accuracy, right[1], len(y)))
    if not agrees(scores.rank2, rank2):
        raise HintError(
            f"Rank-2 on the test photos is {rank2[1]:.1%}, not {scores.rank2:.1%}. "
            f"{rank2_mistake(scores.rank2, table, y)}"
        )


def grade_new_photos(answers: Answers) -> None:
    """Check task 8: the classes of new photos, which only the checker knows."""
    truth = truth_of_new(answers)
    if not truth:
        return
    found = {short_name(name).rpartition("/")[2]: label for name, label in answers.get("new").items()}
    missing = sorted(set(truth) - set(found))
    if missing:
        raise HintError(f"answers['new'] lacks {len(missing)} new photos, such as {missing[0]}.")
    right = sum(found[name] == label for name, label in truth.items())
    result = Result.of(answers)
    table, y = result.on("test")
    promised = hit_bounds(table, y, 1)[0]
    broken = wilson(round(promised * len(y)), len(y))[0] > wilson(right, len(truth))[1]
    if _is_guessing(right, len(truth), result, broken=broken):
        raise HintError(
            f"{right} of {len(truth)} new photos are right, which is guessing: prepare them as the training photos, "
            "in inference mode, and take the names from answers['classes']."
        )
    if broken:
        raise HintError(
            f"The test photos promise {promised:.1%}, and {right / len(truth):.1%} of the new photos are right: were "
            "test photos used for training or for a choice, or are new photos prepared in another way?"
        )


def _is_guessing(right: int, photos: int, result: Result, *, broken: bool) -> bool:
    """Return whether guessing explains the classes of the new photos.

    A weak network may have too few of them right to tell; then its validation and test photos count as well.

    Args:
        right: number of new photos that are right.
        photos: number of new photos.
        result: the final network.
        broken: whether the new photos contradict the test photos.
    """
    chance = 1 / len(result.classes)
    if wilson(right, photos)[0] > chance:
        return False
    table, y = result.on_both()
    hits = round(hit_bounds(table, y, 1)[1] * len(y))
    return broken or right <= chance * photos or wilson(right + hits, photos + len(y))[0] <= chance


def _history(answers: Answers) -> dict[str, list[float]]:
    history: dict[str, list[float]] = answers.get("history")
    missing = [name for name in HISTORY if name not in history]
    if missing:
        raise HintError(
            f"answers['history'] lacks {', '.join(missing)}: write one number for each epoch of fine-tuning."
        )
    if len({len(history[name]) for name in HISTORY}) > 1 or not history["loss"]:
        raise HintError("The lists of answers['history'] have different lengths: each has one number for each epoch.")
    if not all(math.isfinite(value) for name in HISTORY for value in history[name]):
        raise HintError(
            "answers['history'] has values that are not numbers: the training has diverged. Take a smaller rate."
        )
    return history | {name: as_shares(history[name]) for name in ("accuracy", "val_accuracy")}


def _check_best_epoch(answers: Answers, history: dict[str, list[float]]) -> None:
    best: int = answers.get("best_epoch")
    losses, accuracies = history["val_loss"], history["val_accuracy"]
    if not 1 <= best <= len(losses):
        raise HintError(f"answers['best_epoch'] is {best}; the history has {len(losses)} epochs, counted from 1.")
    result = Result.of(answers)
    (table, y), (test_table, test_y) = result.on("validation"), result.on("test")
    of_test = math.isclose(losses[best - 1], log_loss(test_table, test_y), rel_tol=SAME_LOSS)
    if of_test and not math.isclose(losses[best - 1], log_loss(table, y), rel_tol=SAME_LOSS):
        raise HintError(
            "val_loss has the values of the test photos: the best epoch was chosen on them, so that they can no longer "
            "measure it. Validate on the validation photos."
        )
    if losses[best - 1] > min(losses) + 1e-9 and accuracies[best - 1] < max(accuracies) - 1e-9:
        raise HintError(
            f"Epoch {best} is the best one neither by val_loss (epoch {1 + int(np.argmin(losses))}) nor by "
            f"val_accuracy (epoch {1 + int(np.argmax(accuracies))}): choose on the validation photos only."
        )
    low, high = hit_bounds(table, y, 1)
    if not low - 1.5 / len(y) <= accuracies[best - 1] <= high + 1.5 / len(y):
        raise HintError(
            f"val_accuracy of epoch {best} is {accuracies[best - 1]:.1%}, and your final network has {high:.1%} on the "
            "validation photos: load the checkpoint of the best epoch before you predict."
        )


def _check_better_than_guessing(result: Result) -> None:
    """Check that more of the validation and test photos are right than guessing explains."""
    table, y = result.on_both()
    right = round(hit_bounds(table, y, 1)[1] * len(y))
    if wilson(right, len(y))[0] > 1 / len(result.classes):
        return
    order = best_order(table, y)
    if order is not None:
        raise HintError(
            f"{right} of {len(y)} validation and test photos are right, but most would be if answers['classes'] were "
            f"{columns(result.classes, order)}: the columns of your probabilities have this order."
        )
    if ranks_better_than_guessing(table, y):
        return
    raise HintError(
        f"{right} of {len(y)} validation and test photos are right, which may be guessing: were labels shuffled apart "
        "from their photos, or is the learning rate too large? Look at five training photos with their labels."
    )


def _about_accuracy(answers: Answers, reported: float, right: float, n: int) -> str:
    history = _history(answers)
    if min(abs(reported - value) for value in history["val_accuracy"]) <= ROUNDING:
        return (
            f"{right:.1%} of {n} test photos are right, and you report {reported:.1%}, the accuracy on the validation "
            "photos, which chose the epoch. Report the test photos."
        )
    if reported > right and reported >= min(history["accuracy"]) - ROUNDING:
        return (
            f"{right:.1%} of {n} test photos are right, and you report {reported:.1%}, as on the training photos. "
            "Report the test photos."
        )
    return f"{right:.1%} of {n} test photos are right by your probabilities, and you report {reported:.1%}."
