"""The summary that ends a training: accuracy, comparisons, files, and commands for the next step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regraft.context.commands import train_command
from regraft.data.split import DEFAULT_SHARES
from regraft.report.advice_line import advice_line
from regraft.report.evaluation import GAP, baselines, most_confused, show_accuracy, top_k, weakest
from regraft.report.new_subjects import clear_series, expected_on_new_subjects
from regraft.run.folder import RunFolder, open_run_folder
from regraft.screen import Screen
from regraft.text import command, counted, file_size, percent

FEW_PHOTOS = 1000
"""Photos below which the accuracy on a test set says less than that of the linear probe out of fold."""


def show_run(run: Path, screen: Screen) -> None:
    """Show the accuracy and the files of a finished run, and the commands to use it.

    Raises:
        RunFolderError: ``run`` is not the folder of a finished run.
    """
    folder = open_run_folder(run)
    metrics, config = folder.read_metrics(), folder.read_config()
    entry = metrics["measured"][metrics["headline"]]
    figures = entry["figures"]
    training, settings = _training_texts(metrics["training"], _rates(folder))
    if training:
        screen.line("trained", training)
        screen.detail("", settings)
    for text, note in _choices(metrics["training"]):
        screen.line("chosen", text, note)
    screen.line("", "")
    show_accuracy(figures, measured_on(entry), screen)
    show_series(metrics, config, screen)
    screen.line("compare", GAP.join(_comparisons(metrics, entry)))
    screen.detail("", _random_split_detail(metrics))
    if "decisions" in metrics:
        screen.line("decided", *_decision_effect(metrics["decisions"]))
    if metrics.get("reject", {}).get("max_error") is not None:
        _show_threshold(metrics["reject"], screen)
    details = [*top_k(figures), weakest(figures), most_confused(figures)]
    screen.line("details", GAP.join(text for text in details if text) or "no mistakes")
    advice = advice_line(metrics)
    if advice:
        screen.line("advice", advice, command("regraft", "advise", config["photos"]))
    screen.line("", "")
    files = [f"{folder.model.name} {file_size(folder.model.stat().st_size)}", folder.metrics.name, folder.manifest.name]
    if folder.report.exists():
        files = [folder.report.name, *files[:1]]
    screen.line("run", f"{run}   {' · '.join(files)}")
    screen.line("use it", f"{command('regraft', 'predict', run)} new/*.jpg")
    improve, why = next_command(metrics, config)
    if improve:
        screen.line("improve", improve, why)


def _show_threshold(reject: dict[str, Any], screen: Screen) -> None:
    """Show the certified threshold of ``--max-error``; the run has warned if there is none."""
    for one in reject["thresholds"]:
        if one["max_error"] == reject["max_error"] and one["threshold"] is not None:
            answered = percent(one["accepted"] / one["n"])
            promise = f"at most {percent(one['max_error'])} mistakes above it, with 95 % confidence"
            screen.line("unsure", f"below {percent(one['threshold'])}: {promise} · {answered} of photos are above it")


def show_series(metrics: dict[str, Any], config: dict[str, Any], screen: Screen) -> None:
    """Warn if the accuracy on new subjects is lower, because photos that were taken together look alike."""
    effect = clear_series(metrics)
    if effect is None:
        return
    screen.warn(expected_on_new_subjects(effect, _accuracy(metrics["measured"][metrics["headline"]])))
    screen.line("", train_command(config, group_by=effect["group_by"]), "keeps them together")


def measured_on(entry: dict[str, Any]) -> str:
    """Return a phrase for the photos that an entry of ``metrics.json`` was measured on, and for what they were used."""
    if entry["photos"] == "out-of-fold":
        return f"{counted(entry['n'], 'photo')}, each scored by a linear probe that was trained without it"
    photos = counted(entry["n"], f"{entry['photos']} photo")
    if entry["used_for_choosing"]:
        return f"{photos}, also used to choose the best epoch, so this is optimistic"
    return f"{photos}, never used to make a choice"


def _comparisons(metrics: dict[str, Any], entry: dict[str, Any]) -> list[str]:
    """Return accuracies to compare with, on the same photos: the linear probe, a random split and the baselines."""
    figures, measured = entry["figures"], metrics["measured"]
    probe = measured.get(f"linear-probe/{entry['photos']}")
    parts = []
    if metrics["chosen"] == "linear-probe":
        parts.append("this is the linear probe")
    elif probe is not None:
        parts.append(f"linear probe  {percent(probe['figures']['accuracy']['value'])}{_paired(entry)}")
        parts += _comparable(metrics)
    return [*parts, *_random_split(metrics), *baselines(figures)]


def _paired(entry: dict[str, Any]) -> str:
    """Return the difference to the linear probe on the same photos, or "" if it was not recorded or is exactly zero."""
    difference = entry.get("over_linear_probe") or {}
    if not difference.get("interval") or not difference["value"]:
        return ""
    low, high = (100 * bound for bound in difference["interval"])
    return f" on the same photos ({100 * difference['value']:+.1f} points, {low:+.1f} to {high:+.1f})"


def _comparable(metrics: dict[str, Any]) -> list[str]:
    """Return the out-of-fold accuracy of the linear probe, which recipes on the same few photos can be compared by."""
    probe = metrics["measured"].get("linear-probe/out-of-fold")
    if probe is None or probe["n"] >= FEW_PHOTOS:
        return []
    return [f"out of fold on {probe['n']:,} photos  {percent(probe['figures']['accuracy']['value'])}"]


def _decision_effect(effect: dict[str, Any]) -> tuple[str, str]:
    """Return the accuracy before and after the user's decisions, and the photos it was measured on."""
    before, after = (percent(effect[when]["value"]) for when in ("before", "after"))
    low, high = (100 * bound for bound in effect["difference"]["interval"])
    text = f"{before} before, {after} after  ({low:+.1f} to {high:+.1f} points, 95 % interval)"
    return text, f"linear probe, {counted(effect['n'], 'photo')} without a decision"


