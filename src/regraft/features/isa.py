"""Instructions that torch's libraries may use: those of the processor, less those that environment variables forbid."""

from __future__ import annotations

import os

import torch

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
_WITH_BF16 = ("BF16", "FP16", "AMX", "AVX10", "ALL", "DEFAULT")  # AVX512_CORE_FP16 includes bfloat16


def limit() -> str:
    """Return the instructions that oneDNN is held to, such as ``"AVX2"``; ``""`` where it may use all."""
    found = next((value for name in _LIMITS if (value := os.environ.get(name, "").strip().upper())), "")
    return "" if found in ("ALL", "DEFAULT") else found


def arithmetic() -> str:
    """Return what changes the bits of sums on one and the same processor: the instructions that are used."""
    held = limit()
    capability: str = torch.backends.cpu.get_cpu_capability()
    return f"{capability} oneDNN {held}" if held else capability


def has_bf16() -> bool:
    """Return whether torch computes in bfloat16 faster than in single precision here.

    oneDNN computes in bfloat16 from AVX512 on; without instructions for it that takes twice the time of single
    precision, and below AVX512 torch's own loops take many times as long.
    """
    held = limit()
    return processor_has_bf16() and (not held or any(name in held for name in _WITH_BF16))


def processor_has_bf16() -> bool:
    """Return whether the processor itself has instructions for bfloat16, whatever oneDNN of torch is held to."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def has_tiles() -> bool:
    """Return whether torch multiplies with AMX here."""
    held = limit()
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()) and (not held or "AMX" in held)
