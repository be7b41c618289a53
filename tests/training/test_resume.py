"""Going on after an interruption at any instant: as if there had been none."""

from __future__ import annotations

import csv
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from regraft.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
)
from regraft.errors import ModelFileError, TrainingError
from regraft.interrupts import INTERRUPTS
from regraft.training import Snapshots, Trainer

EPOCHS = 4


class Killed(Exception):
    pass


class Points(Dataset[Any]):
    """Points whose reading draws from all three global generators, as an augmentation may."""

    def __init__(self, size: int = 40) -> None:
        draw = torch.Generator().manual_seed(0)
        self.x = torch.randn(size, 6, generator=draw)
        self.y = (self.x[:, 0] > 0).long()
        self.read = 0

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> Any:
        self.read += 1
        noise = torch.randn(6) + random.random() + np.random.rand()  # noqa: NPY002 (as users do)
        return self.x[i] + 0.1 * noise, self.y[i]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return ((torch.full((6,), float(i)), torch.tensor(i % 2)) for i in range(40))


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 2))


class Counting(Callback):
    """A user's callback that keeps plain values, and says nothing of a state."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[int] = []
        self.batches = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun.append(epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches += 1


def killing(at: int | None) -> Callback:
    """Return a callback that raises in the middle of the batch that is number ``at`` of the process."""
    seen = [0]

    def count(batch: int, logs: Any) -> None:
        if seen[0] == at:
            raise Killed
        seen[0] += 1

    return LambdaCallback(on_train_batch_begin=count)


class Run:
    """One process of a training: everything is made anew, as a script does when it is started again."""

    def __init__(self, folder: Path, data: Callable[[], Any], at: int | None, seed: int, **options: Any) -> None:
        torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)  # noqa: NPY002
        module = network()
        self.trainer = Trainer(
            module, torch.optim.AdamW(module.parameters(), 0.01), "cross_entropy", ["accuracy"], **options
        )
        self.counting = Counting()
        scheduler = torch.optim.lr_scheduler.StepLR(self.trainer.optimizer.torch, 2, 0.7)
        self.callbacks = [
            CSVLogger(folder / "log.csv"),
            EarlyStopping("loss", patience=2, restore_best_weights=True),
            ReduceLROnPlateau("loss", patience=1, min_delta=0.2, factor=0.5),
            ModelCheckpoint(folder / "best.safetensors", "loss", save_best_only=True),
            TensorBoard(folder / "board", write_graph=False, update_freq="batch"),
            scheduler,
            self.counting,
            killing(at),
        ]
        self.data = data()
        self.fit = lambda **more: self.trainer.fit(
            self.data,
            epochs=EPOCHS,
            verbose=0,
            callbacks=self.callbacks,
            resume=Snapshots(folder / "resume", every=1e-6),
            **more,
        )


def outcome(run: Run, history: Any, folder: Path) -> dict[str, Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def events(side: str) -> list[tuple[str, int, float]]:
        found: list[tuple[str, int, float]] = []
        for path in sorted((folder / "board" / side).glob("*tfevents*"), key=lambda p: p.stat().st_mtime_ns):
            accumulator = EventAccumulator(str(path), {"scalars": 0})
            accumulator.Reload()
            found += [(tag, e.step, e.value) for tag in accumulator.Tags()["scalars"] for e in accumulator.Scalars(tag)]
        return sorted(found)

    return {
        "weights": {name: tensor.tolist() for name, tensor in run.trainer.module.state_dict().items()},
        "history": dict(history.history),
        "epochs": list(history.epoch),
        "stop": history.stop_reason,
        "csv": (folder / "log.csv").read_bytes(),
        "events": events("train"),
        "begun": run.counting.begun,
        "batches": run.counting.batches,
        "checkpoint": (folder / "best.safetensors").read_bytes(),
    }


SOURCES: dict[str, Callable[[], Any]] = {
    "data set": Points,
    "loader": lambda: DataLoader(Points(), batch_size=8, shuffle=True),
    "loader with its own generator": lambda: DataLoader(
        Points(), batch_size=8, shuffle=True, generator=torch.Generator().manual_seed(3)
    ),
    "loader of batches": lambda: DataLoader(Points(), batch_size=None, sampler=BatchesOfIndices()),
    "list of batches": lambda: [(torch.full((8, 6), float(i)), torch.arange(8) % 2) for i in range(5)],
    "iterable data set": lambda: DataLoader(Endless(), batch_size=8),
}


class BatchesOfIndices:
    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(40).tolist()
        return (order[i : i + 8] for i in range(0, 40, 8))

    def __len__(self) -> int:
        return 5


@pytest.mark.parametrize("source", list(SOURCES))
@pytest.mark.parametrize("options", [{}, {"accumulate": 2, "ema": 0.9, "clip_norm": 1.0}])
def test_a_training_that_is_killed_ends_as_if_it_had_not_been(
    source: str, options: dict[str, Any], tmp_path: Path
) -> None:
    size = {"batch_size": 8} if source == "data set" else {}
    whole = Run(tmp_path / "whole", SOURCES[source], None, seed=1, **options)
    (tmp_path / "whole").mkdir()
    expected = outcome(whole, whole.fit(**size), tmp_path / "whole")

    folder = tmp_path / "killed"
    folder.mkdir()
    for number, at in enumerate((0, 3, 2, 6)):
        run = Run(folder, SOURCES[source], at, seed=1 if number == 0 else 99, **options)
        with pytest.raises(Killed):
            run.fit(**size)
    run = Run(folder, SOURCES[source], None, seed=98, **options)
    found = outcome(run, run.fit(**size), folder)
    assert found == expected


def test_nothing_before_the_place_is_read_again(tmp_path: Path) -> None:
    make = SOURCES["loader"]
    run = Run(tmp_path, make, 3, seed=1)
    with pytest.raises(Killed):
        run.fit()
    again = Run(tmp_path, make, None, seed=2)
    again.fit(steps_per_epoch=None)
    assert again.data.dataset.read == (5 * EPOCHS - 3) * 8


@pytest.mark.parametrize("steps", [3, 7])
def test_epochs_that_are_parts_of_a_pass(steps: int, tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole", SOURCES["loader"], None, seed=1)
    (tmp_path / "whole").mkdir()
    expected = outcome(whole, whole.fit(steps_per_epoch=steps), tmp_path / "whole")
    folder = tmp_path / "killed"
    folder.mkdir()
    for at in (2, steps, 4):
        run = Run(folder, SOURCES["loader"], at, seed=1 if at == 2 else 7)
        with pytest.raises(Killed):
            run.fit(steps_per_epoch=steps)
    run = Run(folder, SOURCES["loader"], None, seed=9)
    assert outcome(run, run.fit(steps_per_epoch=steps), folder) == expected


class StatefulLoader(DataLoader[Any]):
    """As torchdata's: says where it is, and goes on from there."""

    place = 0

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place, "worker": {"bytes": b"\x00\xff"}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = state

    def __iter__(self) -> Any:
        start = getattr(self, "asked", {"place": 0})["place"]
        self.asked = {"place": 0}
        for self.place in range(start + 1, 6):
            yield torch.full((8, 6), float(self.place)), torch.arange(8) % 2


