"""Photos that are refused before they are decoded: decompression bombs in several formats."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from regraft.errors import DecodeError
from regraft.serve.photo_checks import PhotoTooLargeError, check_photo
from serve.conftest import photo


def png_of(width, height):
    """Return the header of a PNG of this size, and no pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def jpeg_of(width, height):
    """Return a JPEG that declares this size."""
    data = bytearray(photo(1))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp_of(width, height):
    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, "BMP")
    data = bytearray(out.getvalue())
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


@pytest.mark.parametrize("bomb", [png_of, jpeg_of, bmp_of])
def test_a_declared_size_is_refused_without_decoding(bomb):
    with pytest.raises(PhotoTooLargeError, match=r"it has 60,000 × 50,000 pixels; at most 64,000,000 are accepted"):
        check_photo(bomb(60_000, 50_000), 64_000_000)


def test_a_large_webp_is_refused_before_it_is_opened():
    lossy = b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0"
    lossy += (16_000).to_bytes(3, "little") + (16_000).to_bytes(3, "little")
    with pytest.raises(PhotoTooLargeError, match=r"it has 16,001 × 16,001 pixels"):
        check_photo(lossy + b"\0" * 100, 64_000_000)


def test_a_jpeg_with_a_thousand_scans_is_refused():
    whole = photo(1, progressive=True)
    scan = whole[whole.index(b"\xff\xda") : whole.rindex(b"\xff\xda")]
    with pytest.raises(PhotoTooLargeError, match=r"it has 2,251 scans; at most 100 are accepted"):
        check_photo(whole.replace(scan, scan * 250), 64_000_000)


def test_ordinary_photos_pass_and_other_files_do_not():
    for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF"):
        check_photo(photo(1, form=form), 80 * 60)
    with pytest.raises(DecodeError, match="not a photo"):
        check_photo(b"GET / HTTP/1.1", 100)
