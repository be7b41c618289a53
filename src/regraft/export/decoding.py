"""The decoding of a photo for an exported file, which takes pixels. It needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.data.decode import Size, read_photo
from regraft.data.decoding.rendering import Rendering


@dataclass(frozen=True)
class Decoding:
    """The decoding of a photo for an exported file, which takes pixels.

    Attributes:
        at_least: (width, height) that the photo is resized to; a JPEG is decoded at a reduced scale if at least twice
            that size remains.
        rendering: the white level of 16-bit gray, and the ground of transparent photos.
        is_one_size: True if all networks have this size.
    """

    at_least: Size
    rendering: Rendering
    is_one_size: bool

    def pixels(self, photo: Path | bytes) -> NDArray[np.uint8]:
        """Return the pixels of a photo, (H, W, 3), upright, in sRGB."""
        return np.array(read_photo(photo, at_least=self.at_least, rendering=self.rendering))

    @classmethod
    def from_facts(cls, facts: Mapping[str, str]) -> Decoding:
        """Return the decoding that the metadata of an exported file describes.

        Raises:
            KeyError: a fact is missing.
            ValueError: a fact is damaged.
        """
        width, height = json.loads(facts["at_least"])
        rendering = Rendering(int(facts["white_level"]), facts["ground"])  # type: ignore[arg-type]
        return cls((width, height), rendering, is_one_size=True)
