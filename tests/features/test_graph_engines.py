"""Engines that compile a graph give the features that torch gives, the same bits in any company."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from features.test_engine import POOL, sized
from regraft.data.preprocessing import normalise
from regraft.errors import ConfigError, MissingExtraError
from regraft.features.engines import graph_engines
from regraft.features.engines.certification import run_all
from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.graph_engines import GraphEngine, OnnxEngine
from regraft.features.engines.openvino_engine import OpenVinoEngine
from regraft.features.engines.openvino_graph import NoSplitError, split_model
from regraft.features.engines.processor import computes_bf16, has_avx2
from regraft.models.zoo import build_backbone

ENGINES = {
    "onnx": (OnnxEngine, "fp32"),
    "openvino": (OpenVinoEngine, "fp32"),
    "openvino bf16": (OpenVinoEngine, "bf16"),
    "openvino mixed": (OpenVinoEngine, "mixed"),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Facts and graphs that a test leaves do not help the next."""
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path_factory.mktemp("cache")))


def made(name: str, backbone, **options) -> GraphEngine:
    kind, precision = ENGINES[name]
    if kind is OpenVinoEngine:
        pytest.importorskip("openvino")
    return kind(backbone, precision=precision, **options)


@cache
def engine_of(name: str) -> GraphEngine:
    return made(name, build_backbone(), batch_size=4)


@cache
def alone(name: str, photo: int) -> bytes:
    engine = engine_of(name)
    return engine.run(sized(engine.backbone)[photo : photo + 1]).tobytes()


@pytest.mark.parametrize("name", ENGINES)
@settings(max_examples=8, deadline=None, derandomize=True)
@given(batch=st.lists(st.integers(0, POOL - 1), min_size=1, max_size=4))
def test_features_are_the_same_bits_in_any_company(name, batch):
    engine = engine_of(name)
    found = engine.run(sized(engine.backbone)[batch])
    assert found.dtype == np.float32
    for row, photo in zip(found, batch, strict=True):
        assert row.tobytes() == alone(name, photo)


@pytest.mark.parametrize("name", ENGINES)
def test_features_are_the_same_bits_from_several_threads(name):
    engine = engine_of(name)
    x = sized(engine.backbone)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda i: engine.run(x[i % POOL : i % POOL + 1]).tobytes(), range(24)))
    assert all(bits == alone(name, i % POOL) for i, bits in enumerate(found))


@pytest.mark.parametrize(
    ("name", "network"),
    [
        *itertools.product(("onnx", "openvino"), ("test_vit", "test_convnext", "test_efficientnet", "test_resnet")),
        ("openvino bf16", "test_vit"),
        ("openvino bf16", "test_efficientnet"),
        ("openvino mixed", "test_convnext"),
        ("openvino mixed", "test_resnet"),
    ],
)
def test_features_are_those_of_torch(name, network):
    if name == "openvino" and network in ("test_vit", "test_convnext") and not has_avx2():
        pytest.skip(
            "OpenVINO compiles no GELU or attention where oneDNN is held below AVX2; such engines are not chosen"
        )
    backbone = build_backbone(network, pretrained=False, seed=3)
    x = sized(backbone)[:6]
    expected = EagerEngine(backbone).run(x)
    engine = made(name, backbone)
    found = run_all(engine, x)
    scale = np.abs(expected).max()
    assert np.abs(found - expected).max() < (1e-4 if engine.precision == "fp32" else 0.1) * scale
    again = run_all(engine, x[::-1])[::-1]
    assert again.tobytes() == found.tobytes()


def test_features_of_the_default_network_are_those_of_torch(lite0):
    x = sized(lite0)[:4]
    expected = EagerEngine(lite0).run(x)
    for name in ENGINES if computes_bf16() else ("onnx", "openvino"):
        found = engine_of(name).run(x)
        cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
        assert cosine.min() > {"bf16": 0.98, "mixed": 0.999}.get(engine_of(name).precision, 0.99999)


def test_a_model_is_split_where_one_tensor_passes(tiny):
    openvino = pytest.importorskip("openvino")
    graph = graph_engines.exported_graph(tiny, tiny.weights_hash(), 2)
    core = openvino.Core()
    x = sized(tiny)[:2]
    whole = core.compile_model(core.read_model(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])[0]
    seen = set()
    for share in (0.1, 0.4, 0.7):
        lower, upper = split_model(core.read_model(graph), core.read_model(graph), share)
        seen.add(tuple(lower.output(0).get_shape()))
        assert len(lower.get_ops()) > 3
        assert len(upper.get_ops()) > 3
        parts = [core.compile_model(part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}) for part in (lower, upper)]
        found = parts[1]([parts[0]([x])[0]])[0]
        assert np.allclose(found, whole, rtol=1e-5, atol=1e-5)
    assert len(seen) > 1, "a larger share is another place"


def test_above_all_work_there_is_no_place_to_split():
    pytest.importorskip("openvino")
    from openvino import Model, opset13

    def model() -> Model:
        x = opset13.parameter((1, 4), np.float32)
        weights = opset13.constant(np.eye(4, dtype=np.float32))
        end = opset13.add(opset13.matmul(x, weights, False, False), opset13.relu(x))
        end.set_friendly_name("sum")
        return Model([opset13.result(end)], [x], "both ways")

    with pytest.raises(NoSplitError, match=r"no single tensor passes above 1.5 of the multiplications"):
        split_model(model(), model(), 1.5)
    below, above = split_model(model(), model(), 0.1)
    names = [[op.get_type_name() for op in part.get_ordered_ops()] for part in (below, above)]
    assert "Add" in names[0], "two tensors pass before the sum"
    assert names[1] == ["Parameter", "Result"]


