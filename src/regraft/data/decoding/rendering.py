"""`Rendering`: the choices by which values of a file become 8 bits on an opaque ground; one for all photos of a run.

Gray photos of 16 bits often use fewer: those of X-ray detectors, microscopes, satellites and thermal cameras use 10 to
14, and would be nearly black. A white drawing on transparent ground would be plain white on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from regraft.data.threads import map_in_order

if TYPE_CHECKING:
    from regraft.data.manifest import Entry

Ground: TypeAlias = Literal["white", "visible"]

FULL_RANGE: Final = 65535
"""The highest value of 16 bits."""

MEASURED: Final = 512
"""Maximum number of photos whose values are measured, chosen by their content."""

_DIFFERENCE, _SHARE = 32, 0.005
_EXAMINED = (1024, 1024)  # pixels of a large image that decide about its ground


@dataclass(frozen=True, slots=True)
class Rendering:
    """The choices by which values of a file become 8 bits.

    Attributes:
        white_level: value of 16-bit gray that becomes 255; higher values do too.
        ground: ground of transparent photos. ``"white"``: always white. ``"visible"``: black where next to nothing of
            the picture differs from white, otherwise white.
    """

    white_level: int = FULL_RANGE
    ground: Ground = "white"

    @property
    def unusual(self) -> dict[str, Any]:
        """The fields that differ from the usual ones, by name."""
        return {name: value for name, value in asdict(self).items() if value != _USUAL[name]}

    @property
    def problems(self) -> list[str]:
        """Invalid values, each with what is expected."""
        problems = []
        if type(self.white_level) is not int or not 1 <= self.white_level <= FULL_RANGE:
            problems.append(f"white_level must be an integer from 1 to {FULL_RANGE}, not {self.white_level!r}")
        if self.ground not in get_args(Ground):
            problems.append(f"ground must be one of {', '.join(get_args(Ground))}, not {self.ground!r}")
        return problems


_USUAL: Final = asdict(Rendering())

PLAIN: Final = Rendering()
"""The rendering of a folder without 16-bit gray or transparent photos."""


def ground_level(image: Image.Image, ground: Ground) -> int:
    """Return the gray level of the ground under a transparent image: 255, or 0 where the picture is white.

    A picture is white if less than 0.5 % of its visible pixels differ from white by more than 32 of 255 levels.

    Args:
        image: of mode RGBA, its colors in sRGB.
        ground: the rule, see `Rendering`.
    """
    if ground == "white":
        return 255
    width, height = (min(have, most) for have, most in zip(image.size, _EXAMINED, strict=True))
    small = image if (width, height) == image.size else image.resize((width, height), Image.Resampling.NEAREST)
    pixels = np.asarray(small)
    alpha = pixels[..., 3].astype(np.uint32)
    difference = (255 - pixels[..., :3].min(axis=-1).astype(np.uint32)) * alpha
    visible = int(np.count_nonzero(alpha > _DIFFERENCE))
    return 0 if visible and np.count_nonzero(difference > 255 * _DIFFERENCE) < _SHARE * visible else 255


@dataclass(frozen=True, slots=True)
class MeasuredRendering:
    """The rendering that suits a folder, and its reasons.

    Attributes:
        rendering: the rendering.
        highest: the highest value in the photos of 16-bit gray; None if there are none.
        deep: number of photos of 16-bit gray that were measured.
        transparent: number of photos that may have transparent parts.
    """

    rendering: Rendering = PLAIN
    highest: int | None = None
    deep: int = 0
    transparent: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the screen; empty if the rendering is the usual one."""
        notes = []
        if self.highest is not None and self.rendering.white_level != FULL_RANGE:
            bits, white = self.rendering.white_level.bit_length(), self.rendering.white_level
            notes.append(f"16-bit gray uses {bits} bits (highest value {self.highest:,}): {white:,} becomes white")
        if self.transparent:
            notes.append("transparent photos are put on white; on black if nothing would be left of the picture")
        return tuple(notes)


def measure_rendering(entries: Sequence[Entry], *, workers: int) -> MeasuredRendering:
    """Return the rendering that suits a folder of photos.

    The white level is the highest number of the fewest bits, at least 8, that hold all values of 16-bit gray. The value
    65535 alone, which often means "no data", does not count if all others have 14 bits or fewer.

    Args:
        entries: the photos, after `regraft.data.manifest.scan`.
        workers: number of threads that decode photos of 16-bit gray. No other photo is opened.
    """
    transparent = sum("transparent" in entry.traits for entry in entries)
    candidates = sorted((entry for entry in entries if "deep" in entry.traits), key=lambda entry: entry.content)
    highest = [
        value
        for value in map_in_order(_highest_values, candidates[:MEASURED], workers=workers, ahead=4 * max(workers, 1))
        if value is not None
    ]
    ground: Ground = "visible" if transparent else "white"
    if not highest:
        return MeasuredRendering(Rendering(ground=ground), transparent=transparent)
    below, whole = max(low for low, _ in highest), max(high for _, high in highest)
    bits = max(below.bit_length() if below.bit_length() <= 14 else whole.bit_length(), 8)
    rendering = Rendering((1 << bits) - 1, ground)
    return MeasuredRendering(rendering, below if bits <= 14 else whole, len(highest), transparent)


def _highest_values(entry: Entry) -> tuple[int, int] | None:
    """Return the highest value below 65535 and the highest value of a photo of 16-bit gray; None for any other file."""
    from regraft.data.decode import open_photo  # decode imports this module
    from regraft.errors import DecodeError

    try:
        image = open_photo(entry.path)
        if not image.mode.startswith("I"):
            return None
        values = np.asarray(image)
    except (DecodeError, OSError, ValueError, SyntaxError, MemoryError):
        return None  # decoding reports it
    if values.size == 0 or values.min() < 0 or values.max() > FULL_RANGE:
        return None
    return int(values.max(initial=0, where=values < FULL_RANGE)), int(values.max())
