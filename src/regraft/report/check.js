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
const past = [];
let saved = true;
const save = document.getElementById("save"), message = document.getElementById("message");
const undo = document.getElementById("undo"), openOnly = document.getElementById("open-only");
const boxes = [...document.querySelectorAll(".buttons")];
const classes = new Set([...document.querySelectorAll("#classes option")].map(option => option.value));
const pathOf = box => JSON.parse(box.dataset.path);
const photos = n => n === 1 ? "1 photo" : `${n} photos`;
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
  undo.disabled = past.length === 0;
  message.textContent = decisions.size === 0 ? "No decisions yet." : `${photos(decisions.size)} decided.`;
  filter();
}
function change(entries) {
  past.push([...decisions]);
  for (const [box, what] of entries) {
    const before = decisions.get(pathOf(box));
    if (what === "" || (before !== undefined && before.what === what)) decisions.delete(pathOf(box));
    else decisions.set(pathOf(box), {what: what, why: box.dataset.why});
  }
  finish();
}
function finish() {
  saved = keep();
  show();
  if (!saved) message.textContent += " This browser does not keep them: save them before you close the page.";
}
function takeBack() {
  if (past.length === 0) return;
  decisions.clear();
  for (const [path, decision] of past.pop()) decisions.set(path, decision);
  finish();
}
// Filters
const chips = [...document.querySelectorAll(".filter")], sections = [...document.querySelectorAll("main > details")];
const cards = [...document.querySelectorAll("article")];
let shownKind = null;
function filter() {
  for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.kind === shownKind));
  for (const section of sections) section.hidden = shownKind !== null && section.dataset.kind !== shownKind;
  for (const card of cards) {
    const own = [...card.querySelectorAll(".buttons")];
    const done = own.length > 0 && own.some(box => decisions.has(pathOf(box)));
    card.classList.toggle("done", done);
    card.hidden = openOnly.checked && done && card !== document.activeElement;
  }
}
function choose(kind) {
  shownKind = shownKind === kind ? null : kind;
  filter();
  const section = sections.find(one => one.dataset.kind === kind);
  if (shownKind !== null && section) { section.open = true; section.scrollIntoView({block: "start"}); }
}
// Zoom
const zoom = document.getElementById("zoom");
let enlarged = null;
function enlarge(figure) {
  const image = figure && figure.querySelector("img");
  if (!image) return;
  if (enlarged === null) {
    enlarged = document.createElement("img");
    enlarged.alt = "";
    zoom.prepend(enlarged);
  }
  enlarged.src = image.src;
  zoom.querySelector("p").textContent = figure.querySelector("figcaption").textContent;
  zoom.showModal();
}
document.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (button === null) { if (event.target === zoom) zoom.close(); return; }
  const box = button.closest(".buttons");
  if (box !== null) change([[box, JSON.parse(button.dataset.do)]]);
  else if (button.dataset.kind !== undefined) choose(button.dataset.kind);
  else if (button.dataset.bulk !== undefined) decideAll(button.closest("details"), button.dataset.bulk);
  else if (button.closest("#zoom")) zoom.close();
  else if (button.classList.contains("zoom")) enlarge(button.closest("figure"));
});
function decideAll(section, what) {
  const entries = [];
  for (const card of section.querySelectorAll("article")) {
    const own = [...card.querySelectorAll(".buttons")];
    if (own.length === 0 || own.some(box => decisions.has(pathOf(box)))) continue;
    const suggested = [...own[0].querySelectorAll("button")].map(one => JSON.parse(one.dataset.do))[2];
    const wanted = what === "suggestion" ? suggested : what;
    if (wanted !== undefined) entries.push([own[0], wanted]);
  }
  if (entries.length === 0) { message.textContent = "Nothing is undecided here."; return; }
  change(entries);
  message.textContent = `${photos(entries.length)} decided at once; Undo takes it back.`;
}
document.addEventListener("change", event => {
  if (event.target === openOnly) { filter(); return; }
  const input = event.target.closest(".buttons input");
  if (input === null) return;
  const name = input.value.trim();
  if (name !== "" && !classes.has(name)) {
    message.textContent = `There is no class “${name}”: choose one from the list.`;
    input.setAttribute("aria-invalid", "true");
    return;
  }
  input.removeAttribute("aria-invalid");
  change([[input.parentElement, name === "" ? "" : "relabel:" + name]]);
});
// Keys
const steps = {j: 1, n: 1, ArrowRight: 1, k: -1, p: -1, ArrowLeft: -1};
function move(step) {
  const visible = cards.filter(card => !card.hidden && card.offsetParent !== null);
  const at = visible.indexOf(document.activeElement && document.activeElement.closest("article"));
  const next = visible[at < 0 ? (step > 0 ? 0 : visible.length - 1) : at + step];
  if (next) { next.focus(); next.scrollIntoView({block: "nearest"}); }
}
document.addEventListener("keydown", event => {
  const typing = event.target.closest && event.target.closest("input:not([type=checkbox])");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || zoom.open) return;
  const card = document.activeElement && document.activeElement.closest("article");
  const own = card ? [...card.querySelectorAll(".buttons button")] : [];
  if (event.key in steps) move(steps[event.key]);
  else if (event.key === "u") takeBack();
  else if (event.key === "z" && card) enlarge(card.querySelector("figure"));
  else if (event.key === "e" && own[0]) own[0].click();
  else if (event.key === "d" && own[1]) own[1].click();
  else if (event.key === "r" && own[2] && own[2].closest(".buttons") === own[0].closest(".buttons")) own[2].click();
  else return;
  event.preventDefault();
});
undo.addEventListener("click", takeBack);
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
