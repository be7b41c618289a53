"""The pages in Traditional Chinese in a browser: no English sentence, readable at every width, accessible."""

from __future__ import annotations

import json
import re
import threading

import pytest

from chromium import chromium, page, serious_problems, wait_until
from cli.test_first_hour_in_chinese import english_in
from exported_models import model_file
from making import make_photos
from making_runs import add_epochs, beat, make_run
from monitor.conftest import address
from monitor.test_review import check_of
from regraft.monitor.review_app import serve_review
from regraft.monitor.review_items import Review, items_of_check
from regraft.report.check_page import write_page
from regraft.report.run_page import write_report
from report.made_run import make_run as make_finished_run
from serve.conftest import photo, running

__all__ = ["address", "chromium", "model_file", "page"]

pytestmark = pytest.mark.slow

NAMES = re.compile(r"\b(class|photo) \d+\b|near copies|few photos|wrong label|outlier|header is damaged|my photos")
"""Names and words of the made photos and findings."""

PROSE = """() => {
  document.querySelectorAll("details").forEach(one => { one.open = true; });
  const names = [...document.querySelectorAll("code, pre, bdi, datalist")];
  names.forEach(one => { one.style.display = "none"; });
  const shown = document.body.innerText;
  names.forEach(one => { one.style.display = ""; });
  const labels = [...document.querySelectorAll("[aria-label], [alt], [title]")];
  return [shown, ...labels.flatMap(one => ["aria-label", "alt", "title"].map(name => one.getAttribute(name) ?? ""))].join("\\n");
}"""
"""The texts of a page, with its details open, without code and names."""


@pytest.fixture(autouse=True)
def chinese(monkeypatch):
    """The language is Traditional Chinese."""
    monkeypatch.setenv("REGRAFT_LANG", "zh_TW")


def check_page(page):
    """Check that a page is in Chinese, accessible, and fits a phone and a screen."""
    assert page.get_attribute("html", "lang") == "zh-TW"
    lines = NAMES.sub("", page.evaluate(PROSE)).splitlines()
    assert [line for line in lines if english_in(line)] == []
    for width, scheme in ((390, "dark"), (1280, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_problems(page) == []


def test_the_report(page, tmp_path):
    run = make_finished_run(tmp_path / "run", ["百合", "玫瑰", "蒲公英"], n=90, wrong=0.2)
    write_report(run)
    page.goto((run / "report.html").as_uri())
    check_page(page)
    assert {"損失", "準確率", "學習率"} <= set(page.locator("figcaption b").all_inner_texts())


def test_the_page_of_a_check(page, tmp_path):
    root = make_photos(tmp_path / "photos", {"ant": 2, "bee": 1})
    finding = {"level": "warning", "measure": {}, "decided": False}
    check = check_of(root) | {"files": {"ok": 3}, "counts": {"error": 0, "warning": 4, "info": 0}, "examples": {}}
    check["findings"] = [one | finding for one in check["findings"]]
    write_page(check, root, workers=0)
    page.goto((root / "check.html").as_uri())
    check_page(page)
    assert page.get_by_text("尚未做任何決定。").count() == 1


def test_the_review(page, tmp_path):
    check = check_of(make_photos(tmp_path / "photos", {"ant": 2, "bee": 1}))
    review = Review(items_of_check(check), sorted(check["classes"]), {}, print)
    addresses, ready = [], threading.Event()
    opened = lambda address: (addresses.append(address), ready.set())  # noqa: E731
    title = "檢視照片"
    server = threading.Thread(target=serve_review, args=(review, title, tmp_path / "decisions.csv", opened))
    server.start()
    ready.wait()
    page.goto(addresses[0])
    page.get_by_text("已決定 0／3").wait_for()
    assert page.text_content("#question") == "標為 ant。是 bee 嗎？"
    check_page(page)
    for decided in (1, 2):
        page.keyboard.press("d")
        page.get_by_text(f"已決定 {decided}／3").wait_for()  # a key while a decision is sent counts for no photo
    page.keyboard.press("d")
    page.get_by_text("所有照片都已做出決定。").wait_for()
    page.get_by_role("button", name="結束檢視").click()
    page.get_by_text("檢視已結束；可以關閉這個頁面。").wait_for()
    server.join()


def test_the_page_of_a_server(page, model_file):
    with running(model_file) as (_, address):
        page.goto(address)
        files = [
            {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo(1)},
            {"name": "b.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"},
        ]
        page.set_input_files("#files", files)
        wait_until(page, "() => document.getElementById('state').textContent === '已分類 1 張 · 1 張未分類'")
        assert "不是照片：文字" in page.inner_text("#answers")
        check_page(page)
    page.errors.clear()  # the browser reports the answer 400 as an error


def test_the_live_page(address, page, tmp_path):
    run = make_run(tmp_path / "runs" / "garden-auto-001", epochs=3, budget=600)
    figures = {"label": "tuning", "unit": "photos", "done": 5, "total": 10, "note": "", "per_second": 214}
    beat(run, wait=figures | {"seconds_left": 22})
    add_epochs(run, 4, 5)
    done = make_run(tmp_path / "runs" / "garden-auto-000", epochs=2)
    done.journal.add("end", chosen="fine-tune", seconds=5)
    done.metrics.write_text(json.dumps({"format": 1}), encoding="utf-8")
    page.goto(address)
    page.get_by_text("即時", exact=True).wait_for()
    page.get_by_role("heading", name="準確率", exact=True).wait_for()
    page.get_by_role("heading", name="損失", exact=True).wait_for()
    page.get_by_text("每秒 214 張照片").wait_for()
    check_page(page)
