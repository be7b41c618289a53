"""Photos by the names that tables give them: with or without folders and suffix, or as paths of another computer."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from regraft.data.archives.address import address_of
from regraft.data.file_types import PHOTO_SUFFIXES
from regraft.data.folders.walk import NamedPath

_JPEG = re.compile(r"\.(jpeg|jpe|jfif)$")
_NUMBER = re.compile(r"(\d{1,40})(\.0+)?")
_UPLOADED = re.compile(r"(?:(?:.*/)?data/upload/(?:\d+/)?)?[0-9a-f]{8}-([^/]+)")
"""The name that Label Studio gives to an uploaded file: eight digits, then the name of the file."""

_WHOLE = re.compile(r"\d{1,40}")
_UP = re.compile(r"^(\.\./)+")
_DRIVE = re.compile(r"(?:[A-Za-z]:(?=/)|/?/?[A-Za-z][A-Za-z0-9+.-]*:(?=//))")


class PhotoFinder:
    """Finds the photo that a text in a table means.

    A path that exists as it stands, below one of ``roots`` or ``bases``, comes first. Otherwise the names of all photos
    are compared: without regard to case and to the form of Unicode, without a suffix where the text has none, by their
    end where the text is a path of another computer or begins with ``..``, and by the file name alone where the text
    has no folder. A match has to be the only one.

    Args:
        roots: the folders of photos, by the first part of the names of their photos; ``""`` for a single folder.
        bases: further folders where relative paths may start.
        photos: returns all photos; called once, and only if a path does not exist as it stands.
        elsewhere: whether photos are not files below ``roots``: they are in archives, or have moved.
    """

    def __init__(
        self,
        roots: Mapping[str, Path],
        bases: Sequence[Path],
        photos: Callable[[], Iterable[NamedPath]],
        *,
        elsewhere: bool = False,
    ) -> None:
        self._roots, self._bases, self._photos, self._elsewhere = roots, bases, photos, elsewhere

    def find(self, written: str) -> NamedPath | str:
        """Return name and path of the photo that ``written`` means, or the problem with it."""
        if not written.strip():
            return "no path"
        if self._elsewhere:
            exact = self._keys.full[EXACT].get(written.strip().replace("\\", "/"), [])
            if len(exact) == 1:
                return exact[0]
        place = self._place(written)
        if isinstance(place, Path) and not place.is_dir():
            listed = self._keys.paths.get(os.path.abspath(place)) if self._elsewhere else None  # noqa: PTH100
            return listed or (self._name(place), place)
        if isinstance(place, str):
            return place
        matches = self._matches(written)
        if len(matches) == 1:
            return matches[0]
        if matches:
            return f"{written.strip()} could be {' or '.join(name for name, _ in matches[:3])}"
        address = address_of(written.strip())
        if address is not None:
            return address.partition("://")[2], Path(written.strip())
        return f"no such file: {written.strip()}" if place is None else f"{written.strip()} is a folder"

    def is_photo(self, written: str) -> bool:
        """Return whether ``written`` means a photo."""
        return not isinstance(self.find(written), str)

    def _place(self, written: str) -> Path | str | None:
        """Return the file or folder at the path ``written``, the problem if there are several, or None."""
        try:
            for text in dict.fromkeys((written, written.strip(), written.strip().replace("\\", "/"))):
                for form in dict.fromkeys((text, *(unicodedata.normalize(kind, text) for kind in ("NFC", "NFD")))):
                    roots = () if self._elsewhere else self._roots.values()
                    inside = [folder / form for folder in roots if os.path.lexists(folder / form)]
                    if len({os.path.abspath(path) for path in inside}) > 1:  # noqa: PTH100
                        return f"{written.strip()} could be {' or '.join(map(str, inside))}"
                    for path in (*inside, *(folder / form for folder in self._bases)):
                        if os.path.lexists(path):
                            return path
        except (OSError, ValueError) as error:  # a NUL in the name, or a name that is too long
            return f"no such file: {written.strip()[:80]} ({getattr(error, 'strerror', None) or error})"
        return None

    def _name(self, path: Path) -> str:
        """Return a name without a drive, a leading ``/`` or ``..``: relative to one of the folders if possible."""
        where = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
        for first, folder in (*self._roots.items(), *(("", base) for base in self._bases)):
            absolute = Path(os.path.abspath(folder))  # noqa: PTH100
            if where.is_relative_to(absolute):
                return "/".join(part for part in (first, where.relative_to(absolute).as_posix()) if part)
        return where.relative_to(where.anchor).as_posix()

    def _matches(self, written: str) -> list[NamedPath]:
        text = written.strip().replace("\\", "/")
        upwards = text.startswith("../")
        anchored = upwards or text.startswith("/") or _DRIVE.match(text) is not None
        text = _UP.sub("", text)
        parts = [part for part in _DRIVE.sub("", text).split("/") if part not in ("", ".")]
        fewest = 2 if upwards else 1  # the name alone may be that of another photo
        if ".." in parts or len(parts) < fewest:
            return []
        ends = ["/".join(parts[i:]) for i in range(len(parts) - fewest + 1)] if anchored else self._below_roots(parts)
        keys = self._keys
        for end in ends:
            for level in keys.levels(end):
                matches = keys.full[level].get(_key(end, level), [])
                if matches:
                    return matches
        uploaded = _UPLOADED.fullmatch(text)
        for level in keys.levels(text) if len(parts) == 1 else ():
            matches = keys.last[level].get(_key(text, level), [])
            if matches:
                return matches
        if uploaded:
            return self._matches(uploaded[1])
        number = _NUMBER.fullmatch(text) if len(parts) == 1 else None
        return keys.numbers.get(int(number[1]), []) if number else []

    def _below_roots(self, parts: Sequence[str]) -> list[str]:
        """Return the path as it is, and without its first parts where these are the last ones of a root."""
        ends = ["/".join(parts)]
        for above in self._root_parts:
            ends += [
                "/".join(parts[count:])
                for count in range(1, len(parts))
                if [_folded(part) for part in parts[:count]] == above[-count:]
            ]
        return list(dict.fromkeys(ends))

    @cached_property
    def _root_parts(self) -> list[list[str]]:
        return [[_folded(part) for part in root.resolve().parts] for root in self._roots.values()]

    @cached_property
    def _keys(self) -> _Keys:
        return _Keys(self._photos(), self._roots)


def _folded(name: str) -> str:
    return _JPEG.sub(".jpg", unicodedata.normalize("NFC", name).casefold())


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in PHOTO_SUFFIXES else name


EXACT, FOLDED, STEM = "exact", "folded", "stem"


def _key(name: str, level: str) -> str:
    return name if level == EXACT else _folded(name) if level == FOLDED else _folded(_stem(name))


class _Keys:
    """Photos by their names at each level of similarity, and by their paths.

    ``last`` is by the last part of the name alone.
    """

    def __init__(self, photos: Iterable[NamedPath], roots: Mapping[str, Path]) -> None:
        self.full: dict[str, dict[str, list[NamedPath]]] = {level: defaultdict(list) for level in (EXACT, FOLDED, STEM)}
        self.last: dict[str, dict[str, list[NamedPath]]] = {level: defaultdict(list) for level in (EXACT, FOLDED, STEM)}
        self.numbers: dict[int, list[NamedPath]] = defaultdict(list)
        self.paths: dict[str, NamedPath] = {}
        for photo in photos:
            name = photo[0]
            self.paths[os.path.abspath(photo[1])] = photo  # noqa: PTH100 - links stay as they are
            inner = [name.removeprefix(f"{first}/") for first in roots if first and name.startswith(f"{first}/")]
            last = name.rpartition("/")[2]
            for level in (EXACT, FOLDED, STEM):
                for one in (name, *inner):
                    self.full[level][_key(one, level)].append(photo)
                self.last[level][_key(last, level)].append(photo)
            if _WHOLE.fullmatch(_stem(last)):
                self.numbers[int(_stem(last))].append(photo)

    @staticmethod
    def levels(written: str) -> tuple[str, ...]:
        """Return the levels to compare at: a text with the suffix of a photo names a file of that kind."""
        suffix = PurePosixPath(written).suffix.lower()
        return (EXACT, FOLDED) if suffix in PHOTO_SUFFIXES else (EXACT, FOLDED, STEM)
