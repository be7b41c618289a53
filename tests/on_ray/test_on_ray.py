"""Passes on a local Ray cluster of two nodes: the bits of one process, also when a node dies."""

from __future__ import annotations

import json

import numpy as np
import pytest

from making import make_photos
from regraft.data.selection import PhotoSelection
from regraft.errors import ConfigError, MissingExtraError
from regraft.features.stores.store import MemoryStore
from regraft.on_ray import cluster as connection
from regraft.on_ray import feature_actors
from regraft.on_ray.cluster import ClusterError, check_agreement, check_place, connect
from regraft.screen import QuietScreen
from regraft.workflows.feature_pass import PassOptions, prepare_pass, run_pass
from regraft.workflows.steps.pass_network import on_cluster
from tiny_network import tiny

__all__ = ["tiny"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = make_photos(tmp_path_factory.mktemp("ray") / "photos", {"ash": 60, "birch": 60})
    (root / "birch" / "cut.png").write_bytes((root / "birch" / "photo 001.png").read_bytes()[:1500])
    return root


def entries_of(store: MemoryStore) -> dict[str, bytes]:
    return {key: numbers.tobytes() for key, numbers in store._features.items()}


def run(photos, tiny, *, on=None, store=None):
    """Return the counts of a pass, and the entries of its store."""
    store = MemoryStore() if store is None else store
    options = PassOptions(PhotoSelection(photos), engine="eager fp32", **tiny)
    prepared = prepare_pass(options, store, QuietScreen())
    result = run_pass(prepared, store, QuietScreen(), on_cluster(on, tiny["weights"]) if on else None)
    return result, entries_of(store)


@pytest.mark.slow
def test_features_and_stats_have_the_bits_of_one_process_and_nothing_is_computed_twice(cluster, photos, tiny):
    expected, entries = run(photos, tiny)
    store = MemoryStore()
    result, found = run(photos, tiny, on="ray", store=store)
    assert found == entries and len(entries) == 240
    assert {**result, "seconds": 0} == {**expected, "seconds": 0}
    assert [bad["path"] for bad in result["unreadable"]] == ["birch/cut.png"]
    again, _ = run(photos, tiny, on="ray", store=store)
    assert again["networks"][0]["computed"] == 0


@pytest.mark.slow
def test_a_node_that_dies_during_the_pass_changes_no_result(cluster, photos, tiny, monkeypatch):
    monkeypatch.setattr(connection, "BLOCK", 10)
    node = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    store, puts = MemoryStore(), []
    put_many = store.put_many

    def kill_a_node_after_the_first_results(items, kind=""):
        put_many(items, kind)
        puts.append(kind)
        if len(puts) == 2:
            cluster.remove_node(node, allow_graceful=False)

    monkeypatch.setattr(store, "put_many", kill_a_node_after_the_first_results)
    _, found = run(photos, tiny, on="ray", store=store)
    assert found == run(photos, tiny)[1]
    assert len(puts) > 10


@pytest.mark.slow
def test_predictions_are_those_of_one_process_in_the_order_of_the_photos(cluster, photos, tiny, tmp_path):
    from regraft.inference.predictor import Predictor
    from regraft.models.classifier import Classifier
    from regraft.models.zoo import build_backbone
    from regraft.on_ray.prediction_actors import ClusterPredictor

    backbone = build_backbone(tiny["backbone"], weights=tiny["weights"], size=tiny["size"])
    Classifier(backbone, ["ash", "birch"]).save(tmp_path / "model.safetensors")
    paths = sorted(photos.rglob("*.png"))
    predictor = Predictor.load(tmp_path / "model.safetensors")
    expected = predictor.predict(paths)
    found = list(ClusterPredictor(predictor, "ray", tmp_path / "model.safetensors").stream(paths))
    assert found == expected and sum(one.error is not None for one in found) == 1
    assert np.isfinite([one.probability for one in found if one.error is None]).all()


def test_a_machine_with_other_versions_or_weights_is_refused_by_name():
    agreed = {"torch": "2.13.0", "weights": "a", "numerics": "n"}
    check_agreement(agreed, dict(agreed))
    with pytest.raises(ClusterError, match=r"that started the pass: torch 2\.12\.0 here, 2\.13\.0"):
        check_agreement(agreed, {**agreed, "torch": "2.12.0"})
    with pytest.raises(ClusterError, match="numerics m here, n there; weights b here, a there"):
        check_agreement(agreed, {**agreed, "weights": "b", "numerics": "m"})


@pytest.mark.parametrize("on", ["spark", "ray://", "", "ray:10001"])
def test_another_place_than_ray_is_refused(on):
    with pytest.raises(ConfigError, match="--on: expected ray, or the address of a cluster"):
        check_place(on)


def test_ray_that_is_not_installed_is_one_line_with_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'regraft\[ray\]'"):
        connect("ray")


def test_a_dead_address_is_one_message():
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    if ray.is_initialized():
        pytest.skip("a cluster is connected")
    with pytest.raises(ConfigError, match=r"no Ray cluster answers at ray://127.0.0.1:9: "):
        connect("ray://127.0.0.1:9")


@pytest.mark.slow
def test_commands_on_a_cluster_print_what_they_print_here(cluster, photos, tiny, tmp_path, monkeypatch, capsys):
    from regraft.cli.main import call
    from regraft.models.classifier import Classifier
    from regraft.models.zoo import build_backbone

    backbone = build_backbone(tiny["backbone"], weights=tiny["weights"], size=tiny["size"])
    model = tmp_path / "model.safetensors"
    Classifier(backbone, ["ash", "birch"]).save(model)
    network = [str(word) for name, value in tiny.items() for word in (f"--{name}", value)]
    commands = {
        "check": ["check", str(photos), *network, "--json"],
        "predict": ["predict", str(model), str(photos), "--format", "csv"],
    }
    printed = {}
    for place in ("here", "cluster"):
        monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / place))
        for name, words in commands.items():
            code = call([*words, "--on", "ray"] if place == "cluster" else words)
            out = capsys.readouterr().out
            printed[name, place] = code, {**json.loads(out), "seconds": 0} if name == "check" else out
    assert printed["check", "here"] == printed["check", "cluster"] and printed["check", "here"][0] == 0
    assert printed["predict", "here"] == printed["predict", "cluster"] and printed["predict", "here"][0] == 3


@pytest.mark.slow
def test_check_prints_the_same_when_a_node_dies(cluster, photos, tiny, tmp_path, monkeypatch, capsys):
    from regraft.cli.main import call

    words = ["check", str(photos), *(str(w) for name, value in tiny.items() for w in (f"--{name}", value)), "--json"]
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "here"))
    assert call(words) == 0
    expected = json.loads(capsys.readouterr().out)
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cluster"))
    monkeypatch.setattr(connection, "BLOCK", 10)
    node = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    store_rows, stored = feature_actors._store, []

    def kill_a_node_after_the_first_results(rows, store):
        store_rows(rows, store)
        stored.append(len(rows))
        if len(stored) == 2:
            cluster.remove_node(node, allow_graceful=False)

    monkeypatch.setattr(feature_actors, "_store", kill_a_node_after_the_first_results)
    assert call([*words, "--on", "ray"]) == 0
    assert {**json.loads(capsys.readouterr().out), "seconds": 0} == {**expected, "seconds": 0}
    assert len(stored) > 5
