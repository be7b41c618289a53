"""Measurements and trial results on this machine, kept in the cache folder between runs.

Each file is bounded and has a checksum. If it is damaged or cannot be written, everything is measured again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch

from regraft.cache_dir import cache_folder
from regraft.disk.atomic import write_text
from regraft.features.processor import isa_limit
from regraft.process import cores
from regraft.run.environment import processor_name

_MAX_FACTS = 2000  # facts that are kept, the newest


def read_fact(key: str) -> Any:
    """Return what was found out under ``key``, of plain JSON values, or None."""
    return _read().get(key)


def write_fact(key: str, value: Any) -> None:
    """Keep ``value`` under ``key``; another process that does the same at the same instant may win."""
    known = _read()
    if known.get(key) == value:
        return
    known.pop(key, None)
    text = json.dumps(dict([*known.items(), (key, value)][-_MAX_FACTS:]), ensure_ascii=False)
    with contextlib.suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_text(_file(), f"{_sum(text)}\n{text}\n")


def machine_id() -> str:
    """Return the processor, its usable cores and torch's number of threads, on which measurements depend.

    Limits on instruction sets by environment variables are included.
    """
    forbidden = {"ATEN": os.environ.get("ATEN_CPU_CAPABILITY", ""), "oneDNN": isa_limit()}
    held = "".join(f" · {library} {value}" for library, value in forbidden.items() if value)
    return f"{processor_name()} · {cores()} cores · {torch.get_num_threads()} threads{held}"


def _file() -> Path:
    return cache_folder() / "engines.json"


def _read() -> dict[str, Any]:
    try:
        digest, text = _file().read_text(encoding="utf-8").rstrip("\n").split("\n")
        known = json.loads(text) if digest == _sum(text) else {}
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
