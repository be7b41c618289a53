"""Damaged JPEGs that libjpeg decodes with a warning are refused, and harmless oddities are not."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from regraft.data.decode import read_photo
from regraft.data.decoding import jpeg_damage
from regraft.data.decoding.text_transfer import has_changed_line_ends
from regraft.errors import DecodeError

END = b"\xff\xd9"
SCAN = b"\xff\xda"


def photo(mode: str = "RGB", **options: object) -> bytes:
    """Return a JPEG of 320 × 240 pixels with detail everywhere."""
    noise = np.random.default_rng(3).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).convert(mode)
    out = io.BytesIO()
    image.save(out, "JPEG", **{"quality": 90} | options)
    return out.getvalue()


VARIANTS: dict[str, bytes] = {
    "baseline": photo(),
    "progressive": photo(progressive=True),
    "optimized": photo(optimize=True),
    "gray": photo("L"),
    "CMYK": photo("CMYK"),
    "without subsampling": photo(subsampling=0),
    "restart markers": photo(restart_marker_rows=1),
    "many restart markers": photo(restart_marker_blocks=3),
    "progressive with restart markers": photo(progressive=True, restart_marker_rows=2),
    "16-bit quantization": photo(qtables=[[400] * 64, [400] * 64]),
}


def noise(length: int) -> bytes:
    """Return bytes without a marker."""
    return bytes(np.random.default_rng(5).integers(0, 255, length, dtype=np.uint8))


DAMAGE: dict[str, Callable[[bytes, int], bytes]] = {
    "noise in the middle": lambda j, n: j[: n // 2] + noise(400) + j[n // 2 + 400 :],
    "zeros to the end": lambda j, n: j[: n // 2] + b"\0" * (n - n // 2 - 2) + END,
    "zeros in the middle": lambda j, n: j[: n // 3] + b"\0" * 4096 + j[n // 3 + 4096 :],
    "cut, end marker added": lambda j, n: j[: n // 2] + END,
    "a missing part": lambda j, n: j[: n // 3] + j[n // 3 + 3000 :],
    "a part twice": lambda j, n: j[: n // 3 + 3000] + j[n // 3 :],
    "a part of another file": lambda j, n: j[: n // 2] + photo(quality=60)[5000:7000] + j[n // 2 + 2000 :],
    "all line ends converted": lambda j, n: j.replace(b"\n", b"\r\n"),
    "line ends converted": lambda j, n: j[:700] + j[700:].replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_damage_is_refused_with_its_reason(variant: str) -> None:
    for damage in DAMAGE.values():
        with pytest.raises(DecodeError, match=r"damaged|truncated|cannot be decoded"):
            read_photo(damage(VARIANTS[variant], len(VARIANTS[variant])))


def test_the_bytes_of_line_ends_alone_tell_a_transfer_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    converted = photo(quality=95).replace(b"\n", b"\r\n")
    monkeypatch.setattr(jpeg_damage._Decoding, "run", lambda decoding: "")
    image = Image.open(io.BytesIO(photo()))
    assert jpeg_damage.load_jpeg(image, converted) == jpeg_damage.LINE_ENDS
    for healthy in VARIANTS.values():
        assert jpeg_damage.load_jpeg(Image.open(io.BytesIO(healthy)), healthy) == ""


def coded(length: int) -> bytes:
    """Return random bytes, every value equally probable."""
    return np.random.default_rng(7).integers(0, 256, length, dtype=np.uint8).tobytes()


CHANGED_LINE_ENDS: dict[str, Callable[[bytes], bytes]] = {
    "carriage returns added": lambda data: data.replace(b"\n", b"\r\n"),
    "carriage returns of line ends removed": lambda data: data.replace(b"\r\n", b"\n"),
    "all carriage returns removed": lambda data: data.replace(b"\r", b""),
    "carriage returns become line feeds": lambda data: data.replace(b"\r", b"\n"),
    "line feeds become carriage returns": lambda data: data.replace(b"\n", b"\r"),
}


@pytest.mark.parametrize("change", CHANGED_LINE_ENDS)
def test_each_change_of_line_ends_leaves_a_trace(change: str) -> None:
    data = coded(2_500_000)
    changed = CHANGED_LINE_ENDS[change](data)
    assert has_changed_line_ends(changed, 0, 0, len(changed))
    assert not has_changed_line_ends(data, 0, 0, len(data))


@pytest.mark.parametrize("values", [b"\0\x0a", bytes(range(14, 256)), bytes(range(10)), b"\r\n\r", b""])
def test_data_that_lack_many_values_have_no_changed_line_ends(values: bytes) -> None:
    data = values * 20_000
    assert not has_changed_line_ends(data, 0, 0, len(data))


@pytest.mark.parametrize("variant", ["baseline", "progressive"])
def test_line_ends_changed_in_the_coded_data_alone_are_found(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_damage._Decoding, "run", lambda decoding: "")
    head, scan, rest = VARIANTS[variant].partition(SCAN)
    for change in ["carriage returns added", "all carriage returns removed"]:
        changed = head + scan + CHANGED_LINE_ENDS[change](rest)
        assert jpeg_damage.load_jpeg(Image.open(io.BytesIO(changed)), changed) == jpeg_damage.LINE_ENDS, change


@pytest.mark.parametrize("damage", ["zeros to the end", "cut, end marker added", "a missing part"])
def test_people_can_look_at_a_damaged_photo(damage: str) -> None:
    data = DAMAGE[damage](VARIANTS["baseline"], len(VARIANTS["baseline"]))
    with pytest.raises(DecodeError, match=r"^damaged: the data of its picture (end too early|are out of step)$"):
        read_photo(data)
    shown = np.asarray(read_photo(data, damaged_too=True)).astype(int)
    whole = np.asarray(read_photo(VARIANTS["baseline"])).astype(int)
    assert np.abs(shown[:40] - whole[:40]).max() == 0


ODDITIES: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda j: j,
    "bytes after the end marker": lambda j: j + b"trailing bytes",
    "another JPEG after it": lambda j: j + photo("L"),
    "a few bytes before the end marker": lambda j: j[:-2] + b"\x11\x22\x33" + END,
    "fill bytes before the end marker": lambda j: j[:-2] + b"\xff" * 9 + END,
    "bytes before the first scan": lambda j: j.replace(SCAN, b"\x01\x02\x03\x04" + SCAN, 1),
    "a comment with markers in it": lambda j: j[:2] + b"\xff\xfe\0\x0a" + SCAN + END + b"\xff\xd8\xff\xc2" + j[2:],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_harmless_oddities_change_no_pixel(variant: str) -> None:
    expected = Image.open(io.BytesIO(VARIANTS[variant])).convert("RGB")
    for name, oddity in ODDITIES.items():
        assert np.array_equal(np.asarray(read_photo(oddity(VARIANTS[variant]))), np.asarray(expected)), name


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "progressive" not in name])
def test_complete_data_need_no_end_marker(variant: str) -> None:
    data = VARIANTS[variant]
    assert np.array_equal(np.asarray(read_photo(data[:-2])), np.asarray(read_photo(data)))
    with pytest.raises(DecodeError, match=r"^truncated after \d+ %$"):
        read_photo(data[: len(data) // 2])


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 1}])
def test_plain_colors_and_tiny_photos_are_healthy(options: dict[str, object]) -> None:
    for size in [(1, 1), (8, 8), (17, 3), (3, 600), (64, 64)]:
        for color in ["white", (255, 0, 0)]:
            out = io.BytesIO()
            Image.new("RGB", size, color).save(out, "JPEG", **options)
            assert read_photo(out.getvalue()).size == size
            assert read_photo(out.getvalue(), at_least=(1, 1)).width <= size[0]


def test_another_interface_of_pillow_turns_the_check_off(monkeypatch: pytest.MonkeyPatch) -> None:
    data = DAMAGE["a missing part"](VARIANTS["baseline"], len(VARIANTS["baseline"]))
    expected = JpegImagePlugin.JpegImageFile(io.BytesIO(data)).convert("RGB")
    prepare, calls = JpegImagePlugin.JpegImageFile.load_prepare, []

    def changed(image: JpegImagePlugin.JpegImageFile) -> None:
        calls.append(image)
        if len(calls) == 1:
            raise AttributeError("load_prepare")
        prepare(image)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load_prepare", changed)
    assert np.array_equal(np.asarray(read_photo(data)), np.asarray(expected))
