"""The answer: how good the classifier is, in one sentence, and what would improve it most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.context.commands import train_command
from regraft.report.elements import command_line
from regraft.report.new_subjects import clear_series, expected_on_new_subjects
from regraft.report.page import name, text
from regraft.report.run_data import RunData
from regraft.report.summary import measured_on, next_command
from regraft.text import counted, interval, percent

FEW_CLASSES = 4
"""Number of classes up to which they are named in the first sentence."""

SURE = 0.9
"""Probability from which a mistake may be a wrong label."""


LITTLE = 0.01
"""Highest rise of a recall that is not worth new photos."""


def answer(run: RunData) -> str:
    """Return the first part of a report: one sentence, the figures to compare with, and what would help most."""
    problems = "".join(f'<p class="problem">{text(problem)}</p>' for problem in run.problems)
    if not run.headline:
        return f'<section id="answer">{problems}</section>' if problems else ""
    return f'<section id="answer">{_sentence(run)}{_series(run)}{problems}{_facts(run)}{_improve(run)}</section>'


def _sentence(run: RunData) -> str:
    figures = run.headline["figures"]
    accuracy = figures["accuracy"]
    if accuracy["value"] is None:
        return '<p class="lead">No photo was measured, so nothing is known about how good it is.</p>'
    classes = run.classes
    names = " and ".join(filter(None, [", ".join(map(name, classes[:-1])), name(classes[-1])]))
    what = f"tells {names} apart" if len(classes) <= FEW_CLASSES else f"tells {len(classes):,} classes apart"
    low, high = accuracy["interval"] or (0.0, 1.0)
    lead = (
        f'<p class="lead">This classifier {what}: of 100 new photos like these, about '
        f"<b>{100 * accuracy['value']:.0f}</b> get the right name (anything from {100 * low:.0f} to {100 * high:.0f} "
        "is plausible).</p>"
    )
    largest = figures["largest_class"]
    if low <= (largest["accuracy"]["value"] or 0.0):
        lead += (
            f'<p class="problem">That is not clearly better than always answering {name(largest["label"])}, '
            f"which is right for {percent(largest['accuracy']['value'])} of them.</p>"
        )
    return lead


def _series(run: RunData) -> str:
    """Return a warning if the accuracy on new subjects is lower, and the command that measures it."""
    effect, accuracy = clear_series(run.metrics), run.headline["figures"]["accuracy"]["value"]
    if effect is None or accuracy is None:
        return ""
    warning = expected_on_new_subjects(effect, accuracy)
    command = train_command(dict(run.config), group_by=effect["group_by"])
    return f'<p class="problem">{text(warning)}</p>{command_line(command)}'


def _facts(run: RunData) -> str:
    entry, figures = run.headline, run.headline["figures"]
    bounds = interval(figures["accuracy"])
    where = measured_on(dict(entry))
    facts = [("accuracy", figures["accuracy"]["value"], f"{bounds}, 95 % interval<br>{text(where)}")]
    probe = run.metrics["measured"].get(f"linear-probe/{entry['photos']}")
    if run.metrics.get("chosen") == "linear-probe":
        facts.append(("linear probe", figures["accuracy"]["value"], "the classifier is the linear probe"))
    elif probe is not None:
        value = probe["figures"]["accuracy"]
        facts.append(("linear probe", value["value"], f"{interval(value)}<br>the same photos, frozen network"))
    largest = figures["largest_class"]
    facts.append(("largest class alone", largest["accuracy"]["value"], f"always answering {name(largest['label'])}"))
    if run.metrics.get("naive_split"):
        split = run.metrics["naive_split"]
        note = f"probe; {percent(split['grouped']['value'])} with photos of a group kept together"
        facts.append(("a random split would have reported", split["random"]["value"], note))
    balanced = figures["balanced_accuracy"]
    if balanced["value"] is not None and abs(balanced["value"] - figures["accuracy"]["value"]) > 0.02:
        facts.append(("balanced accuracy", balanced["value"], f"{interval(balanced)}<br>every class counts the same"))
    if run.metrics.get("decisions"):
        effect = run.metrics["decisions"]
        note = f"{percent(effect['before']['value'])} before your decisions, {counted(effect['n'], 'photo')}"
        facts.append(("with your decisions", effect["after"]["value"], note))
    items = "".join(
        f"<div><dt>{text(title)}</dt><dd>{percent(value)}<small>{note}</small></dd></div>"
        for title, value, note in facts
    )
    return f'<dl class="facts">{items}</dl>'


def _improve(run: RunData) -> str:
    """Return what would improve the result most, the best first."""
    advice = [*_labels(run), *_command(run), *_photos(run)]
    if not advice:
        return ""
    items = "".join(f"<li>{one}</li>" for one in advice)
    return f"<h3>What would improve it most</h3><ol>{items}</ol>"


def _labels(run: RunData) -> list[str]:
    from regraft.context.commands import check_command

    wrong = [photo for photo in run.photos.predicted if not photo.is_right]
    sure = [photo for photo in wrong if photo.probability >= SURE]
    if not sure:
        return []
    few = f"{counted(len(sure), 'mistake')} of {len(wrong):,}" if len(wrong) > len(sure) else f"{len(sure):,} mistakes"
    verb = "is" if len(sure) == 1 else "are"
    return [
        f"Look at the labels: {few} {verb} at least {100 * SURE:.0f} % sure, which often means a wrong label."
        + command_line(check_command(dict(run.config)))
    ]


def _command(run: RunData) -> list[str]:
    command, why = next_command(dict(run.metrics), dict(run.config))
    return [f"Train longer: {text(why)}.{command_line(command)}"] if command else []


def _photos(run: RunData) -> list[str]:
    curve: Mapping[str, Any] = run.metrics.get("learning_curve") or {}
    gains = [one for one in curve.get("gains", ()) if one["recall"]["value"] is not None]
    if not gains:
        return []
    best = max(gains, key=lambda one: one["recall"]["value"])
    value, (low, high) = best["recall"]["value"], best["recall"]["interval"]
    link = '<a href="#photos-needed">all classes</a>'
    if high < LITTLE:
        return [f"More photos like these are expected to gain little: less than {100 * LITTLE:.0f} of 100 ({link})."]
    advice = (
        f"Take {curve['more']} more photos of {name(best['label'])}: about {100 * value:.1f} more of 100 such photos "
        f"would get the right name ({100 * low:.1f} to {100 * high:.1f}; {link})."
    )
    return [advice]
