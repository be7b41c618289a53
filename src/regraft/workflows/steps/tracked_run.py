"""A run in an experiment tracker, from the configuration to the final figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.context.config import TrainConfig
from regraft.disk.atomic import write_json
from regraft.distributed.world import current
from regraft.run.folder import RunFolder
from regraft.screen import Screen

if TYPE_CHECKING:
    from regraft.tracking.track import Track

_FIGURES = ("accuracy", "balanced_accuracy", "log_loss", "calibration_error")


def tracking_callbacks(config: TrainConfig) -> list[Track]:
    """Return the callback that records the training in the tracker of ``config``, or no callback.

    Of several processes of one training, the first records it.

    Raises:
        ConfigError: the package of the tracker is not installed.
    """
    if config.track is None or current().rank:
        return []
    from regraft.tracking.track import Track  # its base class imports torch

    return [Track(config.track)]


@contextmanager
def tracked(callbacks: Sequence[Any], config: TrainConfig, folder: RunFolder, screen: Screen) -> Iterator[None]:
    """Record what happens in this block; at its end, also the final figures, the model and its description.

    An interrupted run is continued in the tracker too: its id is in ``tracking.json``.

    Args:
        callbacks: all callbacks of the user; those of other kinds are left alone.
        config: the configuration.
        folder: the run folder.
        screen: where the id of the run is printed.
    """
    callbacks = [callback for callback in callbacks if type(callback).__name__ == "Track"]
    for callback in callbacks if config.track is not None else ():
        earlier = _read(folder.tracking)
        continued = str(earlier.get("run", "")) if earlier.get("tracker") == callback.tracker else ""
        params = {name: value for name, value in config.as_dict().items() if value not in (None, (), [], {})}
        callback.start(folder.path.name, params, continued, screen)
        if callback.run_id:
            write_json(folder.tracking, {"tracker": callback.tracker, "run": callback.run_id})
            screen.line("tracking", f"{callback.tracker} · {callback.run_id}")
    try:
        yield
    except BaseException:
        for callback in callbacks:
            callback.finish({}, complete=False)
        raise
    for callback in callbacks if config.track is not None else ():
        files = [file for file in (folder.model, folder.metrics) if file.exists()]
        callback.finish(final_figures(folder.read_metrics()), files)


def _read(file: Path) -> dict[str, Any]:
    """Return the content of the file of an interrupted run; nothing if it is missing or damaged."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def final_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the headline figures of ``metrics.json`` with the ends of their 95 % intervals."""
    headline = metrics["measured"][metrics["headline"]]
    final = {"final_photos": float(headline["n"])}
    for name in _FIGURES:
        figure = headline["figures"].get(name)
        if figure is None or figure["value"] is None:
            continue
        final[f"final_{name}"] = float(figure["value"])
        low, high = figure.get("interval") or (None, None)
        if low is not None and high is not None:
            final |= {f"final_{name}_low": float(low), f"final_{name}_high": float(high)}
    return final
