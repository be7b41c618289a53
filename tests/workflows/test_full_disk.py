"""A disk that is full, read-only or gone: found out before training where possible; later only the result matters."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft.callbacks import BackupAndRestore, Callback, CSVLogger, ModelCheckpoint, TensorBoard
from regraft.cli.exits import report_error
from regraft.errors import RunFolderError, StorageError
from regraft.inference.predictor import Predictor
from regraft.screen import QuietScreen
from regraft.training import Snapshots, Trainer
from regraft.workflows.train import train


class Screen(QuietScreen):
    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


class Act(Callback):
    """Does something to the disk in the middle of the second epoch, and something at the end of training."""

    act: Callable[[], object] | None = None
    end: Callable[[], object] | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.model.position[0] == 1 and batch == 1 and type(self).act is not None:
            act, type(self).act = type(self).act, None
            act()

    def on_train_end(self, logs: Any = None) -> None:
        if type(self).end is not None:
            type(self).end()

    def state_dict(self) -> dict[str, Any]:
        return {}


def mounted(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 16 MB."""
    if sys.platform != "linux":
        pytest.skip("a small disk is made as Linux does it")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted("-t", "tmpfs", "-o", "size=16m", "tmpfs", folder)
    yield folder
    for path in (folder / "run", folder, folder):  # what was mounted over it too
        subprocess.run(["umount", "-l", path], capture_output=True, check=False)


def fill(folder: Path) -> Path:
    """Leave not one byte on the disk of ``folder``."""
    handle = os.open(folder / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    size = 1 << 20
    while size:
        try:
            os.write(handle, bytes(size))
        except OSError as error:
            assert error.errno == errno.ENOSPC
            size //= 2
    os.close(handle)
    return folder / "ballast"


def make_read_only(folder: Path) -> None:
    """Take the right to write away, from the owner of the machine too."""
    if os.geteuid():
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        return
    mounted("--bind", folder, folder)
    mounted("-o", "remount,ro,bind", folder)


def fit(folder: Path, screen: Screen) -> tuple[dict[str, Any], dict[str, Any]]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 400), nn.ReLU(), nn.Linear(400, 2))
    x = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
    trainer = Trainer(module, "adam", "cross_entropy", ["accuracy"], screen=screen)
    callbacks = [
        Act(),
        CSVLogger(folder / "log.csv"),
        TensorBoard(folder / "board", write_graph=False, update_freq="batch"),
        ModelCheckpoint(folder / "last.safetensors"),
        ModelCheckpoint(folder / "last.h5"),
        ModelCheckpoint(folder / "last.pt"),
        BackupAndRestore(folder / "backup", delete_checkpoint=False),
    ]
    more = {"batch_size": 8, "epochs": 4, "verbose": 0, "callbacks": callbacks}
    history = trainer.fit(x, (x[:, 0] > 0).long(), resume=Snapshots(folder / "resume", every=1e-9), **more)
    return {name: value.tolist() for name, value in module.state_dict().items()}, history.history


