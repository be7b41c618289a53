"""`regraft completion`: the script that lets a shell complete regraft's commands and options."""

from __future__ import annotations

import os
from pathlib import PurePath

import click
import cloup
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")

_EXAMPLES = """\b
Examples:
  bash   echo 'eval "$(regraft completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(regraft completion zsh)"' >> ~/.zshrc
  fish   regraft completion fish > ~/.config/fish/completions/regraft.fish"""


@cloup.command(name="completion", short_help="Print the completion script of a shell.", epilog=_EXAMPLES)
@cloup.argument("shell", type=click.Choice(SHELLS), required=False, help="Your own shell if not given.")
def completion(shell: str | None) -> None:
    """Print the script that lets SHELL complete commands and options."""
    name = shell or PurePath(os.environ.get("SHELL", "")).name
    kind = get_completion_class(name) if name in SHELLS else None
    if kind is None:
        raise click.UsageError(f"which shell? One of {', '.join(SHELLS)}", click.get_current_context())
    program = click.get_current_context().find_root().command
    click.echo(kind(program, {}, "regraft", "_REGRAFT_COMPLETE").source())
