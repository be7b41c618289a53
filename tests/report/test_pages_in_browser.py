"""The report in a browser: no error, no request, readable at every width, accessible, and its figures are right."""

from __future__ import annotations

import csv
import json
import re

import pytest

from chromium import chromium, page, serious_problems
from regraft.report.compare_page import write_comparison
from regraft.report.pdf import print_pdf
from regraft.report.run_page import write_report
from report.made_run import make_run

__all__ = ["chromium", "page"]

pytestmark = pytest.mark.slow

CHINESE = ["百合", "玫瑰", "郁金香", "<b>", "وردة", "y" * 200]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("garden") / "run", ["daisy", "rose", "tulip"], n=90, wrong=0.2)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("odd") / "run", CHINESE, n=90, wrong=0.4)
    write_report(folder)
    return folder


@pytest.fixture
def requests(page):
    """Everything that a page asks for, apart from its own file and what is inside it."""
    asked = []
    page.on("request", lambda one: None if one.url.startswith(("data:", "file:")) else asked.append(one.url))
    return asked


def show(page, file, width=1280, scheme="light"):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(file.resolve().as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
@pytest.mark.parametrize("name", ["run", "odd"])
def test_it_fits_the_screen_and_is_accessible(page, requests, request, name, width, scheme):
    show(page, request.getfixturevalue(name) / "report.html", width, scheme)
    assert serious_problems(page) == [] and requests == []


def test_every_figure_is_that_of_metrics_json(page, run):
    metrics = json.loads((run / "metrics.json").read_text())
    figures = metrics["measured"]["final/test"]["figures"]
    show(page, run / "report.html")
    titles, texts = (page.locator(f".facts {tag}").all_inner_texts() for tag in ("dt", "dd"))
    facts = dict(zip(titles, texts, strict=True))

    def percents(*values):
        return [f"{100 * value:.1f}" for value in values]

    accuracy = figures["accuracy"]
    assert facts["accuracy"].startswith(f"{percents(accuracy['value'])[0]} %")
    low, high = percents(*accuracy["interval"])
    assert f"{low} – {high}, 95 % interval" in facts["accuracy"] and f"{accuracy['n']} test photos" in facts["accuracy"]
    assert facts["largest class alone"].startswith(percents(figures["largest_class"]["accuracy"]["value"])[0])
    lines = page.locator("#per-class table").first.locator("tbody tr").all_inner_texts()
    rows = {line.split("\t")[0]: line.split("\t") for line in lines}
    for row in figures["per_class"]:
        cells = rows[row["label"]]
        assert cells[1] == f"{row['support']:,}"
        for cell, key in zip(cells[3:], ("recall", "precision", "f1"), strict=True):
            value, bounds = row[key]["value"], row[key]["interval"]
            assert cell.split() == [*percents(value), "%", percents(bounds[0])[0], "–", percents(bounds[1])[0]]
    matrix = [
        [int(text.replace("·", "0").replace(",", "")) for text in line.locator("td").all_inner_texts()]
        for line in page.locator(".matrix tbody tr").all()
    ]
    order = [metrics["classes"].index(text) for text in page.locator(".matrix tbody th").all_inner_texts()]
    counts = figures["confusion"]["counts"]
    assert matrix == [[*(counts[a][b] for b in order), sum(counts[a])] for a in order]
    thresholds = page.locator("#trust table tbody tr").all_inner_texts()
    for line, one in zip(thresholds, metrics["reject"]["thresholds"], strict=True):
        shown = "–" if one["threshold"] is None else f"{100 * one['threshold']:.1f} %"
        assert line.split("\t")[1] == shown


def test_figures_to_compare_with_and_expected_gains_are_those_of_metrics_json(page, run):
    metrics = json.loads((run / "metrics.json").read_text())
    show(page, run / "report.html")
    titles, texts = (page.locator(f".facts {tag}").all_inner_texts() for tag in ("dt", "dd"))
    facts = dict(zip(titles, texts, strict=True))

    def percents(*values):
        return [f"{100 * value:.1f}" for value in values]

    probe = metrics["measured"]["linear-probe/test"]["figures"]["accuracy"]
    final = metrics["measured"]["final/test"]["figures"]
    assert probe["value"] != final["accuracy"]["value"]
    assert re.findall(r"\d+\.\d", facts["linear probe"]) == percents(probe["value"], *probe["interval"])
    split = metrics["naive_split"]
    shown = re.findall(r"\d+\.\d", facts["a random split would have reported"])
    assert shown == percents(split["random"]["value"], split["grouped"]["value"]) and len(set(shown)) == 2
    error = final["calibration_error"]
    caption = page.locator("#trust figure").first.inner_text()
    assert f"calibration error {percents(error['value'])[0]} %" in caption
    curve = metrics["learning_curve"]
    rows = page.locator("#photos-needed table").first.locator("tbody tr").all_inner_texts()
    gains = sorted(curve["gains"], key=lambda one: -one["recall"]["value"])
    assert len(rows) == len(gains) == 3
    for row, gain in zip(rows, gains, strict=True):
        label, training, *points = row.split("\t")
        assert label == gain["label"] and training == str(gain["training"])
        assert re.findall(r"\d+\.\d", points[0]) == percents(gain["recall"]["value"], *gain["recall"]["interval"])
    for line, one in zip(page.locator("#trust tbody tr").all(), metrics["reject"]["thresholds"], strict=True):
        cells = line.locator("td").all_inner_texts()
        if one["threshold"] is None:
            assert cells[:3] == ["–"] * 3
        else:
            assert cells[1] == f"{percents(one['accepted'] / one['n'])[0]} %"
            assert cells[2] == f"{one['mistakes']:,} of {one['accepted']:,}"


def test_a_click_on_the_matrix_shows_the_photos_of_that_pair(page, run):
    show(page, run / "report.html")
    cell = page.locator(".matrix [data-show]").first
    pair, count = cell.get_attribute("data-show"), int(cell.inner_text())
    cell.focus()
    page.keyboard.press("Enter")
    shown = page.locator("#predictions [data-pair]:visible")
    assert shown.count() == count and {one.get_attribute("data-pair") for one in shown.all()} == {pair}
    assert page.locator("#filter-text").inner_text().startswith(f"{count} shown:")
    page.keyboard.press("Enter")  # the button that shows all photos has the focus
    with (run / "predictions.csv").open(encoding="utf-8") as file:
        wrong = sum(row["class"] != row["predicted"] for row in csv.DictReader(file))
    assert page.locator("article.mistake:not([hidden])").count() == wrong


def test_it_needs_no_script(chromium, run):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((run / "report.html").resolve().as_uri())
    assert page.locator("article.mistake:visible").count() > 0 and page.locator(".matrix:visible").count() == 1
    context.close()


def test_it_is_printed_on_paper(run, tmp_path, chromium):
    print_pdf(run / "report.html", tmp_path / "page.pdf")
    data = (tmp_path / "page.pdf").read_bytes()
    assert data.startswith(b"%PDF") and data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") >= 2


def test_the_comparison_is_accessible(page, requests, run, tmp_path):
    other = make_run(tmp_path / "other", ["daisy", "rose", "tulip"], n=90, seed=3)
    write_comparison([run, other], tmp_path / "page.html")
    show(page, tmp_path / "page.html", 390)
    assert serious_problems(page) == [] and requests == []
