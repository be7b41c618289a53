"""Files of photos whose orientation, colors, depth or transparency programs read in different ways."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def scene(width, height, bands=3, seed=0):
    """Return a smooth picture without symmetry, (height, width[, bands]), uint8."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (5, 4, bands), dtype=np.uint8)
    layers = [Image.fromarray(small[..., k]).resize((width, height), Image.Resampling.BICUBIC) for k in range(bands)]
    pixels = np.stack([np.asarray(layer) for layer in layers], axis=-1)
    return pixels if bands > 1 else pixels[..., 0]


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


def odd_pngs():
    """Return PNG files by name: all colors and depths, interlaced and not, transparent, with texts and profiles."""
    files, draw = {}, np.random.default_rng(3)
    palette = (b"PLTE", draw.integers(0, 256, 3 * 256, dtype=np.uint8).tobytes())
    kinds = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16)]
    for color, depth in [*kinds, (6, 8), (6, 16)]:
        channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
        samples = scene(37, 29, channels, seed=depth).reshape(29, 37, channels).astype(np.uint32)
        samples = samples * 257 if depth == 16 else samples >> (8 - depth)
        table = [(b"PLTE", palette[1][: 3 << depth])] if color == 3 else []
        for interlaced in (False, True):
            name = f"color {color} depth {depth}{' interlaced' if interlaced else ''}"
            files[name] = png(samples, color, depth, interlaced=interlaced, before=table)
        key = [(b"tRNS", struct.pack(">H", int(samples[3, 3, 0])))] if color == 0 else []
        key += [(b"tRNS", struct.pack(">3H", *samples[3, 3].tolist()))] if color == 2 and depth == 8 else []
        key += [(b"tRNS", draw.integers(0, 256, 1 << depth, dtype=np.uint8).tobytes())] if color == 3 else []
        if key:
            files[f"color {color} depth {depth} clear"] = png(samples, color, depth, before=[*table, *key])
    rgb = scene(37, 29).astype(np.uint32)
    files["gamma"] = png(rgb, 2, 8, before=[(b"gAMA", struct.pack(">L", 100_000))])
    deep = scene(37, 29, 1)[..., None].astype(np.uint32) * 16
    files["twelve bits"] = png(deep, 0, 16)
    white = np.full((29, 37, 4), 255, np.uint32)
    white[..., 3] = scene(37, 29, 1)
    files["white on nothing"] = png(white, 6, 8)
    raw = ("\nexif\n      30\n" + (b"Exif\0\0" + tiff(6)).hex()).encode()
    xmp = XMP % 8
    texts = {
        "raw profile": [(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))],
        "raw profile plain": [(b"tEXt", b"Raw profile type exif\0" + raw)],
        "raw profile broken": [(b"tEXt", b"Raw profile type exif\0\nexif\n 3\nxyz")],
        "xmp": [(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)],
        "xmp packed": [(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp))],
        "exif after the pixels": [(b"eXIf", tiff(5))],
        "exif twice": [(b"eXIf", tiff(5)), (b"eXIf", tiff(7))],
        "exif and xmp": [(b"eXIf", tiff(5)), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)],
        "exif 9 and xmp": [(b"eXIf", tiff(9)), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)],
        "text exif": [(b"tEXt", b"exif\0" + tiff(3))],
    }
    files |= {f"text {name}": png(rgb, 2, 8, after=chunks) for name, chunks in texts.items()}
    return {f"{name}.png": data for name, data in files.items()}


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


def _saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def odd_colors():
    """Return files by name whose colors and transparency browsers decode by themselves."""
    rgb, clear = Image.fromarray(scene(120, 90)), Image.fromarray(scene(120, 90, 4))
    large = Image.fromarray(scene(1300, 1000))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = _wide_profile()
    frames = [Image.fromarray(scene(120, 90, seed=k)) for k in range(3)]
    return {
        "plain.jpg": _saved(rgb, "JPEG", quality=95),
        "progressive.jpg": _saved(rgb, "JPEG", progressive=True),
        "gray.jpg": _saved(rgb.convert("L"), "JPEG"),
        "cmyk.jpg": _saved(rgb.convert("CMYK"), "JPEG", quality=95),
        "subsampled.jpg": _saved(rgb, "JPEG", quality=60, subsampling=2),
        "large.jpg": _saved(large, "JPEG", quality=90),
        "srgb.jpg": _saved(rgb, "JPEG", quality=95, icc_profile=profile),
        "wide.jpg": _saved(rgb, "JPEG", quality=95, icc_profile=wide),
        "broken profile.jpg": _saved(rgb, "JPEG", quality=95, icc_profile=b"no profile" * 20),
        "wide.png": _saved(rgb, "PNG", icc_profile=wide),
        "wide clear.png": _saved(clear, "PNG", icc_profile=wide),
        "lossy.webp": _saved(rgb, "WEBP", quality=80),
        "lossless.webp": _saved(rgb, "WEBP", lossless=True),
        "clear.webp": _saved(clear, "WEBP", lossless=True, exact=True),
        "clear lossy.webp": _saved(clear, "WEBP", quality=90),
        "wide.webp": _saved(rgb, "WEBP", lossless=True, icc_profile=wide),
        "animated.webp": _saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
        "animated.gif": _saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated.png": _saved(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "clear.gif": _saved(clear, "GIF"),
        "plain.bmp": _saved(rgb, "BMP"),
        "palette.bmp": _saved(rgb.quantize(16), "BMP"),
        "plain.avif": _saved(rgb, "AVIF", quality=90),
        "turned.avif": _saved(rgb, "AVIF", quality=90, exif=b"Exif\0\0" + tiff(6)),
        "clear.avif": _saved(clear, "AVIF", quality=90),
        "plain.ico": _saved(rgb.resize((64, 64)), "ICO", sizes=[(64, 64)]),
        "pixel.jpg": _saved(Image.new("RGB", (1, 1), "red"), "JPEG"),
        "line.webp": _saved(Image.fromarray(scene(700, 1)), "WEBP", lossless=True),
    }


def _wide_profile():
    """Return a profile with the primaries of Display P3 and the curve of a gamma of 2.2."""

    def number(value):
        return struct.pack(">l", round(value * 65536))

    def color(*xyz):
        return b"XYZ \0\0\0\0" + b"".join(map(number, xyz))

    curve = b"curv\0\0\0\0" + struct.pack(">LH", 1, round(2.2 * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">L", 5) + b"wide\0" + b"\0" * 79
    tags = {
        b"desc": text,
        b"wtpt": color(0.9642, 1.0, 0.8249),
        b"rXYZ": color(0.5151, 0.2412, -0.0011),
        b"gXYZ": color(0.2920, 0.6922, 0.0419),
        b"bXYZ": color(0.1571, 0.0666, 0.7841),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
    }
    table, content, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content_of_tag in tags.items():
        data = content_of_tag + b"\0" * (-len(content_of_tag) % 4)
        table += name + struct.pack(">LL", start + len(content), len(data))
        content += data
    size = start + len(content)
    head = struct.pack(">L4sL", size, b"none", 0x02400000) + b"mntrRGB XYZ " + b"\0" * 12 + b"acsp" + b"\0" * 28
    head += number(0.9642) + number(1.0) + number(0.8249)
    return head.ljust(128, b"\0") + struct.pack(">L", len(tags)) + table + content