def test_a_loader_that_has_a_state_is_asked_for_it(tmp_path: Path) -> None:
    def make() -> Any:
        return StatefulLoader(Points(), batch_size=8)

    whole = Run(tmp_path / "whole", make, None, seed=1)
    (tmp_path / "whole").mkdir()
    expected = outcome(whole, whole.fit(), tmp_path / "whole")
    (tmp_path / "killed").mkdir()
    with pytest.raises(Killed):
        Run(tmp_path / "killed", make, 7, seed=1).fit()
    run = Run(tmp_path / "killed", make, None, seed=2)
    assert outcome(run, run.fit(), tmp_path / "killed") == expected


def test_a_generator_restarts_the_epoch_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def batches() -> Iterator[Any]:
        while True:
            yield torch.ones(8, 6), torch.arange(8) % 2

    with pytest.raises(Killed):
        Run(tmp_path, batches, 7, seed=1).fit(steps_per_epoch=5)
    run = Run(tmp_path, batches, None, seed=2)
    history = run.fit(steps_per_epoch=5)
    assert history.epoch == [0, 1, 2, 3]
    assert run.counting.begun == [0, 1, 2, 3]
    assert "cannot be rewound: epoch 2 begins with the batch that it yields next" in "".join(capsys.readouterr())


def test_a_finished_training_ends_at_once_with_the_same_weights(tmp_path: Path) -> None:
    first = Run(tmp_path, Points, None, seed=1)
    expected = outcome(first, first.fit(batch_size=8), tmp_path)
    again = Run(tmp_path, Points, 0, seed=2)  # would raise at its first batch
    assert outcome(again, again.fit(batch_size=8), tmp_path) == expected


def test_a_user_scheduler_with_two_arguments_is_applied_once(tmp_path: Path) -> None:
    rates: dict[str, list[float]] = {}
    for name, at in (("whole", None), ("killed", 8)):
        for moment in (at, None):
            run = Run(tmp_path / name, SOURCES["loader"], moment, seed=1)
            (tmp_path / name).mkdir(exist_ok=True)
            run.callbacks = [LearningRateScheduler(lambda epoch, rate: rate * 0.5), killing(moment)]
            try:
                rates[name] = run.fit().history["learning_rate"]
            except Killed:
                continue
    assert rates["whole"] == rates["killed"] == [0.005, 0.0025, 0.00125, 0.000625]


