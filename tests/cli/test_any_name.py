"""Must hold: any class and file name works from `train` to `predict --copy-to`, on screen too, and nothing escapes."""

from __future__ import annotations

import csv
import json

import pytest

from cli.conftest import in_shell
from making import make_photos

LONG = "long " * 39 + "class"
CLASSES = ["花 と 鳥", "👩‍🔬 🌷", LONG, "[red]x", "../../x"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five classes by a CSV, since no folder can be called ../../x; files have odd names too."""
    root = tmp_path_factory.mktemp("any name") / "相片 📷"
    make_photos(root, {f"k{k}": 6 for k in range(len(CLASSES))})
    rows = []
    for k, label in enumerate(CLASSES):
        for i, path in enumerate(sorted((root / f"k{k}").iterdir())):
            renamed = path.rename(path.with_name(f"写真 🌷 [{i}] {'x' * 150 if i == 0 else ''}.png"))
            rows.append((renamed.relative_to(root).as_posix(), label))
    with (root.parent / "标签.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return root


@pytest.mark.slow
def test_any_name_from_train_to_copies(photos, tiny, tmp_path):
    base = photos.parent
    options = [word for name, value in tiny.items() for word in (f"--{name}", str(value))]
    run = base / "运行 🏃"
    done = in_shell(
        "train", photos, "--labels", base / "标签.csv", "-o", run, "--recipe", "linear-probe", *options,
        cwd=tmp_path, REGRAFT_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert sorted(metrics["classes"]) == sorted(CLASSES)
    assert "30 photos" in done.stdout and "regraft predict '" in done.stdout

    shown = in_shell("predict", run, photos, "--top", "5", cwd=tmp_path)
    assert shown.returncode == 0 and all(label in shown.stdout for label in CLASSES)

    outside = set(base.rglob("*"))
    done = in_shell("predict", run, photos, "--copy-to", base / "out", "--format", "jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    predictions = [json.loads(line) for line in done.stdout.splitlines()]
    copies = [path for path in (base / "out").rglob("*") if path.is_file() and path.name != "copies.csv"]
    assert len(copies) == len(predictions) == 30
    new = set(base.rglob("*")) - outside
    assert all(path == base / "out" or path.is_relative_to(base / "out") for path in new)
    labels = {prediction["label"] for prediction in predictions}
    folders = {path.name for path in (base / "out").iterdir() if path.is_dir()}
    assert len(folders) == len(labels) > 1  # distinct classes never merge
    assert {label for label in labels if label not in folders} <= {"../../x"}
    if "../../x" in labels:
        assert "class '../../x' is in the folder _._.._x" in done.stderr

    measured = in_shell(
        "evaluate", run, photos, "--labels", base / "标签.csv", "--json", "--include-training", cwd=tmp_path
    )
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout)["n"] == 30
