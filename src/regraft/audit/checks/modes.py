"""Photos whose pixels are stored in an unusual way, or of which only the first picture is used."""

from __future__ import annotations

from regraft.audit.finding import Finding
from regraft.audit.glance import Glance
from regraft.audit.subject import Subject

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


def find(subject: Subject) -> list[Finding]:
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
