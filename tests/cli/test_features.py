"""`regraft features` computes the share of a shard into a store, once, and `train` finds it there."""

from __future__ import annotations

import json

import pytest

from making import make_photos


@pytest.fixture
def words(tiny):
    return [word for name, value in tiny.items() for word in (f"--{name}", value)]


@pytest.fixture
def photos(tmp_path):
    root = make_photos(tmp_path / "photos", {"ash": 10, "birch": 10})
    (root / "ash" / "copy.png").write_bytes((root / "ash" / "photo 001.png").read_bytes())
    (root / "birch" / "cut.png").write_bytes((root / "birch" / "photo 001.png").read_bytes()[:1500])
    return root


def facts(said) -> dict:
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_shards_compute_every_photo_once_and_again_nothing(regraft, photos, words):
    counts = [facts(regraft("features", photos, *words, "--shard", f"{i}/3", "--json")) for i in (1, 2, 3)]
    assert all(one["photos"] == 22 for one in counts)
    assert sum(one["in_shard"] for one in counts) == 21
    assert sum(one["networks"][0]["computed"] for one in counts) == 20
    assert [bad["path"] for one in counts for bad in one["unreadable"]] == ["birch/cut.png"]
    again = facts(regraft("features", photos, *words, "--json"))
    assert again["missing"] == 1 and again["networks"][0] == {
        "network": "test_resnet.r160_in1k", "engine": "eager fp32", "computed": 0, "from_store": 20, "unreadable": 1,
    }  # fmt: skip


def test_what_is_missing_and_what_is_done_is_listed_and_nothing_is_computed(regraft, photos, words):
    missing = regraft("features", photos, *words, "--list", "missing")
    assert missing.code == 0 and len(missing.out.splitlines()) == 21
    assert regraft("features", photos, *words, "--list", "done").out == ""
    said = regraft("features", photos, *words)
    assert "20 photos computed · 0 were in the store" in said.out
    assert "1 photo could not be decoded, the first of them birch/cut.png" in said.out
    assert regraft("features", photos, *words, "--list", "missing").out == "birch/cut.png\n"
    done = facts(regraft("features", photos, *words, "--list", "done", "--json"))
    assert done["listed"] == "done" and len(done["names"]) == 20 and done["missing"] == 1


@pytest.mark.parametrize("command", ["train", "check"])
def test_other_commands_find_the_features_and_decode_no_photo(regraft, photos, words, monkeypatch, command):
    (photos / "birch" / "cut.png").unlink()
    assert regraft("features", photos, *words, "--engine", "eager fp32").code == 0
    monkeypatch.setattr("regraft.audit.photo_stats.decode_with_stats", None)
    monkeypatch.setattr("regraft.audit.photo_stats_store.decode_with_stats", None)
    monkeypatch.setattr("regraft.features.engines.engine.EagerEngine.run", None)
    more = ("--recipe", "linear-probe", "-o", "run") if command == "train" else ()
    said = regraft(command, photos, *words, *more)
    assert said.code == 0, said.err
    if command == "train":
        assert "21 from cache" in said.out


def test_a_shared_store_is_filled_used_shown_verified_and_compacted(regraft, photos, words, tmp_path):
    pytest.importorskip("pyarrow", reason="the extra scale is not installed")
    place = ("--store", tmp_path / "store")
    for i in (1, 2):
        assert facts(regraft("features", photos, *words, *place, "--shard", f"{i}/2", "--json"))["store"] == str(
            place[1]
        )
    said = regraft("train", photos, *words, *place, "--recipe", "linear-probe", "-o", "run")
    assert said.code == 0 and "21 from cache" in said.out
    shown = facts(regraft("cache", *place, "--json"))
    assert shown["files"] > 2 and "files" in regraft("cache", *place).out
    verified = facts(regraft("cache", "verify", *place, "--json"))
    assert verified["damaged"] == 0 and verified["sound"] > 40
    assert any(kind["entries"] >= 20 and "test_resnet" in kind["kind"] for kind in verified["kinds"])
    compacted = facts(regraft("cache", "compact", *place, "--json"))
    assert compacted["files"] == 1 and compacted["files_before"] == shown["files"]
    assert facts(regraft("features", photos, *words, *place, "--json"))["networks"][0]["computed"] == 0


def test_invalid_calls_are_one_message(regraft, photos, words, tmp_path):
    said = regraft("features", photos, *words, "--shard", "4/3")
    assert said.code == 2 and "--shard: expected a part of all photos" in said.one_message()
    said = regraft("features", photos, *words, "--engine", "fastest")
    assert said.code == 2 and "unknown engine 'fastest'" in said.one_message()
    assert regraft("cache", "compact").code == 2
    said = regraft("cache", "clear", "--store", tmp_path)
    assert said.code == 2 and "a shared store has show, verify and compact" in said.one_message()
    (photos / "cut").mkdir()
    for name in ("a", "b"):
        (photos / "cut" / f"{name}.png").write_bytes((photos / "birch" / "cut.png").read_bytes() + name.encode())
    assert regraft("features", photos / "cut", *words, "--folders", "classes").code in (2, 3)


def test_a_store_that_cannot_be_written_ends_with_code_1(regraft, photos, words, tmp_path):
    pytest.importorskip("pyarrow", reason="the extra scale is not installed")
    (tmp_path / "file").write_text("")
    said = regraft("features", photos, *words, "--store", tmp_path / "file" / "store")
    assert said.code == 1 and "could not be stored" in said.err
