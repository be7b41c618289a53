// The page of regraft serve: each photo goes to /predict by itself, a few at a time, and its answer appears next to it.
"use strict";
const AT_A_TIME = 4, SIDE = 96, RETRIES = 30;
const byId = id => document.getElementById(id);
const clean = text => String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
  c => "\\x" + c.codePointAt(0).toString(16).padStart(2, "0"));
const percent = p => (100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 2 : 1) + " %";
const waiting = [];
let running = 0, done = 0, failed = 0;
function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}
const named = text => element("bdi", {}, clean(text));
async function draw(canvas, file) {
  try {
    const photo = await createImageBitmap(file), scale = SIDE / Math.min(photo.width, photo.height);
    const [width, height] = [photo.width * scale, photo.height * scale];
    canvas.getContext("2d").drawImage(photo, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    photo.close();
  } catch { canvas.hidden = true; }  // a format that the browser does not show
}
function show(told, prediction) {
  told.append(element("p", {class: "label"}, named(prediction.label)));
  if (prediction.doubt === "unlike")
    told.append(element("p", {class: "doubt"}, "Unlike all photos of the training: the class means little."));
  if (prediction.doubt === "unsure")
    told.append(element("p", {class: "doubt"}, "Unsure: the probability is below the threshold."));
  const rows = prediction.top.map(one => element("tr", {}, element("td", {}, named(one.label)),
    element("td", {}, percent(one.probability))));
  told.append(element("table", {}, element("tbody", {}, ...rows)));
}
async function answerFor(file) {
  for (let tries = 0; ; tries++) {
    const form = new FormData();
    form.append("photos", file, file.name);
    const answer = await fetch("predict", {method: "POST", body: form});
    if ((answer.status === 429 || answer.status === 503) && tries < RETRIES) {
      await new Promise(later => setTimeout(later, 1000));
      continue;
    }
    const value = await answer.json();
    if (!answer.ok) throw new Error(value.shown ?? value.reason ?? value.error);
    return value.predictions[0];
  }
}
async function classify({file, told}) {
  try {
    const prediction = await answerFor(file);
    told.querySelector(".wait").remove();
    show(told, prediction);
    done += 1;
  } catch (error) {
    const text = error instanceof TypeError ? "The server does not answer." : clean(error.message);
    told.querySelector(".wait").replaceWith(element("p", {class: "wrong"}, text));
    failed += 1;
  }
  tell();
}
function tell() {
  const open = waiting.length + running;
  const texts = [`${done} classified`];
  if (failed) texts.push(`${failed} not classified`);
  if (open > 0) texts.push(`${open} waiting`);
  byId("state").textContent = texts.join(" · ");
}
async function work() {
  if (running >= AT_A_TIME || !waiting.length) return;
  running += 1;
  while (waiting.length) await classify(waiting.shift());
  running -= 1;
  tell();
}
function add(files) {
  for (const file of files) {
    const canvas = element("canvas", {width: SIDE, height: SIDE, role: "img", "aria-label": "Photo " + clean(file.name)});
    const told = element("div", {class: "told"}, element("p", {class: "note"}, named(file.name)),
      element("p", {class: "wait"}, "Waiting …"));
    byId("answers").prepend(element("li", {}, canvas, told));
    draw(canvas, file);
    waiting.push({file, told});
  }
  for (let k = 0; k < AT_A_TIME; k++) work();
  tell();
}
byId("files").addEventListener("change", () => { add(byId("files").files); byId("files").value = ""; });
const drop = byId("drop");
for (const kind of ["dragenter", "dragover"])
  document.addEventListener(kind, event => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", event => {
  event.preventDefault();
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});
document.addEventListener("paste", event => add(event.clipboardData.files));
