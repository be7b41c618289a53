"""docs/callbacks.md: its signatures are those of the code, its examples run, and no callback is left out.

PYTHONPATH=tests python tests/callbacks/test_docs.py     writes the signatures again
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from regraft import callbacks
from regraft.errors import TrainingError
from regraft.training import Trainer
from signatures import SIGNATURE, regenerated

PAGE = Path(__file__).resolve().parents[2] / "docs" / "callbacks.md"
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def named(name: str) -> type:
    """Return the class that the page calls ``name``."""
    return Trainer if name == "Trainer" else getattr(callbacks, name)


def examples() -> list[Any]:
    page = PAGE.read_text(encoding="utf-8")
    found = [pytest.param(m[1], id=f"line-{page[: m.start()].count(chr(10)) + 1}") for m in EXAMPLE.finditer(page)]
    return found[1:]


def test_signatures_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == regenerated(page, named), "run: PYTHONPATH=tests python tests/callbacks/test_docs.py"


def test_every_callback_has_a_section_with_signature_and_example() -> None:
    page = PAGE.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", page, re.DOTALL | re.MULTILINE))
    for name in callbacks.__all__:
        assert SIGNATURE.search(sections[name]), name
        assert len(EXAMPLE.findall(sections[name])) == 1, name
    assert len(callbacks.__all__) == 18
    assert len(examples()) == 18 + 6


@pytest.mark.parametrize("example", examples())
def test_examples_run(example: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    preamble = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))[0]
    names: dict[str, Any] = {}
    exec(preamble, names)
    exec(example, names)
    trained = names["model"].optimizer.iterations > 0
    assert trained or names["curve"].losses  # the finder of learning rates leaves the model as it was


def rows(title: str) -> list[tuple[list[str], str]]:
    """Return the rows of the table below a title: the names in the first column, and the last column."""
    page = PAGE.read_text(encoding="utf-8")
    section = page[page.index(f"## {title}") :]
    section = section[: section.index("\n## ")]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([A-Za-z0-9_]+)`", row[0]), row[-1]) for row in cells]


def test_everything_that_is_documented_by_name_exists() -> None:
    from regraft.training.losses.loss_names import KERAS, MISSING, TORCH, bare, keras_name, named_loss
    from regraft.training.metrics.metric_names import named_metric
    from regraft.training.optimizers.optimizers import BY_NAME
    from regraft.training.optimizers.optimizers import MISSING as NO_OPTIMIZER

    assert {name for names, _ in rows("Optimizers by name") for name in names} == {*BY_NAME, *NO_OPTIMIZER}
    losses = {name: text for names, text in rows("Losses by name") for name in names}
    assert {name if name in TORCH else keras_name(name) for name in losses} >= {*KERAS, *TORCH} - {
        "binary_cross_entropy_with_logits"
    }
    for name, text in losses.items():
        if text.startswith(("missing", "refused")):
            assert bare(name) in MISSING
        else:
            named_loss(name)
    metrics = [(name, text) for names, text in rows("Metrics by name") for name in names if name != "circle"]
    assert len(metrics) > 50
    for name, text in metrics:
        if text.startswith(("need", "refused")):
            with pytest.raises(TrainingError, match="no metric is called"):
                named_metric(name, weighted=False)
        else:
            named_metric(name, weighted=False)


def cells_by_name(heading: str) -> dict[str, list[str]]:
    """Return the rows of the table below ``heading``: each name in backticks of its first cell, and all its cells."""
    part = PAGE.read_text(encoding="utf-8").partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    found: dict[str, list[str]] = {}
    for line in re.findall(r"^\|(.*)\|$", part, re.MULTILINE)[2:]:
        cells = [cell.strip() for cell in line.split("|")]
        for name in re.findall(r"`([a-z_A-Z0-9]+)`", cells[0]):
            assert name not in found, name
            found[name] = cells
    return found


def public(thing: Any) -> set[str]:
    """Return the public attributes of an object of Keras, without those that torch's modules have."""
    return {name for name in dir(thing) if not name.startswith("_")} - set(dir(nn.Module())) - set(vars(nn.Module()))


def test_every_callback_of_keras_has_a_row_with_its_arguments(keras: Any) -> None:
    table = cells_by_name("The callbacks")
    theirs = {name for name, value in vars(keras.callbacks).items() if inspect.isclass(value)}
    assert set(table) == theirs
    assert len(theirs) == 16
    for name, (_, equal, differs, missing) in table.items():
        assert equal or differs or missing
        own = getattr(callbacks, name)
        if name not in callbacks.__all__:
            assert missing.startswith("all of it")
            continue
        given = inspect.signature(getattr(keras.callbacks, name).__init__).parameters
        assert set(given) - set(inspect.signature(own.__init__).parameters) <= set(re.findall(r"`(\w+)`", missing))
        for attribute in re.findall(r"`(\w+)`", equal):
            assert _has(own, attribute), f"{name}.{attribute}"


def _has(kind: Any, attribute: str) -> bool:
    source = "".join(inspect.getsource(base) for base in kind.__mro__ if base.__module__.startswith("regraft"))
    return hasattr(kind, attribute) or f"self.{attribute}" in source


@pytest.mark.parametrize("heading", ["The model", "The optimizer"])
def test_every_attribute_of_keras_has_a_row(keras: Any, heading: str) -> None:
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    theirs.compile("sgd", "mse", metrics=["mae"])
    own: Any = Trainer(nn.Linear(3, 2), "sgd", "mse", ["mae"])
    if heading == "The optimizer":
        theirs, own = theirs.optimizer, own.optimizer
    table, names = cells_by_name(heading), public(theirs)
    assert not names - set(table), sorted(names - set(table))
    assert len(names) > 30
    for name, (_, here) in table.items():
        if name not in names or name in ("model", "layer"):
            continue
        absent = here.startswith(("missing", "arguments of the Trainer"))
        assert hasattr(own, name) != absent, name


if __name__ == "__main__":
    PAGE.write_text(regenerated(PAGE.read_text(encoding="utf-8"), named), encoding="utf-8")
