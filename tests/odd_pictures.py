"""Files of photos whose colors, depth or transparency programs read in different ways."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from png_files import png, scene
from turned_files import XMP, tiff


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
        "default picture.png": _saved(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True),
        "high dynamic range.png": png(scene(37, 29).astype(np.uint32), 2, 8, before=[(b"cICP", bytes([9, 16, 0, 1]))]),
        "long.jpg": _saved(Image.fromarray(scene(9000, 20)), "JPEG"),
        "odd size.jpg": _saved(Image.fromarray(scene(61, 43)), "JPEG", quality=50, subsampling=2),
        "odd ink.jpg": _saved(Image.fromarray(scene(61, 43)).convert("CMYK"), "JPEG", quality=60),
        "plain.bmp": _saved(rgb, "BMP"),
        "palette.bmp": _saved(rgb.quantize(16), "BMP"),
        "plain.avif": _saved(rgb, "AVIF", quality=90),
        "turned.avif": _saved(rgb, "AVIF", quality=90, exif=b"Exif\0\0" + tiff(6)),
        "clear.avif": _saved(clear, "AVIF", quality=90),
        "plain.ico": _saved(rgb.resize((64, 64)), "ICO", sizes=[(64, 64)]),
        "pixel.jpg": _saved(Image.new("RGB", (1, 1), "red"), "JPEG"),
        "line.webp": _saved(Image.fromarray(scene(700, 1)), "WEBP", lossless=True),
    }


def unreadable():
    """Return files by name that are damaged, or no photos."""
    rgb = Image.fromarray(scene(300, 200))
    jpeg, png_file, webp = _saved(rgb, "JPEG"), _saved(rgb, "PNG"), _saved(rgb, "WEBP")
    middle = len(png_file) // 2
    return {
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cut.png": png_file[:middle],
        "cut.webp": webp[: len(webp) // 2],
        "changed.png": png_file[:middle] + bytes([png_file[middle] ^ 255]) + png_file[middle + 1 :],
        "head only.png": png_file[:33],
        "nothing.jpg": b"",
        "text.jpg": b"hello",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>',
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
