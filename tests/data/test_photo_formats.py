"""Formats are told by content: all that Pillow reads well, and what other files are and would need."""

from __future__ import annotations

import io
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from data.odd_files import encoded, picture
from regraft.audit.checks.files import find_damaged
from regraft.audit.photo_stats import measure_photo
from regraft.audit.subject import Subject
from regraft.data import decode
from regraft.data.decode import read_photo
from regraft.data.file_types import VIDEO, describe_non_photo, photo_format
from regraft.data.manifest import Entry, Manifest, scan
from regraft.data.source import find_photos
from regraft.errors import DecodeError

ENCODINGS = {
    "PNM": [("PPM", "RGB"), ("PPM", "L"), ("PPM", "1")],
    "JPEG 2000": [("JPEG2000", "RGB"), ("JPEG2000", "L"), ("JPEG2000", "RGBA")],
    "TGA": [("TGA", "RGB"), ("TGA", "L"), ("TGA", "RGBA"), ("TGA", "P")],
    "ICO": [("ICO", "RGBA")],
    "QOI": [("QOI", "RGB"), ("QOI", "RGBA")],
    "JPEG": [("MPO", "RGB")],
    "AVIF": [("AVIF", "RGB")],
    "BMP": [("BMP", "RGB"), ("BMP", "P"), ("BMP", "1"), ("BMP", "L"), ("DIB", "RGB")],
    "WebP": [("WEBP", "RGB"), ("WEBP", "RGBA")],
    "GIF": [("GIF", "P"), ("GIF", "L")],
}


@pytest.mark.parametrize("kind", ENCODINGS)
def test_a_format_is_told_by_its_content_and_read(kind: str, tmp_path: Path) -> None:
    for encoding, mode in ENCODINGS[kind]:
        if encoding == "DIB":
            continue  # it has no file header
        image = picture().convert(mode)
        data = encoded(image, encoding)
        assert photo_format(data[:64]) == kind, (encoding, mode)
        decoded = read_photo(data)
        image = image.resize(decoded.size, Image.Resampling.LANCZOS) if kind == "ICO" else image
        assert np.abs(np.asarray(decoded).astype(int) - np.asarray(image.convert("RGB"))).mean() < 8, (encoding, mode)
        stats = measure_photo(data, decoded, np.asarray(decoded))
        assert stats.format == kind and type(stats).unpack(stats.pack()).format == kind
    (tmp_path / "ash").mkdir()
    (tmp_path / "ash" / "without extension").write_bytes(data)
    assert [photo.name for photo in find_photos(tmp_path, one_class=True).photos] == ["ash/without extension"]


@pytest.mark.parametrize(
    "head", [b"P3 is a note", b"P5", b"\0\0\2\0 some bytes that are no picture at all", b"\0" * 64]
)
def test_text_and_zeros_are_not_photos(head: bytes) -> None:
    assert photo_format(head) is None


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\x18ftypmp42",
        b"\0\0\0\x08moov",
        b"RIFF\0\0\0\0AVI LIST",
        b"\x1aE\xdf\xa3",
        b"FLV\x01\x05",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        b"\0\0\x01\xba",
    ],
)
def test_videos_are_videos(head: bytes, tmp_path: Path) -> None:
    assert describe_non_photo(head + b"\0" * 40) == "a video"
    (tmp_path / "ash").mkdir()
    (tmp_path / "ash" / "clip.bin").write_bytes(head + b"\0" * 40)
    picture().save(tmp_path / "ash" / "photo.png")
    manifest = scan(find_photos(tmp_path, one_class=True), workers=0)
    assert {entry.why for entry in manifest.entries if entry.status == "skipped"} == {VIDEO}


def test_a_sound_is_not_a_video() -> None:
    assert describe_non_photo(b"RIFF\0\0\0\0WAVEfmt ") == "a sound"


LARGE = b"x" * 2_000_000


def _png(**how: object) -> bytes:
    return encoded(picture(), "PNG", **how)


def _texts(*chunks: tuple[str, bool], number: int = 1) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for kind, compressed in chunks * number:
        add = info.add_itxt if kind == "iTXt" else info.add_text
        add("workflow", LARGE.decode(), zip=compressed)
    return info


