"""`regraft report`: the page of a run, the comparison of runs, and messages."""

from __future__ import annotations

import json

from regraft.report import pdf
from report.made_run import make_run


def test_a_page_is_written_into_the_run_folder(regraft, tmp_path, reports):
    run = make_run(tmp_path / "run", ["ash", "elm"])
    said = regraft("report", run)
    assert said.code == 0 and f"{run}/report.html" in said.out.replace("\\", "/")
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    said = regraft("report", run, "--json", "-o", tmp_path / "page.html")
    assert json.loads(said.out) == {"report": str(tmp_path / "page.html"), "pdf": None}
    assert (tmp_path / "page.html").read_bytes() == (run / "report.html").read_bytes()


def test_two_runs_are_compared(regraft, tmp_path):
    runs = [make_run(tmp_path / name, ["ash", "elm"], seed=len(name)) for name in ("a", "bb")]
    said = regraft("report", *runs, "-q")
    assert (said.code, said.out.strip()) == (0, str(runs[0] / "compare-with-bb.html"))


def test_no_run_folder_and_no_place_to_write(regraft, tmp_path, reports):
    assert "no such run folder" in regraft("report", tmp_path / "gone").one_message()
    run = make_run(tmp_path / "run", ["ash", "elm"])
    message = regraft("report", run, "-o", tmp_path / "missing" / "page.html").one_message()
    assert message.startswith("cannot write ") and "-o FILE" in message


def test_no_browser_for_a_pdf(regraft, tmp_path, monkeypatch, reports):
    monkeypatch.setattr(pdf, "find_browser", lambda: None)
    run = make_run(tmp_path / "run", ["ash", "elm"])
    message = regraft("report", run, "--pdf", tmp_path / "page.pdf").one_message()
    assert "found no browser that can print" in message and "install one of them" in message
