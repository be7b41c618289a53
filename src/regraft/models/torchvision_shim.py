"""Importing timm where torch and torchvision were built for different devices.

timm imports torchvision. A torchvision whose compiled operators do not load, such as a CUDA build beside a torch for
the processor alone, breaks while it registers shapes for operators that it never defined: ``operator
torchvision::nms does not exist``. None of those operators is needed to build or run a classifier. Declaring their
schemas is enough for the import to succeed; calling one still fails, and says that it has no kernel.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from regraft.models.later_dynamo import dynamo_later
from regraft.process import importing

_SYMPTOM = "operator torchvision::nms does not exist"
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")

_declared: list[object] = []  # torch forgets the schemas when the library object is collected


def import_timm() -> ModuleType:
    """Import timm and return it; its import takes seconds, so this is called when a network is built or listed."""
    if "timm" in sys.modules:
        return sys.modules["timm"]
    with importing(), dynamo_later():
        ensure_timm_imports()
        return importlib.import_module("timm")


def ensure_timm_imports() -> None:
    """Make ``import torchvision`` succeed where it fails for the one reason above; a good install is not touched.

    Any other failure is raised as it is, also one that remains after the schemas are declared.
    """
    if "torchvision" in sys.modules:
        return
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
    except RuntimeError as error:
        if _SYMPTOM not in str(error):
            raise
        _forget_half_imported()
        _declare_operators()
        importlib.import_module("torchvision")


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        if not _is_declared(name):
            library.define(name + _SIGNATURE)  # type: ignore[no-untyped-call]
    _declared.append(library)


def _is_declared(name: str) -> bool:
    import torch

    return hasattr(torch.ops.torchvision, name)


def _forget_half_imported() -> None:
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
