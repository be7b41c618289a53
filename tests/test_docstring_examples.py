"""The `Example:` in the docstring of every public class and function runs and is right.

An example of callbacks and training begins with the names that the examples of docs/callbacks.md begin with: `x`, `y`,
`new_model`, `model` .... Any other example imports what it needs, and needs no network.
"""

from __future__ import annotations

import doctest
import inspect
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import regraft
import regraft.callbacks
import regraft.training

PAGE = Path(__file__).resolve().parents[1] / "docs" / "callbacks.md"
PREAMBLE = re.search(r"<!-- preamble -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
EXAMPLE = re.compile(r"^Example:\n((?: {4}.*\n|\n)+)", re.MULTILINE)


def public(module: ModuleType) -> list[Any]:
    names = [(module, name) for name in module.__all__]
    return [pytest.param(getattr(one, name), id=f"{one.__name__}.{name}") for one, name in names]


PUBLIC = [*public(regraft.callbacks), *public(regraft.training)]
IMAGES = ("Augmentation", "Backbone", "Classifier", "ImageFolder", "Prediction", "Predictor", "Preprocessing")
FUNCTIONS = ("build_backbone", "list_backbones")


def test_the_public_names_were_found() -> None:
    assert len(PUBLIC) == 18 + 9
    assert PREAMBLE is not None


@pytest.mark.parametrize("thing", PUBLIC)
def test_the_example_runs_and_is_right(thing: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"os": os}
    exec(PREAMBLE[1], names)
    exec("from regraft.training import *", names)
    run_example(thing, names)


@pytest.mark.parametrize("name", [*IMAGES, *FUNCTIONS])
def test_the_example_of_images_runs_and_is_right(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_example(getattr(regraft, name), {})


def run_example(thing: Any, names: dict[str, Any]) -> None:
    """Run the example in a docstring with some names, and compare what it prints."""
    example = EXAMPLE.search(inspect.cleandoc(thing.__doc__) + "\n")
    assert example is not None, f"{thing.__qualname__} has no Example: in its docstring"
    test = doctest.DocTestParser().get_doctest(example[1], names, thing.__qualname__, None, 0)
    assert test.examples
    failures: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=failures.append)
    assert not failures, "".join(failures)
