"""Two runs are compared on the photos that both were measured on, by content."""

from __future__ import annotations

import io
import json

import pytest

from regraft.errors import RunFolderError
from regraft.measure.intervals import paired_proportions
from regraft.report.run_comparison import compare_runs, show_comparison
from regraft.run.folder import RunFolder
from regraft.screen import PlainScreen


@pytest.fixture
def make_run(tmp_path):
    """Return a function that writes a finished run with predictions: {content: (class, predicted)}."""

    def make(name, predicted, prefix="", **config):
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        folder.config.write_text(json.dumps({"format": 1, "out": name, **config}))
        figures = {"accuracy": {"value": 0.5, "n": len(predicted), "interval": [0.4, 0.6]}}
        entry = {"photos": "test", "n": len(predicted), "used_for_choosing": False, "figures": figures}
        metrics = {"format": 1, "headline": "final/test", "measured": {"final/test": entry}}
        folder.metrics.write_text(json.dumps(metrics))
        rows = [f"{prefix}{c}.jpg,{c},{label},test,,ok," for c, (label, _) in predicted.items()]
        folder.manifest.write_text("\n".join(["path,content,class,split,group,status,why", *rows]) + "\n")
        lines = [f"{prefix}{c}.jpg,test,{label},{answer},0.9,0.9" for c, (label, answer) in predicted.items()]
        header = "path,split,class,predicted,probability,probability_of_class"
        folder.predictions.write_text("\n".join([header, *lines]) + "\n")
        return folder

    return make


def shown(comparison, a, b):
    show_comparison(comparison, (a.read_metrics(), b.read_metrics()), PlainScreen(out := io.StringIO()))
    return out.getvalue()


def test_pairs_are_found_by_content(make_run):
    answers = {f"c{k}": ("ant", "ant") for k in range(40)}
    worse = {**answers, **{f"c{k}": ("ant", "bee") for k in range(12)}}
    a = make_run("a", {**worse, "only a": ("ant", "ant")}, seed=0, lr=None)
    b = make_run("b", {**answers, "c39": ("bee", "bee")}, prefix="moved/", seed=1, lr=0.1)
    comparison = compare_runs(a, b)
    assert (comparison.both, len(comparison.only[0]), len(comparison.only[1]), comparison.neither) == (27, 0, 12, 0)
    assert comparison.relabeled == 1 and comparison.photos == (1, 0)
    assert comparison.settings == {"seed": (0, 1), "lr": (None, 0.1)}
    value, interval = comparison.difference
    assert value == pytest.approx(12 / 39) and interval == paired_proportions(27, 12, 0, 0)
    text = shown(comparison, a, b)
    assert "B is better: B − A = +30.8 points" in text
    assert "only B   right on 12 photos   moved/c0.jpg, moved/c1.jpg, moved/c2.jpg and 9 more" in text
    assert "lr      not given  0.1" in text and "1 photo left out: another class in the other run" in text


def test_without_common_photos_nothing_is_compared(make_run):
    a, b = make_run("a", {"x": ("ant", "ant")}), make_run("b", {"y": ("ant", "bee")})
    comparison = compare_runs(a, b)
    assert comparison.n == 0 and comparison.as_dict()["difference"] is None
    text = shown(comparison, a, b)
    assert "no photo was measured in both runs" in text and "settings the same in both runs" in text


def test_an_unfinished_run_cannot_be_compared(make_run):
    a, b = make_run("a", {}), make_run("b", {})
    b.metrics.unlink()
    with pytest.raises(RunFolderError, match=r"has no metrics.json yet: the run did not finish"):
        compare_runs(a, b)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metrics.json", '{"format": 1}', "metrics.json cannot be read: it has no accuracy"),
        ("metrics.json", '{"format": 1, "headline": "a", "measured": {"a": 1}}', "it has no accuracy"),
        ("predictions.csv", "path,class,predicted\nother.jpg,ant,ant\n", "predictions.csv cannot be read: 'other.jpg'"),
        ("predictions.csv", '"' + "x" * 200_000, "predictions.csv cannot be read: field larger than field limit"),
        ("manifest.csv", '"' + "x" * 200_000, "manifest.csv: cannot be read: field larger than field limit"),
    ],
)
def test_damaged_runs_are_named(make_run, file, content, message):
    a, b = make_run("a", {"c1": ("ant", "ant")}), make_run("b", {"c1": ("ant", "bee")})
    (b.path / file).write_text(content)
    with pytest.raises(RunFolderError, match=message):
        compare_runs(a, b)
