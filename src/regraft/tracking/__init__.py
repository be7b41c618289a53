"""Experiment trackers: MLflow, Weights & Biases, Trackio and Aim, each by its own library, which is optional."""

from regraft.tracking.track import Track
from regraft.tracking.trackers import TRACKERS

__all__ = ["TRACKERS", "Track"]
