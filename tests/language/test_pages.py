"""Pages and scripts in Traditional Chinese."""

from __future__ import annotations

import pytest

from regraft.language.html import pieces, translate_html
from regraft.language.javascript import strings, translate_script
from regraft.report.page import page


@pytest.fixture
def chinese(monkeypatch):
    """The language is Traditional Chinese."""
    monkeypatch.setenv("REGRAFT_LANG", "zh_TW")


def test_a_sentence_with_tags_is_one_message(chinese):
    html = "<p>This classifier tells <bdi>ants</bdi> and <bdi>bees</bdi> apart: of 100 new photos like these, about <b>95</b> get the right name (anything from 91 to 98 is plausible).</p>"
    assert translate_html(html) == (
        "<p>這個分類器能分辨 <bdi>ants</bdi> 和 <bdi>bees</bdi>：每 100 張類似的新照片，大約 <b>95</b> 張會答對（合理範圍是 91 到 98 張）。</p>"
    )


def test_names_commands_and_scripts_stay_as_they_are(chinese):
    html = "<p><bdi>photos</bdi> <code>photos</code> <b>photos</b></p><script>photos = 1</script><pre>all blocks</pre>"
    assert translate_html(html) == html


def test_attributes_that_are_read_aloud_are_translated(chinese):
    assert (
        translate_html('<div aria-label="Sections" data-kind="wrong label">')
        == '<div aria-label="章節" data-kind="wrong label">'
    )


def test_characters_stay_escaped(chinese):
    assert translate_html("<p>no such archive: a &amp; &lt;b</p>") == "<p>沒有這個壓縮檔：a &amp; &lt;b</p>"


def test_a_script_gets_its_texts(chinese):
    script = 'x = "No decisions yet."; y = `${decided} of ${items.length} decided`; z = "decided";'
    assert (
        translate_script(script) == 'x = "尚未做任何決定。"; y = `已決定 ${decided}／${items.length}`; z = "decided";'
    )


def test_strings_of_a_script():
    source = '// "no"\na = /"[^"]/g; b = `x ${c ? "in" : `deep ${d}`} y`; e = "text";'
    assert list(strings(source)) == ["x {d} y", "in", "deep {d}", "text"]


def test_the_language_of_a_page(chinese):
    html = page("Report: photos", "<p>All blocks</p>")
    assert '<html lang="zh-TW">' in html
    assert "<title>報告：photos</title>" in html
    assert "<p>所有區塊</p>" in html


def test_an_english_page_is_english():
    assert '<html lang="en">' in page("Report: photos", "<p>All blocks</p>")


def test_pieces_of_a_page():
    html = '<p><span class="note">one text</span></p><b>{name}</b>: two <i>texts</i><br><img alt="three">'
    assert list(pieces(html)) == ["three", "one text", "<b>{name}</b>: two <i>texts</i>"]
