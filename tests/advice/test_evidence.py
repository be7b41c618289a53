"""The shipped evidence, and the user's own runs."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
import pytest

from regraft.advice.evidence import cells_of, shipped_cells, shipped_evidence
from regraft.advice.own_runs import folder_id, own_evidence, record_run
from regraft.advice.ways import WAYS
from regraft.cache_dir import cache_folder
from regraft.measure.metrics import classification_report

CONTENTS = [f"{n:064x}" for n in range(40)]


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))


def entry(right, n=40, chosen_on=False):
    y = np.arange(n) % 2
    p = np.where((np.arange(n) < right)[:, None], np.eye(2)[y], np.eye(2)[1 - y]) * 0.8 + 0.1
    return {"n": n, "used_for_choosing": chosen_on, "figures": classification_report(p, y, ["ant", "bee"])}


def metrics(trained="upper 2 blocks", *, chosen="fine-tune", chosen_on=False):
    return {
        "chosen": chosen,
        "classes": ["ant", "bee"],
        "headline": "final/test",
        "training": {"photos": 100, "trained": trained},
        "measured": {
            "final/test": entry(36, chosen_on=chosen_on),
            "linear-probe/test": entry(32),
            "linear-probe/out-of-fold": entry(80, n=100),
        },
    }


def test_the_shipped_evidence_is_of_many_folders_and_of_all_ways():
    rows = shipped_evidence()
    assert len({row.folder for row in rows}) >= 9
    assert {row.way for row in rows} == set(WAYS)
    assert all(-3 < row.gain <= 1 and row.test >= 50 for row in rows)


def test_the_table_has_one_row_for_a_way_of_a_cut_and_every_step_begins_at_a_row():
    cells = shipped_cells()
    rows = resources.files("regraft.advice").joinpath("ways.csv").read_text(encoding="utf-8").splitlines()
    assert sum(len(cell) for cell in cells) == len(rows) - 1
    assert all("probe" in cell and row["over"] in {"", *cell} for cell in cells for row in cell.values())


def test_trainings_with_another_split_are_another_cell():
    cut = {"folder": "a", "photos": "40", "seed": "0", "way": "probe"}
    assert len(cells_of([{**cut, "split": "1"}, {**cut, "split": "2"}, {**cut, "split": "2", "way": "depth"}])) == 2


def test_a_finished_run_becomes_evidence_of_its_folder():
    record_run(metrics(), CONTENTS, 0)
    (row,) = own_evidence()
    assert (row.way, row.folder, row.test) == ("upper blocks", folder_id(CONTENTS), 40)
    assert row.figures.photos == 100 and row.figures.error == pytest.approx(21 / 102)
    assert row.gain == pytest.approx(0.1 / (21 / 102))


def test_the_same_run_again_replaces_the_first():
    record_run(metrics(), CONTENTS, 0)
    record_run(metrics(), CONTENTS, 0)
    record_run(metrics(), CONTENTS, 1)
    assert len(own_evidence()) == 2


@pytest.mark.parametrize(
    "run",
    [
        metrics(chosen="linear-probe"),
        metrics(chosen_on=True),
        metrics("layer4"),
        {**metrics(), "headline": "final/out-of-fold"},
    ],
)
def test_a_run_that_compares_nothing_is_not_recorded(run):
    record_run(run, CONTENTS, 0)
    assert own_evidence() == []


def test_a_damaged_file_is_left_out():
    record_run(metrics(), CONTENTS, 0)
    (cache_folder() / "runs" / "damaged.json").write_text(json.dumps({"folder": 3}))
    assert len(own_evidence()) == 1


def test_one_photo_more_leaves_the_folder_the_same():
    assert folder_id([*CONTENTS, "f" * 64]) == folder_id(CONTENTS)
    assert folder_id(CONTENTS[5:]) != folder_id(CONTENTS)
