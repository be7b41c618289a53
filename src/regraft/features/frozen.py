"""A network made ready to be run frozen: a folded copy, and the batch shape in which a photo's place does not matter.

torch computes the last few numbers of a block of memory, or of a thread's share of it, with another exponential than
the rest, so that the same photo can get other bits at another place in the batch: measured with SiLU in
squeeze-and-excitation layers, whose tensors are small. Whether that happens depends on the network, the batch shape
and the number of threads, so it is tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch
from torch import nn

from regraft.features.folding import folded
from regraft.features.invented import invented_photos
from regraft.models.backbone import Backbone

Precision: TypeAlias = Literal["fp32", "bf16"]

_SMALL = 20_000_000
"""Parameters below which a network on the processor gains from a batch of more than two photos."""

_KINDS = 3  # different photos in a trial batch


@dataclass(frozen=True)
class Frozen:
    """A network that is ready to run.

    Attributes:
        network: a copy in inference mode on its device, channels-last.
        batch_size: photos in every batch; with 1, photos are run one at a time.
        precision: of the arithmetic.
        device: where it runs.
    """

    network: nn.Module
    batch_size: int
    precision: Precision
    device: torch.device

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of a batch, shape (B, 3, H, W), as shape (B, D), float32, in the computer's memory."""
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.inference_mode(), autocast:
            features: torch.Tensor = self.network(x.to(self.device, memory_format=torch.channels_last))
        return features.float().cpu()


_Settings: TypeAlias = tuple[str, str, torch.device, Precision, int | None, int]
_made: WeakKeyDictionary[Backbone, dict[_Settings, Frozen]] = WeakKeyDictionary()  # kept as long as the backbone is
_alive: WeakValueDictionary[_Settings, Frozen] = WeakValueDictionary()


def frozen(
    backbone: Backbone, weights_hash: str, device: torch.device, precision: Precision, batch_size: int | None
) -> Frozen:
    """Return ``backbone`` made ready; what was made for equal weights and settings, and is still there, is used again.

    Args:
        backbone: it is left as and where it is.
        weights_hash: of its weights now.
        device: where to run.
        precision: of the arithmetic.
        batch_size: photos in a batch; one that suits the device and the network if None.
    """
    network = f"{backbone.spec.name} {backbone.spec.preprocessing.id}"
    settings = (network, weights_hash, device, precision, batch_size, torch.get_num_threads())
    known = _made.setdefault(backbone, {})
    for outdated in [other for other in known if other[1] != weights_hash]:
        del known[outdated]
    if settings not in known:
        known[settings] = _alive.get(settings) or _make(backbone, device, precision, batch_size)
        _alive[settings] = known[settings]
    return known[settings]


def _make(backbone: Backbone, device: torch.device, precision: Precision, batch_size: int | None) -> Frozen:
    p = backbone.spec.preprocessing
    network = folded(backbone.network, p.height, p.width).to(device)
    for size in _sizes(backbone, device) if batch_size is None else (batch_size,):
        candidate = Frozen(network, size, precision, device)
        if size == 1 or _place_does_not_matter(candidate, p.height, p.width):
            return candidate
    return Frozen(network, 1, precision, device)


def _sizes(backbone: Backbone, device: torch.device) -> Iterable[int]:
    """Return batch sizes to try, the best first. On a processor a single photo costs as much as a full batch."""
    if device.type != "cpu":
        return (64, 32, 8)
    return (8, 16, 32) if backbone.spec.parameters < _SMALL else (2, 4)


def _place_does_not_matter(candidate: Frozen, height: int, width: int) -> bool:
    """Run the same photos at all places, beside others, and compare their features to the bit."""
    kinds = min(_KINDS, candidate.batch_size)
    photos = invented_photos(kinds, height, width)
    seen: dict[int, torch.Tensor] = {}
    for shift in range(2):
        which = [(place + shift) % kinds for place in range(candidate.batch_size)]
        for kind, features in zip(which, candidate(photos[which]), strict=True):
            if not torch.equal(seen.setdefault(kind, features), features):
                return False
    return True
