"""The end of a prediction with torch: the model file is prepared, so that later calls need no torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.screen import Screen

if TYPE_CHECKING:
    from regraft.inference.prediction import AnyPredictor, Prediction

MAX_COMPARED = 16
"""Number of predictions to keep for `prepare_later_calls`."""


def prepare_later_calls(
    model: Path, predictor: AnyPredictor, predictions: Sequence[Prediction], screen: Screen
) -> None:
    """Prepare a model file after it was used with torch on the processor, and print how long that took.

    Args:
        model: the run folder or the model file.
        predictor: the predictor that was used.
        predictions: predictions of some photos, which are compared.
        screen: where the message goes.
    """
    from regraft.inference.prepared import is_to_be_prepared

    if not is_to_be_prepared(model, predictor):
        return
    from regraft.inference.preparation import prepare

    started = time.monotonic()
    prepared = prepare(model, predictor, predictions)
    if prepared is not None:
        seconds = time.monotonic() - started
        screen.line("prepared", f"in {seconds:.1f} s: from now on, this model starts without torch here")
