"""timm's own downloads: what is on this machine already, and a quick answer where the hub cannot be reached.

Left alone, a download without a network tries six times for each of several files, three quarters of a minute in all.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

PATIENCE = 6.0
"""Seconds to wait for a first answer; looking up a name can take longer than any timeout of a connection."""

_FILES = ("model.safetensors", "pytorch_model.bin")


def cached_file(cfg: Any) -> Path | None:
    """Return the file that an earlier download of the weights left on this machine, or None.

    Args:
        cfg: timm's ``PretrainedCfg``.
    """
    if cfg.hf_hub_id:
        from huggingface_hub import try_to_load_from_cache

        for name in (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _FILES:
            found = try_to_load_from_cache(_repository(cfg), name)
            if isinstance(found, str):
                return Path(found)
    if cfg.url:
        import torch

        name = cfg.url[1] if isinstance(cfg.url, (list, tuple)) else Path(urlparse(cfg.url).path).name
        found = Path(torch.hub.get_dir(), "checkpoints", name)
        if found.is_file():
            return found
    return None


def why_unreachable(cfg: Any) -> str | None:
    """Ask the hub for the weights' size and return None if it answers, else a line that says why not.

    An answer of any kind counts: timm knows more places to look.
    """
    address = _address(cfg)
    reason = _within(PATIENCE, lambda: _ask(address))
    return None if reason is None else f"{urlparse(address).netloc} cannot be reached ({reason})"


def _address(cfg: Any) -> str:
    if cfg.hf_hub_id:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(_repository(cfg), cfg.hf_hub_filename or _FILES[0])
    return str(cfg.url[0] if isinstance(cfg.url, (list, tuple)) else cfg.url)


def _repository(cfg: Any) -> str:
    return str(cfg.hf_hub_id).partition("@")[0]


def _ask(address: str) -> str | None:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - timm's own https addresses
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310
            return None
    except urllib.error.HTTPError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return str(getattr(reason, "strerror", None) or reason)


def _within(seconds: float, ask: Callable[[], str | None]) -> str | None:
    """Return what ``ask`` does, or that it takes too long; it is then left alone."""
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else f"no answer within {seconds:.0f} seconds"
