"""Data as people have it: batches by number, lists, tables, generators, dicts, photos; each is right or refused."""

from __future__ import annotations

import itertools
import math
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from regraft.errors import TrainingError
from regraft.training import Trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::DeprecationWarning", "ignore:Your input ran out"
)

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
CLASSES = (X[:, 0] > 0).astype("int64")
FIT: dict[str, Any] = {"epochs": 3, "verbose": 0, "shuffle": False}


def linear(outputs: int = 1, rate: float = 0.1, loss: str = "mse") -> Trainer:
    module = nn.Linear(3, outputs)
    with torch.no_grad():
        module.weight.fill_(1.0)
        module.bias.fill_(0.5)
    return Trainer(module, "sgd", loss, learning_rate=rate)


def keras_linear(keras: Any, rate: float = 0.1) -> Any:
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(1, kernel_initializer="ones", bias_initializer=keras.initializers.Constant(0.5)),
        ]
    )
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


class Batches:
    """Batches by number, as ``keras.utils.PyDataset`` has them; derived from it in the tests."""

    def __init__(self, x: Any = X, y: Any = Y, size: int = 4, **options: Any) -> None:
        if options or hasattr(type(self), "workers"):
            super().__init__(**options)
        self.x, self.y, self.size = x, y, size
        self.log: list[Any] = []

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.size)

    def __getitem__(self, number: int) -> Any:
        self.log.append(int(number))
        part = slice(number * self.size, (number + 1) * self.size)
        return self.x[part], self.y[part]

    def on_epoch_end(self) -> None:
        self.log.append("end")


def py_dataset(keras: Any, base: type = Batches, **options: Any) -> Any:
    return type("Own", (base, keras.utils.PyDataset), {})(**options)


def history(model: Any, data: Any, **fit: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.fit(data, **(FIT | fit)).history
    return found


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sorted(found) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)


# batches by number


def test_py_dataset_is_read_as_batches(keras: Any) -> None:
    expected = history(keras_linear(keras), py_dataset(keras), validation_data=py_dataset(keras, size=7))
    own, data, validation = linear(), py_dataset(keras), py_dataset(keras, size=7)
    assert_same(history(own, data, validation_data=validation), expected)
    assert own.history.params["steps"] == 5
    assert data.log == [0, 1, 2, 3, 4, "end"] * 3
    assert validation.log == [0, 1, 2, "end"] * 3
    assert own.predict(data, verbose=0).shape == (20, 1)
    assert own.evaluate(data, verbose=0) == pytest.approx(own.evaluate(X, Y, batch_size=4, verbose=0))


def test_an_object_with_on_epoch_end_is_read_as_batches_without_keras() -> None:
    expected = linear().fit(X, Y, batch_size=4, **FIT).history
    assert_same(history(linear(), Batches()), expected)


def test_py_dataset_hooks_steps_and_order(keras: Any) -> None:
    class Counted(Batches):
        def on_epoch_begin(self) -> None:
            self.log.append("begin")

    data = py_dataset(keras, Counted)
    history(linear(), data, steps_per_epoch=2, epochs=2)
    assert data.log == ["begin", 0, 1, "end", "begin", 2, 3, "end"]
    data.log.clear()
    own = linear()
    own.fit(data, epochs=2, verbose=0)
    orders = [data.log[1:6], data.log[8:13]]
    assert [sorted(order) for order in orders] == [[0, 1, 2, 3, 4]] * 2
    assert orders[0] != orders[1]
    again = py_dataset(keras, Counted)
    linear().fit(again, epochs=2, verbose=0)
    assert again.log == data.log  # the order depends on seed and epoch alone


def test_workers_read_ahead_and_keep_the_order(keras: Any) -> None:
    class Slow(Batches):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.gate, self.threads = threading.Event(), set()

        def __getitem__(self, number: int) -> Any:
            self.threads.add(threading.current_thread().name)
            if number == 0:
                assert self.gate.wait(60)  # batch 1 is read while batch 0 waits
            self.gate.set()
            return super().__getitem__(number)

    expected = linear().fit(X, Y, batch_size=4, **FIT).history
    data = py_dataset(keras, Slow, workers=3)
    assert_same(history(linear(), data), expected)
    assert len(data.threads) > 1
    many = py_dataset(keras, workers=2, use_multiprocessing=True)
    assert_same(history(linear(), many, epochs=1), {"loss": expected["loss"][:1]})


