"""Frozen networks ready to run: a folded copy, and a batch size for which a photo's place does not matter.

The same photo can get other bits at another place in a batch. torch computes the last few numbers of a block of memory,
or of a thread's share of it, with another exponential than the rest. This happens with SiLU in squeeze-and-excitation
layers, whose tensors are small. Threads that share a batch add in another order if a share ends inside a photo. Whether
this matters depends on the network, the batch size and the threads; `batch_size` decides.

On the CPU, a small network computes each batch on one thread, and several batches at the same time. Its layers are too
small to share: threads that wait for each other cost a third of the speed in bfloat16.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch
from torch import nn

from regraft.features.engines.batch_size import (
    INVARIANCE_VERSION,
    InvarianceCheck,
    check_invariance,
    first_invariant_size,
)
from regraft.features.engines.folding import folded
from regraft.features.engines.machine_facts import Fact, machine_id, read_fact, write_fact
from regraft.features.engines.processor import ONE_THREAD
from regraft.features.engines.trial import MIN_TRIAL_BATCH, TRIAL_PHOTOS, synthetic_photos
from regraft.models.backbone import Backbone
from regraft.models.timm_import import import_timm

Precision: TypeAlias = Literal["fp32", "bf16", "mixed"]
"""Precision of the arithmetic. ``"mixed"`` means single precision in the lower and bfloat16 in the upper layers; not
every engine supports it.
"""

NUMERICS_VERSION = "eager2"
"""Version of the arithmetic. Change it whenever the same network may give other bits."""

_SMALL_NETWORK = 20_000_000
"""Number of parameters below which a network on the CPU gains from batches of more than two photos, and from one batch
per thread.
"""


@dataclass(frozen=True)
class FrozenNetwork:
    """Network that is ready to run.

    Attributes:
        network: copy in inference mode on its device, channels-last.
        batch_size: photos in every batch; 1 if photos run one at a time.
        precision: precision of the arithmetic.
        device: device of the computation.
        single_threaded: whether each batch is computed on one thread.
    """

    network: nn.Module
    batch_size: int
    precision: Precision
    device: torch.device
    single_threaded: bool

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch, (B, 3, H, W), as a float32 tensor of shape (B, D) on the CPU."""
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.inference_mode(), autocast, ONE_THREAD if self.single_threaded else nullcontext():
            features: torch.Tensor = self.network(x.to(self.device, memory_format=torch.channels_last))
        return features.float().cpu()


_Settings: TypeAlias = tuple[str, str, torch.device, Precision, int | None, int]
_by_backbone: WeakKeyDictionary[Backbone, dict[_Settings, FrozenNetwork]] = WeakKeyDictionary()
_by_settings: WeakValueDictionary[_Settings, FrozenNetwork] = WeakValueDictionary()
_folded_networks: WeakValueDictionary[tuple[str, str, torch.device, int], nn.Module] = WeakValueDictionary()


def runs_single_threaded(backbone: Backbone, device: torch.device) -> bool:
    """Return whether each batch is computed on one thread, with several batches at the same time."""
    return device.type == "cpu" and backbone.spec.parameters < _SMALL_NETWORK


def frozen_network(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, batch_size: int | None
) -> FrozenNetwork:
    """Return ``backbone`` ready to run; reuse an earlier result for equal weights and settings if it still exists.

    Args:
        backbone: the network; it stays unchanged.
        weights_hash: hash of its current weights.
        device: device of the computation.
        precision: precision of the arithmetic.
        batch_size: photos per batch; chosen for device and network if None.
    """
    network = f"{backbone.spec.name} {backbone.spec.preprocessing.id}"
    threads = 1 if runs_single_threaded(backbone, device) else torch.get_num_threads()
    settings = (network, weights_hash, device, precision, batch_size, threads)
    networks = _by_backbone.setdefault(backbone, {})
    for outdated in [other for other in networks if other[1] != weights_hash]:
        del networks[outdated]
    if settings not in networks:
        networks[settings] = _by_settings.get(settings) or _prepare_network(
            backbone, weights_hash, device, precision, batch_size
        )
        _by_settings[settings] = networks[settings]
    write_fact(_batch_size_key(backbone, weights_hash, device, precision, batch_size), networks[settings].batch_size)
    return networks[settings]


