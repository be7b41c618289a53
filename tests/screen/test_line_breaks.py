"""Line breaks: no line is too long, no word is broken that fits, and nothing is lost."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.screen.line_breaks import broken, cells, is_command

SENTENCE = "with 12 photos, any accuracy from 61 to 97 % is plausible · 3 classes      largest class  31.0 %"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        "类别 一个很长的类别名称花园里的红玫瑰和郁金香 与 另一个类别名称 · 31.0 % · 照片 1,284",
        "photos/花园/玫瑰/二零二六年十一月三十日/IMG_0113.jpg: is damaged after 61 % of its pixels",
        "  expected   photos/daisy/*.jpg  photos/rose/*.jpg …   (or --labels labels.csv, or --label-from 'PATTERN')",
        "an_extremely_long_name_without_any_blank_" * 5,
        "👩‍🔬" * 60,
    ],
)
def test_no_line_is_longer_and_nothing_is_lost(text, width):
    lines = broken(text, width)
    assert max(map(cells, lines)) <= width
    kept = "".join(c for c in "".join(lines) if c not in " ·")
    assert kept == "".join(c for c in text if c not in " ·")
    words = {word for word in text.split() if cells(word) <= width // 2}
    assert words - {"·"} <= {word for line in lines for word in line.split()}


def test_facts_stay_whole_where_they_fit():
    assert broken(SENTENCE, 50) == [
        "with 12 photos, any accuracy from 61 to 97 % is",
        "plausible · 3 classes      largest class  31.0 %",
    ]
    assert broken("12 photos · 5 classes · 1 skipped (a.jpg: truncated)", 36) == [
        "12 photos · 5 classes",
        "1 skipped (a.jpg: truncated)",
    ]


def test_a_figure_keeps_its_unit():
    for width in range(20, 40):
        assert not any(
            line.lstrip().startswith(("%", "px", "±", "–")) for line in broken("a b 90.7 % – 3 ± 1.8 px", width)
        )


def test_continuations_are_aligned():
    assert broken("  expected   one two three four", 24) == ["  expected   one two", "             three four"]
    assert broken("  name another folder with -o", 20, hang=2) == ["  name another", "    folder with -o"]
    assert broken("the subject: one two three", 16, hang=2) == ["the subject: one", "  two three"]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
@pytest.mark.parametrize(
    "words",
    [
        ["regraft", "predict", "runs/garden-auto-001", "my new photos/with blanks/*.jpg", "--format", "csv"],
        ["regraft", "train", "/a/very/long/path/to/the/photos/of/the/garden/behind/the/house", "--seed", "1"],
        ["regraft", "check", "花园/照片/玫瑰", "--decisions", "another folder/it's.csv", "--strict", "--thorough"],
    ],
)
def test_a_command_can_be_pasted(words, width):
    command = shlex.join(words)
    assert is_command(command)
    lines = broken(command, width)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
    assert max(map(cells, lines)) <= width
    if width == 200:
        assert lines == [command]


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Co", "Cn"])), st.integers(12, 90)
)
def test_any_text_fits(text, width):
    assert max(map(cells, broken(text, width))) <= width
