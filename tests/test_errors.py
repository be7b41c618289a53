"""Messages of errors: suggestions, and several problems in one message."""

from __future__ import annotations

import pytest

from regraft.errors import MissingExtraError, did_you_mean, nearest, several


def test_suggestions():
    names = ["resnet18", "resnet50", "vit_small"]
    assert nearest("resnet_50", names) == ["resnet50", "resnet18"]
    assert did_you_mean("resnet_50", names) == "; did you mean 'resnet50' or 'resnet18'?"
    assert did_you_mean("xyz", names) == ""


def test_a_list_of_names_follows_a_full_stop_or_a_question_mark():
    assert did_you_mean("xyz", ["adam"], there_are=["adam", "sgd"]) == ". There are: adam, sgd"
    assert did_you_mean("adan", ["adam"], there_are=["adam"]) == "; did you mean 'adam'? There are: adam"


def test_problems_are_joined():
    assert several("options", ["one"]) == "options: one"
    assert several("options", ["one", "two"]) == "options: 2 problems\n  one\n  two"


def test_a_missing_extra_names_its_command():
    with pytest.raises(ImportError, match=r"HEIC photos need an optional package: pip install 'regraft\[heic\]'"):
        raise MissingExtraError("HEIC photos", "heic")
