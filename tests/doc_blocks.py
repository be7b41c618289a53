"""The ways in which blocks of code on pages are checked; `docs/test_blocks.py` has the table."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib

import yaml

from command_syntax import check_command
from doc_pages import ROOT, blocks_of, text_of

RUNS_A_PAGE = re.compile(r'"""(docs/\S+\.md): .*\b(?:code runs|Python runs|examples run)\b')
PROGRAMS = {
    ".",
    "cd",
    "curl",
    "docker",
    "git",
    "jupyter",
    "make",
    "npm",
    "pip",
    "pipx",
    "python",
    "python3",
    "torchrun",
    ".venv/bin/pre-commit",
}
PARSERS = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "sh": lambda text: subprocess.run(["sh", "-n"], input=text, text=True, check=True),
}
REASON = re.compile(r"not run: \S.{8,}")


def tests_of_pages() -> dict[str, str]:
    """Return the test that runs the code of a page, by page: the docstring of the test begins with the page."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        with path.open(encoding="utf-8") as file:
            match = RUNS_A_PAGE.match(file.readline())
        if match:
            found[match[1]] = path.relative_to(ROOT).as_posix()
    return found


RUN_BY = tests_of_pages()


def way_of(block):
    """Return how a block is checked, and check what needs no training."""
    if block.language == "python":
        compile(block.code, block.place, "exec")
        return way_of_python(block)
    if block.language == "console":
        assert block.commands, f"{block.place}: a console block has lines that begin with '$ '"
        for command in block.commands:
            program = command.split()[0]
            assert program in {"regraft", *PROGRAMS} or "=" in program, f"{block.place}: {command}"
            called = re.search(r"(?:^|-m )(regraft .*)", command)
            if called:
                check_command(called[1])
        return "parsed"
    if block.language == "text":
        return way_of_text(block)
    if block.language in PARSERS:
        PARSERS[block.language](block.code)
        return "parsed"
    assert REASON.fullmatch(block.note), (
        f"{block.place}: no check for {block.language or 'a block without a language'}; write "
        f"<!-- not run: REASON --> above it, or add a check here"
    )
    return "not run"


def way_of_python(block):
    """Return how a block of Python is run, or that it is only compiled."""
    twin = block.page.replace("docs/zh_TW/", "docs/")
    if twin != block.page and any(block.code == other.code for other in blocks_of(twin)):
        return "copied"
    if block.page in RUN_BY:
        return "run"
    word, _, rest = block.note.partition(": ")
    if word == "run by":
        assert block.page.rpartition("/")[2] in text_of(rest), f"{block.place}: {rest} does not name the page"
        return "run"
    if word == "quoted from":
        return "quoted"
    if word == "not run":
        assert REASON.fullmatch(block.note), f"{block.place}: give a reason"
        return "not run"
    return "run as a script"


def way_of_text(block):
    if block.note.startswith("signature: ") or block.page == "docs/cli.md":
        return "compared"
    commands = [line for line in block.code.splitlines() if re.match(r"regraft [a-z]", line)]
    for line in commands:
        check_command(re.split(r"\s{3,}", line)[0])
    return "parsed" if commands else "picture"
