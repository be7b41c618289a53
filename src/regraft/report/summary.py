"""The end of a training: what a person wants to see of a finished run, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regraft.report.evaluation import GAP, beside, most_confused, ranks, show_accuracy, weakest
from regraft.run.folder import open_run_folder
from regraft.screen import Screen
from regraft.text import command, counted, megabytes, percent


def show_run(run: Path, screen: Screen) -> None:
    """Say how good the classifier of a finished run is, where it is, and the commands to use it.

    Raises:
        RunFolderError: ``run`` is not a finished run.
    """
    folder = open_run_folder(run)
    metrics, config = folder.read_metrics(), folder.read_config()
    entry = metrics["measured"][metrics["headline"]]
    figures = entry["figures"]
    trained = _trained(metrics["training"])
    if trained:
        screen.line("trained", trained)
    screen.line("", "")
    show_accuracy(figures, measured_on(entry), screen)
    screen.line("compare", GAP.join(_beside(metrics, entry)))
    if "decisions" in metrics:
        screen.line("decided", *_decided(metrics["decisions"]))
    closer = [*ranks(figures), weakest(figures), most_confused(figures)]
    screen.line("details", GAP.join(text for text in closer if text) or "not one mistake")
    screen.line("", "")
    files = [f"{folder.model.name} {megabytes(folder.model)}", folder.metrics.name, folder.manifest.name]
    screen.line("run", f"{run}   {' · '.join(files)}")
    screen.line("use it", f"{command('regraft', 'predict', run)} new/*.jpg")
    improve, why = _next(metrics, config)
    if improve:
        screen.line("improve", improve, why)


def measured_on(entry: dict[str, Any]) -> str:
    """Return in words which photos an entry of ``metrics.json`` was measured on, and what that is worth."""
    photos = counted(entry["n"], "photo")
    if entry["photos"] == "out-of-fold":
        return f"{photos}, each judged by a probe that had not seen it"
    if entry["used_for_choosing"]:
        return f"{photos} of {entry['photos']}, which the best epoch was chosen on: it flatters"
    return f"{photos} of {entry['photos']} that no choice has looked at"


def _beside(metrics: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    """Return what the accuracy is to be compared with, on the same photos."""
    figures, measured = entry["figures"], metrics["measured"]
    probe = measured.get(f"linear-probe/{entry['photos']}")
    parts = []
    if metrics["chosen"] == "linear-probe":
        parts.append("this is the linear probe")
    elif probe is not None:
        parts.append(f"linear probe  {percent(probe['figures']['accuracy']['value'])}")
    return [*parts, *_naive(metrics), *beside(figures)]


def _decided(effect: dict[str, Any]) -> tuple[str, str]:
    """Return what the decisions changed, and on which photos."""
    before, after = (percent(effect[when]["value"]) for when in ("before", "after"))
    low, high = (100 * bound for bound in effect["difference"]["interval"])
    text = f"{before} before, {after} after  ({low:+.1f} to {high:+.1f} points, 95 %)"
    return text, f"linear probe, {counted(effect['n'], 'photo')} that no decision touched"


def _naive(metrics: dict[str, Any]) -> list[str]:
    """Return what a random split would have claimed of the linear probe, where that is another figure."""
    claim = metrics.get("naive_split")
    if not claim:
        return []
    low, high = (100 * bound for bound in claim["difference"]["interval"])
    honest = percent(claim["grouped"]["value"]).removesuffix(" %")
    claimed = percent(claim["random"]["value"])
    return [f"a naive split would have claimed  {claimed} (probe; honest {honest}; {low:+.1f} to {high:+.1f} points)"]


def _trained(training: dict[str, Any]) -> str:
    """Return in words what was trained by gradient, on how many photos and until when; empty for a linear probe."""
    if "trained" not in training:
        return ""
    parts = [training["trained"], counted(training["photos"], "photo")]
    if training.get("best_epoch") is not None:
        parts.append(f"epoch {training['best_epoch']} of {training['epochs']} kept")
    if training.get("share_of_the_way", 1.0) != 1.0:
        parts.append(f"{100 * training['share_of_the_way']:.0f} % of the way from the probe")
    if training.get("views_at_prediction", 1) > 1:
        parts.append("averages photo and mirror image")
    if training.get("learning_rate") is not None:
        parts.append(f"learning rate {training['learning_rate']:g}")
    if training.get("stop_reason"):
        parts.append(str(training["stop_reason"]))
    return " · ".join(parts)


def _next(metrics: dict[str, Any], config: dict[str, Any]) -> tuple[str, str]:
    """Return a command that may improve the result, and why."""
    if metrics["recipe"] == "auto":
        return "", ""
    words = [config["photos"], *(["--labels", config["labels"]] if config.get("labels") else []), "--budget", "10m"]
    if metrics["recipe"] == "linear-probe":
        return command("regraft", "train", *words), "fine-tunes too, if that gains"
    photos = metrics["headline"].partition("/")[2]
    final, probe = (metrics["measured"].get(f"{model}/{photos}") for model in ("final", "linear-probe"))
    if final and probe and _accuracy(final) <= _accuracy(probe):
        return command("regraft", "train", *words), "keeps the better of the linear probe and fine-tuning"
    return "", ""


def _accuracy(entry: dict[str, Any]) -> float:
    """Return the accuracy of an entry of ``metrics.json``, 0 where no photo was measured."""
    return float(entry["figures"]["accuracy"]["value"] or 0.0)
