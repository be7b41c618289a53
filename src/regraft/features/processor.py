"""Instructions that torch's libraries may use: those of the processor, less those that environment variables forbid.

Arithmetic of torch on one thread, in as many threads of ours as like.
"""

from __future__ import annotations

import os
import threading
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any

import torch

from regraft.errors import ConfigError

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_WITH_BF16 = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")  # AVX512_CORE_FP16 includes bfloat16


def isa_limit() -> str:
    """Return the instructions that oneDNN is held to, such as ``"AVX2"``; ``""`` where it may use all."""
    found = next((value for name in _LIMITS if (value := os.environ.get(name, "").strip().upper())), "")
    return "" if found in ("ALL", "DEFAULT") else found


def instruction_set() -> str:
    """Return what changes the bits of sums on one and the same processor: the instructions that are used."""
    held = isa_limit()
    capability: str = torch.backends.cpu.get_cpu_capability()
    return f"{capability} oneDNN {held}" if held else capability


def has_bf16() -> bool:
    """Return whether torch and OpenVINO compute in bfloat16 faster than in single precision here.

    From AVX512 on oneDNN, which both use, computes in bfloat16 on any processor; without instructions for it, that
    takes longer than single precision.
    """
    held = isa_limit()
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    able = any(getattr(torch.cpu, name, lambda: False)() for name in checks)
    return able and computes_bf16() and (not held or any(name in held for name in _WITH_BF16))


def computes_bf16() -> bool:
    """Return whether torch and OpenVINO compute in bfloat16 here at all, be it slowly."""
    mkldnn: Any = torch.backends.mkldnn
    return bool(mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def require_bf16() -> None:
    """Raise an error where torch and OpenVINO cannot compute in bfloat16.

    Raises:
        ConfigError: it says what this processor may use.
    """
    if not computes_bf16():
        raise ConfigError(
            f"precision: bfloat16 needs AVX512 or newer instructions, and {instruction_set()} is all that may be used "
            "here; choose fp32"
        )


def has_amx() -> bool:
    """Return whether torch multiplies with AMX here."""
    held = isa_limit()
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()) and (not held or "AMX" in held)


def has_avx512() -> bool:
    """Return whether oneDNN, which torch and OpenVINO compute with, uses AVX512 here."""
    held = isa_limit()
    return _processor("avx512") and (not held or any(name in held for name in ("AVX512", "AVX10")))


def has_avx2() -> bool:
    """Return whether oneDNN uses AVX2 or newer instructions here."""
    held = isa_limit()
    return has_avx512() or (_processor("avx2") and (not held or "AVX2" in held))


def _processor(name: str) -> bool:
    """Return whether the processor has some instructions; where torch does not say, that it has."""
    return bool(getattr(torch.cpu, f"_is_{name}_supported", lambda: True)())


class OneThread(ContextDecorator):
    """Within it torch computes on the calling thread alone.

    torch keeps the number of its threads for each thread and, for what its libraries do, for the process. So it is put
    back when the last thread leaves, not before: the bits of a product of matrices may depend on it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual = 1
        self._here = threading.local()

    def __enter__(self) -> None:
        """Enter; threads may do so at once, and again while they are inside."""
        self._here.depth = getattr(self._here, "depth", 0) + 1
        if self._here.depth > 1:
            return
        with self._lock:
            if not self._inside and not getattr(self._here, "left", False):
                self._usual = torch.get_num_threads()
            self._inside += 1
            self._here.left = True  # until it is put back, the number that this thread has is ours
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
"""There is one for the process, as there is one number of threads."""
