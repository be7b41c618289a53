"""Photos whose names claim another format than they have; they are used, but other programs may stumble."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from regraft.audit.finding import Finding
from regraft.audit.subject import Subject

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


def find(subject: Subject) -> list[Finding]:
    """Return an info for each photo whose extension belongs to another format."""
    findings = []
    for entry, glance in zip(subject.entries, subject.glances, strict=True):
        suffix = PurePosixPath(entry.name).suffix
        if suffix.lower() not in _SUFFIXES[glance.kind]:
            said = f"is called {suffix}" if suffix else "has no extension"
            words = f"is a {glance.kind} but {said}; it is read by what it holds"
            findings.append(Finding("wrong extension", "info", (entry.name,), words, {"format": glance.kind}))
    return findings
