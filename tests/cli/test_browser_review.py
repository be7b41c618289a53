"""`regraft check --serve` and `regraft predict --review`: the files that they write, and the commands that use them."""

from __future__ import annotations

import csv
import shutil

import pytest

from making import make_photos
from regraft.monitor import review_app


def rows_of(file):
    with open(file, encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


@pytest.fixture
def reviewed(monkeypatch):
    """Make the server decide about the first photos itself, and return the reviews."""
    reviews = []

    def decide(review, title, file, opened, port=0):
        opened("http://127.0.0.1:1/")
        review.decide(0, "drop")
        review.decide(1, f"relabel:{review.classes[0]}")
        reviews.append(review)

    monkeypatch.setattr(review_app, "serve_review", decide)
    return reviews


def test_check_serve_writes_decisions_that_the_next_check_counts(regraft, tmp_path, tiny, reviewed):
    photos = make_photos(tmp_path / "photos", {"ant": 8, "bee": 8})
    for k in (1, 2):
        shutil.copy(photos / "ant" / "photo 000.png", photos / "bee" / f"copy {k}.png")
    network = ("--backbone", tiny["backbone"], "--weights", tiny["weights"], "--size", "64")
    said = regraft("check", photos, *network, "--serve")
    assert said.code == 0 and "http://127.0.0.1:1/" in said.out and "--decisions decisions.csv" in said.out
    rows = rows_of("decisions.csv")
    assert rows[0] == ["path", "decision", "why"] and len(rows) == 3
    assert rows[1][1:] == ["drop", "two labels"] and rows[2][1] == "relabel:ant"
    assert regraft("check", photos, *network, "--serve").code == 0
    assert rows[1] in rows_of("decisions.csv")
    assert "neither goes with the other" in regraft("check", photos, "--serve", "--review").one_message()


def test_predict_review_writes_labels_that_train_uses(regraft, trained, tmp_path, reviewed):
    new = make_photos(tmp_path / "new", {"unsorted": 4})
    said = regraft("predict", trained.folder, new, "--review")
    assert said.code == 0 and "--labels reviewed.csv" in said.err
    rows = rows_of("reviewed.csv")
    assert rows[0] == ["path", "label"] and [row[1] for row in rows[1:]] == ["ash"]
    assert regraft("predict", trained.folder, new, "--review").code == 0
    assert reviewed[1].as_json()["items"][1]["decision"] in ("keep", "relabel:ash")