def test_py_dataset_without_end(keras: Any) -> None:
    class Endless(Batches):
        num_batches = None

        def __getitem__(self, number: int) -> Any:
            return super().__getitem__(number % 5)

    for fit in ({"steps_per_epoch": 5},):
        expected = linear().fit(X, Y, batch_size=4, **FIT).history
        assert_same(history(linear(), py_dataset(keras, Endless), **fit), expected)
    with pytest.raises(TrainingError, match="the data is infinite, so an epoch would not end\n  pass steps_per_epoch"):
        history(linear(), py_dataset(keras, Endless))
    for call in (linear().evaluate, linear().predict):
        with pytest.raises(TrainingError, match="the data is infinite"):
            call(py_dataset(keras, Endless), verbose=0)


def test_py_dataset_refuses_what_keras_refuses(keras: Any) -> None:
    with pytest.raises(TrainingError, match="y is given, but x is a Own, which has its own targets"):
        linear().fit(py_dataset(keras), Y, verbose=0)
    with pytest.raises(TrainingError, match="validation_split splits arrays and data sets of samples, not a Own"):
        linear().fit(py_dataset(keras), validation_split=0.2, verbose=0)
    with pytest.raises(TrainingError, match="Own has 0 batches"):
        linear().fit(py_dataset(keras, x=X[:0]), verbose=0)

    class Four(Batches):
        def __getitem__(self, number: int) -> Any:
            return (*super().__getitem__(number), 1, 2)

    with pytest.raises(TrainingError, match=r"Own\[0\] has 4 parts; expected \(x,\), \(x, y\) or \(x, y, weight\)"):
        linear().fit(py_dataset(keras, Four), **FIT)


class Plain:
    """An object with items, of no known class."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, number: int) -> Any:
        return self.x[number], self.y[number]


def test_items_of_unknown_objects_are_samples_or_refused() -> None:
    expected = linear(2, loss="cross_entropy").fit(X, CLASSES, **FIT).history
    for y in (CLASSES, CLASSES.tolist()):
        assert_same(history(linear(2, loss="cross_entropy"), Plain(X, y)), expected)
    own = linear()
    before = own.get_weights()
    batches = Plain([X[:4], X[4:8]], [Y[:4], Y[4:8]])
    with pytest.raises(
        TrainingError, match=r"Plain\[0\] contains arrays of shapes \(4, 3\), \(4, 1\), which may be one sample or"
    ):
        history(own, batches)
    assert all(np.array_equal(a, b) for a, b in zip(before, own.get_weights(), strict=True))
    for first in ((X[:4],), X[:4], ((X[:4], X[:4]), Y[:4]), [X[:4], Y[:4, 0]]):  # x alone, several inputs, a list
        made = type("Made", (Plain,), {"__getitem__": lambda self, number, first=first: first})(X, Y)
        with pytest.raises(TrainingError, match=r"Made\[0\] contains arrays of shapes \(4, 3\)"):
            linear().predict(made, verbose=0)
    alone = type("Alone", (Plain,), {"__getitem__": lambda self, number: self.x[number]})(X, Y)
    assert linear().predict(alone, verbose=0).shape == (20, 1)
    photos, hot = np.zeros((6, 3, 8, 8), "float32"), np.eye(3, dtype="float32")[[0, 1, 2, 0, 1, 2]]
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    with pytest.raises(
        TrainingError, match="may be one sample or a whole batch\n  for samples derive Plain from torch"
    ):
        Trainer(module, "sgd", "cross_entropy").fit(Plain(photos, hot), **FIT)

    class Samples(Plain, Dataset[Any]):
        pass

    assert len(Trainer(module, "sgd", "cross_entropy").fit(Samples(photos, hot), **FIT).history["loss"]) == 3


# lists, tables and arrays of other kinds


class Table:
    """A table of numbers, as pandas has them: rows have labels of their own."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape = values, values.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype=dtype)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[Any]:
        return iter("columns")


def lists(i: int) -> Any:
    """Return four samples, the targets as a list."""
    return X[i : i + 4], Y[i : i + 4, 0].tolist()


