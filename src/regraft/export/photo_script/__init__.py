"""The reader of photos in JavaScript, which the page of an export and its program for Node share."""

from __future__ import annotations

import importlib.resources

_PARTS = ("metadata.js", "png.js", "pixels.js")


def photo_script(*, module: bool) -> str:
    """Return the reader as one script, which defines the functions ``photoPixels`` and ``opaquePixels``.

    Args:
        module: whether the script is a module that exports them; otherwise it is to be put into another script.
    """
    files = importlib.resources.files("regraft.export.photo_script")
    script = "\n".join((files / name).read_text(encoding="utf-8") for name in _PARTS)
    return script if module else script.replace("\nexport ", "\n")
