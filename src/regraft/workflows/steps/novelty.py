"""The novelty of photos for a trained classifier: how unlike the training photos they are to each of its networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.context.network_features import NetworkFeatures
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.disk.row_table import leading_columns
from regraft.features.engines.engine_choice import REFERENCE, certified_engine
from regraft.features.extract import extract
from regraft.models.classifier import Classifier
from regraft.models.classifier_tensors import set_novelty
from regraft.models.ensemble import members_of
from regraft.models.feature_novelty import MAX_PHOTOS, fit_novelty
from regraft.recipes.result import RecipeResult

MAX_TRAINED, MAX_HELD_OUT = 400, 200
"""Training and validation photos that go through a fine-tuned network for its novelty."""


def measure_novelty(context: RunContext, result: RecipeResult) -> None:
    """Let each network of the classifier measure how unlike the training photos a photo is.

    The features of a frozen network are in the store. A fine-tuned network knows its training photos, so its limit
    comes from the validation photos.
    """
    parts = result.parts
    frozen = {network.weights: network for network in context.features.networks}
    for member in members_of(result.classifier):
        weights = member.backbone.weights_hash()
        if weights in frozen:
            entries = parts.refit if result.chosen == "linear-probe" else parts.train
            novelty = fit_novelty(_frozen_features(context, member, frozen[weights], _evenly(entries, MAX_PHOTOS)))
        else:
            trained = _features(context, member, weights, _evenly(parts.train, MAX_TRAINED))
            held_out = _features(context, member, weights, _evenly(parts.validation, MAX_HELD_OUT))
            novelty = fit_novelty(trained, held_out)
        set_novelty(member, novelty)


def _frozen_features(
    context: RunContext, member: Classifier, network: NetworkFeatures, entries: Sequence[Entry]
) -> NDArray[np.float32]:
    """Return the features of ``entries`` by the network of ``member``, (n, D): those of the run, if it has all of them.

    The network of the run, the network of ``member`` or both may also return pooled activations of their blocks.
    """
    wanted = member.backbone.spec.num_features
    if network.backbone.spec.num_features < wanted:
        return _features(context, member, network.weights, entries)
    return leading_columns(network.all_depths(entries), wanted)


def _features(context: RunContext, member: Classifier, weights: str, entries: Sequence[Entry]) -> NDArray[np.float32]:
    """Return the features of ``entries`` by the network of ``member``, shape (n, D)."""
    title = member.facts.get("engine", REFERENCE)
    engine = certified_engine(title, member.backbone, context.device, weights)
    features = extract(entries, member.backbone, engine, context.store, weights=weights, workers=context.workers)
    return features.values


def _evenly(entries: Sequence[Entry], count: int) -> list[Entry]:
    """Return at most ``count`` photos, evenly spaced in the order of their content."""
    ordered = sorted(entries, key=lambda entry: entry.content)
    chosen = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(np.int64)
    return [ordered[i] for i in chosen.tolist()]