def forms(path: Path) -> dict[str, tuple[Any, Any]]:
    np.save(path / "x.npy", X)
    return {
        "lists": (X.tolist(), Y.tolist()),
        "list of numbers": (X, Y[:, 0].tolist()),
        "lists in float64": (X.astype("float64"), [[float(v)] for v in Y[:, 0]]),
        "list of NumPy numbers": (X, list(Y[:, 0])),
        "list of tensors without dimensions": (torch.from_numpy(X), list(torch.from_numpy(Y[:, 0]))),
        "tuple of numbers": (X, tuple(Y[:, 0].tolist())),
        "tables": (Table(X), Table(Y)),
        "a column": (Table(X), Table(Y[:, 0])),
        "big-endian": (X.astype(">f4"), Y.astype(">f8")),
        "memory-mapped": (np.load(path / "x.npy", mmap_mode="r"), Y),
        "reversed view": (X[::-1][::-1], Y[::-1][::-1]),
        "read-only": (np.broadcast_to(X, X.shape), Y),
        "list of samples": (list(zip(X, Y[:, 0].tolist(), strict=True)), None),
        "list of samples as tensors": (list(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y[:, 0]))), None),
        "list of one input": ([X], Y),
        "list of batches with lists": ([lists(i) for i in range(0, 20, 4)], None),
        "generator of batches with lists": ((lists(i) for _ in range(3) for i in range(0, 20, 4)), None),
    }  # fmt: skip


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("form", forms(Path("/tmp")))
def test_forms_of_arrays(tmp_path: Path, form: str, shuffle: bool) -> None:
    x, y = forms(tmp_path)[form]
    steps = {"steps_per_epoch": 5} if "generator" in form else {}
    shuffle = shuffle and "batches" not in form
    expected = linear().fit(X, Y, batch_size=4, **(FIT | {"shuffle": shuffle})).history
    found = linear().fit(x, y, batch_size=4, **(FIT | {"shuffle": shuffle} | steps)).history
    assert_same(found, expected)


def test_memory_mapped_arrays_are_read_batch_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regraft.training.batches import batches as module

    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    sizes: list[int] = []
    as_tensor = module.as_tensor
    monkeypatch.setattr(
        module, "as_tensor", lambda leaf: sizes.append(0 if leaf is None else len(leaf)) or as_tensor(leaf)
    )
    source = module.ArrayBatches((mapped, None, None), batch_size=4, shuffle=True)
    found = torch.cat([batch[0] for batch in source.epoch(0)])
    assert sorted(found[:, 0].tolist()) == sorted(X[:, 0].tolist())
    assert max(sizes) == 4
    assert linear().fit(mapped, Y, validation_split=0.25, **FIT).history["val_loss"]


NAMES = np.array(["cat", "dog"])[CLASSES]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, NAMES, "y contains text, such as '(cat|dog)'; expected numbers\n  number the classes: names, y = np.uni"),
        (X, NAMES.astype(object), "y contains text"),
        (X, NAMES.tolist(), "y contains text"),
        (list(zip(X, NAMES.tolist(), strict=True)), None, "found text, such as '(cat|dog)'\n  number the classes"),
        (X, np.array([[1], [1, 2]], dtype=object), "y has values of type object; expected numbers"),
        (X, np.array(["2020-01-01"] * 20, "datetime64[D]"), "y has values of type datetime64"),
        ([[1.0, 2.0], [1.0]], [0, 1], "x is a list of lists of different lengths"),
        (X, Y[:19], "different lengths: x has 20, y has 19$"),
        (list(X), CLASSES, r"x is a list of 20 arrays, .*the module takes 1; .*np.stack\(x\)"),
        (X[:0], Y[:0], "the data has 0 samples"),
        ([], [], "the data yielded no batch|x is a list"),
        (TensorDataset(torch.zeros(0, 3)), None, r"the data set \(TensorDataset\) has 0 samples"),
        ({"a": [1], "b": TensorDataset(torch.zeros(2))}, None, r"x is a dict of \{'a': .*\}; expected .*\n  pass one"),
        (lambda: iter([]), None, r"x is the function <lambda>, not what it returns; write <lambda>\(\)"),
        (TensorDataset, None, r"x is the class TensorDataset; expected an instance"),
        (iter([]), None, "the data yielded no batch: it is empty, or an exhausted generator"),
        (DataLoader(TensorDataset(torch.zeros(3, 3), torch.zeros(3)), batch_size=8, drop_last=True), None, "drop_last"),
        (itertools.cycle([(X, Y)]), None, "the data is infinite, so an epoch would not end"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used_is_named_before_the_first_step(x: Any, y: Any, message: str) -> None:
    own = linear(2, loss="cross_entropy")
    before = own.get_weights()
    with pytest.raises(TrainingError, match=message):
        own.fit(x, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, own.get_weights(), strict=True))


