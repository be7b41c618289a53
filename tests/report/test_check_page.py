"""`check.html`: complete in one file, names are always text, and thousands of findings fit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

import regraft.report
from audit.conftest import save, scene
from regraft.audit.finding import ACTIONABLE
from regraft.report.check_kinds import explanation
from regraft.report.check_page import write_page


class Page(HTMLParser):
    """Counts tags, and keeps attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_whole_and_names_are_text(tmp_path):
    label, name = "<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>/a&b\x1b.jpg"
    finding = {"kind": "wrong label", "level": "warning", "photos": [name], "words": f"labelled {label}",
               "measure": {}, "suggestion": label}  # fmt: skip
    found = {"photos": str(tmp_path), "files": {"ok": 9}, "classes": {label: 9}, "labels": {name: label},
             "counts": {"error": 0, "warning": 1, "info": 0}, "findings": [finding]}  # fmt: skip
    write_page(found, tmp_path, workers=0)
    text = (tmp_path / "check.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("script") == 1 and "img" not in page.tags
    assert not [key for key, _ in page.attributes if key.startswith("on")]
    assert ("data-do", json.dumps(f"relabel:{label}")) in page.attributes
    assert any(label in part for part in page.text) and "\x1b" not in text
    assert not re.search(r"(src|href)=[\"']?https?:|url\(|@import", text)
    assert "default-src 'none'" in text


def test_the_page_holds_two_thousand_findings(tmp_path):
    for k in range(40):
        save(scene(k, (64, 48)), tmp_path / "a" / f"{k}.jpg")
    one = {"kind": "near copies", "level": "warning", "words": "2 photos show nearly the same picture", "measure": {},
           "suggestion": ""}  # fmt: skip
    findings = [{**one, "photos": [f"a/{k % 40}.jpg", f"a/{(k + 7) % 40}.jpg"]} for k in range(2000)]
    found = {"photos": str(tmp_path), "files": {"ok": 40}, "classes": {"a": 40}, "labels": {},
             "counts": {"error": 0, "warning": 2000, "info": 0}, "findings": findings}  # fmt: skip
    write_page(found, tmp_path, workers=2)
    page = Page((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert page.tags.count("article") == 2000 and page.tags.count("img") == 4000


def test_style_and_script_are_inside_the_page(tmp_path):
    found = {"photos": str(tmp_path), "files": {"ok": 2}, "classes": {"a": 2}, "labels": {},
             "counts": {"error": 0, "warning": 0, "info": 0}, "findings": []}  # fmt: skip
    write_page(found, tmp_path)
    page = Page((tmp_path / "check.html").read_text(encoding="utf-8"))
    style, script = (part for part in page.text if "--line" in part or ("decisions" in part and "const " in part))
    folder = Path(regraft.report.__file__).parent
    shared, own, code = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "check.css", "check.js"))
    assert (style, script) == (shared + own, code)
    assert "No problems found." in page.text


def test_only_findings_that_a_decision_can_settle_have_buttons(tmp_path):
    pair = {"level": "info", "words": "", "measure": {}, "suggestion": ""}
    findings = [{**pair, "kind": kind, "photos": [f"{kind}.jpg"]} for kind in ("outlier", "odd colour mode")]
    found = {"photos": str(tmp_path), "files": {"ok": 2}, "classes": {"a": 2}, "labels": {},
             "counts": {"error": 0, "warning": 0, "info": 2}, "findings": findings}  # fmt: skip
    write_page(found, tmp_path, workers=0)
    page = Page((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert [value for key, value in page.attributes if key == "data-path"] == ['"outlier.jpg"']


BROWSER = """
const [script, attributes, kept] = JSON.parse(require("fs").readFileSync(0, "utf8"));
const quiet = () => ({addEventListener: () => {}});
const ids = {save: quiet(), undo: quiet(), message: {}, "open-only": {checked: false}, zoom: {open: false}};
const box = {dataset: {path: '"b.jpg"', why: "tiny"}, querySelectorAll: () => [], querySelector: () => ({})};
const button = {closest: selector => selector === ".buttons" ? box : button, dataset: {do: '"drop"'}};
const listeners = {};
globalThis.document = {
  body: {dataset: attributes}, activeElement: null, getElementById: id => ids[id],
  querySelectorAll: selector => selector === ".buttons" ? [box] : [],
  addEventListener: (name, listener) => { listeners[name] = listener; },
};
globalThis.addEventListener = () => {};
globalThis.localStorage = {
  getItem: key => kept[key] ?? null,
  setItem: (key, value) => { if (kept === "full") throw new Error("full"); kept[key] = value; },
};
const table = new Function(script + "; return table;")();
const before = table();
listeners.click({target: {closest: () => button}});
process.stdout.write(JSON.stringify({before, after: table(), kept, message: ids.message.textContent}));
"""


def clicked(page, kept):
    """Run the script of a page, click "drop" for b.jpg, and return its table before and after."""
    (script,) = (part for part in page.text if "const decisions" in part)
    attributes = {key.removeprefix("data-"): value for key, value in page.attributes if key.startswith("data-")}
    data = json.dumps([script, {"key": attributes["key"], "decisions": attributes["decisions"]}, kept])
    return json.loads(
        subprocess.run(["node", "-e", BROWSER], input=data, capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="node, which runs the script of the page, is not installed")
def test_decisions_survive_a_reload_and_those_of_before_are_on_the_page(tmp_path):
    finding = {"kind": "tiny", "level": "info", "photos": ["b.jpg"], "words": "", "measure": {}, "suggestion": ""}
    found = {"photos": str(tmp_path), "files": {"ok": 2}, "classes": {"a": 2}, "labels": {}, "findings": [finding],
             "counts": {"error": 0, "warning": 0, "info": 1},
             "decisions": [{"path": "a.jpg", "decision": "relabel:rose", "why": "mine"}]}  # fmt: skip
    write_page(found, tmp_path, workers=0)
    page = Page((tmp_path / "check.html").read_text(encoding="utf-8"))
    first = clicked(page, {})
    earlier = "path,decision,why\na.jpg,relabel:rose,mine\n"
    assert (first["before"], first["after"]) == (earlier, f"{earlier}b.jpg,drop,tiny\n")
    assert first["message"] == "2 photos decided."
    again = clicked(page, first["kept"])
    assert (again["before"], again["after"]) == (f"{earlier}b.jpg,drop,tiny\n", earlier)  # a second click takes it back
    assert "save them before you close the page" in clicked(page, "full")["message"]
    write_page({**found, "findings": []}, tmp_path, workers=0)
    other = Page((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert dict(other.attributes)["data-key"] != dict(page.attributes)["data-key"]


def test_a_damaged_jpeg_is_shown_as_far_as_it_can_be_decoded(tmp_path):
    save(scene(1, (64, 48)), tmp_path / "a" / "cut.jpg")
    data = (tmp_path / "a" / "cut.jpg").read_bytes()
    (tmp_path / "a" / "cut.jpg").write_bytes(data[: len(data) - 300] + b"\xff\xd9")
    finding = {"kind": "damaged", "level": "error", "photos": ["a/cut.jpg"], "words": "", "measure": {},
               "suggestion": ""}  # fmt: skip
    found = {"photos": str(tmp_path), "files": {"put aside": 1}, "classes": {}, "labels": {"a/cut.jpg": "a"},
             "counts": {"error": 1, "warning": 0, "info": 0}, "findings": [finding]}  # fmt: skip
    write_page(found, tmp_path, workers=0)
    assert Page((tmp_path / "check.html").read_text(encoding="utf-8")).tags.count("img") == 1


def test_every_kind_of_finding_is_explained():
    source = Path(regraft.report.__file__).parent.parent / "audit"
    text = "".join(file.read_text(encoding="utf-8") for file in sorted(source.rglob("*.py")))
    kinds = set(re.findall(r'Finding\(\s*"([a-z A-Z]+)"', text)) | set(ACTIONABLE)
    assert len(kinds) > 20
    assert {kind for kind in kinds if not explanation(kind)} == set()
