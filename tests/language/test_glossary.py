"""The Chinese glossary, and the words of the mainland, in messages, pages and lessons."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
GLOSSARY = TREE / "docs" / "zh_TW" / "glossary.md"
FILE = TREE / "src" / "regraft" / "language" / "zh_TW" / "LC_MESSAGES" / "regraft.po"

GOOD_IN_TAIWAN = (
    "佔位圖", "像素", "台", "參數", "項目", "結束代碼", "腳本", "連接", "視圖", "鏡像", "線性", "文件", "拍攝對象", "權限", "微調用",
    "比較的對象", "特徵多", "局部", "註明了",
)  # fmt: skip
"""Words of Taiwan that OpenCC takes for words of the mainland, or divides wrongly."""


CODE = re.compile(
    r"<[^>]*>|\{[^}]*\}|[\w/.-]*[/=_][\w/.-]*|--[\w-]+( \w+)?|[A-Z]{3,}|^photos:|\w+\([^)]*\)|\w+,\w[\w,]*|\w+\.\w+\.\w+|regraft \w+"
)
"""What is not language in a message: tags, places, paths, options, calls, commands."""


def _rows() -> list[tuple[str, str, str]]:
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    return [row for row in rows if row[0] != "English"]


@cache
def chinese_texts() -> dict[str, str]:
    """Return every Chinese text by its place: messages, pages and lessons."""
    babel = pytest.importorskip("babel.messages.pofile", reason="Babel reads the catalogue; pip install babel")
    with FILE.open("rb") as file:
        texts = {str(message.id): str(message.string) for message in babel.read_po(file, locale="zh_TW") if message.id}
    pages = [TREE / "README.zh-TW.md", *(TREE / "docs" / "zh_TW").glob("*.md")]
    lessons = (TREE / "src" / "regraft" / "lessons" / "content" / "zh_TW").glob("*.py")
    return texts | {
        path.name: path.read_text(encoding="utf-8") for path in (*pages, *lessons) if path != GLOSSARY and path.exists()
    }


def test_a_message_has_the_terms_of_the_glossary():
    problems = []
    rows = _rows()
    assert len(rows) > 50
    for english, chinese, _ in rows:
        if english.endswith("*"):
            continue
        term = re.compile(rf"\b{english}(s|es|ies)?\b")
        for text, translation in chinese_texts().items():
            plain = CODE.sub(" ", text)
            if (
                term.search(plain)
                and text != translation
                and not any(one in translation for one in chinese.split("、"))
            ):
                problems.append((english, chinese, text, translation))
    assert problems == []


def test_no_text_has_a_term_that_the_glossary_excludes():
    wrong = [(term, place) for _, _, term in _rows() for place, text in chinese_texts().items() if term in text]
    assert wrong == []


def test_no_text_has_words_of_the_mainland():
    opencc = pytest.importorskip("opencc", reason="OpenCC finds words of the mainland; pip install opencc")
    convert = opencc.OpenCC("s2twp").convert
    good = re.compile("|".join(GOOD_IN_TAIWAN))
    lines = [(place, good.sub("□", line)) for place, text in chinese_texts().items() for line in text.split("\n")]
    assert [(place[:60], line, convert(line)) for place, line in lines if convert(line) != line] == []
