"""The comparison page of several runs."""

from __future__ import annotations

import pytest

from regraft.errors import RunFolderError
from regraft.report.compare_page import write_comparison
from report.made_run import make_run


def test_runs_are_compared_photo_by_photo(tmp_path):
    runs = [
        make_run(tmp_path / name, ["ash", "elm"], seed=seed, epochs=seed)
        for seed, name in enumerate(("first", "<b>second"), start=1)
    ]
    write_comparison(runs, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "points of accuracy" in text and "on the 60 photos that both were measured on" in text
    assert "Only first gets these right" in text and "&lt;b&gt;second" in text and "<b>second" not in text
    assert '<th scope="row">epochs</th><td class="left">1</td><td class="left">2</td>' in text


def test_a_run_that_is_not_finished_cannot_be_compared(tmp_path):
    runs = [make_run(tmp_path / name, ["ash", "elm"]) for name in ("a", "b")]
    (runs[1] / "metrics.json").unlink()
    with pytest.raises(RunFolderError, match="the run did not finish"):
        write_comparison(runs, tmp_path / "page.html")
