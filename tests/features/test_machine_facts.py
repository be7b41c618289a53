"""Facts about this machine: kept in files with a checksum and a bound, and measured again after damage."""

from __future__ import annotations

import pytest

from regraft.features.engines import machine_facts
from regraft.features.engines.machine_facts import FILE, read_fact, write_fact


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_facts_survive_damage_and_folders_that_cannot_be_written(cache, monkeypatch):
    assert read_fact("a") is None
    write_fact("a", 1)
    write_fact("b", {"c": [1.5]})
    assert read_fact("a") == 1 and read_fact("b") == {"c": [1.5]}
    path = cache / FILE
    path.write_bytes(path.read_bytes().replace(b"1.5", b"1.6"))
    assert read_fact("a") is None and read_fact("b") is None
    monkeypatch.setenv("REGRAFT_CACHE", str(path))
    write_fact("a", 1)
    assert read_fact("a") is None


def test_the_oldest_facts_are_dropped(monkeypatch):
    monkeypatch.setattr(machine_facts, "_MAX_FACTS", 3)
    for number in range(4):
        write_fact(f"fact {number}", number)
    write_fact("fact 1", "again")
    write_fact("fact 4", 4)
    kept = {number: read_fact(f"fact {number}") for number in range(5)}
    assert kept == {0: None, 1: "again", 2: None, 3: 3, 4: 4}


@pytest.mark.parametrize("content", [b"", b"one line", b"a\nb\nc\n", b"\xff\xfe\n{}\n", b"[]\n[]\n"])
def test_a_file_of_something_else_is_replaced(cache, content):
    cache.mkdir()
    (cache / FILE).write_bytes(content)
    assert read_fact("a") is None
    write_fact("a", 1)
    assert read_fact("a") == 1
