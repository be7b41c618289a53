"""Several networks side by side: one probe on the features of all of them, in every recipe and on every resume."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import numpy as np
import pytest

from making import entries_of, make_photos
from regraft.context.config import resolve
from regraft.data.selection import PhotoSelection
from regraft.errors import BackboneError, ConfigError, WeightsError
from regraft.features.engines.engine import EagerEngine
from regraft.features.stores.disk_store import DiskStore
from regraft.inference.predictor import Predictor
from regraft.interrupts import TimeUp
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.zoo import build_backbone
from regraft.probe.linear_probe import fit_probe
from regraft.recipes import auto, fine_tune
from regraft.recipes.steps import candidates, mixing, solve_probe
from regraft.recipes.steps.gain import Gain
from regraft.screen import QuietScreen
from regraft.workflows.check import CheckOptions, check_photos
from regraft.workflows.evaluate import evaluate_run
from regraft.workflows.find_learning_rate import find_learning_rate
from regraft.workflows.steps import features_and_split
from regraft.workflows.train import resume, train

NAMES = ("test_resnet", "test_efficientnet")
BOTH = "test_resnet+test_efficientnet"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with the weights of two tiny networks, named like them."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(NAMES):
        backbone = build_backbone(name, pretrained=False, size=64, seed=seed)
        Classifier(backbone, ["a", "b"]).save(folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos that no test changes."""
    return make_photos(tmp_path_factory.mktemp("photos"), {"ash": 10, "birch": 10, "cedar": 10}, noise=100.0)


