"""Predictions as JSON values, as `regraft predict --json` and `regraft serve` give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regraft.inference.prediction import Prediction
    from regraft.inference.sorted_copies import Doubt


def doubt_about(prediction: Prediction, unsure: float | None) -> Doubt:
    """Return why a prediction is doubtful, or "".

    Args:
        prediction: the prediction.
        unsure: minimum probability of a sure one; None for the certified threshold of the classifier, if it has one.
    """
    if prediction.unlike:
        return "unlike"
    below = unsure is not None and prediction.probability is not None and prediction.probability < unsure
    return "unsure" if below or prediction.unsure else ""


def as_json(prediction: Prediction, top: int, *, threshold: bool, unsure: float | None = None) -> dict[str, Any]:
    """Return ``prediction`` as JSON values.

    Args:
        prediction: the prediction.
        top: number of classes, the most probable first.
        threshold: whether the classifier has a certified threshold, and so the key ``unsure``.
        unsure: minimum probability of a sure prediction, or None.
    """
    values: dict[str, Any] = {
        "path": prediction.path,
        "label": prediction.label,
        "probability": prediction.probability,
        "top": [{"label": label, "probability": p} for label, p in prediction.top[:top]],
        "error": prediction.error,
        "novelty": prediction.novelty,
        "doubt": doubt_about(prediction, unsure),
    }
    return {**values, "unsure": prediction.unsure} if threshold else values
