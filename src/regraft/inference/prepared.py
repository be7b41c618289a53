"""`PreparedPredictor`: a model file in use without torch, by the graphs that an earlier process prepared for it.

Python needs seconds to import torch. The head of a classifier, the novelty and the mean over views are computed by
numpy in every `regraft.inference.pass_predictor.PassPredictor`; only the network needs an engine. A preparation names
the graph of each network in the cache folder. It belongs to the bytes of the model file, to the versions of the
packages and to the machine, and it was compared with `Predictor` before it was recorded.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from regraft._version import __version__
from regraft.disk.sealed import SealError
from regraft.errors import ModelFileError
from regraft.features.engines.engine_interface import Engine
from regraft.features.engines.graph_files import graph_place
from regraft.features.engines.machine_facts import isa_limit, read_fact
from regraft.features.engines.prepared_engine import PreparedEngine, PreparedGraph
from regraft.inference.close_answers import CloseAnswers
from regraft.inference.head_file import HeadFile, read_heads
from regraft.inference.network_pass import NetworkPass
from regraft.inference.pass_predictor import Mix, PassPredictor, checked_views
from regraft.inference.prediction import AnyPredictor, threshold_in_file
from regraft.models.model_place import find_model_file
from regraft.models.spec import BackboneSpec
from regraft.process import cores
from regraft.run.environment import package_version, processor_name

_VERSION = "3"  # change it whenever an earlier preparation may no longer be valid
_PACKAGES = ("torch", "timm", "onnxruntime", "openvino", "numpy")
_VARIABLES = ("ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


@dataclass(frozen=True)
class PreparedNetwork:
    """A prepared graph, and the classifiers on its features.

    Attributes:
        graph: the graph.
        features: number of its features.
        members: numbers of the classifiers.
        starts: column of the first feature of each.
        speed_ratio: speed of the graph relative to torch, if the run's engine is torch; else 1. None: not measured.
    """

    graph: PreparedGraph
    features: int
    members: tuple[int, ...]
    starts: tuple[int, ...]
    speed_ratio: float | None


@dataclass(frozen=True)
class Preparation:
    """The graphs for a model file, and the comparison with its `Predictor`.

    Attributes:
        networks: the networks in the order of the passes.
        same_bits: whether the engine of each network is that of `Predictor`, so that all answers have the same bits.
        compared: number of photos that were compared.
        largest_difference: largest difference of a probability among them.
    """

    networks: tuple[PreparedNetwork, ...]
    same_bits: bool
    compared: int = 0
    largest_difference: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preparation:
        """Return the preparation that `as_dict` described.

        Raises:
            KeyError: a field is missing.
            TypeError: a field is unknown, or has another type.
        """
        networks = tuple(
            PreparedNetwork(
                PreparedGraph.from_dict(one["graph"]),
                int(one["features"]),
                tuple(one["members"]),
                tuple(one["starts"]),
                None if one["speed_ratio"] is None else float(one["speed_ratio"]),
            )
            for one in values["networks"]
        )
        return cls(networks, bool(values["same_bits"]), int(values["compared"]), float(values["largest_difference"]))


def preparation_key(model: bytes) -> str:
    """Return the key of the preparation for the content of a model file on this machine."""
    versions = [f"{name} {package_version(name)}" for name in _PACKAGES]
    variables = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
    machine = (processor_name(), f"{cores()} cores", isa_limit(), *variables)
    parts = (_VERSION, hashlib.sha256(model).hexdigest(), f"regraft {__version__}", *versions, *machine)
    return f"prepared / {' / '.join(parts)}"


def may_use_prepared(device: str) -> bool:
    """Return whether a prediction on ``device`` runs on the processor, so that a prepared graph may replace torch."""
    if device != "auto":
        return device == "cpu"
    return sys.platform != "darwin" and not any(Path(path).exists() for path in _GPU_FILES)


def open_prepared(
    path: Path, *, workers: int | None = None, views: int | None = None, limits: Sequence[float] = ()
) -> PreparedPredictor | None:
    """Return a predictor for a model file that was prepared on this machine, or None.

    Args:
        path: the model file.
        workers: number of decoding threads; None for the default.
        views: number of views to average; None for the number in the file.
        limits: probabilities at which the caller decides something, such as ``--unsure``.

    Raises:
        ConfigError: ``views`` is not positive.
    """
    try:
        content = path.read_bytes()
        recorded = read_fact(preparation_key(content))
        if recorded is None:
            return None
        return PreparedPredictor(
            path, read_heads(path, content), Preparation.from_dict(recorded), workers, views, limits
        )
    except (OSError, SealError, ModelFileError, KeyError, TypeError):  # `Predictor.load` reports what is wrong
        return None


@dataclass(frozen=True)
class _Network:
    spec: BackboneSpec


class PreparedPredictor(PassPredictor):
    """A model file in use without torch.

    If the run's engine is another one, `Predictor` gives the answers that are close (`CloseAnswers`): labels are always
    those of the run's engine.

    Args:
        path: the model file.
        heads: its heads and metadata.
        preparation: the graphs.
        workers: number of decoding threads; None for the default.
        views: number of views to average; None for the number in the file.
        limits: probabilities at which the caller decides something.

    Raises:
        SealError: a graph is damaged.
        OSError: a graph is missing.
        ConfigError: ``views`` is not positive.
    """

    def __init__(
        self,
        path: Path,
        heads: HeadFile,
        preparation: Preparation,
        workers: int | None,
        views: int | None,
        limits: Sequence[float] = (),
    ) -> None:
        self.preparation = preparation
        threshold, averaged = threshold_in_file(heads.facts), checked_views(views, heads.facts)
        close = None
        if not preparation.same_bits:
            limits = (*limits, *(() if threshold is None else (threshold,)))
            close = CloseAnswers(partial(_reference, path, workers, averaged), limits)
        super().__init__(
            heads.classes,
            [_pass(network, heads, workers) for network in preparation.networks],
            Mix(heads.sizes, heads.weights),
            views=averaged,
            reject_below=threshold,
            close_answers=close,
        )


def _reference(path: Path, workers: int | None, views: int) -> PassPredictor:
    """Return the predictor of the run's engine; it imports torch."""
    from regraft.inference.predictor import Predictor

    return Predictor.load(path, device="cpu", workers=workers, views=views)


