"""The report of a run: whole, safe, the same bytes every time, and helpful where files are missing or damaged."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from html.parser import HTMLParser

import pytest

from regraft.errors import RunFolderError
from regraft.report import drawing
from regraft.report.run_data import MAX_THUMBNAIL, read_run
from regraft.report.run_page import SECTIONS, report_html, write_report
from report.made_run import make_run

GARDEN = ["daisy", "rose", "tulip"]
ODD = [
    'a style="}body{display:none}"',
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "وردة",
    "a\x1b[31m\x07b",
    "百合",
    "x" * 200,
]


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())


def html_of(run):
    return report_html(read_run(run))


@pytest.fixture(scope="module")
def garden(tmp_path_factory):
    return html_of(make_run(tmp_path_factory.mktemp("garden") / "run", GARDEN))


def test_every_section_is_there_in_its_order(garden):
    anchors = [value for tag, key, value in Page(garden).attributes if tag == "section" and key == "id"]
    assert anchors == list(SECTIONS)
    assert "cannot be shown" not in garden


def test_the_page_loads_nothing_and_allows_nothing(garden):
    page = Page(garden)
    policy = next(value for tag, key, value in page.attributes if key == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-") and "unsafe" not in policy
    assert not [key for _, key, _ in page.attributes if key.startswith("on") or key == "style"]
    sources = [value for _, key, value in page.attributes if key in ("src", "href", "action")]
    assert len(sources) > 20 and all(value.startswith(("data:image/jpeg", "#")) for value in sources)
    assert not re.search(r"url\(\s*['\"]?(?!#)|@import", garden)


def test_the_answer_says_what_to_expect_on_new_subjects(tmp_path, garden):
    run = make_run(tmp_path / "run", GARDEN)
    metrics = json.loads((run / "metrics.json").read_text())
    loss = {"value": 0.1, "n": 50, "interval": [0.08, 0.12]}
    effect = {"group_by": "number", "n": 50, "loss": loss, "on_new_subjects": loss}
    metrics["series"] = {"tested": [effect], "group_by": "number"}
    (run / "metrics.json").write_text(json.dumps(metrics))
    page = Page(html_of(run)).text
    assert "photos taken together look alike: expect about" in page and "--group-by number" in page
    assert "taken together" not in Page(garden).text


def test_the_same_folder_gives_the_same_bytes(tmp_path, garden):
    run = make_run(tmp_path / "run", GARDEN)
    (place,) = set(re.findall(r"regraft predict (\S+)", garden))
    assert write_report(run).read_text(encoding="utf-8") == garden.replace(place, str(run))
    moved = tmp_path / "elsewhere.html"
    assert write_report(run, moved) == moved and moved.read_bytes() == (run / "report.html").read_bytes()


def test_no_identifier_occurs_twice(garden):
    names = [value for _, key, value in Page(garden).attributes if key == "id"]
    assert len(names) == len(set(names)) > 10


def test_names_are_text_and_never_markup(tmp_path):
    page = Page(html := html_of(make_run(tmp_path / "run", ODD, n=90, wrong=0.5)))
    assert "cannot be shown" not in html
    assert page.tags.count("script") == 1
    assert not [key for _, key, _ in page.attributes if key.startswith("on") or key == "style"]
    assert ODD[0] in page.text and ODD[1] in page.text and "}body{" not in html.split("</style>")[0]
    assert "百合" in page.text and "وردة" in page.text
    assert "\x1b" not in html and "\x07" not in html and r"\x1b" in page.text


def test_the_sentence_and_what_would_help_most(garden):
    text = Page(garden).text
    assert "This classifier tells daisy, rose and tulip apart: of 100 new photos like these, about 83" in text
    assert "never used to make a choice" in text and "a random split would have reported" in text
    assert "50 more photos of daisy: about 1.5 more of 100 such photos" in text


def test_an_unfinished_run_shows_what_it_has(tmp_path):
    run = make_run(tmp_path / "run", GARDEN)
    for name in ("metrics.json", "manifest.csv", "predictions.csv", "freeze.json", "thumbnails.zip"):
        (run / name).unlink()
    text = Page(html_of(run)).text
    assert "this run is not finished after epoch 3 of all blocks" in text
    assert "How it was trained" in text and "regraft resume" in text and "cannot be shown" not in text


def test_a_newer_format_and_damaged_files_are_explained_in_place(tmp_path):
    run = make_run(tmp_path / "run", GARDEN)
    (run / "metrics.json").write_text('{"format": 2}')
    (run / "manifest.csv").write_text("nonsense")
    (run / "thumbnails.zip").write_bytes(b"PK nonsense")
    (run / "probabilities.safetensors").write_bytes(b"nonsense")
    text = Page(html_of(run)).text
    assert "metrics.json has format 2; this regraft reads up to 1: upgrade it" in text
    assert "manifest.csv: not a manifest: its first line must be path,content," in text
    assert "thumbnails.zip cannot be read" in text and "probabilities.safetensors cannot be read" in text
    assert "How it was trained" in text


def test_a_section_that_lacks_something_says_so_and_the_others_stay(tmp_path):
    run = make_run(tmp_path / "run", GARDEN)
    metrics = json.loads((run / "metrics.json").read_text())
    del metrics["measured"]["final/test"]["figures"]["confusion"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    text = Page(html_of(run)).text
    assert "The section “confusion” cannot be shown: the run folder lacks 'confusion'" in text
    assert "When to trust a prediction" in text


def test_a_run_of_an_earlier_version_has_a_report(tmp_path):
    run = make_run(tmp_path / "run", GARDEN, history=False)
    for name in ("probabilities.safetensors", "neighbors.csv", "thumbnails.zip"):
        (run / name).unlink()
    metrics = json.loads((run / "metrics.json").read_text())
    for key in ("reject", "learning_curve", "naive_split"):
        del metrics[key]
    (run / "metrics.json").write_text(json.dumps(metrics))
    text = Page(html_of(run)).text
    assert "no preview" in text and "Which classes are confused" in text and "cannot be shown" not in text


@pytest.mark.parametrize(("classes", "photos"), [(2, 2), (40, 400), (500, 500)])
def test_any_number_of_classes(tmp_path, classes, photos):
    run = make_run(tmp_path / "run", [f"class {k}" for k in range(classes)], n=photos, thumbnails=classes < 500)
    html = html_of(run)
    assert "cannot be shown" not in html and len(html.encode()) < 3_000_000


@pytest.mark.slow
def test_ten_thousand_photos_take_three_megabytes_at_most(tmp_path):
    run = make_run(tmp_path / "run", [f"kind {k}" for k in range(10)], n=10_000)
    html = html_of(run)
    assert len(html.encode()) < 3_000_000 and html.count("data:image/jpeg") > 350
    assert "All 1,5" in html and html.count('<article class="mistake"') == 96


def test_not_a_run_folder(tmp_path):
    with pytest.raises(RunFolderError, match="is not a run folder"):
        read_run(tmp_path)


def damaged(path, contents):
    """Yield the page of the run with each of some contents in place of each of its files."""
    for file in sorted(path.iterdir()):
        whole = file.read_bytes()
        for content in contents:
            file.write_bytes(content)
            yield file.name, html_of(path)
        file.write_bytes(whole)


def draw_each_figure_once(monkeypatch):
    """Draw a figure again only for other values: a damaged file changes few of the figures of a page."""
    drawn, draw_new = {}, drawing.inline_svg

    def inline_svg(draw, name, label):
        values = pickle.dumps([cell.cell_contents for cell in draw.__closure__ or ()])
        key = (draw.__qualname__, name, label, values)
        if key not in drawn:
            drawn[key] = draw_new(draw, name, label)
        return drawn[key]

    monkeypatch.setattr(drawing, "inline_svg", inline_svg)


def test_files_with_any_content_are_explained(tmp_path, monkeypatch):
    draw_each_figure_once(monkeypatch)
    run = make_run(tmp_path / "run", GARDEN, 12)
    long_field = b'"' + b"x" * 200_000 + b'"\n'
    nested = b'{"format": 1, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    empty = b'{"format": 1, "classes": null, "measured": [], "headline": {}, "blocks": 5}\n'
    pages = list(damaged(run, [b"", b"[" * 100_000, nested, b"5\n[]\n", long_field, empty]))
    assert len(pages) == 6 * len(list(run.iterdir()))
    assert all("problem" in html for name, html in pages if name not in ("events.jsonl", "environment.json"))


def test_a_zip_file_with_damaged_or_large_pictures(tmp_path):
    run = make_run(tmp_path / "run", GARDEN, 12)
    with zipfile.ZipFile(run / "thumbnails.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.jpg", b"a" * 3000)
    data = bytearray((run / "thumbnails.zip").read_bytes())
    data[38:44] = b"\xff" * 6  # the compressed bytes
    (run / "thumbnails.zip").write_bytes(data)
    assert "thumbnails.zip cannot be read" in html_of(run)
    with zipfile.ZipFile(run / "thumbnails.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("b.jpg", bytes(MAX_THUMBNAIL + 1))
        out.writestr("c.jpg", b"c")
    assert read_run(run).photos.thumbnails == {"c": b"c"}
