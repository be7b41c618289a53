"""Bodies of posts: everything that Keras, regraft and curl send, and nothing else."""

from __future__ import annotations

import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.monitor.post_body import MAX_FIELDS, BodyError, figures_in

FIGURES = {"epoch": 3, "loss": 0.5, "accuracy": "0.75", "bad": float("nan"), "worse": float("inf"), "run": "mine"}
EXPECTED = {"epoch": 3.0, "loss": 0.5, "accuracy": 0.75, "bad": "NaN", "worse": "Infinity", "run": "mine"}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(FIGURES),
        urllib.parse.urlencode({"data": json.dumps(FIGURES)}),
        urllib.parse.urlencode({"key": "x", "any field": json.dumps(FIGURES)}),
        urllib.parse.urlencode(FIGURES),
    ],
)
def test_json_and_forms(body):
    assert figures_in(body.encode()) == EXPECTED


def test_values_of_other_kinds():
    body = json.dumps({"loss": [0.5], "none": None, "flag": True, "list": [1, 2], "object": {}, "huge": 10**400})
    assert figures_in(body.encode()) == {"loss": 0.5, "none": "NaN", "flag": 1.0}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no figures"),
        (b"\xff\xfe", "neither JSON nor a form"),
        (b"hello", "neither JSON nor a form"),
        (b"{", "begins like JSON, but is not JSON"),
        (b"data=" + b"%7B" * 5000, "begins like JSON, but is not JSON"),
        (b'{"a":' * 50_000, "begins like JSON, but is not JSON"),
        (b'{"epoch": 1}', "no figures"),
        (b'{"loss": "text"}', "no figures"),
        (json.dumps({f"f{k}": 1 for k in range(MAX_FIELDS + 1)}).encode(), "201 fields; expected at most 200"),
    ],
)
def test_other_bodies_are_errors(body, message):
    with pytest.raises(BodyError, match=message):
        figures_in(body)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_is_figures_or_an_error(body):
    try:
        assert all(isinstance(value, (float, str)) for value in figures_in(body).values())
    except BodyError as error:
        assert str(error)
