"""`regraft demo`: the main job from end to end, on photos that come with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cloup

from regraft.cli.options import PATH, device_option, output_options, pass_session, workers_option
from regraft.cli.output import Session, show

if TYPE_CHECKING:
    from regraft.screen import Screen
    from regraft.workflows.run import Run

A_FEW = 6


@cloup.command(name="demo", short_help="Try it: train on an embedded sample, or on your photos.")
@cloup.argument(
    "photos", type=PATH, required=False, help="Your own folder, one folder per class; the sample if not given."
)
@cloup.option_group(
    "Result",
    cloup.option("-o", "--out", type=PATH, metavar="RUN", help="The run folder to make; runs/PHOTOS-… if not given."),
)
@cloup.option_group("Machine", device_option(), workers_option())
@output_options(quiet="Print the run folder alone.")
@pass_session
def demo(session: Session, photos: Path | None, out: Path | None, device: str, workers: int | None) -> None:
    """Train a linear probe, test it and use it, in about a minute and without a network.

    Without PHOTOS, on 1,797 scans of handwritten digits. They are a dissimilar domain on purpose: the network was
    pretrained on photographs. Expect about 96 % from the linear probe.
    """
    from regraft.context.config import resolve
    from regraft.text import command
    from regraft.workflows.train import train_config

    screen = session.screen()
    if photos is None:
        photos = _digits(screen)
    screen.line("command", command("regraft", "train", photos, "--recipe", "linear-probe"))
    config = resolve(None, photos=photos, out=out, recipe="linear-probe", device=device, workers=workers)
    run = train_config(config, screen)
    show(session, run, screen)
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
    """Classify some of the photos that the result was measured on, spread over the classes."""
    from regraft.cli.output import Table
    from regraft.data.manifest import Manifest
    from regraft.text import command

    usable = Manifest.read(run.folder / "manifest.csv", run.config.photos).usable
    held_back = [entry for entry in usable if entry.side == "test"] or usable
    few = [entry.path for entry in held_back[:: max(1, len(held_back) // A_FEW)][:A_FEW]]
    screen.line("command", command("regraft", "predict", run.folder, *few[:1]) + " …")
    rows = Table([str(path) for path in few], run.model.classes, top=2)
    for prediction in run.model.stream(few):
        rows.add(prediction)
