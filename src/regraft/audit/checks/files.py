"""Problems of single files: damage, wrong extensions, rotation, unusual pixels or sizes, blank photos and placeholders.

Damaged files are skipped; all others are used. A rotation in Exif and a wrong extension confuse other programs. The
network sees very small, very large or very narrow photos enlarged, heavily reduced or only in part. A placeholder is an
image such as "image not found" in place of a missing photo.
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
from regraft.data.decisions import was_dropped
from regraft.data.decode import INSTALL_HINTS
from regraft.data.manifest import Entry

_DECODED_SHARE = re.compile(r"after (\d+) %")


def find_damaged(subject: Subject) -> list[Finding]:
    """Return an error for each file that looks like a photo but is unusable, unless the user dropped it.

    Files that need the same package have one finding.
    """
    aside = [entry for entry in subject.manifest.entries if entry.status == "put aside" and not was_dropped(entry)]
    needs = sorted({entry.why for entry in aside if entry.why in INSTALL_HINTS.values()})
    waiting = [
        Finding("package missing", "error", tuple(entry.name for entry in aside if entry.why == why), why)
        for why in needs
    ]
    return waiting + [_finding(entry) for entry in aside if entry.why not in needs]


def _finding(entry: Entry) -> Finding:
    share = _DECODED_SHARE.search(entry.why)
    measure = {"salvageable": int(share[1]) / 100} if share else {}
    salvage = f"; its upper {share[1]} % can be decoded" if share else ""
    return Finding(_kind(entry.why), "error", (entry.name,), f"{entry.why}{salvage}: not used", measure)


def _kind(why: str) -> str:
    if why.startswith("not a photo"):
        return "not a photo"
    if why.startswith("too large"):
        return "too large"
    if why.startswith("a TIFF with"):
        return "unsupported"
    kinds = ("truncated", "damaged")
    return next((kind for kind in kinds if why.startswith(kind)), "unreadable")


_SUFFIXES: Final = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "GIF": {".gif"},
    "BMP": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
    "WebP": {".webp"},
    "HEIC": {".heic", ".heif", ".hif"},
    "AVIF": {".avif"},
    "JPEG 2000": {".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"},
    "PNM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "TGA": {".tga", ".icb", ".vda", ".vst"},
    "ICO": {".ico"},
    "QOI": {".qoi"},
}


def find_wrong_extensions(subject: Subject) -> list[Finding]:
    """Return an info for each photo whose extension belongs to another format."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        suffix = PurePosixPath(entry.name).suffix
        if suffix.lower() not in _SUFFIXES[stats.format]:
            name = f"has the extension {suffix}" if suffix else "has no extension"
            words = f"is a {stats.format} but {name}; regraft reads it by its content"
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
    """Return an info for each photo whose Exif orientation is not upright."""
    return [
        Finding(
            "turned by Exif",
            "info",
            (entry.name,),
            f"is stored {_ORIENTATIONS[stats.exif_orientation]}; regraft rotates it by Exif, some programs do not",
            {"orientation": stats.exif_orientation},
        )
        for entry, stats in zip(subject.entries, subject.photo_stats, strict=True)
        if stats.exif_orientation in _ORIENTATIONS
    ]


_MODES = {
    "CMYK": "is stored in CMYK, for printing",
    "YCbCr": "is stored as YCbCr",
    "LAB": "is stored as L*a*b*",
    "1": "is pure black and white, 1 bit per pixel",
    "L": "is gray",
    "LA": "is gray with transparency",
    "PA": "has a palette with transparency",
    "P": "has a palette of at most 256 colors",
    "RGBA": "has transparency, which becomes white, or black under a white picture",
    "F": "has floating-point numbers",
}


def find_mixed_modes(subject: Subject) -> list[Finding]:
    """Return an info for each photo that is not plain RGB, or is animated."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        words = _describe_mode(stats)
        if words:
            measure = {"mode": stats.mode, "animated": stats.animated}
            findings.append(Finding("odd colour mode", "info", (entry.name,), words, measure))
    return findings


def _describe_mode(stats: PhotoStats) -> str:
    parts = []
    if stats.mode.startswith("I"):
        parts.append("has more than 8 bits per pixel, in gray")
    elif stats.mode != "RGB":
        parts.append(_MODES.get(stats.mode, f"has the color mode {stats.mode}"))
    if stats.animated:
        parts.append("has several frames; only the first is used")
    return "; ".join(parts)


TINY_SIDE = 64
"""Photos with a shorter side below this many pixels are tiny."""

HUGE_PIXELS = 40_000_000
"""Photos above this many pixels are huge: decoding them takes most of the time."""

EXTREME_RATIO = 3.0
"""Maximum ratio of the sides; above it, the network's center crop is a small part of the photo."""


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
            words = f"has {size}; a smaller version gives the same accuracy faster"
            findings.append(Finding("huge", "info", name, words, measure))
        if max(width, height) > EXTREME_RATIO * min(width, height):
            words = f"is {size}: the network sees only its center"
            findings.append(Finding("extreme shape", "warning", name, words, measure))
    return findings


BLANK_SPREAD = 2.0
"""Standard deviation of the gray levels, of 256, below which a photo is blank."""


def find_blank(subject: Subject) -> list[Finding]:
    """Return a warning for each blank photo."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        spread = float(stats.gray.std())
        if spread < BLANK_SPREAD:
            level = float(stats.gray.mean())
            color = "black" if level < 16 else "white" if level > 239 else "one color"
            words = f"is {color} everywhere: it has no content"
            findings.append(Finding("blank", "warning", (entry.name,), words, {"spread": round(spread, 2)}))
    return findings


PLACEHOLDER_SHARE = 0.88
"""Share of pixels within two levels of the most common gray from which a photo may be a placeholder."""

_PLACEHOLDER_NAMES = re.compile(r"not[ _-]?found|no[ _-]?(image|photo|picture)|placeholder|unavailable", re.IGNORECASE)


def find_placeholders(subject: Subject) -> list[Finding]:
    """Return a warning for each photo that is nearly all of one color, or has a placeholder's name."""
    findings = []
    for entry, stats in zip(subject.entries, subject.photo_stats, strict=True):
        share = dominant_gray_share(stats.gray)
        named = _PLACEHOLDER_NAMES.search(PurePosixPath(entry.name).name) is not None
        if named or (share >= PLACEHOLDER_SHARE and stats.gray.std() >= BLANK_SPREAD):
            why = f"{100 * share:.0f} % of it is one color" if share >= PLACEHOLDER_SHARE else "its name suggests it"
            words = f"may be a placeholder or a drawing: {why}"
            findings.append(Finding("placeholder", "warning", (entry.name,), words, {"one_colour": round(share, 3)}))
    return findings


def dominant_gray_share(gray: NDArray[np.uint8]) -> float:
    """Return the share of pixels within two levels of the most common one: (64, 64), uint8 -> [0, 1]."""
    counts = np.bincount(gray.ravel(), minlength=256)
    return float(np.convolve(counts, np.ones(5), mode="same").max() / gray.size)
