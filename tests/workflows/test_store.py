"""What is frozen is computed once, ever: another run takes it from the store."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest
import safetensors.torch
from PIL import Image

from making import make_photos
from recorded_screen import RecordedScreen
from regraft.data.manifest import Manifest
from regraft.features.engines.engine import EagerEngine
from regraft.recipes.steps import cut_point
from regraft.screen import QuietScreen
from regraft.workflows.train import train


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos", {"ash": 30, "birch": 30, "cedar": 30})


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def passes(monkeypatch):
    """Counts the photos that go through the network."""
    seen: list[int] = []
    plain = EagerEngine.run
    monkeypatch.setattr(EagerEngine, "run", lambda self, pixels: seen.append(len(pixels)) or plain(self, pixels))

    def since() -> int:
        total = sum(seen)
        seen.clear()
        return total

    return since


@pytest.mark.slow
def test_only_what_is_new_goes_through_the_network(photos, tiny, tmp_path, passes, tmp_path_factory):
    runs = iter(range(100))

    def go(**options):
        return train(photos, out=tmp_path / f"run{next(runs)}", screen=QuietScreen(), **{**tiny, **options})

    first = go(recipe="linear-probe")
    assert passes() == 90
    again = go(recipe="linear-probe")
    assert passes() == 0
    assert (first.folder / "model.safetensors").read_bytes() == (again.folder / "model.safetensors").read_bytes()
    go(recipe="feature-extraction", epochs=1, views=1)
    go(recipe="feature-extraction", epochs=1, views=1, seed=5)
    go(recipe="feature-extraction", epochs=1, views=1, split_seed=7, split="60/20/20")
    go(recipe="linear-probe", class_weight="balanced")
    assert passes() == 0
    (photos / "ash").rename(photos / "oak")
    shutil.move(photos / "birch" / "photo 003.png", photos / "cedar" / "another name.png")
    go(recipe="linear-probe")
    assert passes() == 0
    one_more(photos / "birch" / "new.png", 1)
    go(recipe="linear-probe")
    assert passes() == 1
    one_more(photos / "birch" / "photo 004.png", 2)
    go(recipe="linear-probe")
    assert passes() == 1
    go(recipe="linear-probe", size=48)
    assert passes() == 91
    state = safetensors.torch.load_file(tiny["weights"])
    state["conv1.0.weight"] *= 1.01
    safetensors.torch.save_file(state, tmp_path / "other.safetensors")
    go(recipe="linear-probe", weights=tmp_path / "other.safetensors")
    assert passes() == 91


@pytest.mark.slow
def test_one_photo_more_costs_one_pass_for_each_view(photos, tiny, tmp_path, passes):
    for side in ("train", "val"):
        shutil.copytree(photos, tmp_path / "given" / side)
    for i, file in enumerate(sorted((tmp_path / "given" / "val").rglob("*.png"))):
        one_more(file, 1000 + i)

    def go(name, **options):
        return train(tmp_path / "given", out=tmp_path / name, screen=QuietScreen(), **{**tiny, "views": 3, **options})

    go("first", recipe="linear-probe")
    assert passes() == 2 * 90 + 2 * 90  # all plain, and two further views of those that are fitted on
    one_more(tmp_path / "given" / "train" / "ash" / "new.png", 1)
    go("second", recipe="linear-probe")
    assert passes() == 3
    go("third", recipe="feature-extraction", epochs=4, seed=2, split_seed=3)
    assert passes() == 0
    go("fourth", recipe="feature-extraction", epochs=4, views=4)
    assert 60 < passes() <= 91


def test_training_measuring_and_predicting_use_one_engine(photos, tiny, tmp_path, passes, monkeypatch):
    """Then the photos that are held back need no further pass, and figures are those that evaluate gives."""
    from regraft.features.engines import engine_costs
    from regraft.features.engines.graph_engines import OnnxEngine
    from regraft.inference.predictor import Predictor
    from regraft.models.zoo import build_backbone
    from regraft.workflows.evaluate import evaluate_run

    for title, speed in {"eager fp32": 1.0, "eager bf16": 1.0, "OpenVINO bf16": 1.0, "OpenVINO fp32": 1.0}.items():
        engine_costs.record_speed(title, build_backbone(tiny["backbone"], pretrained=False, size=64), speed)
    engine_costs.record_speed("ONNX Runtime fp32", build_backbone(tiny["backbone"], pretrained=False, size=64), 1e6)
    for side in ("train", "val"):
        shutil.copytree(photos, tmp_path / "given" / side)
    for file in (tmp_path / "given" / "val").rglob("photo 0[12]*.png"):
        file.unlink()
    for i, file in enumerate(sorted((tmp_path / "given" / "val").rglob("*.png"))):
        one_more(file, 1000 + i)

    def go(name):
        return train(tmp_path / "given", out=tmp_path / name, screen=QuietScreen(), recipe="linear-probe", **tiny)

    seen: list[int] = []
    plain = OnnxEngine.run
    monkeypatch.setattr(OnnxEngine, "run", lambda self, pixels: seen.append(len(pixels)) or plain(self, pixels))
    run = go("first")
    assert (run.config.precision, sum(seen), passes()) == ("auto", 90 + 30 + 16, 0)  # 16 to certify it
    assert (
        evaluate_run(run.folder, "validation", Predictor.load(run.folder))["figures"]
        == (run.metrics["measured"]["final/validation"]["figures"])
    )
    seen.clear(), passes()
    again = go("second")
    assert (sum(seen), passes()) == (0, 0)
    assert again.metrics == run.metrics


def one_more(path, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def test_a_cache_that_cannot_be_written_is_done_without(photos, tiny, tmp_path, monkeypatch, passes):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "file"))
    screen = RecordedScreen()
    run = train(photos, out=tmp_path / "run", recipe="linear-probe", screen=screen, **tiny)
    assert run.accuracy > 0.5
    assert passes() == 90
    assert sum("feature cache" in text for text in screen.texts) == 1


@pytest.mark.slow
def test_below_the_cut_point_each_view_is_computed_once_and_recomputing_it_gives_the_same_weights(
    photos, tiny, tmp_path, passes, monkeypatch
):
    def go(name, **options):
        more = {"recipe": "fine-tune", "unfreeze": 1, "epochs": 3, "views": 3, "split": "60/20/20", **tiny, **options}
        return train(photos, out=tmp_path / name, screen=QuietScreen(), **more)

    first = go("first")
    count = Counter(entry.side for entry in Manifest.read(first.folder / "manifest.csv").usable)
    measured = sum(count.values())  # by the whole network, which has other weights than before: figures and novelty
    assert passes() >= 90 + 3 * count["train"] + count["validation"] + measured
    assert first.metrics["training"]["cut_point"] == "layer4"
    assert first.metrics["training"]["views"] == 3
    again = go("again", seed=3)
    assert passes() == measured
    assert (again.folder / "model.safetensors").read_bytes() != (first.folder / "model.safetensors").read_bytes()
    kept = cut_point.Activations
    monkeypatch.setattr(
        cut_point, "Activations", lambda lower, engine, store, **more: kept(lower, engine, None, **more)
    )
    recomputed = go("recomputed")
    assert passes() >= 3 * count["train"] + 3 * count["validation"] + measured
    assert (recomputed.folder / "model.safetensors").read_bytes() == (first.folder / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_without_room_for_activations_whole_photos_are_trained_on(photos, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(cut_point, "STORE_SHARE", 0.0)
    more = {"recipe": "fine-tune", "unfreeze": 1, "epochs": 1, **tiny}
    run = train(photos, out=tmp_path / "run", screen=QuietScreen(), **more)
    assert run.metrics["training"]["cut_point"] is None
    monkeypatch.setattr(cut_point, "STORE_SHARE", 0.5)
    same = train(photos, out=tmp_path / "same", screen=QuietScreen(), views=0, **more)
    assert (same.folder / "model.safetensors").read_bytes() == (run.folder / "model.safetensors").read_bytes()
