"""Traces of a program that has transferred a compressed file as text, and so has changed its line ends.

In compressed data most byte values are about equally frequent. After such a transfer a carriage return precedes every
line feed, or one of the two is missing, alone or as a pair.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_CR, _LF = b"\r", b"\n"

_MIN_LINE_ENDS: Final = 3
"""In coded data every 256th byte is a line feed by chance, and a carriage return precedes one in 256 of them."""

_EXAMINED: Final = 16
"""The bytes before the line ends must have more than half as many values: a pattern that repeats has few."""

_MIN_OTHERS: Final = 12
"""A missing value is a trace only if every other value is at least this frequent: a plain picture lacks many values."""

_MIN_PAIRS: Final = 25
"""The missing pair is a trace only if chance predicts at least this many: it lacks all with a chance of 1e-11."""


def has_changed_line_ends(data: bytes, tables: int, start: int, end: int) -> bool:
    """Return whether a JPEG shows that its line ends were changed.

    The bytes that were put into tables do damage even if the decoder is in step. Metadata may be text.

    Args:
        data: the file.
        tables: position of its first segment that is neither a comment nor metadata.
        start: position of the first byte of its coded data.
        end: position after the last one.
    """
    feeds, pairs = data.count(_LF, start, end), data.count(_CR + _LF, start, end)
    if feeds == pairs and (_always_paired(data, start, end) or _always_paired(data, tables, end)):
        return True
    if not feeds or data.find(_CR, start, end) < 0:
        return _lacks_one_value_only(data, start, end)
    return not pairs and _lacks_the_pair_only(data, start, end, feeds)


def _always_paired(data: bytes, start: int, end: int) -> bool:
    """Return whether a carriage return precedes every line feed, and no pattern of a plain area explains it."""
    feeds = data.count(_LF, start, end)
    if feeds < _MIN_LINE_ENDS or feeds != data.count(_CR + _LF, start, end):
        return False
    before = {line[-1:] for line in data[start:end].split(_CR + _LF)[:-1]}
    return 2 * len(before) > min(feeds, _EXAMINED)


def _lacks_one_value_only(data: bytes, start: int, end: int) -> bool:
    """Return whether all byte values are frequent except one."""
    coded = np.frombuffer(data, dtype=np.uint8)[start:end]
    counts = np.sort(np.bincount(coded, minlength=256))
    return bool(counts[0] == 0 and counts[1] >= _MIN_OTHERS)


def _lacks_the_pair_only(data: bytes, start: int, end: int, feeds: int) -> bool:
    """Return whether chance predicts the pair, and the pairs of values that differ from it in few bits are frequent."""
    if feeds * data.count(_CR, start, end) < _MIN_PAIRS * (end - start):
        return False
    similar = (b"\n\r", b"\r\r", b"\n\n", b"\r\x0b", b"\r\x08", b"\x0c\n", b"\x0f\n", b"\t\n")
    return all(data.count(pair, start, end) >= _MIN_OTHERS for pair in similar)
