"""Decoding in detail: numbers, memory, damage, and what it must not do to the process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from data.odd_files import (
    GROUPS,
    big_picture,
    encoded,
    picture,
    png_16_bit,
    png_chunks,
    png_header,
    red_and_green_swapped,
    swapped_profile,
    with_jpeg_size,
)
from regraft.data.decode import MAX_PIXELS, as_rgb, read_photo
from regraft.data.file_types import photo_format, webp_size
from regraft.errors import DecodeError

HEALTHY = {odd.name: data for group in GROUPS for odd, data in group() if odd.verdict == "ok" and "/" not in odd.name}


def test_16_bit_gray_is_scaled_not_clipped() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.rint(levels / 257).astype(np.uint8)
    for kind in ("PNG", "TIFF"):
        decoded = np.asarray(read_photo(encoded(Image.fromarray(levels), kind)))
        assert np.array_equal(decoded[..., 0], expected)
    big_endian = np.asarray(read_photo(encoded(Image.fromarray(levels.astype(">u2")), "TIFF")))
    assert np.array_equal(big_endian[..., 1], expected)


def test_16_bit_colour_keeps_its_upper_bits() -> None:
    assert np.abs(np.asarray(read_photo(png_16_bit())).astype(int) - np.asarray(picture())).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.array([[0.0, 100.4, 255.0]]), [0, 100, 255]),
        (np.array([[0.0, 257.0, 65535.0]]), [0, 1, 255]),
        (np.array([[-1.0, 0.0, 1.0]]), [0, 128, 255]),
        (np.array([[0.0, 1e30, 2e30]]), [0, 128, 255]),
        (np.array([[np.nan, 0.0, 1.0]]), [0, 0, 255]),
        (np.array([[np.nan, np.inf, -np.inf]]), [0, 0, 0]),
        (np.array([[7.0, 7.0, 7.0]]), [7, 7, 7]),
        (np.array([[-7.0, -7.0, -7.0]]), [0, 0, 0]),
    ],
)
def test_floating_point(values: np.ndarray, expected: list[int]) -> None:
    decoded = np.asarray(read_photo(encoded(Image.fromarray(values.astype(np.float32)), "TIFF")))
    assert decoded[0, :, 0].tolist() == expected


def test_transparency_is_on_white() -> None:
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert np.asarray(read_photo(encoded(half, "PNG")))[0, 0].tolist() == [127, 127, 127]
    hidden = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert np.asarray(read_photo(encoded(hidden, "PNG")))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("how", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_as_pillow_would(how: int, kind: str) -> None:
    said = Image.Exif()
    said[0x0112] = how
    stored = Image.fromarray(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3))
    options = {"tiffinfo": {0x0112: how}} if kind == "TIFF" else {"exif": said}
    data = encoded(stored, kind, **options, **({"lossless": True} if kind == "WEBP" else {}))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    decoded = read_photo(data)
    assert decoded.size == ((6, 4) if how < 5 else (4, 6))
    assert np.array_equal(np.asarray(decoded), np.asarray(expected))


def test_a_photo_is_turned_and_converted_once() -> None:
    said = Image.Exif()
    said[0x0112] = 6
    data = encoded(red_and_green_swapped(), "JPEG", quality=95, exif=said, icc_profile=swapped_profile())
    once = read_photo(data)
    assert once.size == (32, 48)
    assert np.array_equal(np.asarray(as_rgb(once)), np.asarray(once))
    assert np.array_equal(np.asarray(as_rgb(Image.open(io.BytesIO(data)))), np.asarray(once))


def test_as_rgb_leaves_its_image_alone() -> None:
    image = Image.open(io.BytesIO(encoded(picture().quantize(4), "PNG")))
    as_rgb(image)
    assert image.mode == "P"
    rgb = Image.new("RGB", (3, 3))
    rgb.info["mine"] = 1
    assert as_rgb(rgb).mode == "RGB"
    assert rgb.info == {"mine": 1}
    with pytest.raises(DecodeError, match="truncated"):
        as_rgb(Image.open(io.BytesIO(encoded(big_picture(), "JPEG")[:5000])))


def test_what_a_profile_changes_is_what_littlecms_says() -> None:
    from PIL import ImageCms

    image = red_and_green_swapped()
    source = ImageCms.ImageCmsProfile(io.BytesIO(swapped_profile()))
    expected = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    decoded = read_photo(encoded(image, "PNG", icc_profile=swapped_profile()))
    assert np.array_equal(np.asarray(decoded), np.asarray(expected))
    assert np.abs(np.asarray(decoded).astype(int) - np.asarray(picture())).max() < 4


def test_srgb_under_another_name_costs_nothing() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(picture(), "PNG", icc_profile=profile)
    assert np.array_equal(np.asarray(read_photo(data)), np.asarray(picture()))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8, 0.97])
def test_how_far_it_could_be_read(share: float) -> None:
    data = encoded(big_picture(), "JPEG", quality=90)
    with pytest.raises(DecodeError, match=r"^truncated after \d+ %$") as error:
        read_photo(data[: int(share * len(data))])
    said = int(str(error.value).split()[2])
    assert abs(said - 100 * share) < 12


def read_or_why(data: bytes, at_least: tuple[int, int] | None = None) -> tuple[Image.Image | None, str]:
    try:
        return read_photo(data, at_least=at_least), ""
    except DecodeError as error:
        return None, str(error)


@pytest.mark.parametrize("name", sorted(HEALTHY))
def test_what_is_cut_anywhere_is_refused_or_whole(name: str) -> None:
    data = HEALTHY[name]
    whole = np.asarray(read_photo(data))
    for share in (0.02, 0.2, 0.5, 0.9):
        image, why = read_or_why(data[: int(share * len(data))])
        assert "\n" not in why
        if image is not None:  # what was cut off was not the photo
            assert np.array_equal(np.asarray(image), whole)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(HEALTHY)),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12),
    st.integers(0, 4000),
)
def test_bytes_gone_wrong_are_a_photo_or_a_decode_error(name: str, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(HEALTHY[name])
    for position, value in changes:
        data[position % len(data)] = value
    data = data[: len(data) - cut % (len(data) // 2)] if cut % 2 else data
    image, why = read_or_why(bytes(data), at_least=(16, 16))
    assert "\n" not in why
    if image is None:
        assert why
    else:
        assert image.mode == "RGB"
        assert image.size[0] * image.size[1] <= MAX_PIXELS


@pytest.mark.parametrize(
    "error", [SyntaxError, ValueError, OverflowError, EOFError, MemoryError, RecursionError, KeyError]
)
def test_whatever_pillow_raises(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise error("odd\nthings")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(DecodeError, match=r"^(cannot be decoded: .?odd|needs more memory)") as caught:
        read_photo(encoded(picture(), "PNG"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_leaving_is_not_a_damaged_photo(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(error):
        read_photo(encoded(picture(), "PNG"))


def test_truncated_photos_stay_damaged_whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(big_picture(), "JPEG", quality=90)
    with pytest.raises(DecodeError, match="truncated"):
        read_photo(data[: len(data) // 2])
    assert read_photo(data).size == (400, 300)
    for healthy in HEALTHY.values():
        read_photo(healthy)


def test_the_process_is_left_as_it_was() -> None:
    script = """
