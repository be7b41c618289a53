"""`regraft sample`: sample photos, written as a folder."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from regraft.cli.options import PATH, output_options, pass_session
from regraft.cli.output import Session


@cloup.command(name="sample", short_help="Write the embedded sample as a folder per class.")
@cloup.argument("name", type=click.Choice(["digits"]), help="digits: 1,797 scans of handwritten digits.")
@cloup.argument("out", type=PATH, help="The folder to create.")
@output_options(quiet="Print nothing.")
@pass_session
def sample(session: Session, name: str, out: Path) -> None:
    """Write the sample NAME into the folder OUT, one folder per class.

    The digits are dissimilar on purpose to the photographs that the network was pretrained on. Expect about 96 % from
    the linear probe: far above the 10 % of guessing, and below the accuracy of specialized networks.
    """
    from regraft.sample.digits import EXPECTED_RESULT, write_digits
    from regraft.text import command

    count = write_digits(out)
    if session.json:
        session.print_json({"sample": name, "folder": str(out), "photos": count})
        return
    screen = session.screen()
    screen.line("sample", f"{count:,} scans of handwritten digits · 10 classes", str(out))
    screen.line("", EXPECTED_RESULT)
    screen.line("train", command("regraft", "train", out))
