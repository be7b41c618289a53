"""`regraft features` on one processor, with the CPU seconds of its stages in the JSON; for `shard_efficiency.py`.

python benchmarks/_shard_child.py PROCESSOR ARGUMENTS...
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.sched_setaffinity(0, {int(sys.argv[1])})  # before libraries count the processors

from regraft.cli.main import call  # noqa: E402
from regraft.features.engines.engine import EagerEngine  # noqa: E402
from regraft.workflows import feature_pass  # noqa: E402

STAGES: dict[str, float] = {"imports": time.process_time()}
_inside: list[float] = []  # CPU seconds of stages within each running stage


def timed(owner: Any, name: str, stage: str) -> None:
    """Measure a function, without the stages that run inside it."""
    function: Callable[..., Any] = getattr(owner, name)

    def measured(*arguments: Any, **more: Any) -> Any:
        begun = time.process_time()
        _inside.append(0.0)
        try:
            return function(*arguments, **more)
        finally:
            used = time.process_time() - begun
            STAGES[stage] = STAGES.get(stage, 0.0) + used - _inside.pop()
            if _inside:
                _inside[-1] += used

    setattr(owner, name, measured)


for _name, _stage in {
    "select_photos": "list of photos",
    "scan": "hashes",
    "measure_rendering": "rendering",
    "build_backbones": "network",
    "_engine": "engine choice",
    "pass_of": "look-up in the store",
    "run_pass": "pass",
}.items():
    timed(feature_pass, _name, _stage)
timed(EagerEngine, "_prepare", "set-up of the engine")
_run = feature_pass.run_pass


def _with_stages(*arguments: Any, **more: Any) -> Any:
    result = _run(*arguments, **more)
    other = time.process_time() - sum(STAGES.values())
    return {**result, "stages": {**STAGES, "other": other}}


feature_pass.run_pass = _with_stages

if __name__ == "__main__":
    sys.exit(call(sys.argv[2:]))
