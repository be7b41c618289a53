"""Commands, options, code and links in the documents are real."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

import regraft
from regraft.cli.main import regraft as program

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    return [body for kind, body in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands():
    found = []
    for page in PAGES:
        for body in blocks(page, "console"):
            found += [line[2:] for line in body.splitlines() if line.startswith("$ regraft")]
        found += re.findall(r"`(regraft [a-z][^`]*)`", page.read_text(encoding="utf-8"))
    return sorted(set(found))


def test_the_pages_were_found():
    names = {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/cli.md", "docs/run-folder.md"} <= names
    assert len(commands()) > 10


@pytest.mark.parametrize("command", commands())
def test_a_command_that_a_page_names_can_be_called_so(command):
    name, *words = shlex.split(command.split(" > ")[0], comments=True)[1:]
    assert name in program.commands
    arguments = [word for word in words if word not in {"…", "..."}]
    parent = click.Context(program, info_name="regraft")
    try:
        with program.commands[name].make_context(name, arguments, parent=parent):
            pass
    except click.exceptions.Exit as ended:
        assert ended.exit_code == 0  # --help
    except click.MissingParameter:
        assert f"`{command}`" in "".join(page.read_text(encoding="utf-8") for page in PAGES)  # named in a sentence


def test_python_in_a_page_uses_public_names():
    bodies = [body for page in PAGES for body in blocks(page, "python")]
    assert bodies
    for body in bodies:
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rg":
                assert node.attr in regraft.__all__, node.attr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_a_page_names_are_there(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= targets
    assert set(re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text(encoding="utf-8"))) <= targets


QUOTED_CODE = re.compile(r"^<!-- quoted from: (\S+) -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMES = re.compile(r"^<!-- names from: (\S+) -->\n((?:\|.*\n)+)", re.MULTILINE)


def test_quoted_code_is_in_the_files_that_it_is_quoted_from():
    text = (ROOT / "docs" / "transfer-learning.md").read_text(encoding="utf-8")
    quotes = QUOTED_CODE.findall(text)
    assert len(quotes) == len(blocks(ROOT / "docs" / "transfer-learning.md", "python")) == 5
    for name, code in quotes:
        lines = [line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
        quoted = [line.strip() for line in code.splitlines()]
        assert any(lines[i : i + len(quoted)] == quoted for i in range(len(lines))), code


def test_names_in_the_first_column_are_in_the_file_that_they_are_from():
    ((name, table),) = NAMES.findall((ROOT / "docs" / "transfer-learning.md").read_text(encoding="utf-8"))
    names = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(names) == 4
    source = (ROOT / name).read_text(encoding="utf-8")
    assert [name for name in names if name not in source] == []


def test_the_readme_leads_to_the_page_for_students():
    assert "docs/transfer-learning.md" in (ROOT / "README.md").read_text(encoding="utf-8")
