"""Photos that are stored turned or mirrored, with a note in Exif: many programs ignore it and see them lying."""

from __future__ import annotations

from regraft.audit.finding import Finding
from regraft.audit.subject import Subject

_HOW = {2: "mirrored", 3: "turned by 180°", 4: "upside down", 5: "mirrored and turned by 90°", 6: "turned by 90°",
        7: "mirrored and turned by 270°", 8: "turned by 270°"}  # fmt: skip


def find(subject: Subject) -> list[Finding]:
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
