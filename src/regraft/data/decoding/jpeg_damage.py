"""Damage of JPEG files that libjpeg decodes with a warning only, which Pillow hides.

The coded data of a JPEG are a sequence of bits that must end exactly with its last block (ITU-T T.81, F.2.2). After
damage the decoder is out of step: it has all blocks before the data end, or the data end before it has all blocks. The
decoder of Pillow takes the file in parts, and returns how many bytes it has used. So the parts here end shortly before
and after each end of coded data, and the decoding that is needed anyway shows whether the decoder is in step.

Damage that leaves the decoder in step is not found: a changed bit can change the brightness of the blocks after it
without any trace in the data.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFile

from regraft.data.decoding.text_transfer import has_changed_line_ends

_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_RESTARTS: Final = range(0xD0, 0xD8)
_WITHOUT_LENGTH: Final = frozenset({0x01, 0xD8, *_RESTARTS})
_SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1}), 0xC2
_METADATA: Final = frozenset({*range(0xE0, 0xF0), 0xFE})
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})

TOLERATED_BYTES: Final = 8
"""Fewer bytes that no block uses are accepted: some cameras add a few at each end of coded data."""

_FILLER: Final = b"\xff\0" * 12
"""Stuffed one bits. Every code takes at least 16 of them: more bits than a decoder in step reads ahead."""

ENDS_EARLY: Final = "damaged: the data of its picture end too early"
OUT_OF_STEP: Final = "damaged: the data of its picture are out of step"
LINE_ENDS: Final = "damaged: a program has changed its line ends, as if it were text"


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Coded data between two markers.

    Attributes:
        start: position of its first byte.
        end: position after its last byte.
        in_order: False if a restart marker before it is missing or repeated.
    """

    start: int
    end: int
    in_order: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    """The coded data of a JPEG file.

    Attributes:
        frame: marker of its frame, which names the kind of coding; 0 if there is none.
        scans: number of scans.
        stretches: the coded data of all scans, divided at restart markers.
        ended: whether it has an end marker.
        tables: position of the first segment that is neither a comment nor metadata.
    """

    frame: int
    scans: int
    stretches: tuple[_Stretch, ...]
    ended: bool
    tables: int = 0

    @property
    def checkable(self) -> bool:
        """True if damage can be found in this kind of coding."""
        return bool(self.stretches) and self.frame in {*_SEQUENTIAL, _PROGRESSIVE}

    @property
    def in_one_scan(self) -> bool:
        """True if one scan has all blocks, which libjpeg then decodes as they come."""
        return self.scans == 1 and self.frame in _SEQUENTIAL


def _layout(data: bytes) -> _Layout:
    markers = _marker_positions(data)
    frame = scans = tables = 0
    stretches: list[_Stretch] = []
    at = 2
    while (index := bisect_left(markers, at)) < len(markers):
        position = markers[index]
        marker, at = data[position + 1], position + 2
        if marker == _END_OF_IMAGE:
            return _Layout(frame, scans, tuple(stretches), ended=True, tables=tables)
        if marker in _WITHOUT_LENGTH:
            continue
        if marker in _FRAMES:
            frame = marker
        if marker not in _METADATA:
            tables = tables or position
        at += int.from_bytes(data[at : at + 2], "big")
        if marker == _START_OF_SCAN:
            scans += 1
            stretches += _stretches(data, at, markers[bisect_left(markers, at) :])
            at = stretches[-1].end
    return _Layout(frame, scans, tuple(stretches), ended=False, tables=tables)


def _marker_positions(data: bytes) -> list[int]:
    """Return the positions of all markers, ascending; some of them may lie inside comments and other segments."""
    values = np.frombuffer(data, dtype=np.uint8)
    first = np.flatnonzero(values[:-1] == 0xFF)
    second = values[first + 1]
    positions: list[int] = first[(second != 0) & (second != 0xFF)].tolist()
    return positions


def _stretches(data: bytes, start: int, markers: list[int]) -> list[_Stretch]:
    """Return the coded data of the scan that begins at ``start``, given the positions of all later markers."""
    stretches: list[_Stretch] = []
    in_order = True
    for position in markers:
        stretches.append(_Stretch(start, _without_fill(data, start, position), in_order))
        marker = data[position + 1]
        if marker not in _RESTARTS:
            return stretches
        in_order = marker - _RESTARTS.start == (len(stretches) - 1) % len(_RESTARTS)
        start = position + 2
    return [*stretches, _Stretch(start, len(data), in_order)]


