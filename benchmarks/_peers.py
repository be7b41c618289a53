"""Run a peer's script or a regraft command as a whole process, and read the figures that it prints."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Whole:
    """A whole process: wall seconds from its start, peak memory in MiB, and what it found."""

    seconds: float
    peak_mib: float
    found: dict[str, Any]


def peer(script: Path, *arguments: str) -> Whole:
    """Run a peer's script, which prints one JSON line last."""
    return _whole([sys.executable, str(script), *arguments], lambda out: json.loads(out.strip().splitlines()[-1]))


def regraft(*arguments: str, cache: Path | None = None) -> Whole:
    """Run ``regraft train`` into a temporary run folder, with an empty cache, and return its metrics."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place, "run")
        command = [sys.executable, "-m", "regraft", "train", *arguments, "-o", str(run), "--quiet"]
        return _whole(
            command,
            lambda _: json.loads((run / "metrics.json").read_text(encoding="utf-8")),
            {"REGRAFT_CACHE": str(cache or Path(place, "cache"))},
        )


def accuracy(metrics: dict[str, Any], key: str | None = None) -> float:
    """Return the accuracy of one entry of `metrics.json`, by default the headline's."""
    return float(metrics["measured"][key or metrics["headline"]]["figures"]["accuracy"]["value"])


def _whole(command: list[str], read: Any, environment: dict[str, str] | None = None) -> Whole:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        begun = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=errors, env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{errors.read()[-2000:]}")
        out.seek(0)
        return Whole(seconds, _mib(usage), read(out.read()))


def _mib(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
