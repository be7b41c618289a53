"""Photos that have moved: an interrupted run is resumed, and a side measured, with photos found by content."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from regraft.callbacks import Callback
from regraft.errors import PhotosError
from regraft.screen import QuietScreen
from regraft.workflows.evaluate import evaluate_run
from regraft.workflows.train import resume, train


class Killed(BaseException):
    """Ends a training at once."""


class Kill(Callback):
    active = True

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 2 and type(self).active:
            raise Killed


@pytest.fixture
def options(tiny, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return {"recipe": "feature-extraction", "epochs": 2, "batch_size": 4, **tiny}


def moved(photos, place):
    """Move photos into one folder, with other names."""
    place.mkdir()
    for table in photos.glob("*.csv"):
        shutil.move(table, place)
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        shutil.move(path, place / f"{number}.png")
    shutil.rmtree(photos)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("given", ["classes", "sides", "table", "moved table"])
def test_an_interrupted_run_is_resumed_with_moved_photos(photos, options, tmp_path, monkeypatch, given):
    root, table = photos, None
    if given == "sides":
        root = tmp_path / "given"
        for side, last in (("train", (0, 1, 2)), ("val", (3, 4))):
            for path in photos.rglob("*.png"):
                if int(path.stem[-1]) % 5 in last:
                    (root / side / path.parent.name).mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, root / side / path.parent.name)
    if given == "moved table":
        table = root / "labels.csv"
        rows = [f"{path.relative_to(root)},{path.parent.name}\n" for path in photos.rglob("*.png")]
        table.write_text("path,label\n" + "".join(rows))
    if given == "table":
        sides = ("val", "train", "train")
        rows = [(str(path), path.parent.name, sides[int(path.stem[-1]) % 3]) for path in photos.rglob("*.png")]
        table = pd.DataFrame(rows, columns=["path", "label", "split"])
    monkeypatch.setattr(Kill, "active", False)
    whole = train(root, labels=table, out="whole", screen=QuietScreen(), callbacks=[Kill()], **options)
    monkeypatch.setattr(Kill, "active", True)
    with pytest.raises(Killed):
        train(root, labels=table, out="run", screen=QuietScreen(), callbacks=[Kill()], **options)
    monkeypatch.setattr(Kill, "active", False)
    place = moved(root, tmp_path / "new")
    with pytest.raises(PhotosError, match="no such f"):
        resume("run", screen=QuietScreen(), callbacks=[Kill()])
    run = resume("run", photos=place, screen=QuietScreen(), callbacks=[Kill()])
    assert (run.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    assert (run.folder / "manifest.csv").read_bytes() == (whole.folder / "manifest.csv").read_bytes()


def test_a_side_is_measured_wherever_its_photos_are(photos, options, tmp_path):
    run = train(photos, out="run", screen=QuietScreen(), **options)
    before = evaluate_run(run.folder, "train", run.model)
    place = moved(photos, tmp_path / "new")
    with pytest.raises(PhotosError, match="--photos FOLDER finds them by their content"):
        evaluate_run(run.folder, "train", run.model)
    assert evaluate_run(run.folder, "train", run.model, moved_to=place) == before
    (place / "0.png").unlink()
    with pytest.raises(PhotosError, match=r"1 of \d+ photos are not there, by their content: ant/photo 000\.png"):
        evaluate_run(run.folder, "train", run.model, moved_to=place)
