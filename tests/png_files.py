"""A writer of PNG files of all kinds, which Pillow cannot write, and a picture for them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image


def scene(width, height, bands=3, seed=0):
    """Return a smooth picture without symmetry, (height, width[, bands]), uint8."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (5, 4, bands), dtype=np.uint8)
    layers = [Image.fromarray(small[..., k]).resize((width, height), Image.Resampling.BICUBIC) for k in range(bands)]
    pixels = np.stack([np.asarray(layer) for layer in layers], axis=-1)
    return pixels if bands > 1 else pixels[..., 0]


def png_chunk(name, data):
    """Return a chunk of a PNG."""
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


def _packed(samples, depth):
    """Return rows of samples as bytes, (rows, bytes)."""
    if depth == 16:
        return samples.astype(">u2").view(np.uint8)
    if depth == 8:
        return samples.astype(np.uint8)
    bits = (samples[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(len(samples), -1).astype(np.uint8), axis=1)


def _filtered(rows, step, first):
    """Return rows with the filters 0 to 4 in turn, each with its number in front."""
    done, above = b"", np.zeros(rows.shape[1], np.int64)
    for number, row in enumerate(rows.astype(np.int64)):
        left = np.concatenate([np.zeros(step, np.int64), row])[: len(row)]
        corner = np.concatenate([np.zeros(step, np.int64), above])[: len(row)]
        guess = left + above - corner
        away = np.abs(guess - left), np.abs(guess - above), np.abs(guess - corner)
        paeth = np.where((away[0] <= away[1]) & (away[0] <= away[2]), left, np.where(away[1] <= away[2], above, corner))
        kind = (number + first) % 5
        minus = [0, left, above, (left + above) >> 1, paeth][kind]
        done += bytes([kind]) + ((row - minus) & 255).astype(np.uint8).tobytes()
        above = row
    return done


_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png(samples, color, depth, *, interlaced=False, before=(), after=()):
    """Return a PNG of samples, (H, W, channels), with more chunks before and after the pixels."""
    height, width, channels = samples.shape
    step, raw = max(channels * depth // 8, 1), b""
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        part = samples[top::down, left::across]
        if part.size:
            raw += _filtered(_packed(part.reshape(len(part), -1), depth), step, first=top)
    head = struct.pack(">LLBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    data = zlib.compress(raw)
    chunks = [(b"IHDR", head), *before, (b"IDAT", data[:7]), (b"IDAT", data[7:]), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
