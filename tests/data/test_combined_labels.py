"""Labels that consist of other labels are said, because a photo has one class."""

from __future__ import annotations

import pytest

from regraft.data.labels.combined_labels import combined_label_notes


@pytest.mark.parametrize("label", ["cat,dog", "cat, dog", "dog;cat", "cat|dog", "cat dog", "cat + dog", "cat/dog"])
def test_a_label_of_other_labels_is_said(label):
    (note,) = combined_label_notes(["cat", "dog", label])
    said = f"label {label!r} consists of the labels 'cat' and 'dog': a class of its own"
    assert note == f"{said}, because a photo has one class here"


def test_several_are_counted_and_names_of_several_words_are_no_combination():
    (note,) = combined_label_notes(["a", "b", "c", "a b", "b c", "golden retriever"])
    assert note == "2 labels consist of others, such as 'a b' of 'a' and 'b': each is a class, as a photo has one here"
    assert combined_label_notes(["golden retriever", "labrador retriever", "dog", "dog dog", "sea dog"]) == []


@pytest.mark.parametrize("label", ["ant|leaf", "leaf; ant"])
def test_a_list_that_contains_another_label_is_said(label):
    (note,) = combined_label_notes(["ant", label])
    said = f"label {label!r} contains the label 'ant': a class of its own"
    assert note == f"{said}, because a photo has one class here"
    assert combined_label_notes(["bee", label]) == combined_label_notes(["maillot", "maillot, tank suit"]) == []