@pytest.mark.parametrize(
    "data",
    [
        _png(pnginfo=_texts(("zTXt", True))),
        _png(pnginfo=_texts(("iTXt", True), ("zTXt", True))),
        _png(pnginfo=_texts(("iTXt", False))),
        _png(pnginfo=_texts(("tEXt", False), number=40)),
        _png(icc_profile=LARGE),
    ],
)
def test_large_texts_and_profiles_do_not_make_a_png_unreadable(data: bytes) -> None:
    expected = np.asarray(picture())
    decoded = read_photo(data)
    assert np.array_equal(np.asarray(decoded), expected)
    assert measure_photo(data, decoded, expected).format == "PNG"
    body, end = data[:-12], data[-12:]
    late = body + _texts_only(LARGE) + end
    assert np.array_equal(np.asarray(read_photo(late)), expected)


def _texts_only(text: bytes) -> bytes:
    """Return a compressed text chunk, as programs append it after the pixels."""
    import zlib

    content = b"zTXt" + b"note\0\0" + zlib.compress(text)
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def test_small_texts_are_left_in_place() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("author", "Ann", zip=True)
    data = _png(pnginfo=info)
    assert decode.without_oversized_chunks(data) is data and decode.without_oversized_chunks(b"GIF89a") == b"GIF89a"


def tiff(bands: int, bits: int, number: int) -> bytes:
    """Return an uncompressed TIFF of 8 × 8 pixels with any samples; ``number`` is the number of the sample format."""
    content = b"\0" * (64 * bands * bits // 8)
    tags: list[tuple[int, str, list[int]]] = [
        (256, "H", [8]), (257, "H", [8]), (258, "H", [bits] * bands), (259, "H", [1]), (262, "H", [1]),
        (273, "I", [0]), (277, "H", [bands]), (278, "H", [8]), (279, "I", [len(content)]), (339, "H", [number] * bands),
    ]  # fmt: skip
    place = 10 + 12 * len(tags)
    extra, directory = b"", b""
    offset_of_values = place + 4
    total = sum(2 * bands for _, _, values in tags if 2 * len(values) > 4)
    for tag, form, numbers in tags:
        values = [offset_of_values + total] if tag == 273 else numbers
        packed = struct.pack(f"<{len(values)}{form}", *values)
        where = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", offset_of_values + len(extra))
        extra += packed if len(packed) > 4 else b""
        directory += struct.pack("<HHI", tag, 3 if form == "H" else 4, len(values)) + where
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + directory + b"\0" * 4 + extra + content


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ((13, 16, 1), r"13 bands of 16-bit unsigned numbers: save three bands with 8 bits \(gdal_translate -b 3"),
        ((5, 32, 3), "5 bands of 32-bit floating-point numbers: save three bands"),
        ((2, 16, 1), "2 bands of 16-bit unsigned numbers: save one band with 8 bits"),
        ((1, 64, 3), "one band of 64-bit floating-point numbers: save it with 8 bits"),
    ],
)
def test_a_tiff_with_other_samples_is_described_and_nothing_is_printed(samples, words, capfd) -> None:
    with pytest.raises(DecodeError, match=f"^a TIFF with {words}"):
        read_photo(tiff(*samples))
    logging.getLogger("PIL.TiffImagePlugin").error("a line of Pillow")
    assert capfd.readouterr() == ("", "")


def test_a_damaged_tiff_is_damaged() -> None:
    with pytest.raises(DecodeError, match="header is damaged"):
        read_photo(tiff(13, 16, 1)[:60])


def test_photos_that_need_a_package_have_one_finding_with_the_command() -> None:
    hint = decode.INSTALL_HINTS["HEIC"]
    entries = [Entry(f"{i}.heic", Path(), "", "ash", status="put aside", why=hint) for i in range(3)]
    entries.append(Entry("bands.tif", Path(), "", "ash", status="put aside", why="a TIFF with 13 bands of …"))
    manifest = Manifest(Path(), (), entries)
    found = find_damaged(Subject(manifest, [], [], [], np.empty((0, 1), np.float32), None))  # type: ignore[arg-type]
    assert [(f.kind, len(f.photos)) for f in found] == [("package missing", 3), ("unsupported", 1)]
    assert "pip install 'regraft[heic]'" in found[0].words


def test_photos_are_read_from_memory_as_from_files() -> None:
    out = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(out, "PPM")
    assert read_photo(out.getvalue()).size == (9, 7)