def test_sparse_tables() -> None:
    from scipy.sparse import csr_matrix

    with pytest.raises(TrainingError, match=r"x is a sparse csr_matrix; expected.*\n  x.toarray\(\) is an array"):
        linear().fit(csr_matrix(X), verbose=0)


def test_nan_in_targets_is_said() -> None:
    y = Y.copy()
    y[[3, 17]] = np.nan
    with (
        pytest.warns(RuntimeWarning, match="y contains NaN in 2 of 20 samples"),
        pytest.raises(TrainingError, match=r"the targets of the loss mse contain NaN \(1 of 4 in this batch\)"),
    ):
        linear().fit(X, y, batch_size=4, **FIT)


# data sets and loaders


def test_data_sets_of_samples_with_weights_and_loaders_without_batch_size() -> None:
    weight = np.linspace(0, 2, 20).astype("float32")
    expected = linear().fit(X, Y, sample_weight=weight, batch_size=4, **FIT).history
    samples = TensorDataset(*(torch.from_numpy(one) for one in (X, Y, weight)))
    assert_same(linear().fit(samples, batch_size=4, **FIT).history, expected)

    class Whole(Dataset[Any]):
        def __len__(self) -> int:
            return 5

        def __getitem__(self, number: int) -> Any:
            return tuple(one[number * 4 : number * 4 + 4] for one in (X, Y, weight))

    assert_same(linear().fit(DataLoader(Whole(), batch_size=None), **FIT).history, expected)


def test_single_samples_in_place_of_batches_are_refused() -> None:
    samples = DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(CLASSES)), batch_size=None)
    with pytest.raises(
        TrainingError, match=r"targets of shape \(\) for outputs of shape \(2,\): the data yields single samples"
    ):
        linear(2, loss="cross_entropy").fit(samples, **FIT)


def test_dicts_of_samples_need_a_function() -> None:
    class Dicts(Dataset[Any]):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, number: int) -> Any:
            return {"input": torch.from_numpy(X[number]), "label": int(CLASSES[number])}

    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, input: Any, label: Any = None) -> Any:  # noqa: A002
            return self.head(input)

    for data in (Dicts(), DataLoader(Dicts(), batch_size=4)):
        with pytest.raises(
            TrainingError, match=r"the loss cross_entropy needs targets, but the data has none: let it yield \(x, y\)"
        ):
            Trainer(Takes(), "sgd", "cross_entropy").fit(data, verbose=0)
        assert Trainer(Takes()).predict(data, verbose=0).shape == (20, 2)


def test_photos_and_other_objects_in_data_sets() -> None:
    from PIL import Image

    class Photos(Dataset[Any]):
        def __init__(self, made: Any) -> None:
            self.made = made

        def __len__(self) -> int:
            return 6

        def __getitem__(self, number: int) -> Any:
            return self.made(number), number % 2

    photos = Photos(lambda number: Image.new("RGB", (4, 4)))
    different = Photos(lambda number: torch.zeros(3, 4, 4 + number))
    for wrap in (lambda data: data, lambda data: DataLoader(data, batch_size=3)):
        with pytest.raises(
            TrainingError, match=r"cannot be collated into batches: they contain <class 'PIL.Image.Image'>\n  let"
        ):
            Trainer(nn.Flatten(), None, "cross_entropy").evaluate(wrap(photos), verbose=0)
        with pytest.raises(TrainingError, match="have different shapes, so they cannot be collated: got"):
            Trainer(nn.Flatten(), None, "cross_entropy").evaluate(wrap(different), verbose=0)


def test_an_iterable_data_set_with_a_length() -> None:
    class Stream(IterableDataset[Any]):
        def __len__(self) -> int:
            return 20

        def __iter__(self) -> Iterator[Any]:
            return iter(zip(X, Y, strict=True))

    own = linear()
    assert_same(own.fit(Stream(), batch_size=4, **FIT).history, linear().fit(X, Y, batch_size=4, **FIT).history)
    assert own.history.params["steps"] == 5


class Foreign:
    """A data set as TensorFlow has them: it can be iterated again and again, its length may be unknown."""

    def __init__(self, known: bool = True) -> None:
        self.known = known

    def __len__(self) -> int:
        if not self.known:
            raise TypeError("The dataset length is unknown.")
        return 5

    def __iter__(self) -> Iterator[Any]:
        return ((Table(X[i : i + 4]), Table(Y[i : i + 4])) for i in range(0, 20, 4))


