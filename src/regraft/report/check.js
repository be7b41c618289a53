// Buttons of check.html: collects decisions about photos and saves them as decisions.csv. Each decision is kept in the
// browser's storage at once, under a key of the page's findings, so that a reload loses none.
"use strict";
const {key, decisions: earlier} = document.body.dataset;
function stored() {
  try { return JSON.parse(localStorage.getItem("regraft " + key)); } catch { return null; }
}
function keep() {
  try { localStorage.setItem("regraft " + key, JSON.stringify([...decisions])); return true; } catch { return false; }
}
const decisions = new Map(stored() ?? JSON.parse(earlier));
let saved = true;
const save = document.getElementById("save"), message = document.getElementById("message");
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
  message.textContent = decisions.size === 0 ? "No decisions yet."
    : decisions.size + (decisions.size === 1 ? " photo" : " photos") + " decided.";
}
function decide(box, what) {
  const before = decisions.get(pathOf(box));
  if (what === "" || (before !== undefined && before.what === what)) decisions.delete(pathOf(box));
  else decisions.set(pathOf(box), {what: what, why: box.dataset.why});
  saved = keep();
  show();
  if (!saved) message.textContent += " This browser does not keep them: save them before you close the page.";
}
document.addEventListener("click", event => {
  const button = event.target.closest(".buttons button");
  if (button !== null) decide(button.parentElement, JSON.parse(button.dataset.do));
});
document.addEventListener("change", event => {
  const input = event.target.closest(".buttons input");
  if (input !== null) decide(input.parentElement, input.value.trim() === "" ? "" : "relabel:" + input.value.trim());
});
const quoted = text => /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
function table() {
  const rows = [...decisions].sort().map(([path, d]) => [path, d.what, d.why].map(quoted).join(","));
  return ["path,decision,why", ...rows, ""].join("\n");
}
save.addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], {type: "text/csv"}));
  link.download = "decisions.csv";
  link.click();
  saved = true;
  message.textContent = "Saved.";
});
addEventListener("beforeunload", event => { if (!saved) event.preventDefault(); });
show();
