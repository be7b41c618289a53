"""Measurements and trial results on this machine, kept in the cache folder between runs.

The file is bounded and has a checksum. If it is damaged or cannot be written, everything is measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any

from regraft.cache_dir import cache_folder
from regraft.disk.atomic import write_text
from regraft.process import cores
from regraft.run.environment import processor_name

_MAX_FACTS = 2000  # maximum number of facts; the oldest are dropped

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")

FILE = "engines.json"
"""Name of the file in the cache folder."""


def read_fact(key: str) -> Any:
    """Return the value recorded under ``key``, of plain JSON types, or None.

    Args:
        key: text that names everything the value depends on.
    """
    return _read().get(key)


def write_fact(key: str, value: Any) -> None:
    """Record ``value`` under ``key``; an error of the disk is ignored.

    If another process writes the file at the same time, one of the two values may be lost.

    Args:
        key: text that names everything the value depends on.
        value: plain JSON types.
    """
    facts = _read()
    if facts.get(key) == value:
        return
    facts.pop(key, None)
    text = json.dumps(dict([*facts.items(), (key, value)][-_MAX_FACTS:]), ensure_ascii=False)
    with contextlib.suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        write_text(cache_folder() / FILE, f"{_checksum(text)}\n{text}\n")


@dataclass(frozen=True)
class Fact:
    """An integer that is recorded under one key.

    Attributes:
        key: text that names everything the value depends on.
    """

    key: str

    def read(self) -> int | None:
        """Return the value, or None if there is none."""
        value = read_fact(self.key)
        return value if isinstance(value, int) else None

    def write(self, value: int) -> None:
        """Record the value; see `write_fact`."""
        write_fact(self.key, value)


def isa_limit() -> str:
    """Return the instruction set that oneDNN is limited to, such as ``"AVX2"``; ``""`` if it may use all."""
    value = next((value for name in _LIMITS if (value := os.environ.get(name, "").strip().upper())), "")
    return "" if value in ("ALL", "DEFAULT") else value


def machine_id() -> str:
    """Return the processor, its usable cores and torch's number of threads, on which measurements depend.

    Limits on instruction sets by environment variables are included.
    """
    import torch

    limits = {"ATEN": os.environ.get("ATEN_CPU_CAPABILITY", ""), "oneDNN": isa_limit()}
    limited = "".join(f" · {library} {value}" for library, value in limits.items() if value)
    return f"{processor_name()} · {cores()} cores · {torch.get_num_threads()} threads{limited}"


def _read() -> dict[str, Any]:
    try:
        checksum, text = (cache_folder() / FILE).read_text(encoding="utf-8").rstrip("\n").split("\n")
        facts = json.loads(text) if checksum == _checksum(text) else {}
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
