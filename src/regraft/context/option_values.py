"""The values of options that are names, for the configuration and for the command line."""

from __future__ import annotations

from typing import Literal, get_args

RecipeName = Literal["auto", "linear-probe", "feature-extraction", "fine-tune"]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[DeviceName, ...] = get_args(DeviceName)

TrackerName = Literal["mlflow", "wandb", "trackio", "aim"]
TRACKER_NAMES: tuple[TrackerName, ...] = get_args(TrackerName)
