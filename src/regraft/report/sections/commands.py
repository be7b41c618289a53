"""The exact commands to use, repeat and improve a run, and the software and the machine that it ran on."""

from __future__ import annotations

from regraft.context.commands import train_command
from regraft.report.elements import command_line, details, section, table
from regraft.report.page import text
from regraft.report.run_data import RunData
from regraft.text import command


def commands(run: RunData) -> str:
    """Return commands to paste, and the environment."""
    parts = []
    if run.headline:
        parts.append(command_line(f"{command('regraft', 'predict', run.path)} new/*.jpg", "Use it on new photos:"))
        parts.append(
            command_line(f"{command('regraft', 'evaluate', run.path)} PHOTOS", "Measure it on other labeled photos:")
        )
    elif run.config:
        parts.append(command_line(command("regraft", "resume", run.path), "Continue this run:"))
    if run.config:
        repeat = command("regraft", "train", "--config", run.path / "config.json")
        parts.append(command_line(repeat, "Repeat it, with every choice that it made:"))
    if run.config.get("photos"):
        parts.append(command_line(train_command(dict(run.config)), "Train again with the same options:"))
    return section("commands", "Commands", *parts, _environment(run))


def _environment(run: RunData) -> str:
    facts = run.environment
    if not facts:
        return ""
    packages = facts.get("packages", {})
    rows = [[text(name), text(version or "–")] for name, version in packages.items()]
    rows += [[key, text(facts[key])] for key in ("python", "system", "processor", "cores") if facts.get(key)]
    return details("Software and machine", table(["", ""], rows, left=(1,), caption="Software and machine"))
