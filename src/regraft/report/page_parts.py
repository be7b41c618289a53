"""Style and script of ``check.html``, as they stand in the page."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1200px; padding: 0 1rem 4rem; }
header { position: sticky; top: 0; background: Canvas; padding: .5rem 0; border-bottom: 1px solid var(--line);
  z-index: 1; }
h1 { font-size: 1.2rem; margin: 0; overflow-wrap: anywhere; } header p { margin: .1rem 0 .4rem; }
.bar { display: flex; gap: .8rem; align-items: center; font-size: .85rem; }
button { font: inherit; font-size: .8rem; padding: .15rem .5rem; border: 1px solid var(--line); border-radius: 5px;
  background: var(--soft); color: inherit; cursor: pointer; }
button:disabled { opacity: .5; cursor: default; }
button[aria-pressed=true] { background: #0a6cff; border-color: #0a6cff; color: #fff; }
#save:not(:disabled) { background: #0a6cff; color: #fff; }
summary { font-size: 1.05rem; font-weight: 600; margin: 1.2rem 0 .5rem; cursor: pointer; }
summary small { font-weight: 400; opacity: .7; }
.level { font-size: .75rem; padding: .1rem .45rem; border-radius: 9px; color: #fff; vertical-align: 2px; }
.error { background: #c62828; } .warning { background: #a66300; } .info { background: #5a6b7b; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(350px, 1fr)); gap: .7rem; }
article { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .7rem; content-visibility: auto;
  contain-intrinsic-size: 350px 290px; }
article > p { margin: 0 0 .4rem; }
.row { display: flex; gap: .5rem; overflow-x: auto; }
figure { margin: 0; width: 164px; flex: none; font-size: .75rem; }
figure img, .none { max-width: 160px; max-height: 160px; border-radius: 4px; display: block; }
.none { width: 160px; height: 60px; line-height: 60px; text-align: center; background: var(--soft); }
figcaption { overflow-wrap: anywhere; margin: .2rem 0; }
.buttons { display: flex; flex-wrap: wrap; gap: .25rem; } .buttons input { width: 6.5rem; font-size: .75rem; }
.more { font-size: .75rem; opacity: .8; overflow-wrap: anywhere; max-height: 5rem; overflow-y: auto; }
"""

SCRIPT = """
"use strict";
const decisions = new Map();
const save = document.getElementById("save"), said = document.getElementById("said");
const boxes = [...document.querySelectorAll(".buttons")];
const pathOf = box => JSON.parse(box.dataset.path);
function show() {
  for (const box of boxes) {
    const decided = decisions.get(pathOf(box));
    for (const button of box.querySelectorAll("button")) {
      const pressed = decided !== undefined && decided.what === JSON.parse(button.dataset.do);
      button.setAttribute("aria-pressed", String(pressed));
    }
    const input = box.querySelector("input");
    const other = decided !== undefined && decided.what.startsWith("relabel:");
    if (document.activeElement !== input) input.value = other ? decided.what.slice(8) : "";
  }
  save.disabled = decisions.size === 0;
  said.textContent = decisions.size + (decisions.size === 1 ? " photo" : " photos") + " decided about";
}
function decide(box, what) {
  const before = decisions.get(pathOf(box));
  if (what === "" || (before !== undefined && before.what === what)) decisions.delete(pathOf(box));
  else decisions.set(pathOf(box), {what: what, why: box.dataset.why});
  show();
}
document.addEventListener("click", event => {
  const button = event.target.closest(".buttons button");
  if (button !== null) decide(button.parentElement, JSON.parse(button.dataset.do));
});
document.addEventListener("change", event => {
  const input = event.target.closest(".buttons input");
  if (input !== null) decide(input.parentElement, input.value.trim() === "" ? "" : "relabel:" + input.value.trim());
});
const quoted = text => /[",\\r\\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
function table() {
  const rows = [...decisions].sort().map(([path, d]) => [path, d.what, d.why].map(quoted).join(","));
  return ["path,decision,why", ...rows, ""].join("\\n");
}
save.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
  link.download = "decisions.csv";
  link.click();
  said.textContent = "Saved. Use it: regraft train PHOTOS --decisions decisions.csv";
});
"""
