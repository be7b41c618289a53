"""Results of a `regraft.inference.predictor.Predictor`: the prediction for one photo, and the scores of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from regraft.screen import Bar

MAX_VIEWS = 64
"""Maximum number of views of a photo to average."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Prediction for one photo.

    Attributes:
        path: path of the photo, as given.
        label: the most probable class, or None if the photo could not be read.
        probability: its probability in [0, 1], or None.
        top: all classes with their probabilities, most probable first; empty if there is an error.
        error: the reason if the photo could not be read, else None.
        unsure: whether the probability is below the certified threshold of the classifier (``train --max-error``).
        novelty: how unlike the training photos it is; above 1 it is more unlike them than about 98 % of such photos.
            None if the model file does not contain this measure.

    Example:
        >>> import regraft as rg
        >>> from PIL import Image
        >>> backbone = rg.build_backbone("test_resnet", pretrained=False, size=64)
        >>> predictor = rg.Predictor(rg.Classifier(backbone, ["ant", "bee"]))
        >>> prediction = predictor.predict(Image.new("RGB", (80, 60), "white"))
        >>> prediction.label, prediction.probability
        ('ant', 0.5)
        >>> prediction.top
        (('ant', 0.5), ('bee', 0.5))
        >>> predictor.predict("missing.jpg").label is None
        True
    """

    path: str
    label: str | None
    probability: float | None
    top: tuple[tuple[str, float], ...]
    error: str | None = None
    unsure: bool = False
    novelty: float | None = None

    @property
    def unlike(self) -> bool:
        """True if the photo is unlike all that the model was trained on, so that its label means little."""
        return self.novelty is not None and self.novelty > 1


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities for several photos.

    Attributes:
        values: shape (n, C), float64; rows sum to 1.
        rows: shape (n,): ``values[i]`` belongs to photo ``rows[i]`` of the request.
        failed: photos that could not be read, as (index, reason).
        novelty: how unlike the training photos each photo is, shape (n,); None if the model does not measure it.
    """

    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    failed: tuple[tuple[int, str], ...]
    novelty: NDArray[np.float64] | None = None


class AnyPredictor(Protocol):
    """A classifier in use, as far as the command line needs it.

    Attributes:
        classes: class names in the order of the outputs.
        reject_below: certified threshold of the probability; None without one.
    """

    classes: tuple[str, ...]
    reject_below: float | None

    @property
    def passes(self) -> int:
        """Number of times that the bar of `stream` advances for each photo."""

    def stream(self, paths: Any, bar: Bar | None = None) -> Iterator[Prediction]:
        """Yield a prediction for each photo, in order."""


def threshold_in_file(extra: Mapping[str, str]) -> float | None:
    """Return the certified threshold in a model file; None if there is none, or another program wrote nonsense."""
    try:
        threshold = float(extra.get("reject_below", "nan"))
    except ValueError:
        return None
    return threshold if 0 <= threshold <= 1 else None


def views_in_file(extra: Mapping[str, str]) -> int:
    """Return the number of views in a model file, within bounds, because other programs may write any number."""
    text = str(extra.get("views", "1"))
    return min(max(int(text), 1), MAX_VIEWS) if text.isdecimal() else 1
