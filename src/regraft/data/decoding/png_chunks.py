"""Chunks of PNG files that Pillow refuses for their size: texts, and color profiles of more than 1 MiB.

Workflows of image generators, XMP of editors and profiles of scanners are that large. The photo itself is healthy.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_TEXTS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_COMPRESSED: Final = frozenset({b"zTXt", b"iTXt", b"iCCP"})

MAX_TEXT: Final = 1 << 20
"""Bytes to which Pillow decompresses one chunk; a larger one is an error there."""

MAX_TEXTS: Final = 1 << 25
"""Bytes of all texts together, below Pillow's bound."""


def without_oversized_chunks(data: bytes) -> bytes:
    """Return a PNG file without texts and profiles that Pillow would refuse for their size; any other file unchanged.

    A photo whose profile is left out is read as sRGB.
    """
    if not data.startswith(_SIGNATURE):
        return data
    kept: list[tuple[int, int]] = []
    start, end, texts = 0, len(_SIGNATURE), 0
    for kind, body, after in _chunks(data):
        size = _text_size(data, kind, body, after - 4)
        texts += size if kind in _TEXTS else 0
        if (kind in _COMPRESSED and size > MAX_TEXT) or (kind in _TEXTS and texts > MAX_TEXTS):
            kept.append((start, end))
            start = after
        end = after
    if start == 0:
        return data
    return b"".join(data[a:b] for a, b in (*kept, (start, len(data))))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, position of the content, position after the chunk) of each complete chunk."""
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        after = position + 12 + length
        if after > len(data):
            return
        yield kind, position + 8, after
        position = after


def _text_size(data: bytes, kind: bytes, start: int, end: int) -> int:
    """Return the size of a text or a profile, decompressed up to one more than `MAX_TEXT`; 0 for other chunks."""
    if kind == b"tEXt":
        return end - start
    if kind not in _COMPRESSED:
        return 0
    body = data[start:end]
    _, _, rest = body.partition(b"\0")
    if kind == b"iTXt":
        flag, rest = rest[:1], rest[2:].split(b"\0", 2)[-1]
        if flag != b"\1":
            return min(len(rest), MAX_TEXT)
    else:
        rest = rest[1:]
    try:
        return len(zlib.decompressobj().decompress(rest, MAX_TEXT + 1))
    except zlib.error:
        return 0
