"""``report.html``: the report of a run in one file, which opens offline and gives the same bytes for the same folder.

A section that cannot be shown, because a file is damaged or was written by something else, says so in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from regraft.disk.atomic import write_text
from regraft.errors import RegraftError
from regraft.report.drawing import styles_to_classes
from regraft.report.page import json_attribute, name, page, resource, text
from regraft.report.run_data import RunData, read_run
from regraft.report.sections.answer import answer
from regraft.report.sections.blocks import blocks
from regraft.report.sections.classes import class_figures
from regraft.report.sections.commands import commands
from regraft.report.sections.confusion import confusion
from regraft.report.sections.findings import findings
from regraft.report.sections.outlook import outlook
from regraft.report.sections.predictions import first_photos, predictions
from regraft.report.sections.training import training
from regraft.report.sections.trust import trust
from regraft.run.folder import RunFolder
from regraft.text import counted

SECTIONS: Mapping[str, tuple[str, Callable[[RunData], str]]] = {
    "answer": ("answer", answer),
    "classes": ("classes", first_photos),
    "predictions": ("predictions", predictions),
    "confusion": ("confusion", confusion),
    "per-class": ("per class", class_figures),
    "training": ("training", training),
    "trust": ("trust", trust),
    "photos-needed": ("more photos", outlook),
    "blocks": ("network", blocks),
    "findings": ("findings", findings),
    "commands": ("commands", commands),
}
"""Sections in their order, by anchor: a short title, and the function that writes it."""


def write_report(run: Path, file: Path | None = None) -> Path:
    """Write the report of a run, finished or not, and return its path.

    Args:
        run: the run folder.
        file: the page; None for ``report.html`` in the run folder.

    Raises:
        RunFolderError: ``run`` is not a run folder.
        OSError: the file cannot be written.
    """
    file = RunFolder(run).report if file is None else file
    write_text(file, report_html(read_run(run)))
    return file


def report_html(run: RunData) -> str:
    """Return the report of a run as a complete page."""
    sections = {anchor: _shown(title, write, run) for anchor, (title, write) in SECTIONS.items()}
    links = " ".join(
        f'<a href="#{anchor}">{title}</a>' for anchor, (title, _) in SECTIONS.items() if sections[anchor] and title
    )
    title = str(run.config.get("photos") or run.path).rstrip("/").rpartition("/")[2]
    photos = sum(entry.status == "ok" for entry in run.photos.entries)
    network = run.config.get("backbone", "")
    facts = [f"run {run.path.name}", run.metrics.get("chosen", run.config.get("recipe", "")), network]
    facts += [counted(photos, "photo"), counted(len(run.classes), "class", "classes")] if run.classes else []
    body, rules = styles_to_classes(
        f'<a class="skip" href="#answer">Skip to the answer</a><header class="top"><h1>{name(title)}</h1>'
        f"<p>{' · '.join(text(fact) for fact in facts if fact)}</p></header>"
        f'<nav aria-label="Sections">{links}</nav><main>{"".join(sections.values())}</main>'
    )
    return page(
        f"Report: {title}",
        body,
        css=[resource("report.css"), rules],
        js=[resource("report.js")],
        attributes=f'data-classes="{json_attribute(run.classes)}"',
    )


def _shown(title: str, write: Callable[[RunData], str], run: RunData) -> str:
    """Return a section, or in its place why it cannot be shown."""
    try:
        return write(run)
    except (RegraftError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        why = f"the run folder lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        return f'<section><p class="problem">The section “{text(title)}” cannot be shown: {text(why)}</p></section>'
