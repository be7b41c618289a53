"""Description of TIFF files whose samples Pillow has no mode for: many bands, floating point, 32 bits."""

from __future__ import annotations

import io
from typing import Any, Final

_BITS, _COUNT, _FORMAT = 258, 277, 339
_OFFSETS: Final = (273, 324)
_KINDS: Final = {1: "unsigned", 2: "signed", 3: "floating-point"}
_MAX_BANDS: Final = 10_000


def describe_unsupported(data: bytes) -> str:
    """Return what the samples of a TIFF file are and what would take them; an empty string if its tags are damaged.

    Args:
        data: all bytes of a file that Pillow could not open.
    """
    try:
        bands, bits, kind = _samples(data)
    except Exception:  # noqa: BLE001 - damaged tags raise various errors; the message is then about the header
        return ""
    if not 1 <= bands <= _MAX_BANDS or bits < 1:
        return ""
    values = f"{bits}-bit {_KINDS.get(kind, 'other')} numbers"
    subject, chosen = (
        (f"{bands} bands", "three bands" if bands >= 3 else "one band") if bands > 1 else ("one band", "it")
    )
    options = "-b 3 -b 2 -b 1 " if bands > 3 else ""
    return (
        f"a TIFF with {subject} of {values}: save {chosen} with 8 bits (gdal_translate {options}-ot Byte -scale IN OUT)"
    )


def _samples(data: bytes) -> tuple[int, int, int]:
    """Return (bands, bits per sample, number of the sample format) of the first picture of a TIFF file."""
    from PIL import TiffImagePlugin

    file = io.BytesIO(data)
    head = file.read(16 if data[2:3] == b"+" or data[3:4] == b"+" else 8)
    tags: Any = TiffImagePlugin.ImageFileDirectory_v2(head)
    file.seek(tags.next)
    tags.load(file)
    if not any(tag in tags for tag in _OFFSETS):
        raise ValueError("the tags are cut off")
    bits, formats = tags.get(_BITS, (1,)), tags.get(_FORMAT, (1,))
    return int(tags.get(_COUNT, 1)), int(max(bits)), int(formats[0])
