"""`--backbone auto`: the network that suits the photos, among those that are present."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

import regraft as rg
from making import make_photos
from recorded_screen import RecordedScreen
from regraft.context.config import resolve
from regraft.errors import BackboneError, ConfigError, WeightsError
from regraft.models.catalogue import list_backbones, pretrained_config
from regraft.models.present import DOWNLOADS, present_networks
from regraft.models.spec import allows_commercial_use
from regraft.models.timm_import import import_timm
from regraft.screen import QuietScreen
from regraft.workflows.steps import choose_backbone

SIZE = 64
GOOD, BLANK = "test_byobnet", "test_resnet"


def write_weights(folder, *, blank):
    """Write files of two random networks; the weights of the larger one are 0 if it is to see nothing."""
    for name in (GOOD, BLANK):
        torch.manual_seed(0)
        state = import_timm().create_model(name, num_classes=0).state_dict()
        if name == BLANK and blank:
            state = {key: torch.zeros_like(value) for key, value in state.items()}
        safetensors.torch.save_file(state, str(folder / f"{name}.safetensors"))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"), blank=True)


@pytest.fixture(scope="module")
def seeing_weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"), blank=False)


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos", {"ant": 20, "bee": 20}, size=32, noise=20.0)


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))


def train(photos, weights, tmp_path, screen=None, **options):
    chosen = {"recipe": "linear-probe", "backbone": "auto", "weights": weights, "size": SIZE, **options}
    return rg.train(photos, out=tmp_path / "run", screen=screen or QuietScreen(), **chosen)


def events(run, name):
    rows = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == name]


def test_a_smaller_network_that_sees_more_wins_and_everything_is_recorded(photos, weights, tmp_path):
    screen = RecordedScreen()
    run = train(photos, weights, tmp_path, screen)
    config = json.loads((run.folder / "config.json").read_text())
    assert config["backbone"] == GOOD and config["choices"]["backbone"] == GOOD
    trials = {row["network"]: row for row in events(run, "backbone trial")}
    assert set(trials) == {GOOD, BLANK} and trials[GOOD]["log_loss"] < trials[BLANK]["log_loss"]
    (choice,) = [row for row in events(run, "choice") if row["what"] == "backbone"]
    assert f"the static order by size would take {BLANK}" in choice["why"]
    assert GOOD in screen.texts
    (features,) = events(run, "features")
    assert features["from_store"] == 40  # the comparisons have computed them


@pytest.mark.slow
def test_the_same_command_again_finds_its_finished_run(photos, weights, tmp_path, monkeypatch):
    first = train(photos, weights, tmp_path)
    monkeypatch.setattr(choose_backbone, "_choose", None)  # the stored choice is used
    screen = RecordedScreen()
    assert train(photos, weights, tmp_path, screen).metrics == first.metrics
    assert any("has this result already" in text for text in screen.texts)


@pytest.mark.slow
def test_the_configuration_of_the_run_repeats_it_without_choosing(photos, weights, tmp_path, monkeypatch):
    first = train(photos, weights, tmp_path)
    monkeypatch.setattr(choose_backbone, "_choose", None)
    again = rg.train(photos, config=first.folder / "config.json", out=tmp_path / "again", screen=QuietScreen())
    model = [(run.folder / "model.safetensors").read_bytes() for run in (first, again)]
    assert model[0] == model[1]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [("MIN_PHOTOS", 100, "too few to compare"), ("UNLIMITED", -1.0, "there was no time to compare")],
)
def test_where_nothing_is_measured_the_largest_is_taken(
    photos, seeing_weights, tmp_path, monkeypatch, name, value, why
):
    monkeypatch.setattr(choose_backbone, name, value)
    run = train(photos, seeing_weights, tmp_path)
    (choice,) = [row for row in events(run, "choice") if row["what"] == "backbone"]
    assert choice["value"] == BLANK and why in choice["why"]


def test_a_network_whose_pass_does_not_fit_into_the_budget_is_not_tried(photos, weights, tmp_path, monkeypatch):
    def speed(title, backbone):
        return 1e6 if backbone.spec.name == GOOD else 1e-2

    monkeypatch.setattr(choose_backbone, "photos_per_second", speed)
    run = train(photos, weights, tmp_path, recipe="auto", budget="100s")
    assert not events(run, "backbone trial")
    assert json.loads((run.folder / "config.json").read_text())["backbone"] == GOOD


def test_weights_that_do_not_fit_leave_their_network_out(photos, weights, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / f"{GOOD}.safetensors").write_bytes((weights / f"{GOOD}.safetensors").read_bytes())
    (folder / f"{BLANK}.safetensors").write_bytes(b"damaged")
    screen = RecordedScreen()
    run = train(photos, folder, tmp_path, screen)
    assert run.config.backbone == GOOD
    assert any(text.startswith(f"{BLANK} is left out") for text in screen.texts)


def test_weights_must_be_a_folder_with_networks(photos, weights, tmp_path):
    with pytest.raises(WeightsError, match="expected a folder of files that are named like networks"):
        train(photos, weights / f"{GOOD}.safetensors", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackboneError, match="no network is present in"):
        train(photos, tmp_path / "empty", tmp_path)


def test_auto_is_no_name_of_a_network():
    with pytest.raises(BackboneError, match="is chosen by train, advise and lr"):
        rg.build_backbone("auto")
    with pytest.raises(ConfigError, match="expected auto alone"):
        resolve(None, photos="x", backbone="auto+resnet18")


def test_the_largest_network_comes_first_and_those_to_download_only_on_request(weights):
    assert [network.name for network in present_networks(weights)] == [BLANK, GOOD]
    here, more = present_networks(), present_networks(download=True)
    assert {network.name for network in here} < {network.name for network in more}
    assert [one.parameters for one in more] == sorted((one.parameters for one in more), reverse=True)
    assert {one.name for one in more if one.source == "to download"} <= set(DOWNLOADS)


def test_networks_to_download_exist_and_allow_commercial_use():
    names = {info.name for info in list_backbones()}
    for name in DOWNLOADS:
        assert name.partition(".")[0] in names
        assert allows_commercial_use(pretrained_config(name).license)
