"""Preprocessing of a photo as an ONNX graph of standard operators: resized as Pillow does it, and cropped.

The operator ``Resize`` with ``antialias`` has other weights than Pillow, and its meaning differs between exporters and
execution providers. Here the weights of both passes are computed in the graph: they are integers over 2^22, and the
result of the first pass is rounded to 8 bits, as in Pillow's ``src/libImaging/Resample.c``. Each weight is split into a
coarse and a fine part, because the sums of each part are whole numbers that single precision holds exactly.

Each pass multiplies blocks of 16 output columns by the input columns that they need. The work is proportional to the
pixels, not to input columns times output columns.
"""

from __future__ import annotations

import functools

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

_FILTERS = {
    "box": "w = Constant <value = double {1}> ()",
    "bilinear": "w = Sub (one, a)",
    "hamming": """
        pi = Constant <value = double {3.141592653589793}> ()
        wide = Constant <value = double {0.54}> ()
        narrow = Constant <value = double {0.46}> ()
        angle = Mul (a, pi)
        quarter = Constant <value = double {1.5707963267948966}> ()
        later = Add (angle, quarter)
        sine = Sin (angle)
        cosine = Sin (later)
        at_zero = Equal (a, zero)
        safe = Where (at_zero, one, angle)
        ratio = Div (sine, safe)
        sinc = Where (at_zero, one, ratio)
        wave = Mul (narrow, cosine)
        window = Add (wide, wave)
        w = Mul (sinc, window)""",
    "bicubic": """
        near_3 = Constant <value = double {1.5}> ()
        near_2 = Constant <value = double {2.5}> ()
        five = Constant <value = double {5}> ()
        eight = Constant <value = double {8}> ()
        four = Constant <value = double {4}> ()
        half = Constant <value = double {-0.5}> ()
        n1 = Mul (near_3, a)
        n2 = Sub (n1, near_2)
        n3 = Mul (n2, a)
        n4 = Mul (n3, a)
        near = Add (n4, one)
        f1 = Sub (a, five)
        f2 = Mul (f1, a)
        f3 = Add (f2, eight)
        f4 = Mul (f3, a)
        f5 = Sub (f4, four)
        far = Mul (f5, half)
        is_near = Less (a, one)
        w = Where (is_near, near, far)""",
    "lanczos": """
        pi = Constant <value = double {3.141592653589793}> ()
        three = Constant <value = double {3}> ()
        angle = Mul (a, pi)
        slow = Div (angle, three)
        fast_sine = Sin (angle)
        slow_sine = Sin (slow)
        sines = Mul (fast_sine, slow_sine)
        at_zero = Equal (a, zero)
        product = Mul (angle, slow)
        safe = Where (at_zero, one, product)
        ratio = Div (sines, safe)
        w = Where (at_zero, one, ratio)""",
}
"""Body of each filter: from the distance ``a``, which is not negative, to the weight ``w``."""

