"""Shards divide the photos by content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from regraft.data.manifest import Entry
from regraft.data.shards import Shard
from regraft.errors import ConfigError

ENTRIES = [Entry(f"{i}.png", Path(f"{i}.png"), hashlib.sha256(b"%d" % (i % 40)).hexdigest(), "a") for i in range(50)]


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_every_content_is_in_one_shard_once(count):
    shards = [Shard(number, count).of(ENTRIES) for number in range(1, count + 1)]
    contents = [entry.content for shard in shards for entry in shard]
    assert sorted(contents) == sorted({entry.content for entry in ENTRIES})


def test_a_photo_stays_in_its_shard_when_others_are_added():
    assert {e.content for e in Shard(2, 3).of(ENTRIES[:10])} <= {e.content for e in Shard(2, 3).of(ENTRIES)}


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "a/b", "3/0", "-1/4", "1/4/2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ConfigError, match=f"--shard: expected a part of all photos such as 3/16.*found '{text}'"):
        Shard.parse(text)


def test_a_shard_is_written_as_it_is_read():
    assert str(Shard.parse(" 3/16 ")) == "3/16"
