"""`regraft cache` shows, verifies, prunes and clears what earlier runs computed."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from regraft.cache_dir import PIXELS, cache_folder
from regraft.features.stores.disk_store import DiskStore


def keep_photos(n: int) -> None:
    pixels = np.random.default_rng(n).integers(0, 256, (n, 100, 100, 3), dtype=np.uint8)
    keys = [hashlib.sha256(f"photo {i}".encode()).hexdigest() for i in range(n)]
    DiskStore(cache_folder() / PIXELS).put_many(zip(keys, pixels, strict=True), "decoded photos · 224 px")


def fill(n: int, kind: str) -> None:
    rows = np.random.default_rng(len(kind)).standard_normal((n, 1280)).astype(np.float32)
    DiskStore().put_many(
        [(hashlib.sha256(f"{kind} {i}".encode()).hexdigest(), row) for i, row in enumerate(rows)], kind
    )


def facts(regraft, *arguments) -> dict:
    return json.loads(regraft("cache", *arguments, "--json").out)


def test_an_empty_cache_is_shown(regraft, tmp_path):
    said = regraft("cache")
    assert said.code == 0 and str(tmp_path / "cache" / "features") in said.out
    assert facts(regraft)["entries"] == 0
    assert regraft("cache", "clear").code == regraft("cache", "verify").code == regraft("cache", "prune").code == 0


def test_what_is_kept_is_shown_by_kind(regraft):
    fill(300, "net · plain · eager fp32")
    fill(100, "other net · plain · eager bf16")
    said = regraft("cache").out
    lines = said.splitlines()
    assert "entries  400" in lines
    assert any(line.startswith("net · plain") and line.split()[-4:] == ["300", "1.5", "MB", "today"] for line in lines)
    found = facts(regraft)
    assert [kind["entries"] for kind in found["kinds"]] == [300, 100]
    assert found["bytes"] < found["bound"]
    assert regraft("cache", "-q").out == ""


def test_pruning_verifying_and_clearing(regraft):
    fill(300, "old")
    assert facts(regraft, "verify").items() >= {"sound": 300, "damaged": 0}.items()
    assert "0 entries" in regraft("cache", "prune", "--older-than", "30").out
    found = facts(regraft, "prune", "--max", "0.5MB")
    assert found["removed"] > 200 and found["bytes"] <= 500_000 and found["freed"] > 10**6
    assert "entries" in regraft("cache", "clear").out
    assert facts(regraft)["entries"] == 0


def test_what_is_kept_beside_the_store_is_shown_and_cleared(regraft, tmp_path):
    for folder, name in (("graphs", "a.onnx"), ("probes", "b.safetensors"), ("probes", "c.safetensors")):
        (tmp_path / "cache" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / folder / name).write_bytes(bytes(1000))
    said = regraft("cache").out
    assert "networks as graphs" in said and "solved probes" in said
    assert {kind["kind"]: (kind["entries"], kind["bytes"]) for kind in facts(regraft)["beside"]} == {
        "networks as graphs": (1, 1000),
        "solved probes": (2, 2000),
    }
    cleared = facts(regraft, "clear")
    assert cleared["removed"] == 3 and cleared["freed"] >= 3000 and cleared["beside"] == []


def test_decoded_photos_are_shown_verified_pruned_first_and_cleared(regraft):
    fill(10, "net · plain · eager fp32")
    keep_photos(40)
    assert "decoded photos · 224 px" in regraft("cache").out
    (photos,) = facts(regraft)["beside"]
    assert photos.items() >= {"kind": "decoded photos · 224 px", "entries": 40, "days_unused": 0}.items()
    assert photos["bytes"] > 40 * 30_000
    assert facts(regraft, "verify").items() >= {"sound": 50, "damaged": 0}.items()
    assert facts(regraft, "prune")["removed"] == 0
    pruned = facts(regraft, "prune", "--max", "700kB")
    assert pruned["entries"] == 10 and 0 < pruned["beside"][0]["entries"] < 40
    assert pruned["removed"] == 40 - pruned["beside"][0]["entries"]
    keep_photos(40)
    cleared = facts(regraft, "clear")
    assert cleared["removed"] == 50 and cleared["freed"] > 10**6
    assert cleared["entries"] == 0 and cleared["beside"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune", "--max", "much"], "expected a size such as 500MB or 2GB, found 'much'"),
        (["clear", "--max", "2GB"], "--max and --older-than apply to prune, not to clear"),
        (["vanish"], "vanish"),
    ],
)
def test_mistakes_are_one_message(regraft, arguments, message):
    said = regraft("cache", *arguments)
    assert said.code == 2 and message in said.one_message()
