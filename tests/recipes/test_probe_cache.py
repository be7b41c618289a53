"""Solved probes outlive a run: what was solved once is read, what is damaged is solved again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regraft.recipes.steps import probe_cache
from regraft.recipes.steps.probe_cache import get_or_solve


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
    first, again = get_or_solve("ab", solve), get_or_solve("ab", solve)
    assert solve.times == 1
    assert again["C"] == first["C"]
    assert again["path"] == first["path"]
    assert again["oof"].tobytes() == first["oof"].tobytes()
    assert again["oof"].dtype == np.float64
    get_or_solve("cd", solve)
    assert solve.times == 2


def test_a_damaged_file_is_solved_again(own_cache: Path) -> None:
    solve = Counted()
    get_or_solve("ab", solve)
    (file,) = own_cache.iterdir()
    whole = file.read_bytes()
    for place in (10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        before = solve.times
        assert get_or_solve("ab", solve)["oof"].tolist() == (np.arange(3) / 7).tolist()
        assert solve.times == before + 1


def test_those_used_least_recently_make_room(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_cache, "MAX_FILES", 2)
    solve = Counted()
    for number, key in enumerate(("a1", "b2", "c3")):
        get_or_solve(key, solve)
        os.utime(own_cache / f"{key}.safetensors", (number, number))
    get_or_solve("d4", solve)
    assert sorted(file.stem for file in own_cache.iterdir()) == ["c3", "d4"]


def test_what_is_large_is_not_kept(own_cache: Path) -> None:
    solve = Counted(1 << 20)
    get_or_solve("ab", solve)
    get_or_solve("ab", solve)
    assert solve.times == 2
    assert not own_cache.exists()


def test_a_disk_that_refuses_is_no_error(own_cache: Path) -> None:
    own_cache.write_text("a file is in the way", encoding="utf-8")
    assert get_or_solve("ab", Counted())["C"] == 0.1