_TAPS = """
<domain: "regraft", opset_import: ["" : 17, "regraft" : 1]>
Taps <diameter> (have, resized, first, kept) => (index, weights, valid)
{
    zero = Constant <value_int: int = 0> ()
    one = Constant <value_int: int = 1> ()
    two = Constant <value_int: int = 2> ()
    diameter = Constant <value_int: int = @diameter> ()
    block = Constant <value_int: int = 16> ()
    block_less_one = Constant <value_int: int = 15> ()
    kept_more = Add (kept, block_less_one)
    blocks = Div (kept_more, block)
    count = Mul (blocks, block)
    first_axis = Constant <value = int64[1] {0}> ()
    middle_axis = Constant <value = int64[1] {1}> ()
    last_axis = Constant <value = int64[1] {2}> ()
    by_block = Constant <value = int64[2] {-1, 16}> ()
    flat = Constant <value = int64[1] {-1}> ()
    numbers = Range (zero, count, one)
    wanted = Add (numbers, first)
    last = Sub (resized, one)
    not_above = Min (wanted, last)
    column = Max (not_above, zero)
    is_low = GreaterOrEqual (wanted, zero)
    is_high = LessOrEqual (wanted, last)
    valid = And (is_low, is_high)
    twice_column = Mul (two, column)
    odd_column = Add (twice_column, one)
    center = Mul (odd_column, have)
    larger = Max (have, resized)
    reach = Mul (diameter, larger)
    twice_resized = Mul (two, resized)
    center_half = Add (center, resized)
    low_end = Sub (center_half, reach)
    low_positive = Max (low_end, zero)
    low_flat = Div (low_positive, twice_resized)
    high_end = Add (center_half, reach)
    high_free = Div (high_end, twice_resized)
    high_flat = Min (high_free, have)
    low = Reshape (low_flat, by_block)
    high = Reshape (high_flat, by_block)
    center_blocks = Reshape (center, by_block)
    start = ReduceMin <axes: ints = [1], keepdims: int = 1> (low)
    end = ReduceMax <axes: ints = [1], keepdims: int = 1> (high)
    lengths = Sub (end, start)
    length = ReduceMax <keepdims: int = 0> (lengths)
    steps = Range (zero, length, one)
    position = Add (start, steps)
    last_have = Sub (have, one)
    inside = Min (position, last_have)
    index = Reshape (inside, flat)
    twice_position = Mul (two, position)
    odd_position = Add (twice_position, one)
    place = Mul (odd_position, resized)
    place_3d = Unsqueeze (place, middle_axis)
    center_3d = Unsqueeze (center_blocks, last_axis)
    difference = Sub (place_3d, center_3d)
    distance = Abs (difference)
    distance_double = Cast <to = 11> (distance)
    twice_larger = Mul (two, larger)
    scale = Cast <to = 11> (twice_larger)
    a = Div (distance_double, scale)
    raw = regraft.Filter (a)
    position_3d = Unsqueeze (position, middle_axis)
    low_3d = Unsqueeze (low, last_axis)
    high_3d = Unsqueeze (high, last_axis)
    from_low = GreaterOrEqual (position_3d, low_3d)
    to_high = Less (position_3d, high_3d)
    counts = And (from_low, to_high)
    nothing = Constant <value = double {0}> ()
    masked = Where (counts, raw, nothing)
    total = ReduceSum <keepdims: int = 1> (masked, last_axis)
    share = Div (masked, total)
    parts = Constant <value = double {4194304}> ()
    half = Constant <value = double {0.5}> ()
    scaled = Mul (share, parts)
    size = Abs (scaled)
    size_half = Add (size, half)
    whole = Floor (size_half)
    sign = Sign (scaled)
    signed = Mul (whole, sign)
    step = Constant <value = double {2048}> ()
    coarse_free = Div (signed, step)
    coarse = Round (coarse_free)
    coarse_size = Mul (coarse, step)
    fine = Sub (signed, coarse_size)
    both = Concat <axis: int = 1> (coarse, fine)
    weights = Cast <to = 1> (both)
}
"""

_ROUND = """
<domain: "regraft", opset_import: ["" : 17]>
EightBits <axis> (sums) => (y)
{
    coarse, fine = Split <axis: int = @axis> (sums)
    step = Constant <value = float {2048}> ()
    half = Constant <value = float {1024}> ()
    black = Constant <value = float {0}> ()
    white = Constant <value = float {255}> ()
    fine_free = Div (fine, step)
    fine_whole = Floor (fine_free)
    total = Add (coarse, fine_whole)
    total_half = Add (total, half)
    level_free = Div (total_half, step)
    level = Floor (level_free)
    low = Max (level, black)
    y = Min (low, white)
}
"""

_PASSES = """
<domain: "regraft", opset_import: ["" : 17, "regraft" : 1]>
Crop <diameter> (photos, have_x, have_y, resized_x, resized_y, first_x, first_y, wanted_x, wanted_y) => (pixels)
{
    index_x, weights_x, valid_x = regraft.Taps <diameter: int = @diameter> (have_x, resized_x, first_x, wanted_x)
    index_y, weights_y, valid_y = regraft.Taps <diameter: int = @diameter> (have_y, resized_y, first_y, wanted_y)
    zeros = Constant <value = int64[1] {0}> ()
    axis_1 = Constant <value = int64[1] {1}> ()
    axis_2 = Constant <value = int64[1] {2}> ()
    axis_3 = Constant <value = int64[1] {3}> ()
    one = Constant <value = int64[1] {1}> ()
    flat = Constant <value = int64[1] {-1}> ()
    kept_x = Reshape (wanted_x, flat)
    kept_y = Reshape (wanted_y, flat)

    top_row = ReduceMin <keepdims: int = 0> (index_y)
    bottom_row = ReduceMax <keepdims: int = 0> (index_y)
    top_1 = Reshape (top_row, flat)
    bottom_0 = Reshape (bottom_row, flat)
    bottom_1 = Add (bottom_0, one)
    rows = Slice (photos, top_1, bottom_1, axis_1)
    index_rows = Sub (index_y, top_row)
    planes = Transpose <perm: ints = [0, 3, 1, 2]> (rows)
    plane_shape = Shape (planes)
    batch = Slice (plane_shape, zeros, one)
    row_count = Slice (plane_shape, axis_2, axis_3)

    shape_x = Shape (weights_x)
    blocks_x = Slice (shape_x, zeros, one)
    length_x = Slice (shape_x, axis_2, axis_3)
    columns = Gather <axis: int = 3> (planes, index_x)
    by_block_x = Concat <axis: int = 0> (flat, blocks_x, length_x)
    columns_3d = Reshape (columns, by_block_x)
    blocks_first = Transpose <perm: ints = [1, 0, 2]> (columns_3d)
    values_x = Cast <to = 1> (blocks_first)
    weights_xt = Transpose <perm: ints = [0, 2, 1]> (weights_x)
    sums_x = MatMul (values_x, weights_xt)
    product_x = regraft.EightBits <axis: int = 2> (sums_x)
    lines_first = Transpose <perm: ints = [1, 0, 2]> (product_x)
    three = Constant <value = int64[1] {3}> ()
    by_line = Concat <axis: int = 0> (batch, three, row_count, flat)
    lines = Reshape (lines_first, by_line)
    narrow = Slice (lines, zeros, kept_x, axis_3)

    shape_y = Shape (weights_y)
    blocks_y = Slice (shape_y, zeros, one)
    length_y = Slice (shape_y, axis_2, axis_3)
    needed = Gather <axis: int = 2> (narrow, index_rows)
    by_block_y = Concat <axis: int = 0> (batch, three, blocks_y, length_y, kept_x)
    values_y = Reshape (needed, by_block_y)
    sums_y = MatMul (weights_y, values_y)
    product_y = regraft.EightBits <axis: int = 3> (sums_y)
    by_row = Concat <axis: int = 0> (batch, three, flat, kept_x)
    all_rows = Reshape (product_y, by_row)
    cropped = Slice (all_rows, zeros, kept_y, axis_2)

    valid_y_kept = Slice (valid_y, zeros, kept_y)
    valid_x_kept = Slice (valid_x, zeros, kept_x)
    valid_column = Unsqueeze (valid_y_kept, axis_1)
    valid = And (valid_column, valid_x_kept)
    outside = Constant <value = float[1] {-1}> ()
    pixels = Where (valid, cropped, outside)
}
"""

