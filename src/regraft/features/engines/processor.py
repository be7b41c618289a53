"""Instruction sets that torch and OpenVINO may use, and single-threaded sections of torch.

The instruction sets are those of the processor, except the ones that environment variables forbid.
"""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any

import torch

from regraft.errors import ConfigError
from regraft.features.engines.machine_facts import isa_limit

_WITH_BF16 = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")  # AVX512_CORE_FP16 includes bfloat16


def instruction_set() -> str:
    """Return the instruction set in use, which changes the bits of sums on the same processor."""
    limit = isa_limit()
    capability: str = torch.backends.cpu.get_cpu_capability()
    return f"{capability} oneDNN {limit}" if limit else capability


def has_bf16() -> bool:
    """Return whether torch and OpenVINO are faster in bfloat16 than in single precision here.

    With AVX512 and newer, oneDNN, which both use, computes in bfloat16 on any processor. Without special instructions
    for it, this is slower than single precision.
    """
    limit = isa_limit()
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    able = any(getattr(torch.cpu, name, lambda: False)() for name in checks)
    return able and computes_bf16() and (not limit or any(name in limit for name in _WITH_BF16))


def computes_bf16() -> bool:
    """Return whether torch and OpenVINO support bfloat16 here at all, even if slowly."""
    mkldnn: Any = torch.backends.mkldnn
    return bool(mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def require_bf16() -> None:
    """Raise an error if torch and OpenVINO do not support bfloat16 here.

    Raises:
        ConfigError: the message names the instruction set in use.
    """
    if not computes_bf16():
        raise ConfigError(
            f"precision: bfloat16 needs AVX512 or newer instructions; this machine supports only {instruction_set()}; "
            "choose fp32"
        )


def has_amx() -> bool:
    """Return whether torch multiplies matrices with AMX here."""
    limit = isa_limit()
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()) and (not limit or "AMX" in limit)


def has_avx512() -> bool:
    """Return whether oneDNN, which torch and OpenVINO use, computes with AVX512 here."""
    limit = isa_limit()
    return _processor("avx512") and (not limit or any(name in limit for name in ("AVX512", "AVX10")))


def has_avx2() -> bool:
    """Return whether oneDNN computes with AVX2 or newer instructions here."""
    limit = isa_limit()
    return has_avx512() or (_processor("avx2") and (not limit or "AVX2" in limit))


def _processor(name: str) -> bool:
    """Return whether the processor has an instruction set; True if torch cannot tell."""
    return bool(getattr(torch.cpu, f"_is_{name}_supported", lambda: True)())


class OneThread(ContextDecorator):
    """Context manager in which torch computes on the calling thread only.

    torch keeps its number of threads per thread and, for some of its libraries, per process. So the number is restored
    when the last thread leaves, not before: the bits of a matrix product may depend on it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual = 1
        self._here = threading.local()

    def __enter__(self) -> None:
        """Enter; several threads may be inside at the same time, and each may enter again."""
        self._here.depth = getattr(self._here, "depth", 0) + 1
        if self._here.depth > 1:
            return
        with self._lock:
            if not self._inside and not getattr(self._here, "left", False):
                self._usual = torch.get_num_threads()
            self._inside += 1
            self._here.left = True  # this thread's number of threads is 1 until it is restored
            torch.set_num_threads(1)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave."""
        self._here.depth -= 1
        if self._here.depth:
            return
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch.set_num_threads(self._usual)
                self._here.left = False


ONE_THREAD = OneThread()
"""The only instance in a process, because the number of threads is per process."""