def test_the_other_snapshot_is_used_where_one_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Run(tmp_path / "whole", Points, None, seed=1)
    (tmp_path / "whole").mkdir()
    expected = outcome(whole, whole.fit(batch_size=8), tmp_path / "whole")
    folder = tmp_path / "killed"
    folder.mkdir()
    with pytest.raises(Killed):
        Run(folder, Points, 8, seed=1).fit(batch_size=8)
    slots = [folder / "resume" / name for name in Snapshots.SLOTS]
    newest = max(slots, key=lambda path: path.stat().st_mtime_ns)
    raw = bytearray(newest.read_bytes())
    raw[-100] ^= 1
    newest.write_bytes(raw)
    run = Run(folder, Points, None, seed=2)
    assert outcome(run, run.fit(batch_size=8), folder) == expected
    assert "its content does not match its checksum; resuming from the other snapshot" in "".join(capsys.readouterr())
    for slot in slots:
        slot.write_bytes(slot.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="no snapshot is intact"):
        Run(folder, Points, None, seed=2).fit(batch_size=8)


def test_another_training_is_refused(tmp_path: Path) -> None:
    Run(tmp_path, Points, None, seed=1).fit(batch_size=8)
    module = nn.Linear(6, 2)
    with pytest.raises(TrainingError, match="another module"):
        Trainer(module, "sgd", "cross_entropy").fit(
            Points(), epochs=2, verbose=0, callbacks=[EarlyStopping("loss")], resume=tmp_path / "resume"
        )
    with pytest.raises(TrainingError, match=r"(?s)another training.*photos: nothing then, 5 now"):
        Trainer(module, "sgd", "cross_entropy").fit(
            Points(), epochs=2, verbose=0, resume=Snapshots(tmp_path / "resume", identity={"photos": "5"})
        )


def test_a_state_that_cannot_be_kept_is_said_before_the_first_step(tmp_path: Path) -> None:
    class Odd(Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"it": object()}

    with pytest.raises(TrainingError, match=r"cannot be saved: .* not a object"):
        Trainer(network(), "sgd", "cross_entropy").fit(Points(), verbose=0, callbacks=[Odd()], resume=tmp_path)


def test_a_full_disk_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = Run(tmp_path / "fine", Points, None, seed=1)
    (tmp_path / "fine").mkdir()
    expected = fine.fit(batch_size=8).history
    run = Run(tmp_path, Points, None, seed=1)

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("regraft.training.saving.snapshots.write_flat", full)
    assert run.fit(batch_size=8).history == expected
    said = "".join(capsys.readouterr())
    assert said.count("a snapshot could not be written") == 1
    assert "No space left on device; training continues without it" in said


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, BaseException)])
def test_a_first_signal_finishes_the_step_and_keeps_it(
    number: int, raised: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Run(tmp_path / "whole", Points, None, seed=1)
    (tmp_path / "whole").mkdir()
    expected = outcome(whole, whole.fit(batch_size=8), tmp_path / "whole")
    folder = tmp_path / "stopped"
    folder.mkdir()
    run = Run(folder, Points, None, seed=1)
    stop = LambdaCallback(on_train_batch_begin=lambda batch, logs: signal.raise_signal(number) if batch == 3 else None)
    run.callbacks.append(stop)
    monkeypatch.setattr(INTERRUPTS, "force_exit", None)  # a command line in this process would end it
    with pytest.raises(raised):
        run.fit(batch_size=8)
    assert run.trainer.position == (0, 4)  # that step was finished
    again = Run(folder, Points, None, seed=2)
    assert outcome(again, again.fit(batch_size=8), folder) == expected


def test_fit_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            Run(tmp_path, Points, None, seed=1).fit(batch_size=8)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
    assert signal.getsignal(signal.SIGINT) is before


def test_fixed_weights_are_left_out(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(6, 5000), nn.ReLU(), nn.Linear(5000, 2))
    module[0].requires_grad_(False)
    trainer = Trainer(module, "sgd", "cross_entropy", fixed=["0.weight", "0.bias"])
    stopping = EarlyStopping("loss", restore_best_weights=True)
    trainer.fit(Points(), verbose=0, callbacks=[stopping], resume=tmp_path)
    assert [len(w) for w in stopping.best_weights] == [2, 2]
    assert all((tmp_path / name).stat().st_size < 120_000 for name in Snapshots.SLOTS if (tmp_path / name).exists())


def test_a_log_that_lost_lines_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Killed):
        Run(tmp_path, Points, 12, seed=1).fit(batch_size=8)
    (tmp_path / "log.csv").write_text("")
    Run(tmp_path, Points, None, seed=1).fit(batch_size=8)
    assert "is shorter than before" in "".join(capsys.readouterr())
    assert [row["epoch"] for row in csv.DictReader((tmp_path / "log.csv").open())] == ["2", "3"]


def test_writing_is_off_the_training_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Snapshots(tmp_path)
    threads: list[str] = []

    saved = threading.Event()

    def slow(*arguments: Any) -> None:
        threads.append(threading.current_thread().name)
        assert saved.wait(60), "save() waits for the disk"

    monkeypatch.setattr("regraft.training.saving.snapshots.write_flat", slow)
    snapshots.save({"a": torch.ones(3)})
    saved.set()
    snapshots.close()
    assert threads and threads[0] != threading.current_thread().name
