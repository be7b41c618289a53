"""Command lines to paste that repeat the options of a run, or of a check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from regraft.context.config import TrainConfig
from regraft.text import command, relative_if_below

NOT_REPEATED: Final = frozenset(
    {"photos", "more_photos", "stored_labels", "out", "choices", "callbacks", "stop_after", "fresh", "worker_timeout"}
)
"""Fields of a configuration that a command for another run does not repeat. Callback objects cannot be repeated."""

PHOTO_OPTIONS: Final = (
    *("labels", "label_from", "path_column", "label_column", "skip_missing", "folders", "group_by", "decisions"),
    *("backbone", "weights", "size", "store"),
)
"""Options that `train` and `check` share: which photos, with which classes, for which network."""


PATHS: Final = frozenset({"labels", "weights", "split_from", "decisions", "rescue_dir"})
"""Options whose value is a path."""


def train_command(config: Mapping[str, Any], **changes: Any) -> str:
    """Return ``regraft train`` with the options of ``config`` that are not the defaults.

    Args:
        config: the content of ``config.json``, or a part of it; ``photos`` is required.
        **changes: options by name that replace those of ``config``; None for the default.
    """
    return command("regraft", "train", *_words({**config, **changes}, tuple(TrainConfig.model_fields)))


def check_command(config: Mapping[str, Any], *more: str | Path) -> str:
    """Return ``regraft check`` with those options of ``config`` that it shares with `train`, and with ``more``."""
    return command("regraft", "check", *_words(config, PHOTO_OPTIONS), *more)


def _words(config: Mapping[str, Any], names: tuple[str, ...]) -> list[str | Path]:
    """Return the words of the folder and of the options ``names`` whose value is not the default."""
    folders = [relative_if_below(folder) for folder in (config["photos"], *(config.get("more_photos") or ()))]
    words: list[str | Path] = [f"./{folder}" if str(folder).startswith("-") else folder for folder in folders]
    for name in names:
        value = config.get(name)
        default = TrainConfig.model_fields[name].default
        comparable = tuple(value) if isinstance(value, list) else value
        if name in NOT_REPEATED or value is None or comparable == default:
            continue
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif name == "callback":
            words += [word for one in value for word in (option, one)]
        else:
            words += [option, _text(name, value)]
    return words


def _text(name: str, value: Any) -> str:
    """Return the value of an option as the user writes it."""
    if name == "split":
        return "/".join(f"{100 * share:g}" for share in value)
    if name == "unfreeze" and isinstance(value, (list, tuple)):
        return ",".join(value)
    if name in ("budget", "snapshot_every") and not isinstance(value, str):
        return f"{value:g}s"
    if name in PATHS:
        return relative_if_below(value)
    return f"{value!r}" if isinstance(value, float) else str(value)
