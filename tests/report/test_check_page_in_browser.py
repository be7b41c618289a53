"""The check page in a browser: keys, filters, bulk decisions, undo, and classes that exist."""

from __future__ import annotations

import pytest

from chromium import chromium
from making import make_photos
from regraft.report.check_page import write_page

__all__ = ["chromium"]

pytestmark = pytest.mark.slow

SUGGESTED = ("ash/photo 000.png", "ash/photo 001.png", "ash/photo 002.png")
PAIR = ("birch/photo 000.png", "birch/photo 001.png")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Return the address of a page with three wrong labels, a pair of copies and an outlier."""
    root = make_photos(tmp_path_factory.mktemp("garden"), {"ash": 4, "birch": 4})
    one = {"level": "warning", "words": "words", "measure": {}, "suggestion": "", "decided": False}
    findings = [{**one, "kind": "wrong label", "photos": [name], "suggestion": "birch"} for name in SUGGESTED]
    findings.append({**one, "kind": "near copies", "photos": list(PAIR)})
    findings.append({**one, "kind": "outlier", "photos": ["birch/photo 003.png"], "level": "warning"})
    check = {"photos": str(root), "files": {"ok": 8}, "classes": {"ash": 4, "birch": 4}, "findings": findings,
             "counts": {"error": 0, "warning": 5, "info": 0}, "examples": {"birch": "birch/photo 002.png"},
             "labels": {name: name.split("/")[0] for name in (*SUGGESTED, *PAIR)}}  # fmt: skip
    write_page(check, root, workers=0)
    return (root / "check.html").as_uri()


@pytest.fixture
def page(chromium, address):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.goto(address)
    yield opened
    assert problems == []
    context.close()


def table(page):
    return page.evaluate("table()").splitlines()[1:]


def test_keys_move_decide_zoom_and_undo(page):
    page.keyboard.press("j")
    page.keyboard.press("d")
    page.keyboard.press("n")
    page.keyboard.press("r")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("e")
    decided = ["drop", "relabel:birch", "keep"]
    rows = [f"{name},{what},wrong label" for name, what in zip(SUGGESTED, decided, strict=True)]
    assert table(page) == rows
    page.keyboard.press("u")
    assert table(page) == rows[:2]
    page.keyboard.press("z")
    assert page.locator("#zoom").is_visible() and SUGGESTED[2] in page.locator("#zoom p").text_content()
    page.keyboard.press("Escape")
    assert not page.locator("#zoom").is_visible()


def test_a_filter_shows_one_kind_and_a_second_click_all(page):
    chip = page.locator(".filter", has_text="near copies")
    chip.click()
    assert page.locator("main > details:visible").count() == 1 and chip.get_attribute("aria-pressed") == "true"
    chip.click()
    assert page.locator("main > details:visible").count() == 3


def test_all_undecided_of_a_kind_at_once(page):
    page.get_by_role("button", name=f"drop: {SUGGESTED[0]}").click()
    page.get_by_role("button", name="Accept all suggestions: wrong label").click()
    assert table(page) == [
        f"{SUGGESTED[0]},drop,wrong label",
        *(f"{name},relabel:birch,wrong label" for name in SUGGESTED[1:]),
    ]
    assert "2 photos decided at once" in page.locator("#message").text_content()
    page.get_by_role("button", name="Undo").click()
    assert table(page) == [f"{SUGGESTED[0]},drop,wrong label"]
    page.locator("#open-only").check()
    assert page.locator("article:visible").count() == 4


def test_only_classes_that_exist(page):
    other = page.get_by_label(f"other class for {SUGGESTED[0]}")
    other.fill("brich")
    other.press("Enter")
    assert table(page) == [] and "no class “brich”" in page.locator("#message").text_content()
    other.fill("birch")
    other.press("Enter")
    assert table(page) == [f"{SUGGESTED[0]},relabel:birch,wrong label"]


def test_an_example_of_the_suggested_class_is_next_to_the_photo(page):
    card = page.locator("article").first
    assert card.locator("img").count() == 2
    assert "for comparison: birch birch/photo 002.png" in " ".join(card.locator(".example").text_content().split())


def test_every_button_says_its_photo(page):
    labels = page.eval_on_selector_all(".buttons button", "all => all.map(one => one.getAttribute('aria-label'))")
    assert len(labels) == 15 and all(".png" in label for label in labels)


def test_a_phone_has_room_for_the_photos(chromium, address):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    phone = context.new_page()
    phone.goto(address)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.evaluate("document.querySelector('.bar').getBoundingClientRect().bottom") < 200
    context.close()
