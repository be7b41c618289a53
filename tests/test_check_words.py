"""scripts/check_words.py finds the phrases of the glossary in prose, and only there."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SPECIFICATION = importlib.util.spec_from_file_location("check_words", ROOT / "scripts" / "check_words.py")
check_words = importlib.util.module_from_spec(SPECIFICATION)
sys.modules["check_words"] = check_words  # dataclasses look their module up
SPECIFICATION.loader.exec_module(check_words)

GLOSSARY = """
| write | for | not |
|---|---|---|
| resume | run on | "go/goes on with", plain |
| invalid | not allowed | "cannot be." |
| not a | a denial | "is/are no" except "there is no", "is no longer" |
| color | American | "colour*" |
| advice | names | found, kept |
"""


@pytest.fixture(scope="module")
def rules():
    return check_words.read_rules(GLOSSARY)


def hits(text, rules, tmp_path, suffix=".py"):
    path = tmp_path / f"file{suffix}"
    path.write_text(text, encoding="utf-8")
    return [(hit.line, hit.phrase, hit.better) for hit in check_words.find_hits(path, rules)]


def test_rows_with_quoted_phrases_are_rules(rules):
    assert [rule.better for rule in rules] == ["resume", "invalid", "not a", "color"]


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("A run goes on with it", "goes on with"),
        ("Go on\n    with it", "Go on with"),
        ("going on with it", None),
        ("values that cannot be", "cannot be"),
        ("values that cannot be, or others", "cannot be"),
        ("it cannot be read", None),
        ("it is no file", "is no"),
        ("it is no longer there", None),
        ("but there is no file", None),
        ("two colours", "colours"),
        ("the name `colours`, and ``a colour``", None),
        ("colourless is discolouring", "colourless"),
        ("colour: an argument", None),
        ("see https://colour.org/", None),
        ("plain found kept", None),
    ],
)
def test_phrases_in_a_docstring(prose, expected, rules, tmp_path):
    found = hits(f'"""A module.\n\n    {prose}\n"""\n', rules, tmp_path)
    assert [phrase for _, phrase, _ in found] == ([expected] if expected else [])
    assert all(line == 3 for line, _, _ in found)


def test_comments_strings_and_f_strings_with_their_lines(rules, tmp_path):
    source = '''\
"""A module."""

# a run goes
# on with it
x = 1  # a colour of its own
y = "a colour"
z = f"{x} is no {y}"
print(
    "joined, "
    "a colour",
)
colour = "colour"
'''
    assert hits(source, rules, tmp_path) == [
        (3, "goes on with", "resume"),
        (5, "colour", "color"),
        (6, "colour", "color"),
        (7, "is no", "not a"),
        (10, "colour", "color"),
    ]


def test_a_string_that_is_only_the_phrase_is_a_name(rules, tmp_path):
    assert hits('x = "is no"\ny = {"is no": 1}\n', rules, tmp_path) == []


@pytest.mark.parametrize("word", ["What", "Which", "Where", "How", "Whether", "When"])
def test_a_module_docstring_begins_with_a_noun(word, rules, tmp_path):
    assert hits(f'"""{word} a file is.\n"""\n', rules, tmp_path) == [(1, word, check_words.NOUN_FIRST)]
    assert hits(f'"""Files.\n\n{word} a file is."""\n', rules, tmp_path) == []


def test_a_page_without_its_code(rules, tmp_path):
    page = "# Page\n\n```python\n# a colour\n```\n\n`colour` is a\ncolour.\n"
    assert hits(page, rules, tmp_path, ".md") == [(8, "colour", "color")]


def test_the_glossary_of_the_repository_has_rules_that_match_their_own_phrases():
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rules = check_words.read_rules(page)
    assert len(rules) >= 20
    for rule in rules:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {rule.better} |")]
        assert list(rule.matches(row)), row


def test_the_command_names_file_line_phrase_and_better_word(tmp_path):
    (tmp_path / "module.py").write_text('"""How it works."""\n\nx = "a colour"\n', encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "check_words.py"), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    how, colour, total = result.stdout.splitlines()
    assert how == f'{tmp_path}/module.py:1: "How"; write: {check_words.NOUN_FIRST}'
    assert colour.startswith(f'{tmp_path}/module.py:3: "colour"; write: American spelling: ')
    assert total.startswith("2 phrases to replace in 1 files")
    (tmp_path / "module.py").write_text('"""Colors."""\n', encoding="utf-8")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "0 phrases to replace in 1 files\n")
