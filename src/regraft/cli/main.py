"""The group of all commands and the entry point of the console script."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click
import cloup

from regraft._version import __version__
from regraft.cli import exits
from regraft.cli.advise import advise
from regraft.cli.backbones import backbones
from regraft.cli.cache import cache
from regraft.cli.check import check
from regraft.cli.completion import completion
from regraft.cli.demo import demo
from regraft.cli.evaluate import evaluate
from regraft.cli.export import export
from regraft.cli.features import features
from regraft.cli.lesson import lesson
from regraft.cli.lr import lr
from regraft.cli.monitor import monitor
from regraft.cli.options import SETTINGS
from regraft.cli.output import Session
from regraft.cli.predict import predict
from regraft.cli.report import report
from regraft.cli.resume import resume
from regraft.cli.runs import runs
from regraft.cli.sample import sample
from regraft.cli.serve import serve
from regraft.cli.train import train
from regraft.cli.translated_help import translate_help_of
from regraft.cli.tune import tune
from regraft.distributed.world import first_to_fail
from regraft.interrupts import INTERRUPTS
from regraft.process import claim_process, sleep_while_waiting


class _Commands(cloup.Group):
    """The group of commands; it ends quietly if the reader of its output closes it (``regraft … | head``)."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with exits.exit_on_broken_pipe():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with exits.exit_on_broken_pipe():
            value = super().invoke(ctx)
            sys.stdout.flush()
            return value


@cloup.group(
    cls=_Commands,
    name="regraft",
    context_settings=SETTINGS,
    sections=[
        cloup.Section("Make a classifier", [train, resume, advise, check, lr, demo, sample, lesson]),
        cloup.Section("Use and measure it", [predict, evaluate, report, monitor, runs, export, serve]),
        cloup.Section("Environment", [backbones, features, cache, tune, completion]),
    ],
    epilog="Start with:  regraft demo      then:  regraft train PHOTOS      (one folder per class in PHOTOS)",
)
@cloup.version_option(__version__, prog_name="regraft", message="%(prog)s %(version)s")
def regraft() -> None:
    """Turn a folder of labeled photos into a classifier, by transfer learning from a pretrained network."""


translate_help_of([regraft])


def call(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code; every error is reported on standard error."""
    session = Session()
    try:
        with INTERRUPTS.handled():
            code = regraft.main(list(arguments), prog_name="regraft", standalone_mode=False, obj=session)
    except SystemExit:
        raise  # click has answered the shell's request for completions
    except BaseException as error:  # noqa: BLE001  (every error becomes a message and an exit code)
        if not first_to_fail():
            return exits.FAILED
        wants_json = session.json or "--json" in arguments  # a wrong option is found before the others are read
        return exits.report_error(error, debug=session.debug, json=wants_json and not session.printed_json)
    return code if isinstance(code, int) else exits.DONE


def main() -> NoReturn:
    """Run the command `regraft` and end the process."""
    exits.prepare_streams()
    warnings.filterwarnings("ignore", module=r"PIL\.")  # regraft reports damaged photos itself, by name
    sleep_while_waiting()
    claim_process()
    INTERRUPTS.force_exit = exits.exit_now
    exits.exit_cleanly(call(sys.argv[1:]))