def _without_fill(data: bytes, start: int, end: int) -> int:
    """Return the end of coded data without the fill bytes (0xFF) that may precede a marker."""
    while end > start and data[end - 1] == 0xFF:
        end -= 1
    return end


def can_be_checked(data: bytes) -> bool:
    """Return whether `load_jpeg` finds damage in this file, given all its bytes."""
    return _layout(data).checkable


def load_jpeg(image: ImageFile.ImageFile, data: bytes) -> str:
    """Load the pixels of an opened JPEG, and return the damage of its coded data; an empty string if there is none.

    Lossless and arithmetic coding are not checked.

    Args:
        image: the opened file, perhaps at a reduced scale.
        data: all bytes of the file.

    Raises:
        OSError: it cannot be decoded, or is cut off.
    """
    layout = _layout(data)
    decoder = _decoder(image) if layout.checkable else None
    if decoder is None:
        image.load()
        return ""
    damage = _Decoding(decoder, data, layout).run() or (LINE_ENDS if _has_line_ends_of_text(data, layout) else "")
    if not layout.ended and (damage == ENDS_EARLY or not layout.in_one_scan):
        raise OSError("image file is truncated")
    image.tile = []
    return damage


def _has_line_ends_of_text(data: bytes, layout: _Layout) -> bool:
    """Return whether the tables or the coded data have the traces of a transfer as text."""
    return has_changed_line_ends(data, layout.tables, layout.stretches[0].start, layout.stretches[-1].end)


def _decoder(image: ImageFile.ImageFile) -> Any:
    """Return Pillow's decoder, ready to write the pixels of ``image``; None if this Pillow has another interface."""
    try:
        if len(image.tile) != 1 or image.tile[0][0] != "jpeg":
            return None
        name, extents, _, arguments = image.tile[0]
        image.load_prepare()
        decoder = Image._getdecoder(image.mode, name, arguments, image.decoderconfig)
        decoder.setimage(image.im, extents)
    except (AttributeError, TypeError, ValueError):
        return None
    return decoder


class _Decoding:
    """One decoding of a file, in parts."""

    def __init__(self, decoder: Any, data: bytes, layout: _Layout) -> None:
        self._decoder, self._data, self._layout = decoder, data, layout
        self._fed, self._unused, self._complete = 0, b"", False

    def run(self) -> str:
        """Decode all pixels, and return the damage."""
        damage = next(filter(None, map(self._damage_of, self._layout.stretches)), "")
        if not damage and not self._complete and self._layout.in_one_scan:
            damage = ENDS_EARLY
        self._feed_to(len(self._data))
        self._feed(b"\xff\xd9")
        return damage

    def _damage_of(self, stretch: _Stretch) -> str:
        """Decode up to the end of a stretch of coded data, and return its damage."""
        if self._complete or not stretch.in_order:
            return OUT_OF_STEP
        near = stretch.end - TOLERATED_BYTES
        if near > stretch.start and (self._feed_to(near) or self._skips(near + 1)):
            return OUT_OF_STEP
        self._feed_to(stretch.end)
        return "" if self._feed(_FILLER) or self._skips(stretch.end) else ENDS_EARLY

    def _skips(self, end: int) -> bool:
        """Feed one byte, up to ``end``; return whether the decoder looks for a marker, and so uses every byte at once.

        A decoder that needs bits uses a byte only together with those that complete a block.
        """
        waits = bool(self._unused)
        if end > self._fed:
            self._feed_to(end)
        else:
            self._feed(b"\0")
        return not waits and not self._unused

    def _feed_to(self, end: int) -> bool:
        """Feed the file up to ``end``; return whether all pixels are decoded."""
        part, self._fed = self._data[self._fed : end], end
        return self._feed(part)

    def _feed(self, part: bytes) -> bool:
        """Feed bytes; return whether all pixels are decoded."""
        if self._complete or not part:
            return self._complete
        waiting = self._unused + part
        used, error = self._decoder.decode(waiting)
        if error < 0:
            raise OSError("broken data stream when reading image file")
        self._complete = used < 0
        self._unused = b"" if self._complete else waiting[used:]
        return self._complete
