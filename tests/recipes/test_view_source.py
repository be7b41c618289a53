"""Fine-tuning from reduced photos: chosen where decoding is expensive, recorded, and the same in every repetition."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from making import make_photos
from regraft.cache_dir import PIXELS
from regraft.callbacks import Callback
from regraft.data.loading import pixel_cache
from regraft.data.preprocessing import Preprocessing
from regraft.features.stores.disk_store import DiskStore
from regraft.recipes.steps.view_source import CHOICE, REDUCED, photos_are_large, reduced_views
from regraft.screen import QuietScreen
from regraft.workflows.train import train


class Decisions:
    """A record of choices that replays those of an earlier run."""

    def __init__(self, replay: dict[str, Any]) -> None:
        self.replay, self.choices = replay, dict[str, Any]()

    def choose(self, name: str, why: str, make: Any) -> Any:
        self.choices[name] = self.replay[name] if name in self.replay else make()
        return self.choices[name]


def run_of(folder: Path, side: int | None, device: str = "cpu", replay: dict[str, Any] | None = None) -> Any:
    return SimpleNamespace(
        decisions=Decisions(replay or {}),
        dataset=SimpleNamespace(median_side=side),
        device=torch.device(device),
        backbone=SimpleNamespace(spec=SimpleNamespace(preprocessing=Preprocessing(224, 224))),
        folder=SimpleNamespace(resume=folder),
        screen=QuietScreen(),
        report=lambda *reports: None,
        workers=0,
    )


def is_reduced(run: Any) -> bool:
    with reduced_views(run, 100) as views:
        assert (run.decisions.choices == {CHOICE: REDUCED}) == (views is not None)
        return views is not None


@pytest.mark.parametrize(("side", "reduced"), [(128, False), (500, False), (825, False), (826, True), (3000, True)])
def test_on_a_processor_large_photos_are_reduced(tmp_path: Path, side: int, reduced: bool) -> None:
    assert is_reduced(run_of(tmp_path, side)) == reduced
    assert not is_reduced(run_of(tmp_path, None))


def test_on_cuda_all_photos_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**10))
    run = run_of(tmp_path, 128, device="cuda")
    assert is_reduced(run) and not photos_are_large(run)


def test_a_replayed_choice_counts_more_than_the_photos(tmp_path: Path) -> None:
    assert is_reduced(run_of(tmp_path, 128, replay={CHOICE: REDUCED}))


@pytest.mark.parametrize("name", ["cut below layer4", "bf16 gain"])
def test_a_run_that_trained_on_whole_photos_is_repeated_with_them(tmp_path: Path, name: str) -> None:
    assert not is_reduced(run_of(tmp_path, 3000, replay={name: True}))
    assert is_reduced(run_of(tmp_path, 3000, replay={"engine": "eager fp32"}))
    (tmp_path / "upper 2 blocks").mkdir()
    (tmp_path / "upper 2 blocks" / "a.safetensors").touch()
    assert not is_reduced(run_of(tmp_path, 3000))


class Killed(BaseException):
    """Ends a training at once, as a kill would, without its files being tidied up."""


class KillAt(Callback):
    """Ends a training at its third batch."""

    on = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if type(self).on and batch == 2:
            raise Killed


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return make_photos(tmp_path / "photos", {"ant": 10, "bee": 10}, size=240)


def trained(photos: Path, tiny: dict[str, Any], **more: Any) -> Any:
    options = {"recipe": "fine-tune", "epochs": 1, "batch_size": 4, "snapshot_every": "0.001s", **tiny, **more}
    return train(photos, screen=QuietScreen(), callback=[f"{__name__}:KillAt"], **options)


@pytest.mark.slow
@pytest.mark.parametrize("unfreeze", ["all", 1])
def test_a_resumed_run_has_the_same_weights_and_decodes_nothing_again(
    large: Path, tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch, unfreeze: str | int
) -> None:
    decoded: list[str] = []
    run_task = pixel_cache.run_task
    monkeypatch.setattr(pixel_cache, "run_task", lambda task, e: (decoded.append(e.name), run_task(task, e))[1])
    whole = trained(large, tiny, unfreeze=unfreeze, out="whole")
    assert json.loads((whole.folder / "config.json").read_text())["choices"][CHOICE] == REDUCED
    assert len(decoded) == len(set(decoded)) > 10
    decoded.clear()
    monkeypatch.setattr(KillAt, "on", True)
    with pytest.raises(Killed):
        trained(large, tiny, unfreeze=unfreeze)
    monkeypatch.setattr(KillAt, "on", False)
    resumed = trained(large, tiny, unfreeze=unfreeze)
    model = "model.safetensors"
    assert (resumed.folder / model).read_bytes() == (whole.folder / model).read_bytes()
    assert not decoded
    assert [kind.name for kind in DiskStore(Path("cache") / PIXELS).kinds()] == ["decoded photos · 64 px"]


@pytest.mark.parametrize("unfreeze", ["all", 1])
def test_from_small_photos_both_choices_give_the_same_weights(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unfreeze: str | int
) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    whole = trained(photos, tiny, unfreeze=unfreeze, out=tmp_path / "whole")
    config = json.loads((whole.folder / "config.json").read_text())
    assert CHOICE not in config["choices"]
    config["choices"][CHOICE] = REDUCED
    (tmp_path / "config.json").write_text(json.dumps(config))
    reduced = train(photos, config=tmp_path / "config.json", out=tmp_path / "reduced", screen=QuietScreen())
    assert json.loads((reduced.folder / "config.json").read_text())["choices"][CHOICE] == REDUCED
    model = "model.safetensors"
    assert (reduced.folder / model).read_bytes() == (whole.folder / model).read_bytes()
    kinds = DiskStore(tmp_path / "cache" / PIXELS).kinds()
    assert bool(kinds) == (unfreeze == "all"), "activations of small photos are computed from whole photos"
