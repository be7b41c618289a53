"""Traits of a photo that its first bytes reveal: gray of more than 8 bits, transparency."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Trait: TypeAlias = Literal["deep", "transparent"]

TRAIT_BYTES: Final = 1 << 13
"""Number of first bytes in which traits are looked for."""

_GRAPHIC_CONTROL: Final = b"\x21\xf9\x04"


def traits_of(head: bytes, kind: str | None) -> frozenset[Trait]:
    """Return the traits of a photo; a few photos without a trait are included, which costs time only.

    Args:
        head: the first `TRAIT_BYTES` bytes of the file.
        kind: its format, see `regraft.data.file_types.photo_format`.

    Returns:
        ``"deep"``: its gray values may have more than 8 bits; ``"transparent"``: parts of it may be transparent.
    """
    traits: set[Trait] = set()
    if kind == "PNG":
        depth, color = head[24:25], head[25:26]
        if depth == b"\x10" and color == b"\0":
            traits.add("deep")
        if color in (b"\4", b"\6") or b"tRNS" in head:
            traits.add("transparent")
    elif kind in ("TIFF", "JPEG 2000") or (kind == "PNM" and head[:2] in (b"P2", b"P5")):
        traits.add("deep")
    elif kind == "GIF":
        at = head.find(_GRAPHIC_CONTROL)
        if at >= 0 and head[at + 3 : at + 4] and head[at + 3] & 1:
            traits.add("transparent")
    elif kind == "WebP" and (head[12:16] == b"VP8L" or (head[12:16] == b"VP8X" and head[20:21] and head[20] & 0x10)):
        traits.add("transparent")
    return frozenset(traits)
