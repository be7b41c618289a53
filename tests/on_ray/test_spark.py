"""The recipe for Spark in docs/scale.md, run on frames as Spark gives them, and by Spark if it is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from making import make_photos
from tiny_network import tiny

__all__ = ["tiny"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


@pytest.fixture
def recipe(tiny, tmp_path):
    """The code of the page, with a model of two classes, and paths of photos, one of them damaged."""
    from regraft.models.classifier import Classifier
    from regraft.models.zoo import build_backbone

    (code,) = re.findall(
        r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8").partition("## On Spark")[2], re.DOTALL
    )
    backbone = build_backbone(tiny["backbone"], weights=tiny["weights"], size=tiny["size"])
    Classifier(backbone, ["ash", "birch"]).save(tmp_path / "model.safetensors")
    photos = make_photos(tmp_path / "photos", {"ash": 4, "birch": 4})
    (photos / "ash" / "cut.png").write_bytes((photos / "ash" / "photo 001.png").read_bytes()[:900])
    names: dict = {}
    exec(compile(code, str(PAGE), "exec"), names)
    names["MODEL"] = str(tmp_path / "model.safetensors")
    return names, [str(path) for path in sorted(photos.rglob("*.png"))]


def expected_of(recipe) -> dict:
    from regraft.inference.predictor import Predictor

    names, paths = recipe
    return {one.path: (one.label, one.probability) for one in Predictor.load(names["MODEL"]).predict(paths)}


def test_the_recipe_answers_as_the_predictor_does(recipe):
    pd = pytest.importorskip("pandas")
    names, paths = recipe
    frames = list(names["classify"](iter([pd.DataFrame({"path": paths[:5]}), pd.DataFrame({"path": paths[5:]})])))
    assert [len(frame) for frame in frames] == [5, 4]
    rows = [row for frame in frames for row in frame.itertuples()]
    found = {row.path: (row.label, row.probability) for row in rows if not isinstance(row.error, str)}
    assert found == {path: answer for path, answer in expected_of(recipe).items() if answer[0]} and len(found) == 8


@pytest.mark.slow
def test_spark_runs_the_recipe(recipe):
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed")
    names, paths = recipe
    spark = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        table = spark.createDataFrame([(path,) for path in paths], "path string").repartition(2)
        rows = table.mapInPandas(names["classify"], names["COLUMNS"]).collect()
    finally:
        spark.stop()
    assert {row.path: (row.label, row.probability) for row in rows} == expected_of(recipe)
