"""The input size of a fine-tuning: that of the photos, if they are smaller than the network's own.

Enlarging a photo adds time but no detail: a step on 128 pixels takes less than a third of one on 224. A network that is
fine-tuned adapts to the other size; a frozen one does not, so its features stay those of its own size.
"""

from __future__ import annotations

from dataclasses import dataclass

from regraft.context.decisions import Event, Line
from regraft.context.run_context import RunContext
from regraft.data.preprocessing import Preprocessing
from regraft.errors import BackboneError, WeightsError
from regraft.models.zoo import build_backbone

GRID = 32
"""Sizes are multiples of this many pixels, the factor by which most networks reduce their input."""

SMALLEST = 0.5
"""Minimum size, as a share of the network's own: a smaller one would change too much of what it was trained on."""


@dataclass(frozen=True)
class SizedContext:
    """The context of a fine-tuning.

    Attributes:
        context: the run, with the network at the size that suits its photos.
        size: the side of this input in pixels, or None for the network's own.
        saving: pixels of the network's own size, for each pixel of this one.
    """

    context: RunContext
    size: int | None = None
    saving: float = 1.0

    def event(self) -> Event | None:
        """Return the event for the journal."""
        if self.size is None:
            return None
        return Event("input", {"size": self.size, "photo_side": self.context.dataset.median_side})

    def line(self) -> Line | None:
        """Return the line for the screen."""
        if self.size is None:
            return None
        note = f"(half of the photos are {self.context.dataset.median_side} px or less)"
        return Line("input", f"{self.size} px for fine-tuning", note)


def at_input_size(context: RunContext) -> SizedContext:
    """Return the context with the first network, at the size that suits a fine-tuning, or at ``--size`` if given."""
    context = context.of_first_network
    size = suitable_size(context)
    if size is None:
        return SizedContext(context)
    try:
        backbone = build_backbone(context.config.networks[0], weights=context.config.weights, size=size)
    except (BackboneError, WeightsError):  # it takes no other size
        return SizedContext(context)
    p = context.backbone.spec.preprocessing
    backbone.render(p.rendering)
    return SizedContext(context.with_backbone(backbone, f"engine at {size} px"), size, p.height * p.width / size**2)


def suitable_size(context: RunContext) -> int | None:
    """Return the side in pixels at which half of the photos are not enlarged, or None for the network's own."""
    if context.config.size is not None or context.dataset.median_side is None:
        return None
    return size_for(context.dataset.median_side, context.backbone.spec.preprocessing)


def size_for(side: int, p: Preprocessing) -> int | None:
    """Return the input size that suits photos of this shorter side, in pixels, or None for the network's own."""
    if p.height != p.width:
        return None
    minimum = -(-round(SMALLEST * p.height) // GRID) * GRID
    size = max(minimum, -(-side // GRID) * GRID)
    return size if size < p.height else None