_OFFSET = """
<domain: "regraft", opset_import: ["" : 17]>
Offset (resized, kept) => (offset)
{
    zero = Constant <value_int: int = 0> ()
    two = Constant <value_int: int = 2> ()
    half = Constant <value = double {0.5}> ()
    spare = Sub (resized, kept)
    spare_double = Cast <to = 11> (spare)
    middle_double = Mul (spare_double, half)
    middle_round = Round (middle_double)
    middle = Cast <to = 7> (middle_round)
    missing = Sub (kept, resized)
    border = Div (missing, two)
    before = Neg (border)
    is_missing = Greater (missing, zero)
    offset = Where (is_missing, before, middle)
}
"""

_MODEL = """
<ir_version: 8, opset_import: ["" : 17, "regraft" : 1]>
preprocessing (uint8[n, h, w, 3] photos) => (float[n, 3, {height}, {width}] pixels)
{{
    shape = Shape (photos)
    number_1 = Constant <value_int: int = 1> ()
    number_2 = Constant <value_int: int = 2> ()
    height = Gather <axis: int = 0> (shape, number_1)
    width = Gather <axis: int = 0> (shape, number_2)
    to_height = Constant <value_int: int = {to_height}> ()
    to_width = Constant <value_int: int = {to_width}> ()
    {resized}
    kept_height = Constant <value_int: int = {height}> ()
    kept_width = Constant <value_int: int = {width}> ()
    left = regraft.Offset (resized_width, kept_width)
    top = regraft.Offset (resized_height, kept_height)
    {passes}
    fill = Constant <value = float[1, 3, 1, 1] {{{fill}}}> ()
    nothing = Constant <value = float[1] {{0}}> ()
    inside = GreaterOrEqual (cropped, nothing)
    pixels = Where (inside, cropped, fill)
}}
"""

_ACROSS_FIRST = """
    cropped = regraft.Crop <diameter: int = {diameter}> (
        photos, width, height, resized_width, resized_height, left, top, kept_width, kept_height
    )"""

