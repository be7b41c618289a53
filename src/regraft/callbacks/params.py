"""The parameters of a loop that callbacks see as ``self.params``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Params(dict[str, Any]):
    """``verbose``, ``epochs`` and ``steps``, as in Keras 3; the names of older Keras also work.

    Args:
        given: the parameters.
        older: those of older Keras, such as ``samples``, ``batch_size`` and ``metrics``: ``params["samples"]`` finds
            them, but they are not items of the dict.
    """

    def __init__(self, given: Mapping[str, Any] | None = None, older: Mapping[str, Any] | None = None) -> None:
        super().__init__(given or {})
        self.older: dict[str, Any] = dict(older or {})

    def __missing__(self, name: str) -> Any:
        if name == "nb_epoch" and "epochs" in self:
            return self["epochs"]
        return self.older[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter, also one of older Keras, or ``default``."""
        try:
            return self[name]
        except KeyError:
            return default
