"""Answers that are close to a decision: the reference gives them, so that another engine changes no label."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regraft.inference.prediction import Prediction

if TYPE_CHECKING:
    from regraft.inference.pass_predictor import PassPredictor

TOLERANCE = 1e-4
"""Maximum difference of a probability between an engine and the reference that it replaces."""


class CloseAnswers:
    """The reference for answers that a difference of `TOLERANCE` could change.

    These are photos with two classes that are about equally probable, or with a probability or a novelty near a limit.

    Args:
        open_reference: returns the predictor that answers them; it is called once, when it is needed.
        limits: probabilities at which something is decided, such as a certified threshold.
    """

    def __init__(self, open_reference: Callable[[], PassPredictor], limits: Sequence[float]) -> None:
        self._open_reference, self._limits = open_reference, tuple(limits)
        self._reference: PassPredictor | None = None
        self._lock = threading.Lock()

    @property
    def reference(self) -> PassPredictor:
        """The predictor that answers them."""
        with self._lock:  # several threads may be the first
            if self._reference is None:
                self._reference = self._open_reference()
            return self._reference

    def decide(self, prediction: Prediction, again: Callable[[PassPredictor], Prediction]) -> Prediction:
        """Return a prediction, or that of the reference if it is close.

        Args:
            prediction: the prediction of the other engine.
            again: returns the prediction of a predictor for the same photo.
        """
        return again(self.reference) if self.is_close(prediction) else prediction

    def is_close(self, prediction: Prediction) -> bool:
        """Return whether a difference of `TOLERANCE` could change the label or a decision about it."""
        if prediction.probability is None:
            return False
        second = prediction.top[1][1]
        near_limit = any(abs(prediction.probability - limit) <= TOLERANCE for limit in self._limits)
        near_novelty = prediction.novelty is not None and abs(prediction.novelty - 1) <= 10 * TOLERANCE
        return prediction.probability - second <= 2 * TOLERANCE or near_limit or near_novelty
