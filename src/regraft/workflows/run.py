"""A finished run: its folder, its figures and its classifier."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from regraft.context.config import TrainConfig
from regraft.inference.predictor import Predictor


@dataclass(frozen=True)
class Run:
    """The result of `train`.

    Attributes:
        folder: the run folder, which ``docs/run-folder.md`` describes.
        config: the resolved configuration.
        metrics: the content of ``metrics.json``.
    """

    folder: Path
    config: TrainConfig
    metrics: dict[str, Any]

    @cached_property
    def model(self) -> Predictor:
        """The classifier, ready to predict."""
        return Predictor.load(self.folder, device=self.config.device, workers=self.config.workers)

    @property
    def accuracy(self) -> float:
        """Accuracy in [0, 1] on the photos that the headline of `metrics` names."""
        headline = self.metrics["measured"][self.metrics["headline"]]
        return float(headline["figures"]["accuracy"]["value"])
