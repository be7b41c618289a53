"""A folder of odd files: every kind of photo, damage and nuisance that people's folders hold, each with its verdict.

``write_odd_files(folder)`` writes them below ``folder`` and returns what should become of each. All healthy photos show
the same picture: 48 × 32 pixels, red | green above blue | yellow.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageOps, features

SIZE = (48, 32)
RED, GREEN, BLUE, YELLOW, WHITE = (220, 30, 30), (30, 200, 40), (30, 40, 220), (230, 220, 40), (255, 255, 255)
COLOURS = (RED, GREEN, BLUE, YELLOW)

Verdict = Literal["ok", "put aside", "skipped"]


@dataclass(frozen=True)
class Odd:
    """One odd file.

    Attributes:
        name: relative to the folder.
        verdict: what should become of it.
        why: a pattern that its reason matches, where it is not ok.
        shows: ``"colour"`` for the picture, ``"gray"`` for it in gray, ``"white"`` for nothing but white, None for
            whatever it is.
        when: ``"scan"`` where it is put aside when it is read, ``"decode"`` where only decoding tells.
    """

    name: str
    verdict: Verdict = "ok"
    why: str = ""
    shows: str | None = "colour"
    when: Literal["scan", "decode"] = "decode"


def turned_pictures(root: Path, number: int, name: str = "{}.jpg") -> None:
    """Write ``number`` different photos of each of two classes below ``root``; ``name`` has a place for the number."""
    rng = np.random.default_rng(0)
    for label in "ab":
        (root / label).mkdir()
        for i in range(number):
            turned = picture((40 + i, 30)).rotate(float(rng.uniform(0, 360)))
            (root / label / name.format(i)).write_bytes(encoded(turned, "JPEG"))


def picture(size: tuple[int, int] = SIZE) -> Image.Image:
    """Return the picture: red | green above blue | yellow."""
    small = Image.new("RGB", (2, 2))
    for i, colour in enumerate(COLOURS):
        small.putpixel((i % 2, i // 2), colour)
    return small.resize(size, Image.Resampling.NEAREST)


def big_picture() -> Image.Image:
    """Return a picture with enough detail that its files are tens of kilobytes."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (300, 400, 3), dtype=np.uint8)
    return Image.fromarray(np.asarray(picture((400, 300))) // 2 + noise)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of ``image`` in a format of Pillow's."""
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def held(orientation: int) -> Image.Image:
    """Return the picture as a camera held that way would have stored it."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return picture().transpose(undo[orientation]) if orientation in undo else picture()


def exif(orientation: int) -> bytes:
    """Return Exif that says nothing but an orientation."""
    said = Image.Exif()
    said[0x0112] = orientation
    return said.tobytes()


def swapped_profile() -> bytes:
    """Return a small ICC profile in which red and green have changed places."""
    source = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = struct.unpack(">I", source[128:132])[0]
    out = bytearray(source)
    places = {source[132 + 12 * i : 136 + 12 * i]: 132 + 12 * i for i in range(count)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    out[red : red + 4], out[green : green + 4] = source[green : green + 4], source[red : red + 4]
    return bytes(out)


def red_and_green_swapped() -> Image.Image:
    """Return the picture as `swapped_profile` describes it."""
    r, g, b = picture().split()
    return Image.merge("RGB", (g, r, b))


def png_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG made of (type, data) chunks."""
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


def png_header(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> tuple[bytes, bytes]:
    """Return the IHDR chunk of a PNG."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)


def png_16_bit() -> bytes:
    """Return the picture with 16 bits a channel."""
    pixels = (np.asarray(picture()).astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png_chunks(png_header(*SIZE, depth=16), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def png_interlaced() -> bytes:
    """Return the picture in Adam7 order."""
    pixels = np.asarray(picture())
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
    rows = b"".join(b"\0" + row.tobytes() for y, dy, x, dx in passes for row in pixels[y::dy, x::dx])
    return png_chunks(png_header(*SIZE, interlace=1), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def ycck() -> bytes:
    """Return the picture as Photoshop writes YCCK: its inks as YCbCr, black inverted, Adobe's transform 2."""
    y, cb, cr = ImageOps.invert(picture()).convert("YCbCr").split()
    key = Image.new("L", SIZE, 255)
    # Pillow inverts what it writes as CMYK
    bands = Image.merge("CMYK", [band.point(lambda v: 255 - v) for band in (y, cb, cr, key)])
    out = bytearray(encoded(bands, "JPEG", quality=95))
    adobe = out.index(b"Adobe")
    out[adobe + 11] = 2
    return bytes(out)


def with_jpeg_size(data: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header claims another size."""
    at = next(data.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2", b"\xff\xc1") if marker in data)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def _jpegs() -> Iterator[tuple[Odd, bytes]]:
    plain = encoded(picture(), "JPEG", quality=92)
    yield Odd("baseline.jpg"), plain
    yield Odd("UPPER.JPG"), plain
    yield Odd("progressive.jpg"), encoded(picture(), "JPEG", quality=92, progressive=True)
    yield Odd("no subsampling.jpeg"), encoded(picture(), "JPEG", quality=92, subsampling=0)
    yield Odd("restart markers.jpg"), encoded(picture(), "JPEG", quality=92, restart_marker_blocks=2)
    yield Odd("gray.jpg", shows="gray"), encoded(picture().convert("L"), "JPEG", quality=92)
    yield Odd("cmyk.jpg"), encoded(picture().convert("CMYK"), "JPEG", quality=95)
    yield Odd("ycck.jpg"), ycck()
    for how in range(1, 9):
        yield Odd(f"orientation {how}.jpg"), encoded(held(how), "JPEG", quality=92, exif=exif(how))
    yield Odd("orientation 9.jpg"), encoded(picture(), "JPEG", quality=92, exif=exif(9))
    yield (
        Odd("broken exif.jpg"),
        encoded(picture(), "JPEG", quality=92, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40),
    )
    yield (
        Odd("swapped profile.jpg"),
        encoded(red_and_green_swapped(), "JPEG", quality=95, icc_profile=swapped_profile()),
    )
    yield Odd("broken profile.jpg"), encoded(picture(), "JPEG", quality=92, icc_profile=b"\0" * 200)
    yield (
        Odd("profile of cmyk in rgb.jpg"),
        encoded(picture(), "JPEG", quality=92, icc_profile=swapped_profile().replace(b"RGB XYZ ", b"CMYKXYZ ")),
    )
    yield Odd("comment.jpg"), encoded(picture(), "JPEG", quality=92, comment=b"x" * 60000)
    yield Odd("garbage behind.jpg"), plain + b"\0\xff" * 5000
    yield Odd("zip behind.jpg"), plain + b"PK\x03\x04" + b"z" * 500
    yield Odd("end marker missing.jpg"), plain[:-2]
    yield Odd("jpeg called.png"), plain
    yield Odd("jpeg called.txt"), plain
    yield Odd("jpeg called.jpg.part"), plain
    yield Odd("jpeg without suffix"), plain
    yield Odd("mpo.jpg"), encoded(picture(), "MPO", save_all=True, append_images=[Image.new("RGB", SIZE)], quality=92)


def _pngs() -> Iterator[tuple[Odd, bytes]]:
    p = picture()
    clear = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    yield Odd("rgb.png"), encoded(p, "PNG")
    yield Odd("rgba opaque.png"), encoded(p.convert("RGBA"), "PNG")
    yield Odd("transparent.png", shows="white"), encoded(clear, "PNG")
    yield Odd("gray.png", shows="gray"), encoded(p.convert("L"), "PNG")
    yield Odd("gray alpha.png", shows="gray"), encoded(p.convert("LA"), "PNG")
    yield Odd("palette.png"), encoded(p.quantize(8), "PNG")
    yield Odd("palette transparent.png", shows="white"), encoded(Image.new("P", SIZE, 0), "PNG", transparency=0)
    yield Odd("palette alphas.png"), encoded(p.quantize(4), "PNG", transparency=b"\xff\xff\xff\xff")
    yield Odd("colour key.png", shows="white"), encoded(Image.new("RGB", SIZE, RED), "PNG", transparency=RED)
    yield Odd("one bit.png", shows="white"), encoded(Image.new("1", SIZE, 1), "PNG")
    yield Odd("16 bit.png"), png_16_bit()
    gray = (np.asarray(p.convert("L")).astype(np.uint16)) * 257
    yield Odd("16 bit gray.png", shows="gray"), encoded(Image.fromarray(gray), "PNG")
    yield Odd("interlaced.png"), png_interlaced()
    yield Odd("animated.png"), encoded(p, "PNG", save_all=True, append_images=[Image.new("RGB", SIZE)])
    yield Odd("orientation.png"), encoded(held(6), "PNG", exif=exif(6))
    yield Odd("swapped profile.png"), encoded(red_and_green_swapped(), "PNG", icc_profile=swapped_profile())
    yield Odd("one pixel.png", shows=None), encoded(Image.new("RGB", (1, 1), RED), "PNG")
    yield Odd("ribbon.png", shows=None), encoded(Image.new("RGB", (6000, 1), RED), "PNG")
    yield Odd("tower.png", shows=None), encoded(Image.new("RGB", (1, 6000), RED), "PNG")


def _others() -> Iterator[tuple[Odd, bytes]]:
    p, black = picture(), Image.new("RGB", SIZE)
    yield Odd("plain.gif"), encoded(p, "GIF")
    yield Odd("animated.gif"), encoded(p, "GIF", save_all=True, append_images=[black, p])
    yield Odd("transparent.gif", shows="white"), encoded(Image.new("P", SIZE, 0), "GIF", transparency=0)
    yield Odd("script behind.gif"), encoded(p, "GIF") + b"/*alert(1)*/"
    yield Odd("lossy.webp"), encoded(p, "WEBP", quality=95)
    yield Odd("lossless.webp"), encoded(p, "WEBP", lossless=True)
    yield Odd("transparent.webp", shows="white"), encoded(Image.new("RGBA", SIZE, 0), "WEBP", lossless=True)
    yield Odd("animated.webp"), encoded(p, "WEBP", save_all=True, append_images=[black], lossless=True)
    yield Odd("orientation.webp"), encoded(held(8), "WEBP", lossless=True, exif=exif(8))
    yield Odd("24 bit.bmp"), encoded(p, "BMP")
    yield Odd("32 bit.bmp"), encoded(p.convert("RGBA"), "BMP")
    yield Odd("palette.bmp"), encoded(p.quantize(16), "BMP")
    yield Odd("one bit.bmp", shows="white"), encoded(Image.new("1", SIZE, 1), "BMP")
    yield Odd("raw.tif"), encoded(p, "TIFF")
    for way in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield Odd(f"{way}.tiff"), encoded(p, "TIFF", compression=way)
    yield Odd("fax.tif", shows="white"), encoded(Image.new("1", SIZE, 1), "TIFF", compression="group4")
    yield Odd("cmyk.tif"), encoded(p.convert("CMYK"), "TIFF")
    yield Odd("transparent.tif", shows="white"), encoded(Image.new("RGBA", SIZE, 0), "TIFF")
    yield Odd("orientation.tif"), encoded(held(6), "TIFF", tiffinfo={0x0112: 6})
    yield Odd("orientation lzw.tif"), encoded(held(5), "TIFF", compression="tiff_lzw", tiffinfo={0x0112: 5})
    yield Odd("pages.tif"), encoded(p, "TIFF", save_all=True, append_images=[black])
    gray = np.asarray(p.convert("L"))
    yield Odd("16 bit.tif", shows="gray"), encoded(Image.fromarray(gray.astype(np.uint16) * 257), "TIFF")
    yield (
        Odd("16 bit big endian.tif", shows="gray"),
        encoded(Image.fromarray((gray.astype(np.uint16) * 257).astype(">u2")), "TIFF"),
    )
    yield Odd("32 bit.tif", shows="gray"), encoded(Image.fromarray(gray.astype(np.int32) * 257), "TIFF")
    yield Odd("float.tif", shows="gray"), encoded(Image.fromarray((gray / 255).astype(np.float32)), "TIFF")
    holes = (gray / 255).astype(np.float32)
    holes[0, 0], holes[0, 1] = np.nan, np.inf
    yield Odd("float with holes.tif", shows="gray"), encoded(Image.fromarray(holes), "TIFF")
    if features.check("avif"):
        yield Odd("plain.avif"), encoded(p, "AVIF", quality=95)
        yield Odd("avif called.jpg"), encoded(p, "AVIF", quality=95)
        yield Odd("orientation.avif"), encoded(held(6), "AVIF", quality=95, exif=exif(6))
        yield Odd("transparent.avif", shows="white"), encoded(Image.new("RGBA", SIZE, 0), "AVIF")


def _damaged() -> Iterator[tuple[Odd, bytes]]:
    big = big_picture()
    jpeg, progressive = encoded(big, "JPEG", quality=90), encoded(big, "JPEG", quality=90, progressive=True)
    png, gif, bmp = encoded(big, "PNG"), encoded(big, "GIF"), encoded(big, "BMP")
    aside = "put aside"
    yield Odd("cut.jpg", aside, r"truncated after (4|5|6)\d %"), jpeg[: len(jpeg) * 6 // 10]
    yield Odd("cut progressive.jpg", aside, "truncated"), progressive[: len(progressive) // 2]
    yield Odd("cut in header.jpg", aside, "header is damaged or cut off"), jpeg[:100]
    yield Odd("three bytes.jpg", aside, "header is damaged or cut off$"), jpeg[:3]
    yield Odd("cut.png", aside, r"(truncated|damaged) after (4|5)\d %"), png[: len(png) // 2]
    yield Odd("cut in header.png", aside, "header is damaged or cut off"), png[:20]
    yield Odd("signature alone.png", aside, "header is damaged or cut off"), png[:8]
    yield (
        Odd("flipped bits.png", aside, "damaged|broken|decoded"),
        png[:5000] + bytes(b ^ 255 for b in png[5000:6000]) + png[6000:],
    )
    yield Odd("broken checksum.png", aside, "header is damaged"), png[:29] + b"\0\0\0\0" + png[33:]
    yield Odd("cut.gif", aside, "truncated|damaged|decoded"), gif[: len(gif) // 2]
    yield Odd("cut.bmp", aside, r"(truncated|damaged) after \d+ %|decoded|truncated"), bmp[: len(bmp) // 2]
    webp = encoded(big, "WEBP")
    yield Odd("cut.webp", aside, "."), webp[: len(webp) // 2]
    tiff, lzw = encoded(big, "TIFF"), encoded(big, "TIFF", compression="tiff_lzw")
    yield Odd("cut.tif", aside, "."), tiff[: len(tiff) // 2]
    yield Odd("cut lzw.tif", aside, "."), lzw[: len(lzw) // 2]
    yield Odd("no height.jpg", aside, "."), with_jpeg_size(jpeg, 400, 0)
    yield Odd("12 bit.jpg", aside, "."), jpeg.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c")
    yield Odd("no pixels.png", aside, "."), png_chunks(png_header(0, 0), (b"IDAT", b""), (b"IEND", b""))
    rows = zlib.compress(b"\0" * 1000)
    yield Odd("bomb.png", aside, "too large"), png_chunks(png_header(60000, 60000), (b"IDAT", rows), (b"IEND", b""))
    yield (
        Odd("bomb.gif", aside, "."),
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;",
    )
    yield Odd("bomb.jpg", aside, "."), with_jpeg_size(progressive, 65000, 65000)
    yield Odd("bomb.bmp", aside, "."), bmp[:18] + struct.pack("<ii", 100000, 100000) + bmp[26:]
    yield Odd("own tail.tif", aside, "."), b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield Odd("nowhere.tif", aside, "."), b"II*\0\xff\xff\xff\x7f"


def _not_photos() -> Iterator[tuple[Odd, bytes]]:
    for name, data, why in (
        ("empty.jpg", b"", "an empty file"),
        ("zeros.jpg", b"\0" * 5000, "only zero bytes"),
        ("text.jpg", "grüße aus dem Garten\n".encode(), "text"),
        ("web page.jpg", b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        ("document.jpg", b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        ("archive.png", b"PK\x03\x04" + b"\0" * 100, "a ZIP archive"),
        ("video.jpg", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 100, "a video"),
        ("layers.tif", b"8BPS\0\1" + b"\0" * 100, "a Photoshop document"),
        ("letters.bmp", b"BMW, Audi and others\n" * 9, "text"),
        ("noise.jpg", bytes(range(255, 55, -1)) * 20, "something else"),
        ("sound.webp", b"RIFF\x10\0\0\0WAVEfmt ", "a sound"),
    ):
        yield Odd(name, "put aside", f"not a photo: {why}", when="scan"), data


def _nuisances() -> Iterator[tuple[Odd, bytes]]:
    jpeg = encoded(picture(), "JPEG")
    for name, data, why in (
        (".DS_Store", b"\0\0\0\1Bud1", "hidden"),
        ("._baseline.jpg", b"\0\5\x16\7", "hidden"),
        (".hidden.jpg", jpeg, "hidden"),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0", "of the system"),
        ("desktop.ini", b"[.ShellClassInfo]", "of the system"),
        ("notes.txt", b"the red ones\n", "not a photo: text"),
        ("README", b"# photos\n", "not a photo: text"),
        ("labels.csv", b"path,label\n", "not a photo: text"),
        ("clip.mp4", b"\0\0\0\x18ftypmp42", "not a photo: a video"),
        ("empty", b"", "not a photo: an empty file"),
        ("IMG_1.NEF", encoded(picture(), "TIFF"), "camera raw"),
        ("IMG_1.CR2", b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 50, "camera raw"),
    ):
        yield Odd(name, "skipped", why), data


def _names() -> Iterator[tuple[Odd, bytes]]:
    jpeg = encoded(picture(), "JPEG", quality=92)
    names = [
        "-rf.jpg",
        "[red]bold[/red].jpg",
        "a b  c .jpg",
        "红玫瑰.jpg",
        "🌻🌻🏽👩‍🌾.jpg",
        "x" * 196 + ".jpg",
        "comma, \"quote\"; 'tick'.jpg",
        "%s{0}$HOME.jpg",
        "trailing.jpg.",
        "..two dots.jpg",
        "=1+1.jpg",
        "cafe\u0301.jpg",
        "\u202egpj.jpg",
        "nested/below/a/class.jpg",
        "nested/folder.jpg/photo.jpg",
    ]
    if os.name == "posix":
        names += ["line\nbreak.jpg", "tab\there.jpg", "back\\slash.jpg", "\x1b[31mred.jpg", "carriage\rreturn.jpg"]
    if sys.platform.startswith("linux"):
        names += [os.fsdecode(b"not utf-8 \xff\xfe.jpg")]
    for name in names:
        yield Odd(name), jpeg


GROUPS: tuple[Callable[[], Iterator[tuple[Odd, bytes]]], ...] = (
    _jpegs,
    _pngs,
    _others,
    _damaged,
    _not_photos,
    _nuisances,
    _names,
)


def write_odd_files(folder: Path) -> list[Odd]:
    """Write all odd files below ``folder`` and return them."""
    written = []
    for group in GROUPS:
        for odd, data in group():
            path = folder / odd.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written.append(odd)
    return written + _write_heic(folder) + (_write_special(folder) if os.name == "posix" else [])


def _write_heic(folder: Path) -> list[Odd]:
    try:
        import pillow_heif
    except ImportError:
        return []
    names = ["phone.heic", "heic called.jpg"]
    for name in names:
        pillow_heif.from_pillow(picture((96, 64))).save(folder / name, quality=95)
    return [Odd(name) for name in names]


def _write_special(folder: Path) -> list[Odd]:
    """Write links, and what is neither a file nor a folder."""
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path is at most 108 bytes
        try:
            listener.bind("socket.jpg")
        finally:
            os.chdir(here)
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "to nothing.jpg").symlink_to("nothing.jpg")
    (folder / "to itself.jpg").symlink_to("to itself.jpg")
    (folder / "to nothing.txt").symlink_to("nothing.txt")
    (folder / "to a photo.jpg").symlink_to("baseline.jpg")
    (folder / "to here").symlink_to(".")
    (folder / "to above").symlink_to("..")
    return [
        Odd("pipe.jpg", "skipped", "neither"),
        Odd("pipe", "skipped", "neither"),
        Odd("socket.jpg", "skipped", "neither"),
        Odd("device.jpg", "skipped", "neither"),
        Odd("to nothing.jpg", "put aside", "a link to nothing", when="scan"),
        Odd("to itself.jpg", "put aside", "a link to itself", when="scan"),
        Odd("to nothing.txt", "skipped", "a link to nothing"),
        Odd("to a photo.jpg"),
        Odd("to here", "skipped", "a link to a folder that is read already"),
        Odd("to above", "skipped", "a link to a folder that is read already"),
    ]
