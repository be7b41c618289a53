"""The context of a run: everything that its recipe needs, complete before the recipe starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from regraft.context.config import TrainConfig
from regraft.context.dataset import Dataset
from regraft.context.decisions import Decisions, StepResult
from regraft.context.frozen_features import FrozenFeatures
from regraft.context.network_features import network_features
from regraft.context.parts import RunParts
from regraft.features.stores.store import FeatureStore
from regraft.models.backbone import Backbone
from regraft.run.folder import RunFolder
from regraft.screen import Screen


@dataclass(frozen=True)
class RunContext:
    """Everything that a recipe needs.

    Attributes:
        config: the resolved configuration.
        folder: the run folder, locked by this process.
        screen: where progress and warnings go.
        dataset: the photos, each on its side of the split.
        parts: photos by their use: training, validation, test.
        backbone: the pretrained network, the first of several; recipes train copies of it.
        device: where networks run.
        store: cache of features.
        workers: threads that decode photos.
        user_callbacks: callbacks of the user, in the order of the options.
        decisions: the record of the run: choices, journal, budget.
        features: the features of all frozen networks.
    """

    config: TrainConfig
    folder: RunFolder
    screen: Screen
    dataset: Dataset
    parts: RunParts
    backbone: Backbone
    device: torch.device
    store: FeatureStore
    workers: int
    user_callbacks: Sequence[Any]
    decisions: Decisions
    features: FrozenFeatures

    def report(self, *results: StepResult) -> None:
        """Journal and print the results of steps."""
        self.decisions.report(*results)

    @property
    def of_first_network(self) -> Self:
        """The context with the first network alone, which fine-tuning trains."""
        return self if len(self.features.networks) == 1 else replace(self, features=self.features.only_first)

    def with_backbone(self, backbone: Backbone, engine_choice: str) -> Self:
        """Return a context with another network and its features; everything else is shared.

        Args:
            backbone: the network.
            engine_choice: name of the choice of its engine.
        """
        return replace(self, backbone=backbone, features=self._features_of(backbone, engine_choice))

    def with_network(self, backbone: Backbone) -> Self:
        """Return a context with one more network, whose features stand next to those of the others."""
        more = self._features_of(backbone, f"engine of {backbone.spec.name}")
        return replace(self, features=FrozenFeatures((*self.features.networks, *more.networks)))

    def with_all_depths(self) -> Self:
        """Return a context whose features end with pooled activations of all blocks; the backbone stays the plain one.

        Raises:
            NoCutError: the network has no such variant.
        """
        if self.features.first.backbone.spec.pooled:
            return self
        features = self._features_of(self.backbone.with_pooled_depth(), "engine of all depths")
        return replace(self, features=features)

    def _features_of(self, backbone: Backbone, engine_choice: str) -> FrozenFeatures:
        backbone.to(self.device)
        features = network_features(
            backbone,
            self.dataset.usable,
            self.decisions,
            device=self.device,
            store=self.store,
            workers=self.workers,
            choice=engine_choice,
        )
        return FrozenFeatures((features,))