@pytest.fixture(scope="module")
def both(photos, weights, tmp_path_factory):
    """A run of the linear probe on both networks, with a cache of its own; no test changes it."""
    place = tmp_path_factory.mktemp("both")
    options = {"weights": weights, "size": 64, "device": "cpu", "recipe": "linear-probe", "screen": QuietScreen()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGRAFT_CACHE", str(place / "cache"))
        return train(photos, out=place / "run", backbone=BOTH, **options)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def go(photos, weights, tmp_path):
    runs = iter(range(100))

    def run(backbone=BOTH, recipe="linear-probe", **options):
        given = {"out": tmp_path / f"run{next(runs)}", "weights": weights, "size": 64, "device": "cpu", **options}
        return train(photos, screen=QuietScreen(), backbone=backbone, recipe=recipe, **given)

    return run


@pytest.fixture
def passes(monkeypatch):
    """Counts the photos that go through each network."""
    counts: Counter[str] = Counter()
    plain = EagerEngine.run

    def counted(self, pixels):
        counts[self.backbone.spec.name] += len(pixels)
        return plain(self, pixels)

    monkeypatch.setattr(EagerEngine, "run", counted)

    def since():
        found = dict(counts)
        counts.clear()
        return found

    return since


def content_of(run, *names):
    return [(run.folder / name).read_bytes() for name in names or ("model.safetensors", "predictions.csv")]


@pytest.mark.slow
def test_a_photo_goes_once_through_each_network(photos, weights, tmp_path, passes):
    photos = shutil.copytree(photos, tmp_path / "photos")

    def go(out, backbone=BOTH):
        options = {"weights": weights, "size": 64, "device": "cpu", "recipe": "linear-probe", "screen": QuietScreen()}
        train(photos, out=tmp_path / out, backbone=backbone, **options)

    go("first", "test_resnet")
    assert passes() == {"test_resnet": 30}
    go("both")
    assert passes() == {"test_efficientnet": 30}
    go("second", "test_efficientnet")
    assert passes() == {}
    shutil.copy(photos / "ash" / "photo 000.png", photos / "ash" / "copy.png")
    more = make_photos(photos.parent / "more", {"ash": 1}, seed=1) / "ash" / "photo 000.png"
    more.rename(photos / "ash" / "new.png")
    go("last")
    assert passes() == {"test_resnet": 1, "test_efficientnet": 1}


def test_the_probe_is_that_of_the_joined_features(both, photos):
    run = both
    files = sorted(photos.rglob("*.png"))
    ensemble = Ensemble.load(run.folder)
    assert [[member.backbone.spec.name for member in group] for group in ensemble.groups] == [list(NAMES)]
    store = DiskStore()
    networks = Predictor(ensemble, device="cpu")._passes
    joined = np.concatenate(
        [network.features(entries_of(files), 0, store, None).values for network in networks], axis=1
    )
    labels = [("ash", "birch", "cedar").index(file.parent.name) for file in files]
    keys = [entry.content for entry in entries_of(files)]
    probe = fit_probe(joined, labels, classes=3, groups=keys, keys=keys)
    scores = Predictor.load(run.folder, device="cpu").scores(entries_of(files), store=store)
    logits = joined.astype(np.float64) @ probe.weight.T + probe.bias
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(scores.values, expected / expected.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_duplicates_and_the_split_are_those_of_the_first_network(both, go):
    alone = go("test_resnet")
    assert content_of(alone, "manifest.csv") == content_of(both, "manifest.csv")


def test_choices_events_and_the_freeze_ledger_name_each_network(both):
    run = both
    choices = json.loads((run.folder / "config.json").read_text())["choices"]
    assert {"engine", "engine of test_efficientnet"} <= set(choices)
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    assert [event.get("network") for event in events if event["event"] == "features"] == [None, "test_efficientnet"]
    rows = json.loads((run.folder / "freeze.json").read_text())["blocks"]
    heads = [(row["member"], row["network"]) for row in rows if row["block"] == "head"]
    assert heads == [(0, "test_resnet"), (1, "test_efficientnet")]
    assert all(row["before"] == row["after"] for row in rows)


@pytest.mark.parametrize("recipe", ["linear-probe", "feature-extraction", "auto"])
def test_every_recipe_ends_with_figures_that_evaluate_repeats(go, recipe):
    options = {} if recipe == "linear-probe" else {"epochs": 2}
    run = go(recipe=recipe, split="60/20/20", **options)
    side = run.metrics["headline"].partition("/")[2]
    loaded = Predictor.load(run.folder, device="cpu")
    assert isinstance(loaded.classifier, Ensemble)
    if side == "test":
        again = evaluate_run(run.folder, "test", loaded)
        assert again["figures"] == run.metrics["measured"]["final/test"]["figures"]


@pytest.mark.slow
def test_a_climb_trains_the_first_network_from_its_own_probe(go, monkeypatch):
    for name, value in (("MIN_TRAIN", 4), ("MIN_PER_CLASS", 1), ("MIN_VALIDATION", 1)):
        monkeypatch.setattr(auto, name, value)  # whatever the photos: a rung is tried …
    gain = Gain(np.full(2, 0.9), 1e-6 * np.eye(2))
    for module in (candidates, mixing):
        monkeypatch.setattr(module, "measured_gain", lambda *_: gain)  # … and the mix wins
    run = go(recipe="auto", split="60/20/20", epochs=1, unfreeze=1)
    groups = Ensemble.load(run.folder).groups
    assert [[member.backbone.spec.name for member in group] for group in groups] == [list(NAMES), ["test_resnet"]]
    events = [json.loads(line) for line in (run.folder / "events.jsonl").open()]
    labels = [event["label"] for event in events if event["event"] == "probe"]
    assert "start of fine-tuning" in labels
    assert any(event["event"] == "compared" for event in events)
    again = evaluate_run(run.folder, "test", Predictor.load(run.folder, device="cpu"))
    assert again["figures"] == run.metrics["measured"]["final/test"]["figures"]


def test_a_head_trained_on_the_joined_features_has_its_ledger(go):
    run = go(recipe="feature-extraction", epochs=2, views=1)
    rows = json.loads((run.folder / "freeze.json").read_text())["blocks"]
    changed = [(row["member"], row["block"]) for row in rows if row["before"] != row["after"]]
    assert changed == [(0, "head"), (1, "head")]


@pytest.mark.slow
def test_fine_tuning_trains_the_first_network_and_mixes_it_with_the_probe_even_if_interrupted(go, monkeypatch):
    options = {"recipe": "fine-tune", "epochs": 2, "unfreeze": 1, "views": 1, "split": "60/20/20"}
    run = go(**options)
    ensemble = Ensemble.load(run.folder)
    assert [len(group) for group in ensemble.groups] == [2, 1]
    assert ensemble.members[2].backbone.spec.name == "test_resnet"
    (mix,) = [e for e in map(json.loads, (run.folder / "events.jsonl").open()) if e["event"] == "mix"]
    share = mix["share"]
    assert run.metrics["training"]["share_of_fine_tuned"] == share in mixing.SHARES
    assert ensemble.weights == (1 - share, share) and set(mix["log_losses"]) == {"mix", "fine_tuned"}
    rows = json.loads((run.folder / "freeze.json").read_text())["blocks"]
    assert {row["member"] for row in rows if row["trainable"] and row["block"] != "head"} == {2}
    assert {row["member"] for row in rows if row["before"] != row["after"]} == {2}
    again = evaluate_run(run.folder, "test", Predictor.load(run.folder, device="cpu"))
    assert again["figures"] == run.metrics["measured"]["final/test"]["figures"]

    mixed, cut = fine_tune.mix_with_probe, run.folder.parent / "cut"

    def stop(*arguments):
        raise TimeUp

    monkeypatch.setattr(fine_tune, "mix_with_probe", stop)
    with pytest.raises(TimeUp):
        go(out=cut, **options)
    monkeypatch.setattr(fine_tune, "mix_with_probe", mixed)
    assert content_of(resume(cut, screen=QuietScreen())) == content_of(run)


def test_an_interrupted_run_ends_with_the_same_bytes(both, go, tmp_path, monkeypatch):
    """It is interrupted within the pass of the second network, and again when the probe is to be solved."""
    for place, name in ((features_and_split, "extract"), (solve_probe, "fit_probe")):
        plain, calls = getattr(place, name), iter(range(9))

        def stop(*arguments, plain=plain, calls=calls, last=name == "extract", **more):
            if next(calls) == int(last):
                raise TimeUp
            return plain(*arguments, **more)

        with monkeypatch.context() as patch, pytest.raises(TimeUp):
            patch.setattr(place, name, stop)
            go(out=tmp_path / "cut")
    assert content_of(resume(tmp_path / "cut", screen=QuietScreen())) == content_of(both)


def test_a_run_is_repeated_from_its_configuration(both, photos, tmp_path):
    again = train(photos, config=both.folder / "config.json", out=tmp_path / "again", screen=QuietScreen())
    assert content_of(again) == content_of(both)


def test_another_network_is_another_run(both, go, tmp_path):
    shutil.copytree(both.folder, tmp_path / "run")
    with pytest.raises(Exception, match=r"--backbone: test_resnet\+test_efficientnet then, test_resnet now"):
        go("test_resnet", out=tmp_path / "run")


def test_the_check_reviews_labels_with_all_networks(photos, weights, passes):
    options = CheckOptions(PhotoSelection(photos), backbone=BOTH, weights=weights, size=64, device="cpu")
    check = check_photos(options, QuietScreen())
    assert passes() == {"test_resnet": 30, "test_efficientnet": 30}
    alone = check_photos(
        CheckOptions(PhotoSelection(photos), backbone="test_resnet", weights=weights, size=64), QuietScreen()
    )
    assert check["accuracy"] != alone["accuracy"]
    with pytest.raises(ConfigError, match="backbone: expected each network once"):
        check_photos(CheckOptions(PhotoSelection(photos), backbone="test_resnet+test_resnet"), QuietScreen())


@pytest.mark.parametrize(
    ("backbone", "error", "message"),
    [
        ("test_resnet+", ConfigError, r"expected a network, or several joined by \+"),
        ("test_resnet+test_resnet", ConfigError, "expected each network once, found"),
        ("+".join(f"a{n}" for n in range(9)), ConfigError, "expected at most 8 networks, found 9"),
        ("test_resnet+test_efficientnett", BackboneError, "'test_efficientnett'; did you mean 'test_efficientnet'"),
        (
            "test_resnet+test_vit",
            WeightsError,
            "contains no weights of test_vit; expected a file such as test_vit.safet",
        ),
    ],
)
def test_what_is_wrong_with_the_names_is_said(go, backbone, error, message):
    with pytest.raises(error, match=message):
        go(backbone)


def test_one_file_of_weights_is_not_enough_for_two_networks(go, weights):
    with pytest.raises(
        WeightsError, match=r"--weights: expected a folder with a file for each of test_resnet, test_ef"
    ):
        go(weights=weights / "test_resnet.safetensors")
    with pytest.raises(
        BackboneError, match=r"expected the name of one network, found 'test_resnet\+test_efficientnet'"
    ):
        build_backbone(BOTH)


def test_the_same_weights_under_two_names_are_refused(go, weights, tmp_path):
    for name in ("test_resnet", "test_resnet.r160_in1k"):
        shutil.copy(weights / "test_resnet.safetensors", tmp_path / f"{name}.safetensors")
    with pytest.raises(BackboneError, match=r"test_resnet and test_resnet.r160_in1k are one network with the same"):
        go("test_resnet+test_resnet.r160_in1k", weights=tmp_path)


def test_the_learning_rate_is_that_of_the_first_network(photos, weights, tmp_path, passes):
    config = resolve(
        None,
        photos=photos,
        recipe="fine-tune",
        backbone=BOTH,
        weights=weights,
        size=64,
        out=tmp_path / "lr",
        unfreeze=1,
    )
    find_learning_rate(config, QuietScreen(), steps=3)
    assert json.loads((tmp_path / "lr" / "config.json").read_text())["backbone"] == "test_resnet"
    assert set(passes()) == {"test_resnet"}
