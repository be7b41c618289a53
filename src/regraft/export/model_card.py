"""The model card of an exported classifier: what it knows, how well, and from which photos, as Hugging Face expects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from regraft._version import __version__
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble, members_of
from regraft.run.folder import RunFolder
from regraft.screen import printable
from regraft.text import counted, percent

_SHOWN = 100
_HUB_LICENSES = frozenset({"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0"})


def model_card(
    classifier: Classifier | Ensemble,
    run: RunFolder | None,
    usage: str,
    notes: Sequence[str] = (),
    library: str = "onnx",
) -> str:
    """Return the text of ``README.md``: metadata in YAML, then a page in Markdown.

    Args:
        classifier: the classifier.
        run: the folder of its run, for figures and photos; None if there is none.
        usage: how to load it, in Markdown.
        notes: sentences on what differs from the run.
        library: the library that loads it, by its name on the Hugging Face Hub.
    """
    members = members_of(classifier)
    licences = sorted({member.backbone.spec.licence or "unknown" for member in members})
    metrics = run.read_metrics() if run is not None and run.finished else None
    config = run.read_config() if run is not None and run.finished else None
    parts = [
        f"---\n{_metadata(licences, metrics, config, library)}---\n",
        "# Photo classifier\n",
        f"It knows {counted(len(classifier.classes), 'class', 'classes')}: {_listed(classifier.classes)}.\n",
    ]
    if metrics is not None and config is not None:
        parts.append(_figures(metrics, config))
    networks = "; ".join(
        f"{member.backbone.spec.name}, pretrained on {member.backbone.spec.trained_on}, license of the weights: "
        f"{member.backbone.spec.licence or 'unknown'}"
        for member in members
    )
    parts += [f"## Network\n\n{networks}. Made by regraft {__version__}.\n", f"## Use\n\n{usage}\n"]
    if notes:
        parts.append("## What differs\n\n" + "".join(f"- {note}.\n" for note in notes))
    return "\n".join(parts)


def _listed(names: Sequence[str]) -> str:
    """Return names as text in Markdown, the first of many."""
    shown = ", ".join(escape(printable(" ".join(name.split())), quote=False) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN:,} more"


def _metadata(
    licences: Sequence[str], metrics: Mapping[str, Any] | None, config: Mapping[str, Any] | None, library: str
) -> str:
    """Return the metadata in YAML. JSON values are valid YAML, whatever is in the names."""
    known = len(licences) == 1 and licences[0].lower() in _HUB_LICENSES
    lines = [f"license: {licences[0].lower() if known else 'other'}", "pipeline_tag: image-classification"]
    if not known:
        lines.append(f"license_name: {json.dumps(', '.join(licences))}")
    lines.append(f"library_name: {library}")
    lines.append(f"tags: {json.dumps(['image-classification', 'transfer-learning', 'regraft', library])}")
    if metrics is not None and config is not None:
        value = _headline(metrics)["figures"]["accuracy"]["value"]
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": Path(str(config["photos"])).name, "type": "imagefolder"},
            "metrics": [{"type": "accuracy", "value": value, "name": _headline(metrics)["photos"]}],
        }
        lines.append(f"model-index: {json.dumps([{'name': 'photo classifier', 'results': [result]}])}")
    return "".join(f"{line}\n" for line in lines)


def _headline(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    headline: Mapping[str, Any] = metrics["measured"][metrics["headline"]]
    return headline


def _figures(metrics: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return the section on accuracy and photos."""
    headline = _headline(metrics)
    accuracy = headline["figures"]["accuracy"]
    interval = accuracy.get("interval")
    between = f" (95 % interval {percent(interval[0])} to {percent(interval[1])})" if interval else ""
    chosen = "; choices of the training were made on these photos" if headline["used_for_choosing"] else ""
    return (
        f"## Accuracy\n\n{percent(accuracy['value'])}{between} of {counted(headline['n'], 'photo')} "
        f"({headline['photos']}{chosen}).\n\n## Photos\n\nThe folder `{Path(str(config['photos'])).name}`, recipe "
        f"{config['recipe']}. The classifier answers with one of its classes for any photo, also for one that shows "
        "none of them.\n"
    )
