// The review page: one photo at a time, the most useful first; each decision is saved before the next photo is shown.
"use strict";
const byId = id => document.getElementById(id);
let items = [], at = 0;
const past = [], later = new Set(), pictures = new Map();
const clean = text => String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
  c => "\\x" + c.codePointAt(0).toString(16).padStart(2, "0"));
function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}
async function picture(path) {
  if (!pictures.has(path)) pictures.set(path, load(path));
  return pictures.get(path);
}
async function load(path) {
  const answer = await fetch("photos/" + path).catch(() => null);
  if (answer === null || !answer.ok) return "";
  const reader = new FileReader(), blob = await answer.blob();
  return new Promise(done => { reader.onload = () => done(reader.result); reader.readAsDataURL(blob); });
}
// One decision to leave out a photo settles its finding, so the other photos of the finding come last.
function isSettled(item) {
  return items.some(other => other !== item && other.group === item.group && item.group && other.decision === "drop");
}
function next() {
  const open = items.map((item, k) => k).filter(k => items[k].decision === "");
  const rank = k => (later.has(k) ? 2 : 0) + (isSettled(items[k]) ? 1 : 0);
  return open.sort((a, b) => rank(a) - rank(b) || a - b)[0] ?? -1;
}
function show(k) {
  at = k;
  const decided = items.filter(item => item.decision !== "").length;
  byId("state").textContent = `${decided} of ${items.length} decided`;
  byId("review").hidden = k < 0;
  byId("end").hidden = k >= 0;
  if (k < 0) return;
  const item = items[k];
  byId("photo").removeAttribute("src");
  picture(k).then(data => { if (at === k) { byId("photo").hidden = !data; byId("photo").src = data; byId("stage").classList.toggle("unreadable", !data); byId("stage").dataset.problem = "This photo cannot be shown."; } });
  const soon = items.map((other, n) => n).filter(n => n > k && items[n].decision === "").slice(0, 3);
  soon.forEach(picture);
  for (const path of pictures.keys()) if (pictures.size > 40) pictures.delete(path);
  byId("caption").replaceChildren(element("bdi", {}, clean(item.name)));
  byId("photo").alt = `Photo ${clean(item.name)}`;
  byId("question").replaceChildren(...question(item));
  byId("words").textContent = clean(item.words);
  showOthers(k, item);
  byId("classes").replaceChildren(...item.keys.map((name, n) => {
    const button = element("button", {type: "button", "aria-pressed": String(chosenClass(item) === name)},
      element("kbd", {}, String(n + 1)), " ", element("bdi", {}, clean(name)));
    button.addEventListener("click", () => choose(name));
    return button;
  }));
  byId("actions").replaceChildren(action(acceptText(item), accept, "primary"), action("Leave out", () => decide("drop"), item.decision === "drop"),
    action("Undo", undo, !past.length ? "off" : ""), action("Later", skip));
}
const bold = name => element("b", {}, element("bdi", {}, clean(name)));
// A sentence with the classes of an item in its places.
function sentence(text, item) {
  return text.split(/(\{[a-z]+\})/).map(part => part === "{class}" ? bold(item.label) : part === "{suggestion}" ? bold(item.suggestion) : part);
}
function question(item) {
  if (item.kind === "prediction") return sentence("Is this {class}?", item);
  if (item.suggestion) return sentence("Labeled {class}. Is it {suggestion}?", item);
  const kind = clean(item.kind[0].toUpperCase() + item.kind.slice(1));
  return item.label ? [kind + ": ", ...sentence("labeled {class}. Keep it?", item)] : [kind + ". ", "Keep it?"];
}
function acceptText(item) {
  return item.suggestion ? sentence("Change to {suggestion}", item) : item.label ? sentence("Keep {class}", item) : ["Keep"];
}
function chosenClass(item) {
  return item.decision === "keep" ? item.label : item.decision.startsWith("relabel:") ? item.decision.slice(8) : null;
}
function action(content, act, style) {
  const button = element("button", {type: "button"}, ...[content].flat());
  if (style === "primary") button.className = "primary";
  if (style === true) button.setAttribute("aria-pressed", "true");
  button.disabled = style === "off";
  button.addEventListener("click", act);
  return button;
}
function showOthers(k, item) {
  byId("others").replaceChildren(...Array.from({length: item.others}, (unused, n) => {
    const image = element("img", {alt: "Another photo of this finding"});
    picture(`${k}/${n}`).then(data => { if (data) image.src = data; else image.remove(); });
    return image;
  }));
}
const choose = name => decide(name === items[at].label ? "keep" : "relabel:" + name);
const accept = () => items[at].suggestion ? choose(items[at].suggestion) : decide("keep");
async function save(k, decision) {
  const body = JSON.stringify({item: k, decision});
  const answer = await fetch("decide", {method: "POST", body, headers: {"Content-Type": "application/json"}}).catch(() => null);
  if (answer !== null && answer.ok) return true;
  byId("state").textContent = answer === null ? "Not saved: the program has ended. Start it again." : clean(await answer.text());
  return false;
}
let saving = false;
async function decide(decision) {
  const k = at, before = items[k]?.decision;
  if (saving || k < 0) return;
  saving = true;
  const saved = await save(k, decision);
  saving = false;
  if (!saved) return;
  items[k].decision = decision;
  past.push([k, before]);
  show(next());
}
async function undo() {
  if (saving || !past.length) return;
  const [k, before] = past.at(-1);
  saving = true;
  const saved = await save(k, before);
  saving = false;
  if (!saved) return;
  past.pop();
  items[k].decision = before;
  show(k);
}
function skip() {
  if (at < 0) return;
  later.delete(at);
  later.add(at);
  const open = items.map((item, k) => k).filter(k => items[k].decision === "" && k !== at);
  show(open.find(k => !later.has(k)) ?? [...later].find(k => open.includes(k)) ?? at);
}
addEventListener("keydown", event => {
  const typing = document.activeElement.id === "other";
  if (typing || event.altKey || event.metaKey || (event.ctrlKey && event.key !== "z")) return;
  const onButton = document.activeElement.tagName === "BUTTON" && event.key === "Enter";
  const number = Number(event.key);
  if (number >= 1 && number <= 9 && at >= 0 && items[at].keys[number - 1] !== undefined) choose(items[at].keys[number - 1]);
  else if (event.key === "Enter" && !onButton && at >= 0) accept();
  else if (event.key === "d" || event.key === "Delete") decide("drop");
  else if (event.key === "u" || event.key === "z") undo();
  else if (event.key === "ArrowRight") skip();
  else if (event.key === "ArrowLeft") show(Math.max(0, (at < 0 ? items.length : at) - 1));
  else return;
  event.preventDefault();
});
byId("other").addEventListener("change", event => {
  const name = event.target.value.trim();
  if (classes.has(name)) { event.target.value = ""; event.target.blur(); choose(name); }
});
byId("done").addEventListener("click", async () => {
  await fetch("done", {method: "POST"}).catch(() => null);
  byId("state").textContent = "The review has ended; this page may be closed.";
  byId("review").hidden = true;
});
let classes = new Set();
fetch("items").then(answer => answer.json()).then(all => {
  items = all.items;
  classes = new Set(all.classes);
  byId("more").hidden = all.classes.length <= 9;
  byId("names").replaceChildren(...all.classes.map(name => element("option", {value: name})));
  show(next());
});
