"""Files of photos with an orientation in Exif or XMP: valid, unusual and broken, in JPEG, WebP and PNG."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from png_files import png, scene

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def tiff(value, *, order="<", kind=3, count=1, tag=0x0112, head=None, more=()):
    """Return Exif data without its prefix: one tag, or also those of ``more``, each as (tag, kind, count, bytes)."""
    formats = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 11: "f", 13: "L"}
    content = struct.pack(f"{order}{count}{formats[kind]}", *[value] * count) if kind in formats else value
    entries, outside = [*more, (tag, kind, count, content)], b""
    start = 8 + 2 + 12 * len(entries) + 4
    block = struct.pack(f"{order}H", len(entries))
    for number, form, amount, data in entries:
        block += struct.pack(f"{order}HHL", number, form, amount)
        if len(data) > 4:
            block += struct.pack(f"{order}L", start + len(outside))
            outside += data
        else:
            block += data.ljust(4, b"\0")
    mark = head or (b"II*\0" if order == "<" else b"MM\0*")
    return mark + struct.pack(f"{order}L", 8) + block + struct.pack(f"{order}L", 0) + outside


def odd_exif():
    """Return Exif data by name, without the prefix ``Exif``: valid, unusual and broken."""
    long_tag = (0x010E, 2, 40, b"x" * 40)
    return {
        "little": tiff(6),
        "big": tiff(6, order=">"),
        "zero": tiff(0),
        "nine": tiff(9),
        "one": tiff(1),
        "long": tiff(8, kind=4),
        "long big": tiff(8, kind=4, order=">"),
        "byte": tiff(6, kind=1),
        "signed byte": tiff(5, kind=6),
        "signed": tiff(7, kind=8),
        "negative": tiff(-6, kind=8),
        "float": tiff(6.0, kind=11),
        "text": tiff(b"6\0", kind=2, count=2),
        "rational": tiff(struct.pack("<LL", 6, 1), kind=5),
        "long long": tiff(struct.pack("<Q", 6), kind=16),
        "ifd": tiff(6, kind=13),
        "two values": tiff(3, count=2),
        "three values": tiff(3, count=3),
        "no values": tiff(b"", kind=3, count=0),
        "unknown type": tiff(b"\6\0", kind=99),
        "twice": tiff(6, more=[(0x0112, 3, 1, b"\3\0")]),
        "after text": tiff(6, more=[long_tag]),
        "cut": tiff(6, more=[long_tag])[:-10],
        "cut in tags": tiff(6, more=[long_tag])[:24],
        "text beyond the end": tiff(6, more=[long_tag]).replace(struct.pack("<L", 38), struct.pack("<L", 9999), 1),
        "wrong head": tiff(6, head=b"IX*\0"),
        "swapped head": tiff(6, head=b"II\0*"),
        "swapped big head": tiff(6, order=">", head=b"MM*\0"),
        "big TIFF": tiff(6, head=b"II+\0"),
        "big TIFF big": tiff(6, order=">", head=b"MM\0+"),
        "another tag": tiff(6, tag=0x0128),
        "empty": b"",
        "short": b"II*\0",
        "prefix": b"Exif\0\0" + tiff(6),
        "prefix twice": b"Exif\0\0" * 2 + tiff(6),
        "start beyond the end": b"II*\0" + struct.pack("<L", 500) + tiff(6)[8:],
    }


def with_exif(form, exif, *, xmp=None, prefix=True):
    """Return a JPEG, a WebP or a PNG with Exif data and XMP."""
    file = io.BytesIO()
    image = Image.fromarray(scene(40, 28))
    if form == "png":
        extra = [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)] if xmp else []
        return png(np.asarray(image).astype(np.uint32), 2, 8, before=[(b"eXIf", exif), *extra])
    if form == "webp":
        image.save(file, "WEBP", lossless=True, exif=(b"Exif\0\0" if prefix else b"") + exif, xmp=xmp or b"")
        return file.getvalue()
    image.save(file, "JPEG", quality=95, subsampling=0)
    segments = [b"Exif\0\0" + exif] + ([b"http://ns.adobe.com/xap/1.0/\0" + xmp] if xmp else [])
    return file.getvalue()[:2] + b"".join(map(jpeg_segment, segments)) + file.getvalue()[2:]


def jpeg_segment(body, marker=0xE1):
    """Return a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def turned_files():
    """Return JPEG, WebP and PNG files by name: the eight orientations, odd Exif data, XMP, and several parts."""
    files = {}
    for form in ("jpg", "webp", "png"):
        for value in range(1, 9):
            files[f"turned {value}.{form}"] = with_exif(form, tiff(value, order="<>"[value % 2]))
            files[f"xmp {value}.{form}"] = with_exif(form, tiff(6, tag=0x0128), xmp=XMP % value)
        files[f"xmp and exif.{form}"] = with_exif(form, tiff(3), xmp=XMP % 6)
        files |= {f"exif {name}.{form}": with_exif(form, exif) for name, exif in odd_exif().items()}
    files["no prefix.webp"] = with_exif("webp", tiff(6), prefix=False)
    plain = with_exif("webp", tiff(6))
    files["exif twice.webp"] = riff(plain + riff_chunk(b"EXIF", tiff(3)))
    files["exif not announced.webp"] = plain[:20] + bytes([plain[20] & ~0x08]) + plain[21:]
    jpeg = with_exif("jpg", tiff(6))
    files["exif twice.jpg"] = jpeg[:2] + jpeg_segment(b"Exif\0\0" + tiff(3)) + jpeg[2:]
    half = tiff(6, more=[(0x010E, 2, 40, b"x" * 40)])
    parts = jpeg_segment(b"Exif\0\0" + half[:20]) + jpeg_segment(b"Exif\0\0" + half[20:])
    files["exif in parts.jpg"] = jpeg[:2] + parts + jpeg[2:]
    files["padding before exif.jpg"] = jpeg[:2] + b"\xff\xff" + jpeg[2:]
    return files


def riff_chunk(name, data):
    """Return a chunk of a RIFF file."""
    return name + struct.pack("<L", len(data)) + data + b"\0" * (len(data) % 2)


def riff(data):
    """Return a RIFF file whose head has the right size."""
    return data[:4] + struct.pack("<L", len(data) - 8) + data[8:]
