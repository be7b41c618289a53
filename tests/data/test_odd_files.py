"""Every odd file gets the verdict that it should, and healthy ones show the picture."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data.odd_files import COLOURS, GROUPS, SIZE, Odd, picture, write_odd_files
from regraft.data.decode import read_photo
from regraft.data.manifest import Manifest, scan
from regraft.data.source import find_photos
from regraft.errors import DecodeError

CLASS = "odd ones"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Odd]]:
    root = tmp_path_factory.mktemp("photos")
    written = write_odd_files(root / CLASS)
    (root / "plain").mkdir()
    picture().save(root / "plain" / "one.png")
    return root, written


@pytest.fixture(scope="module")
def manifest(odd: tuple[Path, list[Odd]]) -> Manifest:
    return scan(find_photos(odd[0]), workers=2)


def _quadrants(pixels: np.ndarray) -> Iterator[np.ndarray]:
    height, width = pixels.shape[:2]
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            yield pixels[y, x].astype(int)


def test_there_are_enough_of_them(odd: tuple[Path, list[Odd]]) -> None:
    assert len(odd[1]) >= 130
    assert len({o.name for o in odd[1]}) == len(odd[1])
    assert all(list(group()) for group in GROUPS)


def test_every_file_has_its_verdict(odd: tuple[Path, list[Odd]], manifest: Manifest) -> None:
    wrong = []
    found = {entry.name: entry for entry in manifest.entries}
    for o in odd[1]:
        entry = found.pop(f"{CLASS}/{o.name}")
        status, why = entry.status, entry.why
        if status == "ok":
            try:
                read_photo(entry.path)
            except DecodeError as error:
                status, why = "put aside", str(error)
        early = entry.status == "put aside"
        if status != o.verdict or not re.search(o.why, why) or (status == "put aside" and early != (o.when == "scan")):
            wrong.append((o.name, o.verdict, o.why, status, why))
        if "\n" in why:
            wrong.append((o.name, "a reason is one line", why))
    assert not wrong
    assert set(found) == {"plain/one.png"}


def test_healthy_ones_show_the_picture(odd: tuple[Path, list[Odd]]) -> None:
    wrong = []
    healthy = [o for o in odd[1] if o.verdict == "ok" and o.shows]
    for o in healthy:
        image = read_photo(odd[0] / CLASS / o.name)
        ratio = image.width / image.height
        assert image.mode == "RGB"
        colours = [(255, 255, 255)] * 4 if o.shows == "white" else COLOURS
        for seen, colour in zip(_quadrants(np.asarray(image)), colours, strict=True):
            expected = np.array(colour)
            if o.shows == "gray":
                expected = np.full(3, (expected @ [299, 587, 114]) / 1000)
            if np.abs(seen - expected).max() > 12 or ratio != SIZE[0] / SIZE[1]:
                wrong.append((o.name, tuple(seen), tuple(expected), image.size))
    assert not wrong
    assert len(healthy) > 80


def test_the_manifest_keeps_every_name(odd: tuple[Path, list[Odd]], manifest: Manifest, tmp_path: Path) -> None:
    manifest.write(tmp_path / "manifest.csv")
    again = Manifest.read(tmp_path / "manifest.csv", odd[0])
    assert again.entries == manifest.entries
    assert again.classes == manifest.classes


def test_no_file_is_touched(odd: tuple[Path, list[Odd]]) -> None:
    def state() -> dict[str, object]:
        out: dict[str, object] = {}
        for folder, _, files in os.walk(odd[0]):
            for name in files:
                path = Path(folder, name)
                info = path.lstat()
                data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
                out[str(path)] = (info.st_mtime_ns, info.st_size, info.st_mode, hashlib.sha256(data).hexdigest())
        return out

    before = state()
    for entry in scan(find_photos(odd[0]), workers=2).usable:
        try:
            read_photo(entry.path, at_least=(8, 8))
        except DecodeError:
            continue
    assert state() == before