import io, sys, warnings
import numpy
from PIL import Image, ImageFile
before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(Image.ID), list(warnings.filters))
out = io.BytesIO(); Image.new("RGB", (9, 9)).save(out, "WEBP")
ids = list(Image.ID)
from regraft.data.decode import read_photo
read_photo(out.getvalue())
after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(Image.ID), list(warnings.filters))
assert before[:2] == after[:2] and before[3] == after[3], (before, after)
assert "torch" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's resource limits")
def test_bombs_stay_within_bounds() -> None:
    """A few hundred bytes that claim gigapixels are refused within 1 GiB of address space beyond the start."""
    zeros = png_chunks(png_header(60000, 60000), (b"IDAT", b"x\x9c\x03\x00\x00\x00\x00\x01"), (b"IEND", b""))
    progressive = with_jpeg_size(encoded(picture(), "JPEG", progressive=True), 65000, 65000)
    script = """
import resource, sys
from regraft.data.decode import read_photo
from regraft.errors import DecodeError
import PIL.JpegImagePlugin, PIL.PngImagePlugin
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + (1 << 30),) * 2)
for data in eval(sys.stdin.read()):
    try:
        read_photo(data)
    except DecodeError as error:
        assert "too large" in str(error), error
    else:
        raise SystemExit("decoded")
"""
    subprocess.run(
        [sys.executable, "-c", script],
        input=repr([zeros, progressive]),
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_huge_jpeg_is_decoded_at_a_scale_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regraft.data.decode.MAX_PIXELS", 400 * 300 // 4)
    assert read_photo(encoded(big_picture(), "JPEG")).size == (200, 150)
    monkeypatch.setattr("regraft.data.decode.MAX_PIXELS", 2000)
    assert read_photo(encoded(big_picture(), "JPEG")).size == (50, 38)
    monkeypatch.setattr("regraft.data.decode.MAX_PIXELS", 100)
    with pytest.raises(DecodeError, match="too large: 400 × 300 pixels"):
        read_photo(encoded(big_picture(), "JPEG"))
    with pytest.raises(DecodeError, match="too large"):
        read_photo(encoded(big_picture(), "PNG"))


@pytest.mark.parametrize("name", sorted(HEALTHY))
def test_large_photos_are_converted_in_strips(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_photo(HEALTHY[name])
    monkeypatch.setattr("regraft.data.decode.LARGE_PIXELS", 100)
    monkeypatch.setattr("regraft.data.decoding.colour._STRIP", 48 * 5)
    assert np.array_equal(np.asarray(read_photo(HEALTHY[name])), np.asarray(whole))
    small = read_photo(HEALTHY[name], at_least=(whole.width // 8, whole.height // 8))
    assert small.size in {whole.size, ((whole.width + 3) // 4, (whole.height + 3) // 4)} or min(whole.size) == 1
    if small.size != whole.size and photo_format(HEALTHY[name]) != "JPEG":
        assert np.array_equal(np.asarray(small), np.asarray(whole.reduce(whole.width // small.width)))


def test_a_webp_that_claims_too_much_is_not_opened() -> None:
    for claim in (
        b"VP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0",
        b"VP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f\0\0\0\0\0",
        b"VP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f",
    ):
        with pytest.raises(DecodeError, match=r"too large: 16,38[34] × 16,38[34] pixels"):
            read_photo(b"RIFF\x20\0\0\0WEBP" + claim)
    for data in (HEALTHY["lossy.webp"], HEALTHY["lossless.webp"], HEALTHY["animated.webp"]):
        assert webp_size(data[:64]) == (48, 32)


def test_threads_change_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8))
    many = [encoded(noise.rotate(i), "PNG", icc_profile=swapped_profile()) for i in range(40)]
    alone = [np.asarray(read_photo(data)) for data in many]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: np.asarray(read_photo(data)), many * 5))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 5, together, strict=True))
    assert threading.active_count() < 20


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"^cannot be read: no longer there$"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(DecodeError, match=r"^cannot be read: it is a folder$"):
        read_photo(tmp_path)
    with pytest.raises(DecodeError, match=r"^cannot be read"):
        read_photo(Path("a\0b"))
    with pytest.raises(DecodeError, match=r"^not a photo: an empty file$"):
        read_photo(b"")
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(DecodeError, match=r"^cannot be read: it is a pipe, not a file$"):
            read_photo(tmp_path / "pipe")
        with pytest.raises(DecodeError, match="a device"):
            read_photo(Path("/dev/zero"))


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(DecodeError, match="larger than 1 GiB"):
        read_photo(path)


def test_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 60
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(DecodeError, match=r"HEIC photos need an optional package: pip install 'regraft\[heic\]'"):
        read_photo(heic)


def test_real_photos_decode_as_pillow_does(photos_root: Path) -> None:
    photos = sorted((photos_root / "hymenoptera" / "val").rglob("*.jpg"))
    assert len(photos) == 153
    for photo in photos[::5]:
        with Image.open(photo) as opened:
            if opened.info.get("icc_profile"):
                continue
            expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        assert np.array_equal(np.asarray(read_photo(photo)), expected)
