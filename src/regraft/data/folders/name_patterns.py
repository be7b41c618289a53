"""Patterns of labels in the names of photos."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final

from regraft.data.file_types import PHOTO_SUFFIXES
from regraft.errors import ConfigError

PREFIX: Final = "prefix"
"""The ready word for what precedes a number at the end of the name."""

_PREFIX = r"^(?P<label>.*[^\W\d_].*?)[-_. ]*\(?\d+\)?(?:\.[^.]*)?$"
_NUMBER_FIRST = r"^\d+[-_. ]+(?P<label>.+)\."
_CAMERA_WORDS = """img image images dsc dscn dscf dcim pic pict picture photo foto bild screenshot screen shot scan
frame file gopr mvi mov vid video wp pxl p imag sam cimg kic whatsapp signal untitled unnamed download capture snapshot
crop tile sample train test val x id no nr nummer imagen"""
_CAMERA = frozenset(_CAMERA_WORDS.split())
_MIN_PER_CLASS, _PLAIN_SHARE = 2, 0.9


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern or of a ready word.

    Raises:
        ConfigError: it is not a regular expression, or has no group for the label.
    """
    expected = "prefix, or a regular expression with a group named label such as '^(?P<label>[^_]+)_'"
    try:
        compiled = re.compile(_PREFIX if pattern == PREFIX else pattern)
    except re.error as error:
        problem = f"{pattern!r} is not a regular expression ({error})"
        raise ConfigError(f"label_from: {problem}; expected {expected}") from None
    if "label" not in compiled.groupindex and compiled.groups != 1:
        raise ConfigError(f"label_from: {pattern!r} has no group for the label; expected {expected}")
    return compiled


def largest_classes(counts: Mapping[str, int]) -> str:
    """Return the largest classes with their numbers of photos as text: ``"cat 12, dog 13"``."""
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{label} {n:,}" for label, n in listed[:6]) + (" …" if len(listed) > 6 else "")


def label_in_name(name: str, pattern: re.Pattern[str]) -> str:
    """Return the label in a photo's name relative to the folder, or ""."""
    text = name if "/" in pattern.pattern else name.rpartition("/")[2]
    match = pattern.search(text) or (pattern.search(f"/{name}") if "/" in pattern.pattern else None)
    if match is None:
        return ""
    label = match["label"] if "label" in pattern.groupindex else match[1]
    return (label or "").strip()


def plain_pattern(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the value of ``--label-from`` for photos whose names plainly have labels, and the classes, or None.

    There must be two classes or more with several photos each, and no words of cameras among them.
    """
    lasts = [PurePosixPath(name) for name in names]
    texts = [path.name for path in lasts if path.suffix.lower() in PHOTO_SUFFIXES or not path.suffix]
    for value, pattern in ((PREFIX, _PREFIX), (_NUMBER_FIRST, _NUMBER_FIRST)):
        compiled = re.compile(pattern)
        labels = [label_in_name(text, compiled) for text in texts]
        counts = Counter(label for label in labels if label)
        several = {label: n for label, n in counts.items() if n >= _MIN_PER_CLASS}
        if (
            len(several) > 1
            and sum(several.values()) >= _PLAIN_SHARE * len(texts)
            and not any(map(_of_camera, several))
        ):
            return value, largest_classes(several)
    return None


def _of_camera(label: str) -> bool:
    words = re.findall(r"[^\W\d_]+", label.casefold())
    return all(word in _CAMERA for word in words)
