"""Commands on pages, parsed by the command line itself."""

from __future__ import annotations

import shlex

import click

from regraft.cli.main import regraft as program


def check_command(command: str, *, incomplete: bool = False) -> None:
    """Check that ``regraft …`` has a command, options and values that exist; ``incomplete``: missing arguments."""
    name, *words = shlex.split(command.split(" > ", maxsplit=1)[0].rstrip(" …"), comments=True)[1:]
    if name.startswith("-"):
        assert name in {"--help", "--version"}, command
        return
    assert name in program.commands, command
    parent = click.Context(program, info_name="regraft")
    try:
        with program.commands[name].make_context(name, [word for word in words if word not in {"…", "..."}], parent):
            pass
    except click.exceptions.Exit as ended:
        assert ended.exit_code == 0  # --help
    except click.MissingParameter:
        if not incomplete:
            raise