def empty(folder: Path) -> None:
    """Remove all that lies in a folder, while others write there."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


DISASTERS: dict[str, Callable[[Path], object]] = {"full": fill, "read-only": make_read_only, "deleted": empty}


@pytest.mark.slow
@pytest.mark.parametrize("disaster", list(DISASTERS))
def test_fit_goes_on_without_its_disk(
    disaster: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fine").mkdir()
    expected = fit(tmp_path / "fine", Screen())
    monkeypatch.setattr(Act, "act", lambda: DISASTERS[disaster](small))
    screen = Screen()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(small, screen) == expected
    if disaster != "deleted":
        assert 3 <= len(screen.warned) <= 9, screen.warned
        assert sum("a snapshot could not be written" in text for text in screen.warned) == 1
        assert sum("log.csv" in text for text in screen.warned) <= 1  # its page may be there already
        assert sum("board" in text for text in screen.warned) <= 1
        assert (small / "last.safetensors").exists()  # the last good one stays
    if disaster == "full":  # with room again, training goes on from the last snapshot that was whole
        (small / "ballast").unlink()
        shutil.rmtree(small / "backup")
        assert fit(small, Screen()) == expected


@pytest.fixture
def options(tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Act, "act", None)
    monkeypatch.setattr(Act, "end", None)
    monkeypatch.setitem(sys.modules, "act", sys.modules[__name__])
    monkeypatch.setattr("regraft.workflows.steps.prepare.SMALL_FILES", 1 << 20)
    more = {"recipe": "fine-tune", "epochs": 3, "batch_size": 4, "snapshot_every": "0.001s", "tensorboard": True}
    return {**tiny, **more, "callback": ["act:Act"], "workers": 1}


@pytest.mark.slow
@pytest.mark.parametrize("disaster", ["full", "read-only"])
def test_the_model_is_put_elsewhere(
    disaster: str, photos: Path, options: dict[str, Any], small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(photos, screen=QuietScreen(), out="whole", **options)
    Act.act = lambda: DISASTERS[disaster](small / "run")
    Act.end = (lambda: fill(small)) if disaster == "full" else None
    screen = Screen()
    with pytest.raises(StorageError, match="could not be written") as error:
        train(photos, screen=screen, out=small / "run", rescue_dir="elsewhere", **options)
    found = list(Path("elsewhere").rglob("model.safetensors"))
    assert len(found) == 1 and str(found[0]) in str(error.value)
    assert found[0].read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    assert report_error(error.value, debug=False) == 1
    assert str(found[0]) in capsys.readouterr().err
    of_the_photos = ("validation photos", "will measure the result")
    of_the_disk = [text for text in screen.warned if not any(part in text for part in of_the_photos)]
    assert 1 <= len(of_the_disk) <= 5, of_the_disk


@pytest.mark.slow
def test_with_room_again_the_rest_is_written(photos: Path, options: dict[str, Any], small: Path) -> None:
    whole = train(photos, screen=QuietScreen(), out="whole", **options)
    Act.act = Act.end = lambda: fill(small)  # a snapshot that was being written when it was full has left room again
    with pytest.raises(StorageError, match="No space left"):
        train(photos, screen=QuietScreen(), out=small / "run", rescue_dir="elsewhere", **options)
    Act.end = None
    (small / "ballast").unlink()
    run = train(photos, screen=QuietScreen(), out=small / "run", **options)
    for name in ("model.safetensors", "history.csv", "predictions.csv"):
        assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.slow
def test_a_folder_that_is_deleted_is_made_again(photos: Path, options: dict[str, Any], tmp_path: Path) -> None:
    whole = train(photos, screen=QuietScreen(), out="whole", **options)
    Act.act = lambda: shutil.rmtree(tmp_path / "run", ignore_errors=True)
    run = train(photos, screen=QuietScreen(), out="run", **options)
    for name in ("model.safetensors", "history.csv", "predictions.csv"):
        assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    lost = {path.name for path in whole.folder.iterdir()} - {path.name for path in run.folder.iterdir()}
    assert lost <= {"tensorboard"}
    first = min((photos / "ant").iterdir())
    assert Predictor.load("run").predict(first).label is not None


@pytest.mark.slow
def test_nowhere_to_put_the_model(
    photos: Path, options: dict[str, Any], small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Act.act = Act.end = lambda: (monkeypatch.setattr("tempfile.gettempdir", lambda: str(small)), fill(small))
    with pytest.raises(StorageError, match=r"(?s)could not be written anywhere.*No space left"):
        train(photos, screen=QuietScreen(), out=small / "run", rescue_dir=small, **options)


def test_found_out_before_training(photos: Path, options: dict[str, Any], small: Path) -> None:
    ballast = fill(small)
    with pytest.raises(RunFolderError, match=r"run.*(No space left|has 0 MB left)"):
        train(photos, screen=QuietScreen(), out=small / "run", **options)
    ballast.unlink()
    (small / "half").write_bytes(np.zeros(13 << 20, np.uint8).tobytes())
    with pytest.raises(RunFolderError, match="MB left, and this run needs about"):
        train(photos, screen=QuietScreen(), out=small / "run", **options)
    (small / "half").unlink()
    make_read_only(small)
    with pytest.raises(RunFolderError, match=r"run.*([Rr]ead-only|[Pp]ermission)"):
        train(photos, screen=QuietScreen(), out=small / "run2", **options)