def _random_split(metrics: dict[str, Any]) -> list[str]:
    """Return the linear probe's accuracy by a random split, if duplicates clearly make it another one."""
    split = metrics.get("naive_split")
    if not split:
        return []
    low, high = split["difference"]["interval"]
    return [f"a random split would have reported  {percent(split['random']['value'])}"] if low * high > 0 else []


def _random_split_detail(metrics: dict[str, Any]) -> str:
    """Return the comparison of a random split with one that keeps duplicates together."""
    split = metrics.get("naive_split")
    if not split:
        return "no photos belong together, so a random split would report the same"
    low, high = (100 * bound for bound in split["difference"]["interval"])
    grouped, random = percent(split["grouped"]["value"]), percent(split["random"]["value"])
    difference = f"{low:+.1f} to {high:+.1f} points"
    return f"linear probe by a random split {random}, with duplicates together {grouped} ({difference})"


def _choices(training: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each choice of `auto` between two candidates, and a note about what it may have cost."""
    lines = []
    for choice in training.get("choices", []):
        low, high = choice["expected_interval"]
        text = f"{choice['kept']} instead of {choice['discarded']}: {choice['expected_points']:+.1f} points expected"
        cost = f"may have cost up to {-low:.1f}" if low < 0 else "better in all of it"
        lines.append((text, f"({low:+.1f} to {high:+.1f}, 95 % interval: {cost})"))
    return lines


def _rates(folder: RunFolder) -> list[float]:
    """Return the learning rates of the head and the trained blocks in the freeze ledger, top to bottom."""
    if not folder.freeze.exists():
        return []
    rows = json.loads(folder.freeze.read_text(encoding="utf-8"))["blocks"]
    return [row["learning_rate"] for row in reversed(rows) if row["learning_rate"] is not None]


def _training_texts(training: dict[str, Any], rates: Sequence[float]) -> tuple[str, str]:
    """Return what a training by gradient descent trained, and its settings; both "" for a linear probe.

    Args:
        training: the part of ``metrics.json``.
        rates: learning rates of the head and the trained blocks, top to bottom.
    """
    if "trained" not in training:
        return "", ""
    settings = []
    parts = [training["trained"], counted(training["photos"], "photo")]
    if "share_of_fine_tuned" in training:
        parts.append(
            f"probabilities mixed with the linear probe's, {100 * training['share_of_fine_tuned']:.0f} % its own"
        )
    if training.get("best_epoch") is not None:
        parts.append(f"epoch {training['best_epoch']} of {training['epochs']} kept")
    if training.get("share_of_the_way", 1.0) != 1.0:
        settings.append(f"{100 * training['share_of_the_way']:.0f} % of the way from the linear probe")
    if training.get("views_at_prediction", 1) > 1:
        settings.append("predictions average photo and mirror image")
    if training.get("learning_rate") is not None:
        lowest = f", {min(rates):.2g} in the lowest trained block" if len(set(rates)) > 1 else ""
        settings.append(f"learning rate {training['learning_rate']:g}{lowest}")
    if training.get("stop_reason"):
        parts.append(str(training["stop_reason"]))
    return " · ".join(parts), " · ".join(settings)


def next_command(metrics: dict[str, Any], config: dict[str, Any]) -> tuple[str, str]:
    """Return a command that may improve the result, and the reason; both "" if there is none."""
    if metrics["recipe"] == "auto" or config.get("callbacks"):
        return "", ""
    improve = train_command(config, recipe=None, budget="10m", all_depths=None)
    if metrics["recipe"] == "linear-probe":
        return (improve, "also fine-tunes, if that helps") if _fine_tuning_is_possible(metrics, config) else ("", "")
    photos = metrics["headline"].partition("/")[2]
    final, probe = (metrics["measured"].get(f"{model}/{photos}") for model in ("final", "linear-probe"))
    if final and probe and _accuracy(final) <= _accuracy(probe):
        return improve, "keeps the better of the linear probe and fine-tuning"
    return "", ""


def _fine_tuning_is_possible(metrics: dict[str, Any], config: dict[str, Any]) -> bool:
    """Return whether `auto` would fine-tune on the photos of a linear probe."""
    from regraft.recipes.auto import MIN_TRAIN, MIN_VALIDATION  # imports torch
    from regraft.recipes.steps.outlook import outlook_of_figures

    headline = metrics["measured"][metrics["headline"]]
    probe = metrics["measured"].get("linear-probe/out-of-fold", headline)
    if headline["photos"] == "out-of-fold":
        photos, shares = headline["n"], config.get("split") or DEFAULT_SHARES
    else:
        photos, shares = metrics["training"]["photos"], (0.8, 0.2)
    train, validation = (int(photos * share) for share in shares[:2])
    if train < MIN_TRAIN or validation < MIN_VALIDATION:
        return False
    log_loss = probe["figures"]["log_loss"]["value"]
    return outlook_of_figures(_accuracy(probe), log_loss, probe["n"], train=train, validation=validation).pays


def _accuracy(entry: dict[str, Any]) -> float:
    """Return the accuracy of an entry of ``metrics.json``, 0 if no photo was measured."""
    return float(entry["figures"]["accuracy"]["value"] or 0.0)
