"""The catalogue of Traditional Chinese: complete, with intact places, compiled, and fit for 80 columns."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from regraft.language.catalogue import CONTEXT, Catalogue, read_mo
from regraft.language.template import Template
from regraft.language.typography import CLOSING, OPENING
from regraft.screen.line_breaks import broken, cells

TREE = Path(__file__).resolve().parents[2]
FILE = TREE / "src" / "regraft" / "language" / "zh_TW" / "LC_MESSAGES" / "regraft.po"

FILLERS = re.compile(r"(is|are|it|them|has|have|verb|needs|names|single|epochs_2|unfreeze_2|all|unknown)$")
"""Places for endings and forms of English verbs, which Chinese does not have."""

pytest.importorskip("babel", reason="Babel reads the catalogue; pip install babel")


@pytest.fixture(scope="module")
def catalogue():
    """The catalogue as it is in the repository."""
    from babel.messages.pofile import read_po

    with FILE.open("rb") as file:
        return read_po(file, locale="zh_TW")


@pytest.fixture(scope="module")
def source_messages():
    """The messages of the source, by context and text."""
    sys.path.insert(0, str(TREE / "scripts"))
    try:
        from messages import messages
    finally:
        sys.path.pop(0)
    return messages()


def key(message) -> str:
    return f"{message.context}{CONTEXT}{message.id}" if message.context else message.id


def test_every_message_of_the_source_has_a_translation(catalogue, source_messages):
    translated = {key(message) for message in catalogue if message.id and message.string}
    assert len(source_messages) > 1500
    missing = sorted(set(source_messages) - translated)
    assert missing == [], "python scripts/messages.py, then translate: docs/translation.md"


def test_no_translation_is_left_of_a_message_that_the_source_has_no_longer(catalogue, source_messages):
    assert sorted({key(message) for message in catalogue if message.id} - set(source_messages)) == []


def test_places_are_those_of_the_message(catalogue):
    broken_places = []
    for message in catalogue:
        if message.id:
            names, translated = Template(message.id).names, Template(message.string).names
            lost = {name for name in names if name not in translated and not FILLERS.match(name)}
            if lost or not set(translated) <= set(names) or len(set(names)) != len(names):
                broken_places.append((message.id, message.string))
    assert broken_places == []


def test_the_compiled_catalogue_is_that_of_the_source(catalogue):
    from babel.messages.mofile import write_mo

    out = io.BytesIO()
    write_mo(out, catalogue)
    compiled = FILE.with_suffix(".mo").read_bytes()
    assert compiled == out.getvalue(), "python scripts/messages.py"
    assert read_mo(compiled)["all blocks"] == "全部區塊"
    assert read_mo(compiled)[f"cell{CONTEXT}today"] == "今天"


def test_a_file_that_is_no_catalogue_is_refused():
    with pytest.raises(ValueError, match=r"expected a gettext \.mo file, found other content"):
        read_mo(b"\0" * 40)


def test_a_translation_breaks_into_lines_that_fit(catalogue, monkeypatch):
    monkeypatch.setenv("REGRAFT_LANG", "zh_TW")
    problems = []
    for message in catalogue:
        for line in (message.string or "").split("\n"):
            lines = broken(line, 71)
            problems += [one for one in lines if cells(one) > 71]
            problems += [one for one in lines[1:] if one.strip()[:1] in CLOSING]
            problems += [one for one in lines[:-1] if one[-1:] in OPENING]
    assert problems == []


def test_the_template_with_the_most_text_comes_first():
    messages = Catalogue({"{a} of {b}": "1", "{a} photos of {b}": "2", "no {a}": "3"})
    assert [template.text for template, _ in messages.templates("4 photos of cats")] == [
        "{a} photos of {b}",
        "{a} of {b}",
    ]
