"""A network made ready to be run frozen: a folded copy, and the batch shape in which a photo's place does not matter.

The same photo can get other bits at another place in the batch. torch computes the last few numbers of a block of
memory, or of a thread's share of it, with another exponential than the rest: seen with SiLU in squeeze-and-excitation
layers, whose tensors are small. Threads that share a batch add up in another order where a share ends inside a photo.
Whether that can happen depends on the network, the batch shape and the threads: `judging` decides.

On a processor a small network computes a batch on one thread from start to end, and several batches at once: its
layers are too small to be shared, and threads that wait for one another cost a third of the speed in bfloat16.
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

from regraft.features.batch_size import INVARIANCE_VERSION, InvarianceCheck, check_invariance, first_invariant_size
from regraft.features.folding import folded
from regraft.features.machine_facts import machine_id, read_fact, write_fact
from regraft.features.processor import ONE_THREAD
from regraft.features.trial import MIN_TRIAL_BATCH, TRIAL_PHOTOS, synthetic_photos
from regraft.models.backbone import Backbone

Precision: TypeAlias = Literal["fp32", "bf16", "mixed"]
""""mixed" is single precision below and bfloat16 above; only an engine that has it takes it."""

NUMERICS_VERSION = "eager2"
"""Changes whenever the same network may give other bits."""

_SMALL_NETWORK = 20_000_000
"""Parameters below which a network on the processor gains from a batch of more than two photos, and from a batch for
each thread."""


@dataclass(frozen=True)
class FrozenNetwork:
    """A network that is ready to run.

    Attributes:
        network: a copy in inference mode on its device, channels-last.
        batch_size: photos in every batch; with 1, photos are run one at a time.
        precision: of the arithmetic.
        device: where it runs.
        alone: whether a batch is computed on one thread.
    """

    network: nn.Module
    batch_size: int
    precision: Precision
    device: torch.device
    single_threaded: bool

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch, shape (B, 3, H, W), as shape (B, D), float32, in the computer's memory."""
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.inference_mode(), autocast, ONE_THREAD if self.single_threaded else nullcontext():
            features: torch.Tensor = self.network(x.to(self.device, memory_format=torch.channels_last))
        return features.float().cpu()


_Settings: TypeAlias = tuple[str, str, torch.device, Precision, int | None, int]
_by_backbone: WeakKeyDictionary[Backbone, dict[_Settings, FrozenNetwork]] = (
    WeakKeyDictionary()
)  # kept as long as the backbone is
_by_settings: WeakValueDictionary[_Settings, FrozenNetwork] = WeakValueDictionary()
_folded_networks: WeakValueDictionary[tuple[str, str, torch.device, int], nn.Module] = WeakValueDictionary()


def runs_single_threaded(backbone: Backbone, device: torch.device) -> bool:
    """Return whether a batch is computed on one thread, several at once."""
    return device.type == "cpu" and backbone.spec.parameters < _SMALL_NETWORK


def frozen_network(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, batch_size: int | None
) -> FrozenNetwork:
    """Return ``backbone`` made ready; what was made for equal weights and settings, and is still there, is used again.

    Args:
        backbone: it is left as and where it is.
        weights_hash: of its weights now.
        device: where to run.
        precision: of the arithmetic.
        batch_size: photos in a batch; one that suits the device and the network if None.
    """
    network = f"{backbone.spec.name} {backbone.spec.preprocessing.id}"
    threads = 1 if runs_single_threaded(backbone, device) else torch.get_num_threads()
    settings = (network, weights_hash, device, precision, batch_size, threads)
    known = _by_backbone.setdefault(backbone, {})
    for outdated in [other for other in known if other[1] != weights_hash]:
        del known[outdated]
    if settings not in known:
        known[settings] = _by_settings.get(settings) or _prepare_network(
            backbone, weights_hash, device, precision, batch_size
        )
        _by_settings[settings] = known[settings]
    write_fact(_batch_size_key(backbone, weights_hash, device, precision, batch_size), known[settings].batch_size)
    return known[settings]


def recorded_batch_size(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, wanted: int | None
) -> int | None:
    """Return the batch size that an earlier trial on this machine ended with, or None; nothing is made for it."""
    if wanted == 1:
        return 1
    known = read_fact(_batch_size_key(backbone, weights_hash, device, precision, wanted))
    return known if isinstance(known, int) else None


def _batch_size_key(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, wanted: int | None
) -> str:
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else machine_id()
    threads = "alone" if runs_single_threaded(backbone, device) else "together"
    network = (weights_hash, backbone.spec.name, backbone.spec.preprocessing.id)
    parts = (threads, *network, device.type, precision, wanted, where)
    return f"batch size, {INVARIANCE_VERSION} / {NUMERICS_VERSION} {torch.__version__} / {' / '.join(map(str, parts))}"


def _prepare_network(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, batch_size: int | None
) -> FrozenNetwork:
    p = backbone.spec.preprocessing
    single_threaded, name = runs_single_threaded(backbone, device), f"{backbone.spec.name} {p.id}"
    known = recorded_batch_size(backbone, weights_hash, device, precision, batch_size)
    sizes = (*_candidate_sizes(backbone, device), 1) if batch_size is None else (batch_size, 1)
    tried: dict[nn.Module, InvarianceCheck] = {}  # in batches of the first size

    def in_a_batch(network: nn.Module) -> torch.Tensor:
        """Run a copy in the shape in which it will run: that tells whether places matter too.

        Whether what is beside a photo does, `folded` tells, which compares with the plain network and the photo alone.
        It is done whether or not a batch size is known, so that the same copy is taken every time.
        """
        run = FrozenNetwork(network, sizes[0], "fp32", device, single_threaded)
        trial, tried[network] = check_invariance(
            run, synthetic_photos(2, p.height, p.width), sizes[0], thread_count(single_threaded)
        )
        return torch.from_numpy(trial.first)[None]

    network = _folded_networks.get((name, weights_hash, device, sizes[0]))
    if network is None:
        check = in_a_batch if device.type == "cpu" and sizes[0] >= MIN_TRIAL_BATCH else None
        ready = folded(backbone.network, p.height, p.width, fuse=device.type == "cpu", check=check).to(device)
        network = _folded_networks[name, weights_hash, device, sizes[0]] = ready
    if known is not None:
        return FrozenNetwork(network, known, precision, device, single_threaded)
    ready_made = tried.get(network) if precision == "fp32" else None
    run = partial(FrozenNetwork, network, precision=precision, device=device, single_threaded=single_threaded)
    found = first_invariant_size(
        sizes, run, synthetic_photos(TRIAL_PHOTOS, p.height, p.width), device, thread_count(single_threaded), ready_made
    )
    return FrozenNetwork(network, found, precision, device, single_threaded)


def thread_count(single_threaded: bool) -> int:
    """Return how many threads of torch share an operation on the processor."""
    return 1 if single_threaded else torch.get_num_threads()


def _candidate_sizes(backbone: Backbone, device: torch.device) -> Iterable[int]:
    """Return batch sizes to try, the best first. On a processor a single photo costs as much as a full batch."""
    if device.type != "cpu":
        return (64, 32, 8)
    return (8, 16, 32) if backbone.spec.parameters < _SMALL_NETWORK else (2, 4)