def recorded_batch_size(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, wanted: int | None
) -> int | None:
    """Return the batch size that an earlier trial on this machine found, or None; this prepares nothing."""
    if wanted == 1:
        return 1
    fact = read_fact(_batch_size_key(backbone, weights_hash, device, precision, wanted))
    return fact if isinstance(fact, int) else None


def _batch_size_key(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, wanted: int | None
) -> str:
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else machine_id()
    threads = "alone" if runs_single_threaded(backbone, device) else "together"
    network = (weights_hash, backbone.spec.name, backbone.spec.preprocessing.id)
    parts = (threads, *network, device.type, precision, wanted, where)
    return f"batch size, {INVARIANCE_VERSION} / {NUMERICS_VERSION} {torch.__version__} / {' / '.join(map(str, parts))}"


def _folded_key(backbone: Backbone, weights_hash: str, device: torch.device, batch_size: int) -> str:
    timm = import_timm().__version__  # it makes the modules that are folded
    return f"folded copy, timm {timm} / {_batch_size_key(backbone, weights_hash, device, 'fp32', batch_size)}"


def _prepare_network(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, batch_size: int | None
) -> FrozenNetwork:
    p = backbone.spec.preprocessing
    single_threaded, name = runs_single_threaded(backbone, device), f"{backbone.spec.name} {p.id}"
    known = recorded_batch_size(backbone, weights_hash, device, precision, batch_size)
    sizes = (*_candidate_sizes(backbone, device), 1) if batch_size is None else (batch_size, 1)
    tried: dict[nn.Module, InvarianceCheck] = {}  # for batches of the first size

    def in_a_batch(network: nn.Module) -> torch.Tensor:
        """Return the features of one photo by a cheaper copy, run in a full batch.

        The full batch also shows whether a photo's place matters. Whether the other photos matter follows from the
        comparison in `folded` with the plain network on this photo alone. This runs if the choice of the copy is not
        recorded on this machine.
        """
        run = FrozenNetwork(network, sizes[0], "fp32", device, single_threaded)
        trial, tried[network] = check_invariance(
            run, synthetic_photos(2, p.height, p.width), sizes[0], thread_count(single_threaded)
        )
        return torch.from_numpy(trial.first)[None]

    network = _folded_networks.get((name, weights_hash, device, sizes[0]))
    if network is None:
        check = in_a_batch if device.type == "cpu" and sizes[0] >= MIN_TRIAL_BATCH else None
        key = _folded_key(backbone, weights_hash, device, sizes[0])
        record = None if check is None else Fact(key)
        fuse = device.type == "cpu"
        ready = folded(backbone.network, p.height, p.width, fuse=fuse, check=check, record=record).to(device)
        network = _folded_networks[name, weights_hash, device, sizes[0]] = ready
    if known is not None:
        return FrozenNetwork(network, known, precision, device, single_threaded)
    ready_made = tried.get(network) if precision == "fp32" else None
    run = partial(FrozenNetwork, network, precision=precision, device=device, single_threaded=single_threaded)
    size = first_invariant_size(
        sizes, run, synthetic_photos(TRIAL_PHOTOS, p.height, p.width), device, thread_count(single_threaded), ready_made
    )
    return FrozenNetwork(network, size, precision, device, single_threaded)


def thread_count(single_threaded: bool) -> int:
    """Return the number of torch's threads that share an operation on the CPU."""
    return 1 if single_threaded else torch.get_num_threads()


def _candidate_sizes(backbone: Backbone, device: torch.device) -> Iterable[int]:
    """Return candidate batch sizes, best first. On the CPU, a single photo costs as much as a full batch."""
    if device.type != "cpu":
        return (64, 32, 8)
    return (8, 16, 32) if backbone.spec.parameters < _SMALL_NETWORK else (2, 4)
