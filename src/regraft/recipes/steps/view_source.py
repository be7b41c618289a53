"""The choice between training views of whole photos and of reduced ones, which are decoded once.

Reduced photos pay where decoding is expensive compared with a step of the network: large photos on a processor, all
photos on a graphics processor. Cached activations use them for large photos only: of small ones, processes decode views
as fast as threads cut them. Reduced photos change the pixels of training views a little, and so the weights. Evaluation
pixels are the same in both cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from regraft.cache_dir import PIXELS, cache_folder
from regraft.context.decisions import Line, Report
from regraft.context.run_context import RunContext
from regraft.data.loading.pixel_cache import PixelCache
from regraft.data.loading.reduced_photo import reduced_side
from regraft.data.loading.reduced_views import DEVICE_SHARE, ReducedViews
from regraft.features.stores.disk_store import DiskStore

CHOICE = "training views from"
REDUCED = "reduced photos"

MIN_REDUCTION = 8
"""On a processor, minimum pixels of a typical photo for each pixel of its reduced form. Decoding a photo of 1 megapixel
takes as long as a tenth of a training step of the default network."""

STORE_SHARE = 0.5
"""Share of the store that the pixels of one training may take, so that those of others stay."""

_PHOTO_FORM = 1.5  # longer over shorter side of a typical photo, for an estimate of its bytes


@contextmanager
def reduced_views(context: RunContext, photos: int) -> Iterator[ReducedViews | None]:
    """Yield the source of training views of reduced photos, or None if views are to be cut from whole photos.

    Args:
        context: the run.
        photos: number of photos that will be needed.
    """
    if not _chosen(context):
        yield None
        return
    p, device = context.backbone.spec.preprocessing, context.device
    store = DiskStore(cache_folder() / PIXELS, warn=context.screen.warn)
    needed = photos * 3 * _PHOTO_FORM * reduced_side(p) ** 2
    pixels = PixelCache(p, store, store_share=min(1.0, STORE_SHARE * store.bound / max(1.0, needed)))
    try:
        if device.type == "cuda":
            room = int(DEVICE_SHARE * torch.cuda.mem_get_info(device)[0])
            yield ReducedViews(pixels, device=device, room=room, workers=context.workers)
        else:
            yield ReducedViews(pixels, workers=context.workers)
    finally:
        pixels.flush()
        store.close()


def photos_are_large(context: RunContext) -> bool:
    """Return whether decoding a typical photo is expensive for a processor."""
    side = context.dataset.median_side
    return side is not None and side**2 >= MIN_REDUCTION * reduced_side(context.backbone.spec.preprocessing) ** 2


def reduced_line(context: RunContext) -> Report:
    """Return the line for the screen about views of reduced photos."""
    side = reduced_side(context.backbone.spec.preprocessing)
    detail = f"cut from photos reduced to {side} px (each photo is decoded once)"
    return Report(None, Line("views", "", detail=detail))


def _chosen(context: RunContext) -> bool:
    """Return whether views are cut from reduced photos: as the replayed run did, or as suits photos and device.

    The choice is recorded only if they are. A run that trained without a record has used whole photos.
    """
    decisions = context.decisions
    if CHOICE not in {*decisions.replay, *decisions.choices}:
        expensive = context.device.type == "cuda" or photos_are_large(context)
        if _has_trained(context) or not expensive:
            return False
    return decisions.choose(CHOICE, "decoding is expensive", lambda: REDUCED) == REDUCED


def _has_trained(context: RunContext) -> bool:
    """Return whether the replayed or resumed run came to choices that follow this one, or has a snapshot."""
    later = ("cut below ", "bf16 gain")
    return any(name.startswith(later) for name in context.decisions.replay) or any(
        context.folder.resume.glob("*/?.safetensors")
    )
