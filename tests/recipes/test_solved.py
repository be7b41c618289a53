"""Solved probes outlive a run: what was solved once is read, what is damaged is solved again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regraft.recipes.steps import solve_probe as module
from regraft.recipes.steps.solve_probe import solved


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    return tmp_path / "probes"


class Counted:
    def __init__(self, size: int = 3) -> None:
        self.times, self.size = 0, size

    def __call__(self) -> dict[str, Any]:
        self.times += 1
        return {"C": 0.1, "oof": np.arange(self.size) / 7, "path": [1.5, None]}


def test_it_is_solved_once_for_each_key() -> None:
    solve = Counted()
    first, again = solved("ab", solve), solved("ab", solve)
    assert solve.times == 1
    assert again["C"] == first["C"]
    assert again["path"] == first["path"]
    assert again["oof"].tobytes() == first["oof"].tobytes()
    assert again["oof"].dtype == np.float64
    solved("cd", solve)
    assert solve.times == 2


def test_a_damaged_file_is_solved_again(own_cache: Path) -> None:
    solve = Counted()
    solved("ab", solve)
    (file,) = own_cache.iterdir()
    whole = file.read_bytes()
    for place in (10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        before = solve.times
        assert solved("ab", solve)["oof"].tolist() == (np.arange(3) / 7).tolist()
        assert solve.times == before + 1


def test_those_used_least_recently_make_room(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    solve = Counted()
    for number, key in enumerate(("a1", "b2", "c3")):
        solved(key, solve)
        os.utime(own_cache / f"{key}.safetensors", (number, number))
    solved("d4", solve)
    assert sorted(file.stem for file in own_cache.iterdir()) == ["c3", "d4"]


def test_what_is_large_is_not_kept(own_cache: Path) -> None:
    solve = Counted(1 << 20)
    solved("ab", solve)
    solved("ab", solve)
    assert solve.times == 2
    assert not own_cache.exists()


def test_a_disk_that_refuses_is_no_error(own_cache: Path) -> None:
    own_cache.write_text("a file is in the way", encoding="utf-8")
    assert solved("ab", Counted())["C"] == 0.1
