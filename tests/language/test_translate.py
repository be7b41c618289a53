"""Texts in Traditional Chinese: whole, by templates, and part by part; names stay as they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from regraft.language import language, translate, translate_cell, translate_word
from regraft.language.choice import known_language
from regraft.language.template import Template
from regraft.language.typography import joined, without_breaks


@pytest.fixture
def chinese(monkeypatch):
    """The language is Traditional Chinese."""
    monkeypatch.setenv("REGRAFT_LANG", "zh_TW")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("zh_TW.UTF-8", "zh_TW"), ("zh-TW", "zh_TW"), ("zh_Hant", "zh_TW"), ("zh_HK", "zh_TW"), ("zh_CN.UTF-8", "en"),
     ("C", "en"), ("", "en"), ("de_DE", "en")],
)  # fmt: skip
def test_the_language_of_a_locale(name, expected):
    assert known_language(name) == expected


def test_the_first_variable_that_is_set_decides(monkeypatch):
    monkeypatch.delenv("REGRAFT_LANG")
    monkeypatch.setenv("LANG", "zh_TW.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)
    assert language() == "zh_TW"
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    assert language() == "en"
    monkeypatch.setenv("REGRAFT_LANG", "zh_TW")
    assert language() == "zh_TW"


def test_english_stays_as_it_is():
    text = "398 photos · 2 classes"
    assert translate(text) is text
    assert translate_word("photos") == "photos"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("398 photos · 2 classes", "398 張照片 · 2 個類別"),
        ("153 validation photos, never used to make a choice", "153 張驗證照片，從未用來做任何選擇"),
        ("this is the linear probe      largest class alone (bees)  54.2 %", "這就是線性探測      只猜最大類別（bees）  54.2 %"),
        (
            "options: budget: expected a time with its unit, such as 10s, 10m or 10h, found '10'",
            "選項：budget：應為含單位的時間，例如 10s、10m 或 10h，實際為 '10'",
        ),
        (
            "--fix-leaks is not used: regraft makes the split and keeps duplicates on one side of it",
            "--fix-leaks 沒有作用：分割由 regraft 決定，重複的照片會留在同一邊",
        ),
        (
            "a/b.png: truncated after 18 %; its upper 18 % can be decoded: not used",
            "a/b.png：在 18 % 處檔案不完整；只有上方 18 % 可以解碼：不使用",
        ),
        ("unknown backbone 'resnt'; did you mean 'resnet18' or 'resnet200'?", "未知的骨幹網路 'resnt'；您是不是要用 'resnet18' 或 'resnet200'？"),
        ("1 set of exact copies kept on one side", "1 組完全相同的複本留在同一邊"),
        ("epoch 3 of 4 kept", "保留 4 個訓練週期中的第 3 個"),
    ],
)  # fmt: skip
def test_a_text(text, expected, chinese):
    assert translate(text) == expected


@pytest.mark.parametrize(
    "text",
    ["photo", "test", "照片 (複本).jpg", "花, 草/a.jpg", "runs/中文1-auto-001", "regraft train photos --budget 10m", "ash, birch, oak",
     "a b/c d.jpg", "0.8437", ""],
)  # fmt: skip
def test_names_and_commands_stay_as_they_are(text, chinese):
    assert translate(text) == text


def test_a_name_inside_a_message_stays_as_it_is(chinese):
    assert translate("no such folder of photos: 花, 草 (複本)/photo") == "沒有這個照片資料夾：花, 草 (複本)/photo"


def test_single_words_are_translated_where_they_are_labels_or_cells(chinese):
    assert translate_word("photos") == "照片"
    assert translate_cell("today") == "今天"
    assert translate_cell("photos") == "photos"  # it may be a class


def test_values_of_a_template():
    template = Template("{n:n} photos in {folder}, {{such}}")
    assert template.values("1,284 photos in a b, {such}") == {"n": "1,284", "folder": "a b"}
    assert template.values("some photos in a b, {such}") is None
    assert template.words == ["photos", "in"]


def test_chinese_and_latin_meet_with_one_space():
    assert joined(["共", "3", "張"]) == "共 3 張"
    assert joined(["照片 ", "，", " 共"]) == "照片，共"
    assert joined(["一", "   ", "二"]) == "一   二"


def test_english_loads_no_catalogue():
    code = "import sys, regraft.cli.main; print('regraft.language.translate' in sys.modules, 'regraft.language.search' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "True False\n"


def test_line_breaks_between_chinese_characters_become_no_spaces():
    markdown = "# 標題\n\n第一行，\n第二行（見\n[連結](a.md)）。\nLatin\n第三行\n\n- 甲\n- 乙\n  丙\n"
    assert without_breaks(markdown) == "# 標題\n\n第一行，第二行（見\n[連結](a.md)）。\nLatin\n第三行\n\n- 甲\n- 乙丙\n"
    assert without_breaks("two\nlines") == "two\nlines"