@pytest.mark.parametrize("known", [True, False])
def test_foreign_data_sets(known: bool) -> None:
    expected = linear().fit(X, Y, batch_size=4, **FIT, validation_data=(X, Y)).history
    found = linear().fit(Foreign(known), **FIT, validation_data=Foreign(known)).history
    assert_same(found, expected)


# steps, and generators of training and validation


def numbered(end: int | None = None) -> Iterator[Any]:
    """Yield batches whose loss is ``3 i + 0.5`` squared."""
    for i in itertools.count() if end is None else range(end):
        yield np.full((2, 3), i, "float32"), np.zeros((2, 1), "float32")


def losses(*batches: int) -> float:
    return float(np.mean([(3 * i + 0.5) ** 2 for i in batches]))


def test_each_validation_reads_the_same_batches_of_a_generator(keras: Any) -> None:
    fit = {**FIT, "validation_steps": 2}
    expected = keras_linear(keras, 0.0).fit(X, Y, validation_data=numbered(), **fit).history
    found = linear(rate=0.0).fit(X, Y, validation_data=numbered(), **fit).history
    assert_same(found, expected)
    assert found["val_loss"] == pytest.approx([losses(0, 1)] * 3)
    for end in (None, 9, 4):  # Keras repeats two batches, and goes on behind them or validates on these two alone
        found = linear(rate=0.0).fit(X, Y, validation_data=numbered(end), validation_steps=4, **FIT).history
        assert found["val_loss"] == pytest.approx([losses(0, 1, 2, 3)] * 3)
    found = linear(rate=0.0).fit(X, Y, validation_data=numbered(4), **FIT).history
    assert found["val_loss"] == pytest.approx([losses(0, 1, 2, 3)] * 3)
    with pytest.warns(RuntimeWarning, match="ran out after 3 of the 5 steps"):
        found = linear(rate=0.0).fit(X, Y, validation_data=numbered(3), validation_steps=5, **FIT).history
    assert found["val_loss"] == pytest.approx([losses(0, 1, 2)] * 3)


def test_a_generator_that_fills_one_array_again_is_copied() -> None:
    def generator() -> Iterator[Any]:
        x, y = np.zeros((2, 3), "float32"), torch.zeros(2, 1)
        for i in range(3):
            x[:] = i
            yield x, y

    found = linear(rate=0.0).fit(X, Y, validation_data=generator(), **FIT).history
    assert found["val_loss"] == pytest.approx([losses(0, 1, 2)] * 3)


def test_an_empty_validation_is_an_error() -> None:
    with pytest.raises(TrainingError, match="the data yielded no batch"):
        linear().fit(X, Y, validation_data=numbered(0), **FIT)
    with pytest.raises(TrainingError, match="the data has 0 samples"):
        linear().fit(X, Y, validation_data=(X[:0], Y[:0]), **FIT)


def test_steps_beyond_the_data(keras: Any) -> None:
    fit = {**FIT, "batch_size": 4}
    for more in ({"steps_per_epoch": 8}, {"validation_data": (X, Y), "validation_steps": 80}, {"steps_per_epoch": 2}):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found = linear().fit(X, Y, **fit, **more).history
        assert_same(found, keras_linear(keras).fit(X, Y, **fit, **more).history)
        ran_out = [str(one.message) for one in warned if "ran out after 5 of the" in str(one.message)]
        assert bool(ran_out) is (more != {"steps_per_epoch": 2})


def test_a_generator_of_training_goes_on_from_epoch_to_epoch(keras: Any) -> None:
    fit = {**FIT, "steps_per_epoch": 2}
    found = linear(rate=0.0).fit(numbered(6), **fit).history
    assert_same(found, keras_linear(keras, 0.0).fit(numbered(6), **fit).history)
    assert found["loss"] == pytest.approx([losses(0, 1), losses(2, 3), losses(4, 5)])
    with pytest.raises(TrainingError, match="no batch for epoch 3: pass steps_per_epoch, or something that can be"):
        linear().fit(numbered(4), **fit)


def test_a_word_about_epochs_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from regraft.training.batches import epoch_iterator

    monkeypatch.setattr(epoch_iterator, "LONG", 50)
    with pytest.warns(
        RuntimeWarning,
        match="50 batches so far, and the length of the data is unknown. If it is infinite, pass",
    ):
        linear(rate=0.0).fit(numbered(60), verbose=0)
    with pytest.warns(RuntimeWarning, match=r"unknown\. If it is infinite, pass .*for validation validation_steps"):
        linear(rate=0.0).fit(X, Y, validation_data=numbered(60), verbose=0)
