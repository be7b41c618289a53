"""Which pairs of photos may show the same picture, told cheaply from 16 × 16 pixels; and where to begin aligning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from regraft.audit.contrast import blur_matrix
from regraft.data.threads import in_order
from regraft.disk.table import new_table
from regraft.features.one_thread import ONE_THREAD

SIDE, _FROM, _RADIUS = 16, 32, 3
_ZOOM, _SHIFTS = 0.86, (-0.1, 0.0, 0.1)
_LESS, _TURNS = 0.93, (-5.0, 5.0)
_BLOCK, _SLOTS = 512, 512


@dataclass(frozen=True)
class Rough:
    """What m pairs look like from afar.

    Attributes:
        likeness: best correlation over a few crops, turns and mirror images, in [-1, 1], shape (m,), float32.
        swapped: whether the second is a part of the first rather than the other way round, shape (m,), bool.
        view: the crop or turn that is most alike, mirrored from the number of views on, shape (m,), int8.
    """

    likeness: NDArray[np.float32]
    swapped: NDArray[np.bool_]
    view: NDArray[np.int8]

    def theta(self, which: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return where the part lies in the whole in some of the pairs, as affine maps, shape (len, 2, 3)."""
        mirrored, view = np.divmod(self.view[which], len(_views()))
        theta = _views().numpy()[view]
        theta[:, :, 0] *= np.where(mirrored == 1, -1, 1)[:, None]
        return theta


class Greys(Protocol):
    """Grey photos, of shape (n, 64, 64), uint8, which need not be in memory all at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: NDArray[np.int64], /) -> NDArray[np.uint8]: ...


def look_roughly(grey: Greys, pairs: NDArray[np.int64], *, workers: int = 0) -> Rough:
    """Compare pairs of photos, named by their positions, shape (m, 2), int64, in so many threads."""
    m = len(pairs)
    best = np.full((2, m), -2.0, dtype=np.float32)
    which = np.zeros((2, m), dtype=np.int8)
    whole = new_table(len(grey), SIDE * SIDE)
    blocks = [np.arange(i, min(i + _BLOCK, len(grey))) for i in range(0, len(grey), _BLOCK)]
    for block in blocks:
        whole[block[0] : block[-1] + 1] = _seen(grey[block], slice(0, 1))[:, 0].numpy()
    orders = [np.argsort(pairs[:, side], kind="stable") for side in (0, 1)]

    @ONE_THREAD
    def compare(block: NDArray[np.int64]) -> None:
        seen: Tensor | None = None  # the views of a block of photos are made once, then forgotten
        for side, order in enumerate(orders):
            low, high = np.searchsorted(pairs[:, side], [block[0], block[-1] + 1], sorter=order)
            for i in range(low, high, _SLOTS):
                seen = _seen(grey[block]) if seen is None else seen
                pair = order[i : min(i + _SLOTS, high)]
                views, part = seen[torch.from_numpy(pairs[pair, side] - block[0])], whole[pairs[pair, 1 - side]]
                best[side, pair], which[side, pair] = _most_alike(views, torch.from_numpy(part))

    for _ in in_order(compare, blocks, workers=workers, ahead=2 * workers):
        pass
    swapped = best[0] > best[1]  # side 0: views of the first were compared with the second
    return Rough(np.maximum(best[0], best[1]), swapped, np.where(swapped, which[0], which[1]))


def _most_alike(views: Tensor, part: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the best correlation of the views, (m, v, 256), with the photos, (m, 256), and the number of the view."""
    mirrored = part.reshape(-1, SIDE, SIDE).flip(2).reshape(part.shape)
    match = views @ torch.stack([part, mirrored], dim=2)
    value, index = match.transpose(1, 2).reshape(len(part), -1).max(dim=1)
    return value.numpy(), index.numpy()


@cache
def _views() -> Tensor:
    """Return affine maps that show a photo whole, cropped and turned, shape (v, 2, 3)."""
    maps = [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    maps += [[[_ZOOM, 0.0, x], [0.0, _ZOOM, y]] for x, y in product(_SHIFTS, _SHIFTS)]
    for turn in _TURNS:
        c, s = _LESS * math.cos(math.radians(turn)), _LESS * math.sin(math.radians(turn))
        maps.append([[c, -s, 0.0], [s, c, 0.0]])
    return torch.tensor(maps, dtype=torch.float32)


@cache
def _matrices() -> Tensor:
    """Return what makes the detail of each view from 32 × 32 pixels, which is linear: shape (v, 256, 1024)."""
    views = _views()
    pixels = torch.eye(_FROM * _FROM).reshape(_FROM * _FROM, 1, _FROM, _FROM)
    blur = blur_matrix(SIDE, _RADIUS)
    out = []
    for view in views:
        fine = functional.affine_grid(view[None], [1, 1, 2 * SIDE, 2 * SIDE], align_corners=False)
        seen = functional.grid_sample(
            pixels, fine.expand(len(pixels), -1, -1, -1), padding_mode="border", align_corners=False
        )
        small = functional.avg_pool2d(seen, 2)[:, 0]
        out.append((small - blur @ small @ blur.T).reshape(len(pixels), -1).T)
    return torch.stack(out)


def _seen(grey: NDArray[np.uint8], which: slice = slice(None)) -> Tensor:
    """Return normalised local contrast of each view: (n, 64, 64), uint8 -> (n, v, 256), float32."""
    image = functional.avg_pool2d(torch.from_numpy(np.ascontiguousarray(grey)).to(torch.float32), 2).reshape(
        len(grey), -1
    )
    matrix = _matrices()[which]
    detail = (image @ matrix.reshape(-1, image.shape[1]).T).reshape(len(grey), len(matrix), SIDE, SIDE)
    blur = blur_matrix(SIDE, _RADIUS)
    spread = (blur @ (detail * detail) @ blur.T).clamp_min(0).sqrt()
    contrast = detail / (spread + 2.0 + 0.5 * spread.mean(dim=(-2, -1), keepdim=True))
    flat = contrast.flatten(2)
    return functional.normalize(flat - flat.mean(dim=2, keepdim=True), dim=2)
