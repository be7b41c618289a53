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
from regraft.audit.photo_stats import Glance
from regraft.audit.subject import Subject
from regraft.data.manifest import Entry

_AFTER = re.compile(r"after (\d+) %")


def find_damaged(subject: Subject) -> list[Finding]:
    """Return an error for each file that claims to be a photo and cannot be used."""
    return [_finding(entry) for entry in subject.manifest.entries if entry.status == "put aside"]


def _finding(entry: Entry) -> Finding:
    found = _AFTER.search(entry.why)
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
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        suffix = PurePosixPath(entry.name).suffix
        if suffix.lower() not in _SUFFIXES[glance.kind]:
            said = f"is called {suffix}" if suffix else "has no extension"
            words = f"is a {glance.kind} but {said}; it is read by what it holds"
            findings.append(Finding("wrong extension", "info", (entry.name,), words, {"format": glance.kind}))
    return findings


_HOW = {2: "mirrored", 3: "turned by 180°", 4: "upside down", 5: "mirrored and turned by 90°", 6: "turned by 90°",
        7: "mirrored and turned by 270°", 8: "turned by 270°"}  # fmt: skip


def find_exif_rotated(subject: Subject) -> list[Finding]:
    """Return an info for each photo that Exif says is not stored upright."""
    return [
        Finding(
            "turned by Exif",
            "info",
            (entry.name,),
            f"is stored {_HOW[glance.held]}; regraft turns it upright, some programs do not",
            {"orientation": glance.held},
        )
        for entry, glance in zip(subject.entries, subject.glances, strict=True)
        if glance.held in _HOW
    ]


_MODES = {
    "CMYK": "is stored as printing inks (CMYK)",
    "YCbCr": "is stored as YCbCr",
    "LAB": "is stored as L*a*b*",
    "1": "is pure black and white, 1 bit a pixel",
    "L": "is grey",
    "LA": "is grey with transparency",
    "PA": "has a palette with transparency",
    "P": "has a palette of at most 256 colours",
    "RGBA": "has transparency, which becomes white",
    "F": "holds floating-point numbers",
}


def find_mixed_modes(subject: Subject) -> list[Finding]:
    """Return an info for each photo that is not plain RGB, or is animated."""
    findings = []
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        said = _said(glance)
        if said:
            measure = {"mode": glance.mode, "animated": glance.animated}
            findings.append(Finding("odd colour mode", "info", (entry.name,), said, measure))
    return findings


def _said(glance: Glance) -> str:
    parts = []
    if glance.mode.startswith("I"):
        parts.append("has more than 8 bits a pixel, in grey")
    elif glance.mode != "RGB":
        parts.append(_MODES.get(glance.mode, f"has the colour mode {glance.mode}"))
    if glance.animated:
        parts.append("holds several pictures, of which the first is used")
    return "; ".join(parts)


TINY = 64
"""Pixels of the shorter side below which a photo shows little."""

HUGE = 40_000_000
"""Pixels above which decoding takes most of the time."""

EXTREME = 3.0
"""Ratio of the sides above which the centre that the network sees is a small part of the photo."""


def find_odd_sizes(subject: Subject) -> list[Finding]:
    """Return a finding for each photo of an unusual size or shape."""
    findings = []
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        width, height = glance.width, glance.height
        size, measure = f"{width:,} × {height:,} pixels", {"width": width, "height": height}
        name = (entry.name,)
        if min(width, height) < TINY:
            findings.append(Finding("tiny", "warning", name, f"has only {size}", measure))
        if width * height > HUGE:
            words = f"has {size}; a smaller copy would train as well, and faster"
            findings.append(Finding("huge", "info", name, words, measure))
        if max(width, height) > EXTREME * min(width, height):
            words = f"is {size}: the network sees only its middle"
            findings.append(Finding("extreme shape", "warning", name, words, measure))
    return findings


BLANK = 2.0
"""Standard deviation of the grey levels, of 256, below which a photo shows nothing."""


def find_blank(subject: Subject) -> list[Finding]:
    """Return a warning for each blank photo."""
    findings = []
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        spread = float(glance.grey.std())
        if spread < BLANK:
            level = float(glance.grey.mean())
            colour = "black" if level < 16 else "white" if level > 239 else "one colour"
            words = f"is {colour} all over: it shows nothing"
            findings.append(Finding("blank", "warning", (entry.name,), words, {"spread": round(spread, 2)}))
    return findings


ONE_COLOUR = 0.88
"""Share of a photo within two levels of its most common grey from which it is hardly a photograph."""

_NAMES = re.compile(r"not[ _-]?found|no[ _-]?(image|photo|picture)|placeholder|unavailable", re.IGNORECASE)


def find_placeholders(subject: Subject) -> list[Finding]:
    """Return a warning for each photo that is nearly all of one colour, or called as placeholders are."""
    findings = []
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        share = one_colour(glance.grey)
        named = _NAMES.search(PurePosixPath(entry.name).name) is not None
        if named or (share >= ONE_COLOUR and glance.grey.std() >= BLANK):
            why = f"{100 * share:.0f} % of it is one colour" if share >= ONE_COLOUR else "its name says so"
            words = f"may be a placeholder or a drawing: {why}"
            findings.append(Finding("placeholder", "warning", (entry.name,), words, {"one_colour": round(share, 3)}))
    return findings


def one_colour(grey: NDArray[np.uint8]) -> float:
    """Return the share of pixels within two levels of the most common one: (64, 64), uint8 -> [0, 1]."""
    counts = np.bincount(grey.ravel(), minlength=256)
    return float(np.convolve(counts, np.ones(5), mode="same").max() / grey.size)
