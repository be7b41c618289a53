"""The engine that is done soonest is chosen, certified on real photos before it is used."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from making import make_photos
from regraft.data.manifest import Entry
from regraft.errors import ConfigError
from regraft.features.engines import engine_choice, engine_costs, machine_facts, processor
from regraft.features.engines.certification import certificate, certify, real_photos
from regraft.features.engines.engine_choice import REFERENCE, choose_engine, make_engine
from regraft.features.engines.graph_engines import OnnxEngine
from regraft.features.extract import extract
from regraft.features.stores.store import MemoryStore

ONNX = "ONNX Runtime fp32"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def entries(tmp_path) -> list[Entry]:
    files = sorted(make_photos(tmp_path / "photos", {"a": 12, "b": 12}, size=40).rglob("*.png"))
    return [
        Entry(f.name, f, hashlib.sha256(f.read_bytes()).hexdigest(), "a", None, None, "ok", "", None) for f in files
    ]


@pytest.fixture
def speeds(monkeypatch, tiny):
    """Sets what engines are said to reach; the others are not there."""

    def say(**given: float) -> None:
        names = {"onnx": ONNX, "eager": REFERENCE, "bf16": "eager bf16"}
        monkeypatch.setattr(engine_choice, "candidates", lambda *, bf16=True: [names[name] for name in given])
        for name, speed in given.items():
            engine_costs.record_speed(names[name], tiny, speed)

    return say


def test_few_photos_start_at_once_and_many_take_the_fastest(entries, tiny, speeds):
    speeds(eager=100, onnx=200)
    assert choose_engine(tiny, entries, MemoryStore()).title == REFERENCE
    assert choose_engine(tiny, entries * 100, MemoryStore()).title == ONNX
    assert certificate(OnnxEngine(tiny), tiny, tiny.weights_hash()) > 0.99999
    assert machine_facts.read_fact("nothing") is None


def test_of_two_that_are_done_at_about_the_same_time_the_one_that_pays_off_later_is_taken(entries, tiny, speeds):
    speeds(eager=100, onnx=200)
    eager, onnx = make_engine(REFERENCE, tiny), OnnxEngine(tiny)
    for engine in (eager, onnx):
        engine.set_weights_hash("weights that never ran")
    plain, graph = (engine_costs.setup_cost(engine, tiny, "weights that never ran") for engine in (eager, onnx))
    assert plain.reusable < graph.reusable < graph.seconds
    ready = graph.seconds + engine_costs.certify_seconds(onnx, tiny)
    even = (ready - plain.seconds) / (1 / 100 - 1 / 200)  # photos for which this run alone would take either
    many = entries * 20
    assert choose_engine(tiny, many[: round(0.6 * even)], MemoryStore()).title == REFERENCE
    assert choose_engine(tiny, many[: round(0.9 * even)], MemoryStore()).title == ONNX


def test_what_an_engine_has_computed_is_taken_from_the_store(entries, tiny, speeds):
    speeds(eager=100, onnx=200)
    store = MemoryStore()
    extract(entries, tiny, make_engine(REFERENCE, tiny), store)
    many = entries * 100  # the same photos: nothing is missing
    assert choose_engine(tiny, many, store).title == REFERENCE
    assert choose_engine(tiny, many, store).why == "all features are in the store"
    certify(OnnxEngine(tiny), tiny, real_photos(entries, tiny))
    other = MemoryStore()
    extract(entries, tiny, make_engine(ONNX, tiny), other)
    assert choose_engine(tiny, entries, other).title == ONNX


def test_an_engine_that_is_not_certified_is_not_used(entries, tiny, speeds, monkeypatch):
    speeds(eager=100, onnx=200)
    calls = []

    def wrong(self, pixels, plain=OnnxEngine.run):
        calls.append(1)
        return plain(self, pixels)[:, ::-1].copy()

    monkeypatch.setattr(OnnxEngine, "run", wrong)
    for _ in range(2):
        assert choose_engine(tiny, entries * 100, MemoryStore()).title == REFERENCE
        assert 1 <= len(calls) <= 2  # tried once, then known
    assert certificate(OnnxEngine(tiny), tiny, tiny.weights_hash()) < 0.9


def test_bfloat16_is_tried_only_where_much_could_be_gained_and_by_one_engine(entries, tiny, monkeypatch):
    monkeypatch.setattr(processor, "computes_bf16", lambda: True)  # none of them runs
    tried = []
    titles = [REFERENCE, "eager bf16", "OpenVINO bf16"]
    monkeypatch.setattr(engine_choice, "candidates", lambda *, bf16=True: titles)
    monkeypatch.setattr(engine_choice, "is_certified", lambda engine, *a: tried.append(engine.title) or False)
    for title, speed in zip(titles, (100, 200, 300), strict=True):
        engine_costs.record_speed(title, tiny, speed)
    assert choose_engine(tiny, entries * 10, MemoryStore()).title == REFERENCE
    assert tried == []
    assert choose_engine(tiny, entries * 1000, MemoryStore()).title == REFERENCE
    assert tried == ["OpenVINO bf16"]


def test_what_is_known_to_lose_too_much_in_bfloat16_is_not_tried(entries, lite0, monkeypatch):
    monkeypatch.setattr(processor, "computes_bf16", lambda: True)  # none of them runs
    tried = []
    monkeypatch.setattr(engine_choice, "candidates", lambda *, bf16=True: [REFERENCE, "OpenVINO bf16"])
    monkeypatch.setattr(engine_choice, "is_certified", lambda engine, *a: tried.append(engine.title) or False)
    assert choose_engine(lite0, entries * 1000, MemoryStore()).title == REFERENCE
    assert tried == []


def test_the_engine_that_was_made_ready_for_the_choice_is_used(entries, tiny, speeds):
    speeds(eager=1, onnx=1e6)
    choice = choose_engine(tiny, entries, MemoryStore())
    assert choice.title == ONNX
    assert choice.engine_for(tiny) is choice.engine
    assert choice.engine_for(tiny).verified


def test_an_engine_that_cannot_run_the_network_is_not_used(entries, tiny, speeds, monkeypatch):
    speeds(eager=100, onnx=200)
    monkeypatch.setattr(OnnxEngine, "_compile", lambda self, graph: (_ for _ in ()).throw(NotImplementedError("an op")))
    assert choose_engine(tiny, entries * 100, MemoryStore()).title == REFERENCE


def test_bfloat16_is_not_used_where_single_precision_was_asked_for(monkeypatch):
    monkeypatch.setattr(engine_choice, "has_bf16", lambda: True)
    assert "eager bf16" in engine_choice.candidates()
    assert not any(title.endswith("bf16") for title in engine_choice.candidates(bf16=False))
    monkeypatch.setattr(engine_choice, "has_bf16", lambda: False)
    assert not any(title.endswith("bf16") for title in engine_choice.candidates())


def test_bfloat16_is_used_only_where_its_instructions_may_be(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(processor, "computes_bf16", lambda: True)
    for held, faster in {"": True, "ALL": True, "AVX512_CORE_BF16": True, "avx512_core_amx": True}.items():
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held)
        assert processor.has_bf16() == faster
    for held in ("AVX512_CORE", "AVX512_CORE_VNNI", "AVX2", "SSE41"):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held)
        assert not processor.has_bf16()
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    assert not processor.has_bf16() and processor.instruction_set().endswith("oneDNN AVX2")


def test_an_engine_in_bfloat16_is_refused_where_there_is_none(tiny, monkeypatch):
    monkeypatch.setattr(processor, "computes_bf16", lambda: False)
    for title in ("eager bf16", "OpenVINO bf16", "OpenVINO mixed"):
        if title.startswith("OpenVINO"):
            pytest.importorskip("openvino")
        with pytest.raises(ConfigError, match=r"bfloat16 needs AVX512 or newer instructions; .* choose fp32"):
            make_engine(title, tiny)
    assert {title.rpartition(" ")[2] for title in engine_choice.candidates()} == {"fp32"}


def test_estimates_depend_on_what_the_processor_has(lite0, monkeypatch):
    ratios = []
    for held in ("AVX512_CORE", "AVX2", "SSE41"):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held)
        monkeypatch.setattr(processor, "_processor", lambda name: True)
        ratios.append(
            engine_costs.photos_per_second("OpenVINO fp32", lite0) / engine_costs.photos_per_second(REFERENCE, lite0)
        )
    assert ratios == sorted(ratios, reverse=True) and len(set(ratios)) == 3


def test_too_few_photos_certify_nothing(entries, tiny, speeds):
    speeds(eager=1, onnx=1e6)
    assert choose_engine(tiny, entries[:10], MemoryStore()).title == REFERENCE
    for entry in entries[:20]:
        entry.path.write_bytes(b"damaged")
    assert choose_engine(tiny, entries, MemoryStore()).title == REFERENCE


def test_estimates_order_engines_by_size_of_the_work(lite0, monkeypatch):
    monkeypatch.setattr(engine_choice, "has_bf16", lambda: True)
    speed = {title: engine_costs.photos_per_second(title, lite0) for title in engine_choice.candidates()}
    assert speed[ONNX] > speed[REFERENCE] > 10
    engine_costs.record_speed(REFERENCE, lite0, 10.0)
    assert engine_costs.photos_per_second(REFERENCE, lite0) == 10.0
    assert engine_costs.photos_per_second(ONNX, lite0) == pytest.approx(10 * speed[ONNX] / speed[REFERENCE])


def test_an_unknown_engine_is_named(tiny):
    with pytest.raises(ConfigError, match="unknown engine 'ONNX Runtime'; did you mean 'ONNX Runtime fp32'"):
        make_engine("ONNX Runtime", tiny)


@pytest.mark.parametrize("title", [ONNX, "eager bf16"])
@pytest.mark.parametrize("workers", [0, 3])
def test_extraction_gives_the_same_bits_in_any_order_with_any_engine(entries, tiny, title, workers):
    expected = extract(entries, tiny, make_engine(title, tiny), workers=1).values
    order = np.random.default_rng(0).permutation(len(entries))
    found = extract([entries[i] for i in order], tiny, make_engine(title, tiny), workers=workers)
    assert found.values.tobytes() == expected[order].tobytes()


def test_what_a_pass_took_is_kept_for_each_network_and_device(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    assert engine_costs.last_pass("net", "cpu") is None
    engine_costs.record_pass("net", "cpu", engine_costs.PassCost(0.01, 224 * 224))
    assert engine_costs.last_pass("net", "cuda") is None and engine_costs.last_pass("other", "cpu") is None
    found = engine_costs.last_pass("net", "cpu")
    assert found.at(224 * 224) == 0.01 and found.at(448 * 448) == pytest.approx(0.04)
    assert found.at(32 * 32) == pytest.approx(0.01 * engine_costs.INPUT_INDEPENDENT_SHARE)  # decoding stays
