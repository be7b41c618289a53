"""Engines that were compared with those of a model file, and replace them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from regraft.features.engines.engine_choice import make_engine
from regraft.features.engines.engine_interface import Engine
from regraft.inference.network_pass import NetworkPass
from regraft.models.backbone import Backbone


@dataclass(frozen=True)
class ComparedEngines:
    """Engines by the passes of a `regraft.inference.predictor.Predictor`.

    Attributes:
        titles: name of the engine of each pass; None where the engine of the model file stays.
    """

    titles: tuple[str | None, ...]

    def passes(self, passes: Sequence[NetworkPass], workers: int | None) -> list[NetworkPass]:
        """Return the passes with these engines.

        Args:
            passes: the passes with the engines of the model file.
            workers: number of decoding threads; None for the default.
        """
        return [_replaced(one, title, workers) for one, title in zip(passes, self.titles, strict=True)]


def _replaced(network: NetworkPass, title: str | None, workers: int | None) -> NetworkPass:
    if title is None or not isinstance(network.network, Backbone):
        return network
    return NetworkPass(network.network, network.heads, title, partial(_opened, title, network.network), workers)


def _opened(title: str, backbone: Backbone) -> Engine:
    engine = make_engine(title, backbone)
    engine.set_weights_hash(backbone.weights_hash())
    return engine
