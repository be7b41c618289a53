"""Commands, names, make targets and quotations on the pages are real; `tests/docs` checks their blocks and links."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

import regraft
from command_syntax import check_command
from doc_pages import PAGES, ROOT, all_blocks, blocks_of, name_of, text_of

COMMANDS = sorted(
    {command for page in PAGES for command in re.findall(r"`(regraft [a-z][^`]*)`", text_of(name_of(page)))}
)


def test_the_pages_were_found():
    names = {name_of(page) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/cli.md", "docs/migrate/keras.md"} <= names
    assert len(COMMANDS) > 60


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_a_sentence_can_be_called_so(command):
    check_command(command, incomplete=True)


def test_python_in_a_page_uses_public_names():
    bodies = [block.code for block in all_blocks() if block.language == "python"]
    assert len(bodies) > 50
    for body in bodies:
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rg":
                assert node.attr in regraft.__all__, node.attr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_that_a_page_names_are_there(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= targets
    assert set(re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text(encoding="utf-8"))) <= targets


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md", "docs/translation.md"])
def test_files_and_folders_that_a_map_of_the_code_names_are_there(page):
    names = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.[a-z]+)?)`", text_of(page))
    assert len(names) > 8
    bases = (ROOT, ROOT / "src" / "regraft", ROOT / "docs", *(ROOT / "src" / "regraft").glob("*/"))
    assert [name for name in names if not any((base / name).exists() for base in bases)] == []


def test_the_layers_on_the_page_are_those_of_the_import_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (drawn,) = [block.code for block in blocks_of("docs/architecture.md") if block.language == "text"]
    assert drawn.strip().splitlines() == [layer.replace(" | ", " · ") for layer in contracts[0]["layers"]]
    packages = {name for layer in contracts[0]["layers"] for name in layer.split(" | ")} - {"_version"}
    rows = " ".join(re.findall(r"^\| (.*?) \|", text_of("docs/architecture.md"), re.MULTILINE))
    assert {name for name in packages if f"`{name}/`" not in rows and f"`{name}`" not in rows} == set()


QUOTED_CODE = re.compile(r"^<!-- quoted from: (\S+) -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMES = re.compile(r"^<!-- names from: (\S+) -->\n((?:\|.*\n)+)", re.MULTILINE)


def test_quoted_code_is_in_the_files_that_it_is_quoted_from():
    text = (ROOT / "docs" / "transfer-learning.md").read_text(encoding="utf-8")
    quotes = QUOTED_CODE.findall(text)
    assert (
        len(quotes)
        == len([block for block in blocks_of("docs/transfer-learning.md") if block.language == "python"])
        == 5
    )
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


def test_the_readme_is_short_and_shows_a_report():
    assert len(text_of("README.md").splitlines()) <= 120
    picture = ROOT / "docs" / "images" / "report.png"
    assert f"({picture.relative_to(ROOT).as_posix()})" in text_of("README.md")
    assert picture.stat().st_size < 200_000
