"""Keras's own callbacks, unchanged, in `Trainer.fit`: they do what ours do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regraft import callbacks as ours

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
CASES: dict[str, Any] = {
    "EarlyStopping": lambda folder: {"patience": 1, "min_delta": 0.05, "restore_best_weights": True},
    "ReduceLROnPlateau": lambda folder: {"patience": 1, "min_delta": 0.03, "factor": 0.3},
    "CSVLogger": lambda folder: {"filename": str(folder / "log.csv")},
    "LearningRateScheduler": lambda folder: {"schedule": lambda epoch, rate: rate * 0.8},
    "ModelCheckpoint": lambda folder: {"filepath": str(folder / "{epoch}.weights.h5"), "save_weights_only": True},
    "TerminateOnNaN": lambda folder: {},
    "History": lambda folder: {},
    "ProgbarLogger": lambda folder: {},
    "LambdaCallback": lambda folder: {"on_epoch_end": lambda epoch, logs: (folder / f"{epoch}").touch()},
    "RemoteMonitor": lambda folder: {"root": "http://127.0.0.1:9"},
}


@pytest.mark.parametrize("name", CASES)
def test_a_callback_of_keras_does_what_ours_does(
    keras: Any, name: str, make_trainer: Any, points: Any, tmp_path: Path, capsys: Any
) -> None:
    if name == "RemoteMonitor":
        pytest.importorskip("requests", reason="Keras's RemoteMonitor needs requests")
    outcomes = []
    for source in (keras.callbacks, ours):
        folder = tmp_path / source.__name__
        folder.mkdir()
        trainer = make_trainer(optimizer="sgd", learning_rate=0.1)
        callback = getattr(source, name)(**CASES[name](folder))
        import torch

        torch.manual_seed(2)
        history = trainer.fit(*points, epochs=6, verbose=0, validation_split=0.3, callbacks=[callback])
        files = {p.name: p.read_bytes() if p.suffix == ".csv" else b"" for p in sorted(folder.iterdir())}
        outcomes.append((history.history, [w.tobytes() for w in trainer.get_weights()], files))
    assert outcomes[0] == outcomes[1]


def test_a_third_partys_subclass(keras: Any, make_trainer: Any, points: Any) -> None:
    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        def on_train_begin(self, logs: Any = None) -> None:
            self.seen.append((self.params["epochs"], self.model.count_params(), len(self.model.layers)))
            self.seen.append([w.shape for w in self.model.get_weights()])
            self.model.optimizer.learning_rate = 0.5

        def on_batch_end(self, batch: int, logs: Any = None) -> None:  # the older name
            self.seen.append(json.loads(json.dumps(logs)))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["mine"] = float(np.mean([w.mean() for w in self.model.layers[0].get_weights()]))
            if epoch == 1:
                self.model.stop_training = True

    watch = Watch()
    trainer = make_trainer(optimizer="sgd")
    history = trainer.fit(*points, epochs=5, batch_size=60, verbose=0, callbacks=[watch])
    assert watch.seen[:2] == [(5, 8 * 16 + 16 + 16 * 3 + 3, 2), [(16, 8), (16,), (3, 16), (3,)]]
    assert [sorted(logs) for logs in watch.seen[2:]] == [["accuracy", "loss"]] * 4
    assert list(history.history) == ["loss", "accuracy", "mine"]
    assert history.stop_reason == "Watch stopped it in on_epoch_end"
    assert trainer.optimizer.learning_rate == 0.5


def test_keras_callbacks_are_told_of_missing_validation_too(keras: Any, make_trainer: Any, points: Any) -> None:
    with pytest.raises(ValueError, match="EarlyStopping monitors 'val_loss'"):
        make_trainer().fit(*points, verbose=0, callbacks=[keras.callbacks.EarlyStopping()])


def test_set_weights_says_what_does_not_fit(make_trainer: Any) -> None:
    trainer = make_trainer()
    weights = trainer.get_weights()
    trainer.set_weights([w * 2 for w in weights])
    assert all(np.array_equal(a, b * 2) for a, b in zip(trainer.get_weights(), weights, strict=True))
    with pytest.raises(ValueError, match="was given 3 arrays; the module has 4"):
        trainer.set_weights(weights[:3])
    with pytest.raises(ValueError, match=r"0.weight has shape \(16, 8\), and was given \(8, 16\)"):
        trainer.set_weights([weights[0].T, *weights[1:]])