def test_a_graph_is_exported_once_and_a_damaged_one_again(tiny, monkeypatch):
    exports = []
    monkeypatch.setattr(
        graph_engines, "_export", lambda *a, plain=graph_engines._export: exports.append(1) or plain(*a)
    )
    x = sized(tiny)[:2]
    expected = OnnxEngine(tiny).run(x)
    assert OnnxEngine(tiny).run(x).tobytes() == expected.tobytes()
    assert len(exports) == 1
    (file,) = graph_engines.graph_files()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 16
    file.write_bytes(data)
    assert OnnxEngine(tiny).run(x).tobytes() == expected.tobytes()
    assert len(exports) == 2
    other = build_backbone("test_resnet", pretrained=False, size=32, seed=5)
    assert OnnxEngine(other).run(x).tobytes() != expected.tobytes()
    assert len(graph_engines.graph_files()) == 2


def test_old_graphs_make_room(tiny, monkeypatch):
    monkeypatch.setattr(graph_engines, "_MAX_GRAPH_BYTES", 1)
    for size in (1, 2, 3):
        OnnxEngine(tiny, batch_size=size).run(sized(tiny)[:1])
    newest = graph_engines._path(tiny, tiny.weights_hash(), 3)
    assert graph_engines.graph_files() == [newest]


@pytest.mark.parametrize("what", ["the others", "only the last"])
def test_photos_are_run_one_at_a_time_where_more_than_the_photo_matters(monkeypatch, what):
    from features.test_engine import MATTERS

    backbone = build_backbone("test_resnet", pretrained=False, size=32)
    plain = type(backbone.network).forward
    monkeypatch.setattr(type(backbone.network), "forward", lambda self, x: MATTERS[what](plain(self, x)))
    assert OnnxEngine(backbone).batch_size == 1


def test_numerics_are_known_without_compiling_again(tiny, monkeypatch):
    first = OnnxEngine(tiny)
    numerics = first.numerics
    monkeypatch.setattr(OnnxEngine, "_compile", lambda self, graph: pytest.fail("compiled again"))
    assert OnnxEngine(tiny).numerics == numerics
    assert "onnx-runtime-" in numerics and torch.__version__ in numerics and numerics.endswith("8x3x32x32")


def test_changed_weights_are_taken_over_on_refresh():
    backbone = build_backbone("test_resnet", pretrained=False, size=32)
    engine, x = OnnxEngine(backbone), sized(backbone)[:2]
    before = engine.run(x)
    with torch.no_grad():
        next(backbone.network.parameters()).mul_(2)
    assert engine.refresh() == backbone.weights_hash()
    assert not np.array_equal(engine.run(x), before)


def test_wrong_arguments_and_missing_packages_are_named(tiny, monkeypatch):
    with pytest.raises(ConfigError, match="precision: expected 'fp32', found 'bf16'"):
        OnnxEngine(tiny, precision="bf16")
    with pytest.raises(ConfigError, match="batch size: expected a positive number, found 0"):
        OnnxEngine(tiny, batch_size=0)
    with pytest.raises(ValueError, match="at most 8 photos, not 9"):
        OnnxEngine(tiny).run(sized(tiny)[:9])
    monkeypatch.setattr("regraft.features.engines.openvino_engine.package_version", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'regraft\[openvino\]'"):
        OpenVinoEngine(tiny)


def test_exporting_needs_no_further_package(tiny, monkeypatch):
    import onnxruntime

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    graph = graph_engines.exported_graph(tiny, tiny.weights_hash(), 3)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    shapes = [(value.name, value.type, value.shape) for value in (*session.get_inputs(), *session.get_outputs())]
    assert shapes == [
        ("pixels", "tensor(uint8)", [3, 32, 32, 3]),
        ("features", "tensor(float)", [3, tiny.spec.num_features]),
    ]
    pixels = sized(tiny)[:3]
    with torch.inference_mode():
        expected = tiny(normalise(pixels, tiny.preprocessing)).numpy()
    (features,) = session.run(None, {"pixels": pixels})
    assert np.abs(features - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_ctrl_c_after_openvino_is_no_crash(precision):
    pytest.importorskip("openvino")
    program = """
import gc, signal, threading
import numpy as np
from regraft.features.engines.openvino_engine import OpenVinoEngine
from regraft.models.zoo import build_backbone
signal.signal(signal.SIGINT, signal.default_int_handler)
held = [OpenVinoEngine(build_backbone("test_resnet", pretrained=False, size=64), precision=PRECISION)]
held[0].run(np.zeros((1, 64, 64, 3), np.uint8))
thread = threading.Thread(target=lambda: (held.clear(), gc.collect()))
thread.start(), thread.join()
kept = [bytearray(11_568) for _ in range(2000)]  # what was freed is used for something else
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("as usual")
"""
    program = program.replace("PRECISION", repr(precision))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (0, "as usual\n"), ended.stderr