def _pass(network: PreparedNetwork, heads: HeadFile, workers: int | None) -> NetworkPass:
    engine = PreparedEngine(network.graph)
    spec = replace(heads.specs[network.members[0]], num_features=network.features)
    pairs = zip(network.members, network.starts, strict=True)
    on_it = [replace(heads.heads[member], start=start) for member, start in pairs]
    return NetworkPass(_Network(spec), on_it, engine.title, partial(_same, engine), workers)


def _same(engine: Engine) -> Engine:
    return engine


def is_to_be_prepared(model: Path, predictor: AnyPredictor) -> bool:
    """Return whether ``predictor`` needed torch for a model file whose preparation was not tried before.

    A file of a Trainer needs torch in any case.
    """
    if isinstance(predictor, PreparedPredictor) or not isinstance(predictor, PassPredictor):
        return False
    try:
        path = find_model_file(model)
        content = path.read_bytes()
        read_heads(path, content)
    except (OSError, ModelFileError):
        return False
    return not is_recorded(preparation_key(content))


def is_recorded(key: str) -> bool:
    """Return whether the preparation of a model file, or its refusal, is recorded under its key."""
    recorded = read_fact(key)
    if recorded is None:
        return False
    try:
        return all(graph_place(one.graph.file).is_file() for one in Preparation.from_dict(recorded).networks)
    except (KeyError, TypeError):  # a refusal
        return True


def open_predictor(
    model: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    views: int | None = None,
    limits: Sequence[float] = (),
) -> PassPredictor:
    """Return a predictor for a run folder or a model file: a prepared one, or a `Predictor`, which imports torch.

    Args:
        model: a run folder or a model file.
        device: device of the network.
        workers: number of decoding threads; None for the default.
        views: number of views to average; None for the number in the file.
        limits: probabilities at which the caller decides something, such as ``--unsure``.

    Raises:
        ModelFileError: there is no model, or the file is damaged.
        ConfigError: ``views`` is not positive, or the device is not available.
    """
    path = find_model_file(model)
    prepared = None
    if may_use_prepared(device):
        prepared = open_prepared(path, workers=workers, views=views, limits=limits)
    if prepared is not None:
        return prepared
    from regraft.inference.predictor import Predictor

    return Predictor.load(path, device=device, workers=workers, views=views)
