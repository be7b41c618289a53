"""What `TensorBoard` writes, read back by TensorBoard's own reader and served by TensorBoard itself."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regraft.callbacks import LambdaCallback, TensorBoard
from regraft.callbacks.event_files import weight_as_image
from regraft.callbacks.projector import Projector
from regraft.errors import TrainingError
from regraft.training import Trainer


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "histograms": 0})
    accumulator.Reload()
    return accumulator


def steps(accumulator: Any, tag: str) -> list[int]:
    return [event.step for event in accumulator.Scalars(tag)]


def values(accumulator: Any, tag: str) -> list[float]:
    return [event.value for event in accumulator.Scalars(tag)]


class Words(nn.Module):
    """Words (n, 4) to classes (n, 3), by an embedding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.out = nn.Embedding(10, 6), nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.words(x).mean(1))


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any) -> Any:
    """A folder that holds everything that can be written, and the history of the run."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "labels.tsv").write_text("\n".join("abcdefghij"))
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randint(0, 10, (64, 4), generator=draw), torch.randint(0, 3, (64,), generator=draw)
    callback = TensorBoard(
        folder, histogram_freq=2, write_images=True, write_steps_per_second=True, update_freq=2, profile_batch=(2, 3),
        embeddings_freq=1, embeddings_metadata={"words": "labels.tsv"},
    )  # fmt: skip
    trainer = Trainer(Words(), "sgd", "cross_entropy", ["accuracy"], learning_rate=0.1)
    batch: list[dict[str, float]] = []
    watch = LambdaCallback(on_train_batch_end=lambda number, logs: batch.append(dict(logs)))
    fit = {"epochs": 3, "batch_size": 16, "verbose": 0, "validation_split": 0.25}
    history = trainer.fit(x, y, callbacks=[callback, watch], **fit)
    return folder, history.history, batch, trainer


def test_scalars_are_in_keras_layout(written: Any) -> None:
    folder, history, batch, _ = written
    assert sorted(p.name for p in folder.iterdir()) == [
        "labels.tsv", "projector", "projector_config.pbtxt", "train", "validation"
    ]  # fmt: skip
    train, validation = read(folder / "train"), read(folder / "validation")
    for name in ("loss", "accuracy"):
        assert steps(train, f"epoch_{name}") == steps(validation, f"epoch_{name}") == [0, 1, 2]
        np.testing.assert_allclose(values(train, f"epoch_{name}"), history[name], rtol=1e-6)
        np.testing.assert_allclose(values(validation, f"epoch_{name}"), history[f"val_{name}"], rtol=1e-6)
        assert steps(validation, f"evaluation_{name}_vs_iterations") == [3, 6, 9]
        assert steps(train, f"batch_{name}") == [2, 4, 6, 8]
        np.testing.assert_allclose(values(train, f"batch_{name}"), [logs[name] for logs in batch[1::2]], rtol=1e-6)
    np.testing.assert_allclose(values(train, "epoch_learning_rate"), [0.1] * 3, rtol=1e-6)
    assert all(v > 0 for v in values(train, "epoch_steps_per_second") + values(train, "batch_steps_per_second"))


def test_weights_and_graph(written: Any) -> None:
    folder, _, _, trainer = written
    train = read(folder / "train")
    names = ["words/weight", "out/0/weight", "out/0/bias", "out/0/running_mean", "out/0/running_var", "out/2/weight"]
    for name in [*names, "out/2/bias"]:
        assert [event.step for event in train.Histograms(f"{name}/histogram")] == [0, 2]
        assert [event.step for event in train.Images(f"{name}/image")] == [0, 2]
    last = train.Histograms("words/weight/histogram")[-1].histogram_value
    weight = trainer.module.words.weight.detach()
    assert (last.num, last.min, last.max) == (
        60,
        pytest.approx(float(weight.min())),
        pytest.approx(float(weight.max())),
    )
    assert train.Images("words/weight/image")[0].width == 10
    nodes = [node.name for node in train.Graph().node]
    assert any("words" in name for name in nodes)
    assert any("out" in name for name in nodes)


def test_the_profile_is_a_trace(written: Any) -> None:
    folder, *_ = written
    with gzip.open(folder / "train" / "profile" / "batch_3.json.gz") as file:
        trace = json.load(file)
    names = {event.get("name", "") for event in trace["traceEvents"]}
    assert any("addmm" in name for name in names)
    assert any("embedding" in name for name in names)


def test_the_projector_has_the_vectors(written: Any) -> None:
    folder, _, _, trainer = written
    table = np.loadtxt(folder / "projector" / "words.tsv")
    np.testing.assert_allclose(table, trainer.module.words.weight.detach().numpy(), rtol=1e-5)
    config = (folder / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "projector/words.tsv"' in config
    assert 'metadata_path: "labels.tsv"' in config


class Unserved:
    """Server of TensorBoard that keeps the application and opens no port."""

    def __init__(self, app: Any, flags: Any) -> None:
        self.app = app
        applications.append(self)

    def serve_forever(self) -> None:
        """Return at once."""

    def get_url(self) -> str:
        return "nowhere"


applications: list[Unserved] = []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_serves_every_plugin(written: Any) -> None:
    from tensorboard import default, program
    from werkzeug.test import Client

    folder, *_ = written
    board = program.TensorBoard(default.get_plugins(), server_class=Unserved)
    board.configure(logdir=str(folder), load_fast="false", reload_interval=0, reload_task="blocking")
    board.launch()
    client = Client(applications.pop().app)

    def get(path: str) -> Any:
        answer = client.get(f"/data/{path}")
        assert answer.status_code == 200, path
        return answer.get_data()

    def found(path: str) -> Any:
        return json.loads(get(path))

    scalars = found("plugin/scalars/tags")
    assert {"train", "validation"} <= set(scalars)
    assert "epoch_loss" in scalars["validation"]
    assert [row[1] for row in found("plugin/scalars/scalars?run=train&tag=epoch_loss")] == [0, 1, 2]
    assert "words/weight/histogram" in found("plugin/histograms/tags")["train"]
    assert "out/2/weight/image" in found("plugin/images/tags")["train"]
    assert found("plugin/graphs/info")["train"]["run_graph"]
    assert b"words" in get("plugin/graphs/graph?run=train&conceptual=false")
    run = found("plugin/projector/runs")[0]
    info = found(f"plugin/projector/info?run={run}")["embeddings"][0]
    assert info["tensorName"] == "words"
    assert info["tensorShape"] == [10, 6]
    tensor = get(f"plugin/projector/tensor?run={run}&name=words&num_rows=10")
    assert len(np.frombuffer(tensor, "float32")) == 60
    letters = get(f"plugin/projector/metadata?run={run}&name=words&num_rows=10").split()
    assert letters == [b"%c" % c for c in b"abcdefghij"]


def test_writing_changes_nothing_of_training(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    weights = []
    for callbacks in ([], [TensorBoard(tmp_path, histogram_freq=1, update_freq="batch", profile_batch=1)]):
        trainer = make_trainer()
        torch.manual_seed(3)
        trainer.fit(*points, epochs=2, verbose=0, callbacks=callbacks)
        weights.append(trainer.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_by_epoch_no_figure_is_looked_at_between(make_trainer: Any, points: Any, tmp_path: Path) -> None:
    callback = TensorBoard(tmp_path)
    make_trainer().fit(*points, epochs=2, verbose=0, callbacks=[callback])
    tags = read(tmp_path / "train").Tags()["scalars"]
    assert not [tag for tag in tags if tag.startswith("batch_")]
    assert not (tmp_path / "validation").exists()


def test_a_module_that_cannot_be_traced_is_trained_all_the_same(points: Any, tmp_path: Path, said: Any) -> None:
    class Wild(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.jit.is_tracing():
                raise RuntimeError("no tracing")
            return self.out(x)

    trainer = Trainer(Wild(), "sgd", "cross_entropy", screen=said)
    history = trainer.fit(*points, verbose=0, callbacks=[TensorBoard(tmp_path)])
    assert history.epoch == [0]
    assert [w for w in said.warnings if "the graph is not written" in w and "no tracing" in w]


def test_weights_that_are_images() -> None:
    assert weight_as_image(torch.randn(5)).shape == (1, 1, 5, 1)  # type: ignore[union-attr]
    assert weight_as_image(torch.randn(9, 4)).shape == (1, 4, 9, 1)  # type: ignore[union-attr]
    assert weight_as_image(torch.randn(100, 3, 7, 5)).shape == (64, 7, 5, 3)  # type: ignore[union-attr]
    assert weight_as_image(torch.randn(2, 4, 6)).shape == (2, 4, 6, 1)  # type: ignore[union-attr]
    assert weight_as_image(torch.randn(8, 16, 3, 3)) is None
    found = weight_as_image(torch.tensor([1.0, float("nan"), 3.0]))
    assert found is not None
    assert (found.min(), found.max()) == (0, 1)


def test_names_of_embeddings_are_files_not_paths(tmp_path: Path) -> None:
    Projector(tmp_path / "logs", {"../../x": None}).write({"../../x": np.eye(2)})
    assert sorted(p.name for p in tmp_path.rglob("*.tsv")) == [".._.._x.tsv"]
    assert [p.name for p in tmp_path.iterdir()] == ["logs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"update_freq": "step"}, "update_freq is 'step'"),
        ({"update_freq": 0}, "update_freq is 0"),
        ({"profile_batch": "a,b"}, "profile_batch is 'a,b'"),
        ({"profile_batch": (5, 2)}, "profile_batch is"),
        ({"profile_batch": -1}, "profile_batch is -1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        TensorBoard(**arguments)


def test_metadata_of_an_embedding_that_does_not_exist(tmp_path: Path) -> None:
    callback = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"word": "labels.tsv"})
    with pytest.raises(TrainingError, match="there is no embedding 'word'; did you mean 'words'"):
        callback.set_model(Trainer(Words(), "sgd", "cross_entropy"))
