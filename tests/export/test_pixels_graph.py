"""The preprocessing in a graph gives Pillow's pixels, for every filter, way of cropping and form of the photo."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from regraft.data.preprocessing import Preprocessing, evaluation_pixels
from regraft.errors import ConfigError
from regraft.export.pixels_graph import down_may_be_first, pixels_graph

SIZES = [(1, 1), (3, 2), (17, 200), (64, 64), (73, 73), (100, 75), (311, 200), (90, 640), (640, 90), (5, 300), (700, 3)]


def runner(p):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(pixels_graph(p).SerializeToString(), options)
    return lambda photos: session.run(None, {"photos": photos})[0].transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    "p",
    [
        Preprocessing(64, 64),
        Preprocessing(64, 64, interpolation="bilinear"),
        Preprocessing(64, 64, interpolation="lanczos", crop_mode="squash"),
        Preprocessing(64, 64, interpolation="hamming"),
        Preprocessing(64, 64, interpolation="box", crop_pct=1.0),
        Preprocessing(64, 64, crop_mode="border"),
        Preprocessing(48, 80, interpolation="bilinear"),
        Preprocessing(40, 100, crop_mode="border", interpolation="bilinear"),
        Preprocessing(64, 64, crop_pct=1.3),
    ],
    ids=lambda p: f"{p.height}x{p.width}-{p.interpolation}-{p.crop_mode}-{p.crop_pct}",
)
def test_every_value_is_pillows(p):
    run, draw = runner(p), np.random.default_rng(0)
    for width, height in SIZES:
        photo = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = evaluation_pixels(Image.fromarray(photo), p)
        assert np.array_equal(run(photo[None])[0], expected), (width, height)


def test_several_photos_of_one_size_are_prepared_as_each_alone():
    p, draw = Preprocessing(32, 32), np.random.default_rng(0)
    run, photos = runner(p), draw.integers(0, 256, (3, 50, 70, 3), dtype=np.uint8)
    assert np.array_equal(run(photos), np.concatenate([run(photo[None]) for photo in photos]))


def test_the_order_of_the_passes_is_that_of_this_pillow():
    noise = Image.effect_noise((30, 300), 90.0)
    whole = noise.resize((20, 40), Image.Resampling.BICUBIC)
    down_first = noise.resize((30, 40), Image.Resampling.BICUBIC).resize((20, 40), Image.Resampling.BICUBIC)
    assert down_may_be_first() == (whole.tobytes() == down_first.tobytes())


def test_the_graph_has_standard_operators_only_and_no_resize():
    graph = pixels_graph(Preprocessing(32, 32))
    assert {node.domain for node in graph.graph.node} == {""}
    assert "Resize" not in {node.op_type for node in graph.graph.node}
    assert not graph.functions


def test_nearest_pixels_are_refused():
    with pytest.raises(ConfigError, match=r"expected one of box, bilinear, hamming, bicubic, lanczos .* 'nearest'"):
        pixels_graph(Preprocessing(32, 32, interpolation="nearest"))
