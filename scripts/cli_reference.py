"""Generator of docs/cli.md from the help of every command: `make docs`. A test fails if the file is stale.

python scripts/cli_reference.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from regraft.cli.main import regraft
from regraft.cli.options import SETTINGS

TARGET = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
WIDTH = 100

INTRODUCTION = """\
# Command line

Generated from `--help` by `make docs`; please don't edit it by hand.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | findings of `check --strict`; unsolved tasks of `lesson check`; an unexpected error (`--debug` shows its \
traceback); an error such as a full disk |
| 2 | a mistake that the user can put right: one message says what was expected, what was found, and what to do |
| 3 | some or all photos that `predict` or `evaluate` was given could not be read; the others have their results |
| 124 | `--stop-after` was reached |
| 130, 143 | Ctrl-C, SIGTERM |
| 141 | the reader of the output closed it, as `head` does |

With `--json`, standard output is exactly one JSON object, also for an error:
`{"error": {"type", "message", "exit_code"}}`. With `--quiet` it is only the result, and standard error is empty unless
there is an error. Nothing is wider than the terminal, or than 80 columns in files and pipes; `COLUMNS` says otherwise,
and rows of `predict` are never cut in files and pipes.
"""


def page() -> str:
    """Return the reference of all commands as Markdown."""
    parent = regraft.context_class(regraft, info_name="regraft", **SETTINGS)
    parts = [INTRODUCTION, _section(regraft, "regraft", None)]
    for name in regraft.list_commands(parent):
        command = regraft.get_command(parent, name)
        assert command is not None
        parts.append(_section(command, name, parent))
        if isinstance(command, click.Group):
            group = command.context_class(command, info_name=name, parent=parent)
            parts += [_section(one, sub, group) for sub, one in command.commands.items()]
    return "\n".join(parts)


def _section(command: click.Command, name: str, parent: click.Context | None) -> str:
    settings = SETTINGS if parent is None else {}
    with command.make_context(name, [], parent=parent, resilient_parsing=True, **settings) as context:
        context.terminal_width = WIDTH
        text = click.unstyle(command.get_help(context)).rstrip()
    return f"## {context.command_path}\n\n```text\n{text}\n```\n"


def main() -> int:
    """Write the page, or with ``--check`` return 1 if it is stale."""
    if "--check" not in sys.argv:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(page(), encoding="utf-8")
        print(f"wrote {TARGET.name}")
        return 0
    if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != page():
        print(f"docs/{TARGET.name} is stale: run make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
