"""`regraft demo`: train, test and predict, on a sample that is part of the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cloup

from regraft.cli.options import PATH, device_option, output_options, pass_session, workers_option
from regraft.cli.output import Session, show_result

if TYPE_CHECKING:
    from regraft.screen import Screen
    from regraft.workflows.run import Run

PREDICTIONS = 6
"""Photos that are classified at the end."""


@cloup.command(name="demo", short_help="Try regraft: train on an embedded sample, or on your photos.")
@cloup.argument(
    "photos", type=PATH, required=False, help="Your own folder, one folder per class; the sample if not given."
)
@cloup.option_group(
    "Result",
    cloup.option("-o", "--out", type=PATH, metavar="RUN", help="The run folder to make; runs/PHOTOS-… if not given."),
)
@cloup.option_group("Machine", device_option(), workers_option())
@output_options(quiet="Print only the run folder.")
@pass_session
def demo(session: Session, photos: Path | None, out: Path | None, device: str, workers: int | None) -> None:
    """Train a linear probe, test it and use it, in about a minute and offline.

    Without PHOTOS, the sample is 1,797 scans of handwritten digits. They are dissimilar on purpose to the photographs
    that the network was pretrained on. Expect about 96 % from the linear probe.
    """
    from regraft.context.commands import train_command
    from regraft.context.config import resolve
    from regraft.text import command
    from regraft.workflows.train import train_config

    screen = session.screen()
    if photos is None:
        photos = _digits(screen)
    config = resolve(None, photos=photos, out=out, recipe="linear-probe", device=device, workers=workers)
    screen.line("command", " ".join([train_command(vars(config)), *([command("-o", out)] if out else [])]))
    run = train_config(config, screen)
    show_result(session, run, screen)
    if not session.json and not session.quiet:
        _predict_a_few(session, run, screen)


def _digits(screen: Screen) -> Path:
    from regraft.cache_dir import cache_folder
    from regraft.sample.digits import EXPECTED_RESULT, write_digits

    folder = cache_folder() / "digits"
    count = write_digits(folder)
    screen.line("sample", f"{count:,} scans of handwritten digits · 10 classes", str(folder))
    screen.line("", EXPECTED_RESULT)
    return folder


def _predict_a_few(session: Session, run: Run, screen: Screen) -> None:
    """Classify a few of the photos that the accuracy was measured on, spread over the classes."""
    from regraft.cli.output import PredictionTable
    from regraft.data.manifest import Manifest
    from regraft.text import command

    usable = Manifest.read(run.folder / "manifest.csv", run.config.photos).usable
    measured = [entry for entry in usable if entry.side == "test"] or usable
    few = [entry.path for entry in measured[:: max(1, len(measured) // PREDICTIONS)][:PREDICTIONS]]
    screen.line("command", command("regraft", "predict", run.folder, *few[:1]) + " …")
    rows = PredictionTable([str(path) for path in few], run.model.classes, top=2)
    for prediction in run.model.stream(few):
        rows.add(prediction)
