"""Tests of everything that computes features and trains, under the instructions of other processors.

`python scripts/isa.py` runs the tests of features, inference, training and recipes once for each setting of
ATEN_CPU_CAPABILITY (torch's own loops) and ONEDNN_MAX_CPU_ISA (convolutions, OpenVINO) that this processor has, with
one thread and with two. `--short` runs some of the tests under one setting, that of a laptop with AVX2. `--dry-run`
only prints the settings. Arguments after `--` go to pytest.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from dataclasses import dataclass

TESTS = ("tests/features", "tests/inference", "tests/training", "tests/recipes", "tests/workflows")
SHORT_TESTS = (
    "tests/features/test_engine_choice.py",
    "tests/features/test_engine.py",
    "tests/features/test_graph_engines.py",
    "tests/features/test_batch_invariance.py",
    "tests/inference",
)
SHORT_FILTER = "not all_kinds and not tiny_tensors and not [1-fp32 and not forbidden"
LOOPS = {"default": None, "avx2": "avx2", "avx512": "avx512f"}
"""Values of ATEN_CPU_CAPABILITY, and the flag of the processor that each needs."""

SUMS = {"SSE41": "sse4_1", "AVX2": "avx2", "AVX512_CORE": "avx512bw", "AVX512_CORE_BF16": "avx512_bf16"}
"""Values of ONEDNN_MAX_CPU_ISA, and the flag of the processor that each needs."""

SHORT = ("avx2", "AVX2", 1)


@dataclass(frozen=True)
class Setting:
    """Allowed instructions, and the number of torch's threads."""

    loops: str
    sums: str
    threads: int

    def __str__(self) -> str:
        return f"ATEN_CPU_CAPABILITY={self.loops} ONEDNN_MAX_CPU_ISA={self.sums} OMP_NUM_THREADS={self.threads}"

    def lacks(self, flags: set[str]) -> str:
        """Return a flag that this setting needs and the processor lacks, or ""."""
        needed = (LOOPS[self.loops], SUMS[self.sums])
        return next((flag for flag in needed if flag is not None and flag not in flags), "")

    def run(self, tests: list[str]) -> bool:
        """Run pytest under this setting, and return whether all tests passed."""
        environment = {
            **os.environ,
            "ATEN_CPU_CAPABILITY": self.loops,
            "ONEDNN_MAX_CPU_ISA": self.sums,
            "OMP_NUM_THREADS": str(self.threads),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *tests]
        return subprocess.run(command, env=environment, check=False).returncode == 0


def main() -> int:
    """Run all settings, and return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one setting and some of the tests, for CI")
    parser.add_argument("--dry-run", action="store_true", help="only print the settings")
    parser.add_argument(
        "more", nargs="*", help="arguments for pytest, after --; tests named here replace the usual ones"
    )
    arguments = parser.parse_args()
    named = any(word.startswith("tests") for word in arguments.more)
    tests = ["-k", SHORT_FILTER, *SHORT_TESTS] if arguments.short else list(TESTS)
    flags = processor_flags()
    failed, passed, skipped = [], 0, 0
    started = time.monotonic()
    for setting in [Setting(*SHORT)] if arguments.short else settings():
        missing = setting.lacks(flags)
        if missing:
            skipped += 1
            print(f"== skipped {setting}: this processor has no {missing}", flush=True)
            continue
        print(f"== {setting}", flush=True)
        if arguments.dry_run or setting.run([*([] if named else tests), *arguments.more]):
            passed += 1
        else:
            failed.append(setting)
    for setting in failed:
        print(f"== failed {setting}")
    seconds = time.monotonic() - started
    print(f"== {passed} settings passed, {len(failed)} failed, {skipped} skipped, {seconds:.0f} s")
    return 1 if failed or not passed else 0


def settings() -> list[Setting]:
    """Return all settings, including those that this processor may lack."""
    return [Setting(*chosen) for chosen in itertools.product(LOOPS, SUMS, (1, 2))]


def processor_flags() -> set[str]:
    """Return the flags of the processor, as Linux names them."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            flags = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return set()
    return set(flags.partition(":")[2].split())


if __name__ == "__main__":
    sys.exit(main())
