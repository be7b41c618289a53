"""The input size of a fine-tuning: that of the photos, where they are smaller than what the network was made for.

Enlarging a photo adds no detail, but time: a step on 128 pixels takes less than a third of one on 224. A network that
is trained anyway gets used to the other size; a frozen one does not, so that its features stay those of its own size.
"""

from __future__ import annotations

from dataclasses import replace

from regraft.context.run_context import Job
from regraft.data.preprocessing import Preprocessing
from regraft.errors import BackboneError, WeightsError
from regraft.models.zoo import build_backbone

GRID = 32
"""Sizes are multiples of this many pixels: what most networks reduce their input by."""

SMALLEST = 0.5
"""Share of its own size below which a network is not taken: it would hardly know what it sees."""


def for_tuning(job: Job) -> Job:
    """Return the job with the network at the size that suits a fine-tuning: itself, or one that shares all else.

    What ``--size`` says is done.
    """
    size = suitable(job)
    return job if size is None else _resized(job, size)


def suitable(job: Job) -> int | None:
    """Return the side in pixels at which no photo need be enlarged much, or None for the network's own."""
    if job.config.size is not None or job.photo_side is None:
        return None
    return size_for(job.photo_side, job.backbone.spec.preprocessing)


def size_for(side: int, p: Preprocessing) -> int | None:
    """Return the input size that suits photos with such a shorter side, in pixels, or None for the network's own."""
    if p.height != p.width:
        return None
    least = -(-round(SMALLEST * p.height) // GRID) * GRID
    size = max(least, -(-side // GRID) * GRID)
    return size if size < p.height else None


def _resized(job: Job, size: int) -> Job:
    try:
        backbone = build_backbone(job.config.backbone, weights=job.config.weights, size=size)
    except (BackboneError, WeightsError):  # it takes no size but its own
        return job
    job.screen.line("input", f"{size} px for fine-tuning", f"(half of the photos are {job.photo_side} px or less)")
    p = job.backbone.spec.preprocessing
    job.note_once("input", size=size, photo_side=job.photo_side)
    return replace(
        job,
        backbone=backbone.to(job.device),
        own_pixels=p.height * p.width,
        engine_choice=f"engine at {size} px",
        known_weights="",
        _engine=None,
        _table=None,
        _rows={},
    )
