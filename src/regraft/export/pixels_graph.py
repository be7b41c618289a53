"""Preprocessing of a photo as an ONNX graph of standard operators: resized as Pillow does it, and cropped.

The operator ``Resize`` with ``antialias`` has other weights than Pillow, and its meaning differs between exporters and
execution providers. Here the weights of both passes are computed in the graph: they are integers over 2^22, and the
result of the first pass is rounded to 8 bits, as in Pillow's ``src/libImaging/Resample.c``. Each weight is split into a
coarse and a fine part, because the sums of each part are whole numbers that single precision holds exactly.

Each pass multiplies blocks of 16 output columns by the input columns that they need. The work is proportional to the
pixels, not to input columns times output columns.

The order of the passes depends on the sizes. One of them is done on the turned photo; indices turn the result back,
because the first answer of OpenVINO 2026.4 is wrong after an ``If`` there.

The graph is written in ONNX's textual syntax, in the folder ``graph_text``; `onnx.inliner` replaces its functions.
"""

from __future__ import annotations

import functools
import importlib.resources
import string

import onnx
import onnx.inliner
import onnx.parser
from PIL import Image

from regraft.data.preprocessing import Preprocessing
from regraft.errors import ConfigError

OPSET = 17
"""Version of the standard operators in exported graphs."""

PHOTOS, PIXELS = "photos", "pixels"

_DIAMETER = {"box": 1, "bilinear": 2, "hamming": 2, "bicubic": 4, "lanczos": 6}
"""Width of each of Pillow's filters, in output pixels when reducing and in input pixels when enlarging."""


@functools.lru_cache(maxsize=16)
def pixels_graph(p: Preprocessing) -> onnx.ModelProto:
    """Return a graph from photos, (n, H, W, 3), uint8, to the pixels that the network sees, (n, 3, h, w), float32.

    The pixels are whole numbers from 0 to 255, those of `regraft.data.preprocessing.evaluation_pixels`.

    Args:
        p: the preprocessing of the network.

    Raises:
        ConfigError: the photos are resized to the nearest pixel, which is not a weighted mean.
    """
    if p.interpolation not in _DIAMETER:
        raise ConfigError(
            f"interpolation: expected one of {', '.join(_DIAMETER)} for an exported model, found {p.interpolation!r}"
        )
    to_height, to_width = p.resized
    fill = [round(255 * v) for v in p.mean] if p.crop_mode == "border" else [0, 0, 0]
    size = {"height": p.height, "width": p.width}
    order = "cheaper_order" if down_may_be_first() else "across_first"
    main = _text(
        "preprocessing",
        **size,
        to_height=to_height,
        to_width=to_width,
        resized=_resized(p),
        passes=_text(order, diameter=_DIAMETER[p.interpolation], **size),
        fill=", ".join(str(float(v)) for v in fill),
    )
    model = onnx.parser.parse_model(main)
    texts = [_text(name) for name in ("offset", "crop", "taps", "eight_bits")]
    texts.append(_text("filter", body=_text(f"filter_{p.interpolation}")))
    model.functions.extend(onnx.parser.parse_function(text) for text in texts)
    return onnx.inliner.inline_local_functions(model)


@functools.cache
def down_may_be_first() -> bool:
    """Return whether this Pillow resizes down before across where that removes many more rows than columns.

    Pillow 13 does, earlier versions do not. The order matters, because the result of the first pass is rounded.
    """
    noise = Image.effect_noise((40, 200), 100.0)
    across = noise.resize((20, 200), Image.Resampling.BILINEAR).resize((20, 20), Image.Resampling.BILINEAR)
    return noise.resize((20, 20), Image.Resampling.BILINEAR).tobytes() != across.tobytes()


def _resized(p: Preprocessing) -> str:
    """Return the text that computes the size after resizing, as `regraft.data.preprocessing` does."""
    if p.crop_mode == "squash":
        return _text("size_squash")
    if p.crop_mode == "center" and len(set(p.resized)) == 1:
        return _text("size_short_side")
    return _text("size_ratio", pick="Max" if p.crop_mode == "border" else "Min")


def _text(name: str, **values: object) -> str:
    """Return a text of the folder ``graph_text``, in ONNX's textual syntax, with ``values`` in place of ``${name}``."""
    text = importlib.resources.files("regraft.export").joinpath("graph_text", f"{name}.txt").read_text(encoding="utf-8")
    return string.Template(text).substitute(values)