# The first answer of OpenVINO 2026.4 is wrong if an ``If`` turns the result back: indices do it instead.
_CHEAPER_ORDER = """
    two = Constant <value_int: int = 2> ()
    fewer_rows = Sub (height, resized_height)
    fewer_columns = Sub (width, resized_width)
    twice_fewer_columns = Mul (two, fewer_columns)
    zero = Constant <value_int: int = 0> ()
    has_fewer_rows = Greater (fewer_rows, zero)
    has_more_to_gain = Greater (fewer_rows, twice_fewer_columns)
    is_down_first = And (has_fewer_rows, has_more_to_gain)
    turned = If (is_down_first) <
        then_branch = turn () => (uint8[n, c, d, 3] t) {{ t = Transpose <perm: ints = [0, 2, 1, 3]> (photos) }},
        else_branch = keep () => (uint8[n, c, d, 3] t) {{ t = Identity (photos) }}>
    have_x = Where (is_down_first, height, width)
    have_y = Where (is_down_first, width, height)
    resized_x = Where (is_down_first, resized_height, resized_width)
    resized_y = Where (is_down_first, resized_width, resized_height)
    first_x = Where (is_down_first, top, left)
    first_y = Where (is_down_first, left, top)
    kept_x = Where (is_down_first, kept_height, kept_width)
    kept_y = Where (is_down_first, kept_width, kept_height)
    cropped_turned = regraft.Crop <diameter: int = {diameter}> (
        turned, have_x, have_y, resized_x, resized_y, first_x, first_y, kept_x, kept_y
    )
    one = Constant <value_int: int = 1> ()
    as_row = Constant <value = int64[2] {{1, -1}}> ()
    as_column = Constant <value = int64[2] {{-1, 1}}> ()
    flat = Constant <value = int64[1] {{-1}}> ()
    row_numbers = Range (zero, kept_height, one)
    column_numbers = Range (zero, kept_width, one)
    row = Reshape (row_numbers, as_column)
    column = Reshape (column_numbers, as_row)
    rows_above = Mul (row, kept_width)
    place = Add (rows_above, column)
    columns_before = Mul (column, kept_height)
    turned_place = Add (columns_before, row)
    source = Where (is_down_first, turned_place, place)
    source_flat = Reshape (source, flat)
    by_plane = Constant <value = int64[3] {{0, 3, -1}}> ()
    planes_flat = Reshape (cropped_turned, by_plane)
    planes = Gather <axis: int = 2> (planes_flat, source_flat)
    by_row = Constant <value = int64[4] {{0, 3, {height}, {width}}}> ()
    cropped = Reshape (planes, by_row)"""

_SQUASH = """
    resized_width = Identity (to_width)
    resized_height = Identity (to_height)"""

_SHORT_SIDE = """
    short = Min (width, height)
    width_product = Mul (to_height, width)
    height_product = Mul (to_height, height)
    resized_width = Div (width_product, short)
    resized_height = Div (height_product, short)"""

_RATIO = """
    one = Constant <value_int: int = 1> ()
    width_double = Cast <to = 11> (width)
    height_double = Cast <to = 11> (height)
    to_width_double = Cast <to = 11> (to_width)
    to_height_double = Cast <to = 11> (to_height)
    ratio_x = Div (width_double, to_width_double)
    ratio_y = Div (height_double, to_height_double)
    ratio = {pick} (ratio_y, ratio_x)
    width_ratio = Div (width_double, ratio)
    height_ratio = Div (height_double, ratio)
    width_round = Round (width_ratio)
    height_round = Round (height_ratio)
    width_whole = Cast <to = 7> (width_round)
    height_whole = Cast <to = 7> (height_round)
    resized_width = Max (width_whole, one)
    resized_height = Max (height_whole, one)"""

_FILTER = """
<domain: "regraft", opset_import: ["" : 17]>
Filter (a) => (w)
{{
    zero = Constant <value = double {{0}}> ()
    one = Constant <value = double {{1}}> ()
    {body}
}}
"""


@functools.lru_cache(maxsize=16)
def pixels_graph(p: Preprocessing) -> onnx.ModelProto:
    """Return a graph from photos, (n, H, W, 3), uint8, to the pixels that the network sees, (n, 3, h, w), float32.

    The pixels are whole numbers from 0 to 255, those of `regraft.data.preprocessing.evaluation_pixels`.

    Args:
        p: the preprocessing of the network.

    Raises:
        ConfigError: the photos are resized to the nearest pixel, which is not a weighted mean.
    """
    if p.interpolation not in _FILTERS:
        raise ConfigError(
            f"interpolation: expected one of {', '.join(_FILTERS)} for an exported model, found {p.interpolation!r}"
        )
    to_height, to_width = p.resized
    fill = [round(255 * v) for v in p.mean] if p.crop_mode == "border" else [0, 0, 0]
    main = _MODEL.format(
        height=p.height,
        width=p.width,
        to_height=to_height,
        to_width=to_width,
        resized=_resized(p),
        passes=(_CHEAPER_ORDER if down_may_be_first() else _ACROSS_FIRST).format(
            diameter=_DIAMETER[p.interpolation], height=p.height, width=p.width
        ),
        fill=", ".join(str(float(v)) for v in fill),
    )
    model = onnx.parser.parse_model(main)
    functions = (_OFFSET, _PASSES, _TAPS, _ROUND, _FILTER.format(body=_FILTERS[p.interpolation]))
    model.functions.extend(onnx.parser.parse_function(text) for text in functions)
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
        return _SQUASH
    if p.crop_mode == "center" and len(set(p.resized)) == 1:
        return _SHORT_SIDE
    return _RATIO.format(pick="Max" if p.crop_mode == "border" else "Min")
