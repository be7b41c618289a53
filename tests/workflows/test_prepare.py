"""The start of a run: the split is made once, and its notes are printed once."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from making import make_photos
from recorded_screen import RecordedScreen
from regraft.context import dataset
from regraft.context.config import resolve
from regraft.errors import RunFolderError
from regraft.run.folder import RunFolder
from regraft.run.lock import RunLock
from regraft.screen import QuietScreen
from regraft.workflows import find_learning_rate as finder
from regraft.workflows.train import train


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Three classes, of which one has three photos, and one a single photo once the damaged one is left out."""
    photos = make_photos(tmp_path / "photos", {"ash": 20, "birch": 3, "cedar": 2}, size=120)
    torn = photos / "cedar" / "photo 000.png"
    torn.write_bytes(torn.read_bytes()[:2000])
    return photos


def test_notes_of_damaged_photos_and_of_the_split_are_printed_once(
    damaged: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    splits = []
    split = dataset.split_by_content
    monkeypatch.setattr(dataset, "split_by_content", lambda *a, **k: splits.append(1) or split(*a, **k))
    screen = RecordedScreen()
    options = {"recipe": "feature-extraction", "epochs": 1, "split": "50/25/25", **tiny}
    run = train(damaged, out=tmp_path / "run", screen=screen, **options)
    assert len(splits) == 1
    counts = Counter(screen.texts)
    notes = ["1 unusable (cedar/photo 000.png", "class cedar has a single photo", "had no photo of birch"]
    for note in notes:
        assert {counts[text] for text in counts if note in text} == {1}, note
    with (run.folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert rows["cedar/photo 000.png"]["status"] == "put aside"
    assert all(row["split"] for row in rows.values() if row["status"] == "ok")


def test_an_error_in_the_learning_rate_finder_unlocks_the_run(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "lr"
    folder, seen = RunFolder(out), []

    def fail(*_: Any, **__: Any) -> Any:
        with pytest.raises(RunFolderError, match="another process"):
            RunLock(folder.resume, out).take()
        seen.append("locked")
        raise RuntimeError("in the middle of it")

    monkeypatch.setattr(finder, "fine_tuning_trainer", fail)
    config = resolve(None, photos=photos, recipe="fine-tune", out=out, **tiny)
    with pytest.raises(RuntimeError, match="in the middle of it"):
        finder.find_learning_rate(config, QuietScreen())
    assert seen == ["locked"]
    RunLock(folder.resume, out).take().release()
