"""Options of what happens around an interruption; they do not change what is trained."""

from __future__ import annotations

from typing import Any

import cloup

from regraft.cli.options import PATH


def going_on_options() -> list[Any]:
    """Return the options that `regraft train` and `regraft resume` share."""
    return [
        cloup.option("--stop-after", metavar="TIME", help="Stop after 20m or 8h, as Ctrl-C does, to go on later."),
        cloup.option(
            "--snapshot-every", metavar="TIME", help="How much work an interruption may cost at most; 30s if not given."
        ),
        cloup.option(
            "--rescue-dir", type=PATH, metavar="DIR", help="Where the model goes if the run folder refuses it."
        ),
    ]
