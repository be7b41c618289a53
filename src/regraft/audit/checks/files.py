"""Files that cannot be read, are cut off, claim too many pixels or are no photos; all of them are put aside.

Photos whose names claim another format than they have; they are used, but other programs may stumble.

Photos that are stored turned or mirrored, with a note in Exif: many programs ignore it and see them lying.

Photos whose pixels are stored in an unusual way, or of which only the first picture is used.

Photos that are tiny, huge or far from square: the network sees them enlarged, shrunk to mush, or hardly at all.

Photos that show nothing: one colour all over.

Files that stand in for a photo which is gone: "image not found" and the like, drawn rather than photographed.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.audit.finding import Finding
from regraft.audit.photo_stats import PhotoStats
from regraft.audit.subject import Subject
from regraft.data.manifest import Entry

_DECODED_SHARE = re.compile(r"after (\d+) %")


def find_damaged(subject: Subject) -> list[Finding]:
    """Return an error for each file that claims to be a photo and cannot be used."""
    return [_finding(entry) for entry in subject.manifest.entries if entry.status == "put aside"]


def _finding(entry: Entry) -> Finding:
    found = _DECODED_SHARE.search(entry.why)
    measure = {"salvageable": int(found[1]) / 100} if found else {}
    saved = f"; its upper {found[1]} % could be salvaged" if found else ""
    return Finding(_kind(entry.why), "error", (entry.name,), f"{entry.why}{saved}: put aside", measure)


def _kind(why: str) -> str:
    if why.startswith("not a photo"):
        return "not a photo"
    if why.startswith("too large"):
        return "too large"
    return "truncated" if why.startswith("truncated") else "unreadable"


_SUFFIXES: Final = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "GIF": {".gif"},
    "BMP": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
    "WebP": {".webp"},
    "HEIC": {".heic", ".heif", ".hif"},
    "AVIF": {".avif"},
}


def find_wrong_extensions(subject: Subject) -> list[Finding]:
    """Return an info for each photo whose extension belongs to another format."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        suffix = PurePosixPath(entry.name).suffix
        if suffix.lower() not in _SUFFIXES[stats.format]:
            said = f"is called {suffix}" if suffix else "has no extension"
            words = f"is a {stats.format} but {said}; it is read by what it holds"
            findings.append(Finding("wrong extension", "info", (entry.name,), words, {"format": stats.format}))
    return findings


_ORIENTATIONS = {
    2: "mirrored",
    3: "rotated by 180°",
    4: "upside down",
    5: "mirrored and rotated by 90°",
    6: "rotated by 90°",
    7: "mirrored and rotated by 270°",
    8: "rotated by 270°",
}


def find_exif_rotated(subject: Subject) -> list[Finding]:
    """Return an info for each photo that Exif says is not stored upright."""
    return [
        Finding(
            "turned by Exif",
            "info",
            (entry.name,),
            f"is stored {_ORIENTATIONS[stats.exif_orientation]}; regraft turns it upright, some programs do not",
            {"orientation": stats.exif_orientation},
        )
        for entry, stats in zip(subject.entries, subject.photo_stats, strict=True)
        if stats.exif_orientation in _ORIENTATIONS
    ]


_MODES = {
    "CMYK": "is stored as printing inks (CMYK)",
    "YCbCr": "is stored as YCbCr",
    "LAB": "is stored as L*a*b*",
    "1": "is pure black and white, 1 bit a pixel",
    "L": "is gray",
    "LA": "is gray with transparency",
    "PA": "has a palette with transparency",
    "P": "has a palette of at most 256 colours",
    "RGBA": "has transparency, which becomes white",
    "F": "holds floating-point numbers",
}


def find_mixed_modes(subject: Subject) -> list[Finding]:
    """Return an info for each photo that is not plain RGB, or is animated."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        said = _describe_mode(stats)
        if said:
            measure = {"mode": stats.mode, "animated": stats.animated}
            findings.append(Finding("odd colour mode", "info", (entry.name,), said, measure))
    return findings


def _describe_mode(stats: PhotoStats) -> str:
    parts = []
    if stats.mode.startswith("I"):
        parts.append("has more than 8 bits a pixel, in gray")
    elif stats.mode != "RGB":
        parts.append(_MODES.get(stats.mode, f"has the colour mode {stats.mode}"))
    if stats.animated:
        parts.append("holds several pictures, of which the first is used")
    return "; ".join(parts)


TINY_SIDE = 64
"""Pixels of the shorter side below which a photo shows little."""

HUGE_PIXELS = 40_000_000
"""Pixels above which decoding takes most of the time."""

EXTREME_RATIO = 3.0
"""Ratio of the sides above which the centre that the network sees is a small part of the photo."""


def find_odd_sizes(subject: Subject) -> list[Finding]:
    """Return a finding for each photo of an unusual size or shape."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        width, height = stats.width, stats.height
        size, measure = f"{width:,} × {height:,} pixels", {"width": width, "height": height}
        name = (entry.name,)
        if min(width, height) < TINY_SIDE:
            findings.append(Finding("tiny", "warning", name, f"has only {size}", measure))
        if width * height > HUGE_PIXELS:
            words = f"has {size}; a smaller copy would train as well, and faster"
            findings.append(Finding("huge", "info", name, words, measure))
        if max(width, height) > EXTREME_RATIO * min(width, height):
            words = f"is {size}: the network sees only its middle"
            findings.append(Finding("extreme shape", "warning", name, words, measure))
    return findings


BLANK_SPREAD = 2.0
"""Standard deviation of the gray levels, of 256, below which a photo shows nothing."""


def find_blank(subject: Subject) -> list[Finding]:
    """Return a warning for each blank photo."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        spread = float(stats.gray.std())
        if spread < BLANK_SPREAD:
            level = float(stats.gray.mean())
            colour = "black" if level < 16 else "white" if level > 239 else "one colour"
            words = f"is {colour} all over: it shows nothing"
            findings.append(Finding("blank", "warning", (entry.name,), words, {"spread": round(spread, 2)}))
    return findings


PLACEHOLDER_SHARE = 0.88
"""Share of a photo within two levels of its most common gray from which it is hardly a photograph."""

_PLACEHOLDER_NAMES = re.compile(r"not[ _-]?found|no[ _-]?(image|photo|picture)|placeholder|unavailable", re.IGNORECASE)


def find_placeholders(subject: Subject) -> list[Finding]:
    """Return a warning for each photo that is nearly all of one colour, or called as placeholders are."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        share = dominant_gray_share(stats.gray)
        named = _PLACEHOLDER_NAMES.search(PurePosixPath(entry.name).name) is not None
        if named or (share >= PLACEHOLDER_SHARE and stats.gray.std() >= BLANK_SPREAD):
            why = f"{100 * share:.0f} % of it is one colour" if share >= PLACEHOLDER_SHARE else "its name says so"
            words = f"may be a placeholder or a drawing: {why}"
            findings.append(Finding("placeholder", "warning", (entry.name,), words, {"one_colour": round(share, 3)}))
    return findings


def dominant_gray_share(gray: NDArray[np.uint8]) -> float:
    """Return the share of pixels within two levels of the most common one: (64, 64), uint8 -> [0, 1]."""
    counts = np.bincount(gray.ravel(), minlength=256)
    return float(np.convolve(counts, np.ones(5), mode="same").max() / gray.size)
