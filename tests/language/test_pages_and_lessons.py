"""Translated pages and lessons: the code of their sources, and a mark where a source has changed since."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from regraft.lessons.lesson import find_lesson, find_solution, lessons

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "scripts"))
try:
    import translated_pages
    from translated_pages import NOTE, Page, code_of, pages, release
finally:
    sys.path.pop(0)


def test_the_pages_are_these():
    assert len(pages()) == 14
    assert all((TREE / page.source).is_file() for page in pages())


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.path)
def test_the_code_is_that_of_the_source(page):
    assert code_of(page.path) == code_of(page.source)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.path)
def test_an_old_page_is_marked_and_no_older_than_one_release(page):
    assert page.is_marked is not page.is_current, "python scripts/translated_pages.py"
    assert page.is_current or page.stamp[2] == release(), f"translate {page.path} again: {page.source} has changed"


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A page, a lesson and their sources in a repository of their own."""
    monkeypatch.setattr(translated_pages, "ROOT", tmp_path)
    for name in ("docs/zh_TW", "src/regraft/lessons/content/zh_TW"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "src/regraft/_version.py").write_text('__version__ = "1.2.3"\n', encoding="utf-8")
    (tmp_path / "docs/a.md").write_text("# A\n\ntext\n\n```sh\nls\n```\n", encoding="utf-8")
    (tmp_path / "docs/zh_TW/a.md").write_text("# 甲\n\n文字\n\n```sh\nls\n```\n", encoding="utf-8")
    lesson = "# %% [markdown]\n# # {}\n#\n# {}\n\n# %%\nx = 1\n"
    (tmp_path / "src/regraft/lessons/content/1_a.py").write_text(lesson.format("A", "text"), encoding="utf-8")
    (tmp_path / "src/regraft/lessons/content/zh_TW/1_a.py").write_text(lesson.format("甲", "文字"), encoding="utf-8")
    return [
        Page("docs/zh_TW/a.md", "docs/a.md"),
        Page("src/regraft/lessons/content/zh_TW/1_a.py", "src/regraft/lessons/content/1_a.py"),
    ]


def test_a_page_gets_a_note_when_its_source_changes_and_loses_it_when_it_is_recorded(pair, tmp_path):
    for page in pair:
        page.write(recorded=True)
        assert page.is_current
        assert page.stamp[2] == "1.2"
        assert not page.is_marked
        source = tmp_path / page.source
        source.write_text(source.read_text(encoding="utf-8").replace("text", "other text"), encoding="utf-8")
        page.write(recorded=False)
        page.write(recorded=False)
        assert not page.is_current
        assert page.text.count(NOTE) == 1
        page.write(recorded=True)
        assert page.is_current
        assert NOTE not in page.text


def test_changed_code_is_found_and_does_not_make_a_page_old(pair, tmp_path):
    for page, code in zip(pair, ("ls", "x = 1"), strict=True):
        page.write(recorded=True)
        assert code_of(page.path) == code_of(page.source)
        source = tmp_path / page.source
        source.write_text(source.read_text(encoding="utf-8").replace(code, "y = 2"), encoding="utf-8")
        assert page.is_current
        assert code_of(page.path) != code_of(page.source)


def test_lessons_follow_the_language(monkeypatch):
    assert [lesson.title for lesson in lessons("zh_TW")] == [
        "回呼", "特徵擷取", "凍結的主體，新的分類頭", "微調", "何時用哪一種", "練習，五種花", "誠實的數字",
    ]  # fmt: skip
    assert find_lesson(1, "zh_TW").name == find_lesson(1).name
    assert find_lesson(1).title == "Callbacks"
    assert find_lesson(1, "zh_TW").notebook().count("source: src") == 0
    assert find_solution(6, "zh_TW") == find_solution(6)


def test_the_language_of_a_copied_lesson(regraft_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert regraft_command("lesson", "copy", "1", "--format", "script", "--lang", "zh-TW", "-o", "a") == 0
    assert "第 1 課：回呼" in (tmp_path / "a/1_callbacks.py").read_text(encoding="utf-8")
    monkeypatch.setenv("REGRAFT_LANG", "zh_TW")
    assert regraft_command("lesson", "copy", "1", "--format", "script", "-o", "b") == 0
    assert regraft_command("lesson", "copy", "1", "--format", "script", "--lang", "en", "-o", "c") == 0
    assert (tmp_path / "b/1_callbacks.py").read_text(encoding="utf-8").startswith("# %% [markdown]\n# # 第 1 課")
    assert "# # Lesson 1: Callbacks" in (tmp_path / "c/1_callbacks.py").read_text(encoding="utf-8")


@pytest.fixture
def regraft_command():
    """Run the command line, and return the exit code."""
    from regraft.cli.main import call

    return lambda *words: call(list(words))
